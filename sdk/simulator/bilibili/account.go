package bilibili

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tokenLife is how long a login of the real service lasts.
const tokenLife = 180 * 24 * time.Hour

// AccountOptions describe an account to create.
type AccountOptions struct {
	// MID is the account's number; 0: the next free one. A number in use gets a new session, and the old one ends.
	MID int64 `json:"mid"`
	// Name is shown; default "tester-<mid>".
	Name string `json:"name"`
	// Platform is the kind of login, BiliTV (default) or Android. It decides which key pair may refresh the token.
	Platform string `json:"platform"`
}

// Account is a login as it is at the moment.
type Account struct {
	MID          int64             `json:"mid"`
	Name         string            `json:"name"`
	Platform     string            `json:"platform"`
	Cookies      map[string]string `json:"cookies"`
	AccessToken  string            `json:"access_token"`
	RefreshToken string            `json:"refresh_token"`
	ExpiresAt    time.Time         `json:"expires_at"`
	// Revoked accounts are told that they are not logged in.
	Revoked bool `json:"revoked"`
	// RefreshDue makes the token check ask for a refresh whatever the token's age.
	RefreshDue bool `json:"refresh_due"`
	// Refreshes counts the refreshed sessions.
	Refreshes int `json:"refreshes"`
}

type account struct{ Account }

func (a *account) snapshot() Account {
	out := a.Account
	out.Cookies = make(map[string]string, len(a.Cookies))
	for name, value := range a.Cookies {
		out.Cookies[name] = value
	}
	return out
}

// AddAccount creates an account that is logged in.
func (s *Server) AddAccount(options AccountOptions) Account {
	var out Account
	s.update(func(st *state) {
		a := st.addAccount(options)
		a.login(s.now())
		out = a.snapshot()
	})
	return out
}

func (st *state) addAccount(options AccountOptions) *account {
	if options.MID == 0 {
		for st.accounts[st.nextMID] != nil {
			st.nextMID++
		}
		options.MID = st.nextMID
	}
	setDefault(&options.Name, fmt.Sprintf("tester-%d", options.MID))
	setDefault(&options.Platform, BiliTV.Name)
	a := &account{Account{MID: options.MID, Name: options.Name, Platform: options.Platform}}
	st.accounts[a.MID] = a
	return a
}

// login starts a new session; whatever the account had before is void.
func (a *account) login(now time.Time) {
	a.AccessToken, a.RefreshToken = randomHex(16), randomHex(16)
	a.ExpiresAt = now.Add(tokenLife)
	a.Revoked, a.RefreshDue = false, false
	mid := strconv.FormatInt(a.MID, 10)
	a.Cookies = map[string]string{
		// Percent codes are part of the value: a client must send it back as it is.
		"SESSDATA":          randomHex(4) + "%2C" + strconv.FormatInt(a.ExpiresAt.Unix(), 10) + "%2C" + randomHex(3) + "%2A11",
		"bili_jct":          randomHex(16),
		"DedeUserID":        mid,
		"DedeUserID__ckMd5": randomHex(8),
		"sid":               randomHex(4),
	}
}

func randomHex(bytes int) string {
	buf := make([]byte, bytes)
	rand.Read(buf) // never fails
	return hex.EncodeToString(buf)
}

// Accounts lists all accounts in ascending order of their numbers.
func (s *Server) Accounts() []Account {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Account, 0, len(s.state.accounts))
	for _, a := range s.state.accounts {
		out = append(out, a.snapshot())
	}
	slices.SortFunc(out, func(a, b Account) int { return int(a.MID - b.MID) })
	return out
}

// Account looks an account up by its number.
func (s *Server) Account(mid int64) (Account, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.state.accounts[mid]
	if !ok {
		return Account{}, false
	}
	return a.snapshot(), true
}

// Revoke ends the session of an account: its cookies and token are not accepted any more. Files whose upload was already
// granted can still be sent, as on the real service.
func (s *Server) Revoke(mid int64) { s.changeAccount(mid, func(a *account) { a.Revoked = true }) }

// RequireRefresh makes the next token check of an account ask for a refresh.
func (s *Server) RequireRefresh(mid int64) {
	s.changeAccount(mid, func(a *account) { a.RefreshDue = true })
}

func (s *Server) changeAccount(mid int64, change func(*account)) {
	s.update(func(st *state) {
		if a, ok := st.accounts[mid]; ok {
			change(a)
		}
	})
}

// CookieFile is the form in which public clients keep a login.
type CookieFile struct {
	CookieInfo CookieInfo `json:"cookie_info"`
	SSO        []string   `json:"sso"`
	TokenInfo  TokenInfo  `json:"token_info"`
	Platform   string     `json:"platform"`
}

// CookieInfo is the cookie half of a login.
type CookieInfo struct {
	Cookies []Cookie `json:"cookies"`
	Domains []string `json:"domains"`
}

// Cookie is one cookie of a login; Expires is in seconds since 1970.
type Cookie struct {
	Name     string `json:"name"`
	Value    string `json:"value"`
	HTTPOnly int    `json:"http_only"`
	Expires  int64  `json:"expires"`
	Secure   int    `json:"secure"`
}

// TokenInfo is the token half of a login; ExpiresIn is in seconds.
type TokenInfo struct {
	AccessToken  string `json:"access_token"`
	ExpiresIn    int64  `json:"expires_in"`
	MID          int64  `json:"mid"`
	RefreshToken string `json:"refresh_token"`
}

// cookieOrder is the order in which the real service lists them.
var cookieOrder = []string{"SESSDATA", "bili_jct", "DedeUserID", "DedeUserID__ckMd5", "sid"}

// CookieFile of the account's present session.
func (a Account) CookieFile() CookieFile {
	file := CookieFile{
		CookieInfo: CookieInfo{Domains: []string{".bilibili.com", ".biligame.com", ".bigfun.cn", ".bigfunapp.cn", ".dreamcast.hk"}},
		SSO: []string{
			"https://passport.bilibili.com/api/v2/sso", "https://passport.biligame.com/api/v2/sso",
			"https://passport.bigfunapp.cn/api/v2/sso",
		},
		TokenInfo: TokenInfo{
			AccessToken: a.AccessToken, RefreshToken: a.RefreshToken, MID: a.MID, ExpiresIn: int64(tokenLife / time.Second),
		},
		Platform: a.Platform,
	}
	for _, name := range cookieOrder {
		cookie := Cookie{Name: name, Value: a.Cookies[name], Expires: a.ExpiresAt.Unix()}
		if name == "SESSDATA" {
			cookie.HTTPOnly = 1
		}
		file.CookieInfo.Cookies = append(file.CookieInfo.Cookies, cookie)
	}
	return file
}

// WriteFile puts the file at path, readable by its owner only; an existing file is replaced in one step.
func (f CookieFile) WriteFile(path string) error {
	body, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("write cookie file: %w", err)
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".cookies-") // created with mode 0600
	if err != nil {
		return fmt.Errorf("write cookie file: %w", err)
	}
	defer os.Remove(temp.Name()) // gone already when all went well
	if _, err := temp.Write(append(body, '\n')); err != nil {
		temp.Close()
		return fmt.Errorf("write cookie file: %w", err)
	}
	if err := temp.Close(); err != nil {
		return fmt.Errorf("write cookie file: %w", err)
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return fmt.Errorf("write cookie file: %w", err)
	}
	return nil
}

// RestoreAccount takes over the session in a cookie file, such as one that another simulator wrote.
func (s *Server) RestoreAccount(file CookieFile) (Account, error) {
	restored := Account{
		MID: file.TokenInfo.MID, Name: fmt.Sprintf("tester-%d", file.TokenInfo.MID), Platform: file.Platform,
		AccessToken: file.TokenInfo.AccessToken, RefreshToken: file.TokenInfo.RefreshToken, Cookies: map[string]string{},
	}
	setDefault(&restored.Platform, BiliTV.Name)
	for _, cookie := range file.CookieInfo.Cookies {
		restored.Cookies[cookie.Name] = cookie.Value
		if cookie.Name == "SESSDATA" {
			restored.ExpiresAt = time.Unix(cookie.Expires, 0)
		}
	}
	if restored.MID < 1 || restored.AccessToken == "" || restored.Cookies["SESSDATA"] == "" || restored.Cookies["bili_jct"] == "" {
		return Account{}, errors.New("the cookie file has no mid, access token, SESSDATA or bili_jct")
	}
	a := &account{restored}
	s.update(func(st *state) { st.accounts[a.MID] = a })
	return a.snapshot(), nil
}

// byCookies finds whose session the cookies of a request are. It reports a client that left some of them out.
func (x *exchange) byCookies() (*account, bool) {
	session := x.cookie("SESSDATA")
	if !x.check(session != "", RuleCookie, "no SESSDATA cookie was sent") {
		return nil, false
	}
	agent := x.r.UserAgent()
	x.check(agent != "" && !strings.HasPrefix(agent, "Go-http-client"), RuleUserAgent,
		"calls with cookies need a browser-like User-Agent, got %q", agent)
	for _, a := range x.s.state.accounts {
		if a.Cookies["SESSDATA"] != session {
			continue
		}
		for _, name := range []string{"bili_jct", "DedeUserID"} {
			got := x.cookie(name)
			x.check(got == a.Cookies[name], RuleCookie, "cookie %s is %q, the account's is %q", name, got, a.Cookies[name])
		}
		return a, a.valid(x.s.now())
	}
	return nil, false
}

// cookie returns the value of a cookie exactly as it was sent.
func (x *exchange) cookie(name string) string {
	c, err := x.r.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}

func (a *account) valid(now time.Time) bool { return !a.Revoked && now.Before(a.ExpiresAt) }

// byToken finds whose access token this is.
func (x *exchange) byToken(token string) (*account, bool) {
	for _, a := range x.s.state.accounts {
		if token != "" && a.AccessToken == token {
			return a, a.valid(x.s.now())
		}
	}
	return nil, false
}

// checkSign verifies a signed request. The answer is nil when all is well.
func (x *exchange) checkSign(parameters url.Values, allowed ...AppKey) (AppKey, *answer) {
	key, known := appKey(parameters.Get("appkey"))
	if !known || (len(allowed) > 0 && !slices.Contains(allowed, key)) {
		x.check(false, RuleSign, "appkey %q is not one for this call", parameters.Get("appkey"))
		return key, x.failure(codeBadSign, "API校验密匙错误")
	}
	for name, values := range parameters {
		x.check(len(values) == 1, RuleSign, "parameter %s is sent %d times", name, len(values))
	}
	if want := key.Sign(parameters); parameters.Get("sign") != want {
		x.check(false, RuleSign, "sign is %q, over the sorted parameters with the secret of %s it is %q", parameters.Get("sign"), key.Name, want)
		return key, x.failure(codeBadSign, "API校验密匙错误")
	}
	ts, err := strconv.ParseInt(parameters.Get("ts"), 10, 64)
	if skew := x.s.now().Sub(time.Unix(ts, 0)).Abs(); err != nil || skew > x.s.options.SignSkew {
		x.check(err == nil, RuleSign, "ts %q is not a number of seconds", parameters.Get("ts"))
		return key, x.failure(codeBadSign, "timestamp out of range")
	}
	return key, nil
}
