package bilibili

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// QRLife is how long a QR code can be confirmed.
const QRLife = 180 * time.Second

// The states of a login by QR code that is not done, as errors of PollQR.
var (
	// ErrQRPending: nobody has scanned the code yet.
	ErrQRPending = errors.New("nobody has scanned the QR code yet")
	// ErrQRScanned: it was scanned, and is not confirmed yet.
	ErrQRScanned = errors.New("the QR code was scanned and is not confirmed yet")
	// ErrQRExpired: it cannot be confirmed any more.
	ErrQRExpired = errors.New("the QR code has expired")
)

const (
	codeQRPending = 86039
	codeQRScanned = 86090
	codeQRExpired = 86038
)

// QRCode is a login that was begun.
type QRCode struct {
	// URL is what the QR code shows to Bilibili's app.
	URL string `json:"url"`
	// AuthCode names the login in polls. It is a secret until the login is done: who has it gets the login.
	AuthCode string `json:"auth_code"`
}

// Login is a login that is new: begun by QR code, or refreshed. Its parts are as Bilibili answered them, for a cookie file.
type Login struct {
	Mid int64
	// Platform is the kind of login.
	Platform                   string
	CookieInfo, TokenInfo, SSO json.RawMessage
}

// BeginQR begins a login by QR code, as a television does.
//
// Source of the protocol: bilibili-API-collect (login/login_action/QR.md, the TV part).
func (c *Client) BeginQR(ctx context.Context) (QRCode, error) {
	const path = "/x/passport-tv-login/qrcode/auth_code"
	var code QRCode
	if err := c.postForm(ctx, keyTV, path, url.Values{"local_id": {"0"}}, &code); err != nil {
		return QRCode{}, err
	}
	if code.URL == "" || code.AuthCode == "" {
		return QRCode{}, fmt.Errorf("%w: %s: it holds no QR code", ErrAnswerLost, path)
	}
	return code, nil
}

// PollQR asks how far a login is: done, or one of the errors above. It is done only once; a lost answer is a lost login.
func (c *Client) PollQR(ctx context.Context, authCode string) (*Login, error) {
	const path = "/x/passport-tv-login/qrcode/poll"
	var answer loginAnswer
	err := c.postForm(ctx, keyTV, path, url.Values{"local_id": {"0"}, "auth_code": {authCode}}, &answer)
	var refused *RefusedError
	if errors.As(err, &refused) {
		switch refused.Code {
		case codeQRPending:
			return nil, ErrQRPending
		case codeQRScanned:
			return nil, ErrQRScanned
		case codeQRExpired:
			return nil, ErrQRExpired
		}
	}
	if err != nil {
		return nil, err
	}
	return answer.login(PlatformTV)
}

// loginAnswer is what a login ends in. Of the parts only what is used is looked at; the rest is kept as it is.
type loginAnswer struct {
	CookieInfo json.RawMessage `json:"cookie_info,omitempty"`
	TokenInfo  json.RawMessage `json:"token_info,omitempty"`
	SSO        json.RawMessage `json:"sso,omitempty"`
}

// loginContent is what every login has in its parts.
type loginContent struct {
	Cookies map[string]string
	Tokens  struct {
		AccessToken  string `json:"access_token"`
		RefreshToken string `json:"refresh_token"`
		Mid          int64  `json:"mid"`
	}
}

// content reads the parts of the answer; an error: they have another shape than a login.
func (a loginAnswer) content() (loginContent, error) {
	out := loginContent{Cookies: map[string]string{}}
	var cookies struct {
		Cookies []struct{ Name, Value string } `json:"cookies"`
	}
	if len(a.CookieInfo) > 0 {
		if err := json.Unmarshal(a.CookieInfo, &cookies); err != nil {
			return out, errors.New("cookie_info has another shape than that of a login")
		}
	}
	for _, cookie := range cookies.Cookies {
		out.Cookies[cookie.Name] = cookie.Value
	}
	if len(a.TokenInfo) == 0 || json.Unmarshal(a.TokenInfo, &out.Tokens) != nil {
		return out, errors.New("token_info has another shape than that of a login")
	}
	return out, nil
}

func (a loginAnswer) as(mid int64, platform string) *Login {
	return &Login{Mid: mid, Platform: platform, CookieInfo: a.CookieInfo, TokenInfo: a.TokenInfo, SSO: a.SSO}
}

// login checks that the answer is a whole login. The platform says which key pair may refresh the tokens later.
func (a loginAnswer) login(platform string) (*Login, error) {
	content, err := a.content()
	if err != nil || content.Cookies[SessionCookie] == "" {
		return nil, fmt.Errorf("%w: the login cannot be read", ErrAnswerLost)
	}
	mid := content.Tokens.Mid
	if mid == 0 {
		mid, _ = strconv.ParseInt(content.Cookies["DedeUserID"], 10, 64) // 0 if it is none
	}
	if mid <= 0 || content.Tokens.AccessToken == "" {
		return nil, fmt.Errorf("%w: the login does not say whose it is", ErrAnswerLost)
	}
	return a.as(mid, platform), nil
}

// postForm sends a signed form to the passport host.
func (c *Client) postForm(ctx context.Context, key appKey, path string, form url.Values, out any) error {
	form.Set("ts", strconv.FormatInt(c.now().Unix(), 10))
	return c.do(ctx, call{method: http.MethodPost, base: c.options.PassportURL, path: path, form: key.sign(form), agent: webAgent}, out)
}
