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

// Login is a login that is new: begun by QR code, or refreshed. AccountFiles writes it into a cookie file.
type Login struct {
	Mid int64
	// answer is what of Bilibili's answer belongs into a cookie file.
	answer loginAnswer
	// platform is the kind of login.
	platform string
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
	return answer.login(platformTV)
}

// loginAnswer is what a login ends in. Of the parts only what is used is looked at; the rest is kept as it is.
type loginAnswer struct {
	CookieInfo json.RawMessage `json:"cookie_info,omitempty"`
	TokenInfo  json.RawMessage `json:"token_info,omitempty"`
	SSO        json.RawMessage `json:"sso,omitempty"`
}

// login checks that the answer is a whole login. The platform says which key pair may refresh the tokens later.
func (a loginAnswer) login(platform string) (*Login, error) {
	login := &Login{answer: a, platform: platform}
	file, err := login.file(nil)
	if err != nil {
		return nil, fmt.Errorf("%w: the login cannot be read", ErrAnswerLost)
	}
	account, err := parseAccount("the new login", file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnswerLost, err)
	}
	if account.Mid <= 0 || account.accessToken == "" {
		return nil, fmt.Errorf("%w: the login does not say whose it is", ErrAnswerLost)
	}
	login.Mid = account.Mid
	return login, nil
}

// postForm sends a signed form to the passport host.
func (c *Client) postForm(ctx context.Context, key appKey, path string, form url.Values, out any) error {
	form.Set("ts", strconv.FormatInt(c.now().Unix(), 10))
	return c.do(ctx, call{method: http.MethodPost, base: c.options.PassportURL, path: path, form: key.sign(form), agent: webAgent}, out)
}
