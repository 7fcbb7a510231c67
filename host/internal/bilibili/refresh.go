package bilibili

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Token is what Bilibili says about the token of a login.
type Token struct {
	Expires time.Time
	// RefreshDue asks for a new login before this one ends.
	RefreshDue bool
}

// CheckToken asks whether a login's token is accepted. A *RefusedError with CodeNotLoggedIn means that it is not, or no longer.
//
// Source of this and of Refresh: bilibili-API-collect (login/cookie_refresh and app refresh), biliup (credential.rs).
func (c *Client) CheckToken(ctx context.Context, account *Account) (Token, error) {
	const path = "/x/passport-login/oauth2/info"
	key, _ := loginKey(account.Platform)
	if !account.Checkable() {
		return Token{}, fmt.Errorf("%w: cookie file %q has no token of a known platform", ErrNoAccount, account.File)
	}
	query := url.Values{"access_key": {account.AccessToken}, "actionKey": {"appkey"}, "ts": {strconv.FormatInt(c.now().Unix(), 10)}}
	var answer struct {
		Mid       int64 `json:"mid"`
		ExpiresIn int64 `json:"expires_in"`
		Refresh   bool  `json:"refresh"`
	}
	err := c.do(ctx, call{method: http.MethodGet, base: c.options.PassportURL, path: path, query: key.sign(query), agent: webAgent}, &answer)
	if err != nil {
		return Token{}, err
	}
	if answer.Mid <= 0 || answer.ExpiresIn < 0 || answer.ExpiresIn > 1<<33 {
		return Token{}, fmt.Errorf("%w: %s: it does not say whose token it is", ErrAnswerLost, path)
	}
	return Token{Expires: c.now().Add(time.Duration(answer.ExpiresIn) * time.Second), RefreshDue: answer.Refresh}, nil
}

// Refreshable tells whether Refresh can be asked for at all, and why not.
func (a *Account) Refreshable() error {
	switch _, known := loginKey(a.Platform); {
	case a.AccessToken == "" || a.RefreshToken == "":
		return errors.New("the file has no refresh_token")
	case !known:
		return fmt.Errorf("the file's platform is neither %s nor %s", PlatformTV, PlatformAndroid)
	}
	return nil
}

// Refresh exchanges a login for a new one; the old one counts as void from then on. A *RefusedError and ErrNotSent mean that
// it still is what it was; after ErrAnswerLost nobody knows.
func (c *Client) Refresh(ctx context.Context, account *Account) (*Login, error) {
	const path = "/x/passport-login/oauth2/refresh_token"
	if err := account.Refreshable(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoAccount, err)
	}
	key, _ := loginKey(account.Platform)
	var answer loginAnswer
	err := c.postForm(ctx, key, path, url.Values{
		"access_key": {account.AccessToken}, "actionKey": {"appkey"}, "refresh_token": {account.RefreshToken},
	}, &answer)
	if err != nil {
		return nil, err
	}
	return answer.renewed(account)
}

// renewed checks a refreshed login. One without cookies is taken as well: its tokens are the only ones that are left.
func (a loginAnswer) renewed(account *Account) (*Login, error) {
	content, err := a.content()
	if err != nil || content.Tokens.AccessToken == "" || content.Tokens.RefreshToken == "" {
		return nil, fmt.Errorf("%w: the refreshed login has no tokens", ErrAnswerLost)
	}
	if account.Mid != 0 && content.Tokens.Mid != 0 && content.Tokens.Mid != account.Mid {
		return nil, fmt.Errorf("%w: the refreshed login is of account %d, not of %d", ErrAnswerLost, content.Tokens.Mid, account.Mid)
	}
	return a.as(account.Mid, account.Platform), nil
}
