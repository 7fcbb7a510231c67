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
	key, known := loginKey(account.Platform)
	if !known || account.accessToken == "" {
		return Token{}, fmt.Errorf("%w: cookie file %q has no token of a known platform", ErrNoAccount, account.File)
	}
	query := url.Values{"access_key": {account.accessToken}, "actionKey": {"appkey"}, "ts": {strconv.FormatInt(c.now().Unix(), 10)}}
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
func (a *Account) refreshable() error {
	switch _, known := loginKey(a.Platform); {
	case a.accessToken == "" || a.refreshToken == "":
		return errors.New("the file has no refresh_token")
	case !known:
		return fmt.Errorf("the file's platform is neither %s nor %s", platformTV, platformAndroid)
	}
	return nil
}

// Refresh exchanges a login for a new one; the old one counts as void from then on. A *RefusedError and ErrNotSent mean that
// it still is what it was; after ErrAnswerLost nobody knows.
func (c *Client) Refresh(ctx context.Context, account *Account) (*Login, error) {
	const path = "/x/passport-login/oauth2/refresh_token"
	if err := account.refreshable(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoAccount, err)
	}
	key, _ := loginKey(account.Platform)
	var answer loginAnswer
	err := c.postForm(ctx, key, path, url.Values{
		"access_key": {account.accessToken}, "actionKey": {"appkey"}, "refresh_token": {account.refreshToken},
	}, &answer)
	if err != nil {
		return nil, err
	}
	return answer.renewed(account)
}

// renewed checks a refreshed login. One without cookies is taken as well: its tokens are the only ones that are left.
func (a loginAnswer) renewed(account *Account) (*Login, error) {
	var token struct {
		AccessToken  string `json:"access_token"`
		RefreshToken string `json:"refresh_token"`
		Mid          int64  `json:"mid"`
	}
	if len(a.TokenInfo) == 0 || json.Unmarshal(a.TokenInfo, &token) != nil || token.AccessToken == "" || token.RefreshToken == "" {
		return nil, fmt.Errorf("%w: the refreshed login has no tokens", ErrAnswerLost)
	}
	if account.Mid != 0 && token.Mid != 0 && token.Mid != account.Mid {
		return nil, fmt.Errorf("%w: the refreshed login is of account %d, not of %d", ErrAnswerLost, token.Mid, account.Mid)
	}
	login := &Login{Mid: account.Mid, answer: a, platform: account.Platform}
	if _, err := login.file(nil); err != nil {
		return nil, fmt.Errorf("%w: the refreshed login: %w", ErrAnswerLost, err)
	}
	return login, nil
}
