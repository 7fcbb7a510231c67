package fetch

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/lubod/lubod/sdk"
)

// statusError turns a status that is not 2xx into an error; nil for 2xx.
//
// 412 counts as 429: Bilibili answers it to clients that ask too often.
func statusError(resp *http.Response, body []byte, where string) error {
	if e := StatusError(where, resp, body); e != nil {
		return e
	}
	return nil
}

func refused(code int) bool {
	return code == http.StatusForbidden || code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable ||
		code == http.StatusPreconditionFailed
}

func kindOfStatus(code int) sdk.Kind {
	switch code {
	case http.StatusNotFound, http.StatusGone:
		return sdk.NotFound
	case http.StatusUnauthorized:
		return sdk.LoginRequired
	case http.StatusForbidden, http.StatusUnavailableForLegalReasons:
		return sdk.Forbidden
	case http.StatusPreconditionFailed, http.StatusTooManyRequests:
		return sdk.RateLimited
	case http.StatusRequestTimeout, http.StatusTooEarly:
		return sdk.Unavailable
	}
	if code >= 500 {
		return sdk.Unavailable
	}
	return sdk.Bug
}

// retryAfter reads both forms of the header (RFC 9110, 10.2.3): seconds, and a date. 0: not said.
func retryAfter(value string, now time.Time) time.Duration {
	const longest = 24 * time.Hour // no platform means more; a broken clock can say anything
	value = strings.TrimSpace(value)
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, longest)
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, min(at.Sub(now), longest))
	}
	return 0
}

func looksLikeHTML(header http.Header, body []byte) bool {
	if strings.Contains(header.Get("Content-Type"), "text/html") && !startsLikeJSON(body) {
		return true
	}
	return bytes.HasPrefix(bytes.TrimSpace(body), []byte("<"))
}

// startsLikeJSON: some platforms label JSON as HTML.
func startsLikeJSON(body []byte) bool {
	body = bytes.TrimSpace(body)
	return bytes.HasPrefix(body, []byte("{")) || bytes.HasPrefix(body, []byte("["))
}

// challengeMarks occur in pages that want a person: the names of common captchas and the title of Cloudflare's.
var challengeMarks = [][]byte{
	[]byte("captcha"), []byte("geetest"), []byte("cf-challenge"), []byte("challenge-platform"), []byte("just a moment"),
	[]byte("验证码"), []byte("滑块"),
}

func looksLikeChallenge(body []byte) bool {
	const searched = 64 << 10 // the mark is in the head or near it
	lower := bytes.ToLower(body[:min(len(body), searched)])
	for _, mark := range challengeMarks {
		if bytes.Contains(lower, mark) {
			return true
		}
	}
	return false
}

// networkError describes a request that got no answer. The caller's own end of patience stays recognisable.
func (c *Client) networkError(ctx context.Context, req *http.Request, where string, err error) error {
	if ctx.Err() != nil {
		return &sdk.Error{Kind: sdk.Unavailable, Message: where + ": " + ctx.Err().Error(), Err: ctx.Err()}
	}
	if req.Context().Err() != nil {
		return &sdk.Error{
			Kind:    sdk.Unavailable,
			Message: fmt.Sprintf("%s did not answer within %s", where, c.timeout),
			Err:     req.Context().Err(),
			Code:    sdk.CodeTimeout,
			Args:    map[string]string{"where": where},
		}
	}
	e := RequestError(where, req, err, c.proxy)
	e.Err = nil // it can repeat parts of a URL that nobody may read
	return e
}

// Place names where a request went, without what can be secret: user, password, query and fragment.
func Place(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return "the address"
	}
	return u.Scheme + "://" + u.Host + u.EscapedPath()
}
