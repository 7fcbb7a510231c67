package bilibili

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

// Fields is an object as Bilibili answered it, for those who pass it on: it has many more fields than are known here.
type Fields = map[string]json.RawMessage

// Codes of the *RefusedError that answers a login which is not valid, or no longer.
const (
	CodeNotLoggedIn = -101
	// CodeCSRF is for the csrf cookie of another login.
	CodeCSRF = -111
)

// MyInfo asks who an account is. The answer has mid, name and face at least.
func (c *Client) MyInfo(ctx context.Context, account *Account) (Fields, error) {
	const path = "/x/space/myinfo"
	var known struct {
		Mid  int64   `json:"mid"`
		Name *string `json:"name"`
		Face *string `json:"face"`
	}
	fields, err := c.fields(ctx, c.options.APIURL, path, account, &known)
	if err != nil {
		return nil, err
	}
	if known.Mid <= 0 || known.Name == nil || known.Face == nil {
		return nil, fmt.Errorf("%w: %s: it does not say who the account is", ErrAnswerLost, path)
	}
	return fields, nil
}

// ArchivePre asks what there is to choose from in a submission. The answer has typelist, the categories, at least.
func (c *Client) ArchivePre(ctx context.Context, account *Account) (Fields, error) {
	const path = "/x/vupre/web/archive/pre"
	var known struct {
		Typelist []Fields `json:"typelist"`
	}
	fields, err := c.fields(ctx, c.options.MemberURL, path, account, &known)
	if err != nil {
		return nil, err
	}
	if known.Typelist == nil {
		return nil, fmt.Errorf("%w: %s: it holds no categories", ErrAnswerLost, path)
	}
	return fields, nil
}

// fields asks for an object with the account's cookies. What is known of it is decoded into known too, so that an answer of
// another shape is an error here and not a surprise for whom it is passed on to.
func (c *Client) fields(ctx context.Context, base, path string, account *Account, known any) (Fields, error) {
	var raw json.RawMessage
	err := c.do(ctx, call{method: http.MethodGet, base: base, path: path, query: url.Values{}, cookies: account.Cookies, agent: webAgent}, &raw)
	if err != nil {
		return nil, err
	}
	var fields Fields
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrAnswerLost, path, err)
	}
	if err := json.Unmarshal(raw, known); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrAnswerLost, path, err)
	}
	return fields, nil
}
