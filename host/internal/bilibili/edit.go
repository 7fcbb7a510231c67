package bilibili

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// CodeTooManyParts answers a submission or an edit after which an archive would have more parts than it can have.
const CodeTooManyParts = 21058

// View asks what became of an archive. It is known by its number at once, also while lists do not have it yet.
func (c *Client) View(ctx context.Context, account *Account, archive Accepted) (View, error) {
	seen, err := c.view(ctx, account, ViaWeb, archive)
	if err != nil {
		return View{}, fmt.Errorf("view archive %s: %w", archive.BVID, err)
	}
	return seen.View, nil
}

// viewed is a View with everything that was in the answer.
type viewed struct {
	View
	fields map[string]json.RawMessage // of the archive
}

// view fetches an archive the way that an interface does: what an edit sends back must come from its own interface.
func (c *Client) view(ctx context.Context, account *Account, via Via, archive Accepted) (viewed, error) {
	request := call{
		path:    "/x/vupre/web/archive/view",
		query:   url.Values{"topic_grey": {"1"}, "bvid": {archive.BVID}, "t": {strconv.FormatInt(c.now().UnixMilli(), 10)}},
		cookies: account.Cookies, agent: webAgent,
	}
	if via != ViaWeb {
		request = call{path: "/x/client/archive/view", query: url.Values{"access_key": {account.AccessToken}, "aid": {strconv.FormatInt(archive.AID, 10)}}, agent: appAgent}
	}
	request.method, request.base = http.MethodGet, c.options.MemberURL
	var answer struct {
		Archive json.RawMessage `json:"archive"`
		Videos  []PartView      `json:"videos"`
	}
	if err := c.do(ctx, request, &answer); err != nil {
		return viewed{}, err
	}
	var out viewed
	var known struct {
		State *ArchiveState `json:"state"`
	}
	for _, into := range []any{&out.View, &out.fields, &known} {
		if err := json.Unmarshal(answer.Archive, into); err != nil {
			return viewed{}, fmt.Errorf("%w: %s: %w", ErrAnswerLost, request.path, err)
		}
	}
	if known.State == nil || out.AID == 0 {
		return viewed{}, fmt.Errorf("%w: %s: it does not say what became of the archive", ErrAnswerLost, request.path)
	}
	out.Parts = answer.Videos
	return out, nil
}

// Edit puts parts behind those that an archive has, and leaves everything else of it as its owner made it. Parts that it has
// already are not added again, so that after ErrAnswerLost the same edit can simply be tried again. A *RefusedError and
// ErrNotSent mean that nothing was changed; one with CodeTooManyParts that the archive is full.
//
// There are edits for the app and for the web page; whatever made the archive, via ViaWeb uses the latter and any other the
// former, unless the login has no token for it.
//
// Two edits at the same time would lose the parts of one, so one at a time is made; a person who edits the archive at that very
// moment may still lose what they did, or undo this.
func (c *Client) Edit(ctx context.Context, account *Account, via Via, archive Accepted, add []Part) error {
	if len(add) > MaxParts {
		return fmt.Errorf("%d parts cannot be added at once, %d can", len(add), MaxParts)
	}
	select {
	case c.editing <- struct{}{}:
		defer func() { <-c.editing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if via != ViaWeb && account.AccessToken != "" {
		via = ViaApp
	} else {
		via = ViaWeb
	}
	request, err := c.edit(account, via)
	if err != nil {
		return err
	}
	seen, err := c.view(ctx, account, via, archive)
	if err == nil && via != ViaWeb && seen.Copyright == OtherWork { // which the app does not know
		if request, err = c.edit(account, ViaWeb); err != nil {
			return err
		}
		via = ViaWeb
		seen, err = c.view(ctx, account, via, archive)
	}
	if err != nil {
		return fmt.Errorf("view archive %s to edit it: %w", archive.BVID, err)
	}
	fields := seen.edited(via, add)
	if fields == nil {
		return nil
	}
	request.method, request.base, request.body = http.MethodPost, c.options.MemberURL, fields
	return c.do(ctx, request, nil)
}

func (c *Client) edit(account *Account, via Via) (call, error) {
	return c.signedCall(account, via, "/x/vu/app/edit/full", "/x/vu/web/edit")
}

// omitted are fields of a view that an edit does not send, as maintained clients do (biliup; web clients the latter ones too).
var (
	omitted    = []string{"limited_free"}
	omittedWeb = []string{"recreate", "activity", "attrs", "tp_info"}
)

// edited is the body of an edit: the archive as it was shown, fields that nobody here knows too, and all parts, as those that
// are left out are removed. nil: there is nothing to add.
func (v viewed) edited(via Via, add []Part) map[string]any {
	videos := make([]Part, 0, len(v.Parts)+len(add))
	has := make(map[string]bool, len(v.Parts))
	for _, part := range v.Parts {
		has[part.Filename] = true
		videos = append(videos, part.Part)
	}
	for _, part := range add {
		if !has[part.Filename] {
			has[part.Filename] = true
			videos = append(videos, part)
		}
	}
	if len(videos) == len(v.Parts) {
		return nil
	}
	fields := map[string]any{}
	for name, value := range v.fields {
		if !slices.Contains(omitted, name) && (via != ViaWeb || !slices.Contains(omittedWeb, name)) {
			fields[name] = value
		}
	}
	fields["aid"], fields["videos"] = v.AID, videos
	// A view shows the category as an object, and takes its number.
	var category struct {
		ID int64 `json:"id"`
	}
	if raw, ok := fields["human_type2"].(json.RawMessage); ok && json.Unmarshal(raw, &category) == nil {
		if delete(fields, "human_type2"); category.ID != 0 {
			fields["human_type2"] = category.ID
		}
	}
	return fields
}
