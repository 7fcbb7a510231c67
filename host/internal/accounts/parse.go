package accounts

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/lubod/lubod/host/internal/bilibili"
)

// parsed is what a file holds of a login, in whatever form.
type parsed struct {
	cookies         map[string]cookie
	access, refresh loose
	mid             loose
	platform        string
}

// cookie is one of a list, as logins and the exports of browsers name its fields.
type cookie struct {
	Name           string `json:"name"`
	Value          loose  `json:"value"`
	Domain         string `json:"domain"`
	Expires        loose  `json:"expires"`        // logins, Playwright
	ExpirationDate loose  `json:"expirationDate"` // EditThisCookie, Cookie-Editor
	Expiry         loose  `json:"expiry"`         // Selenium
}

// loose is a text that some tools write as a number. What is neither counts as empty.
type loose string

func (l *loose) UnmarshalJSON(raw []byte) error {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		*l = loose(text)
		return nil
	}
	var number json.Number
	if json.Unmarshal(raw, &number) == nil {
		*l = loose(number)
	}
	return nil
}

func (l loose) number() int64 {
	n, err := strconv.ParseInt(string(l), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// cookieFile is a login in JSON: biliup's file, which is what a login by QR code answers; the tokens at its root, as some tools
// write them; the whole answer, with everything below "data"; or the cookies under another name or at the root.
type cookieFile struct {
	CookieInfo struct {
		Cookies []cookie `json:"cookies"`
	} `json:"cookie_info"`
	TokenInfo struct {
		AccessToken  loose `json:"access_token"`
		RefreshToken loose `json:"refresh_token"`
		Mid          loose `json:"mid"`
	} `json:"token_info"`
	AccessToken  loose           `json:"access_token"`
	RefreshToken loose           `json:"refresh_token"`
	Platform     loose           `json:"platform"`
	Cookies      json.RawMessage `json:"cookies"`
	Cookie       json.RawMessage `json:"cookie"`
	Data         *cookieFile     `json:"data"`
}

var errNoLogin = errors.New("it is neither a login in JSON, nor cookies of bilibili.com as browsers export them (JSON or cookies.txt), nor a Cookie header")

// parse reads a login in any of the forms that people have them in.
func parse(raw []byte) (*parsed, error) {
	text := bytes.TrimSpace(plain(raw))
	switch {
	case len(text) == 0:
		return nil, errors.New("it is empty")
	case text[0] == '{':
		return parseObject(text)
	case text[0] == '[':
		out := newParsed()
		return out, out.addList(text)
	}
	out := newParsed()
	if out.addTable(string(text)); len(out.cookies) == 0 {
		out.addHeader(string(text))
	}
	if len(out.cookies) == 0 {
		return nil, errNoLogin
	}
	return out, nil
}

func newParsed() *parsed { return &parsed{cookies: map[string]cookie{}} }

// plain is a file without the mark that Windows programs put before a text, and in UTF-8.
func plain(raw []byte) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(raw, []byte("\xef\xbb\xbf")):
		return raw[3:]
	case bytes.HasPrefix(raw, []byte("\xff\xfe")):
		order = binary.LittleEndian
	case bytes.HasPrefix(raw, []byte("\xfe\xff")):
		order = binary.BigEndian
	default:
		return raw
	}
	units := make([]uint16, 0, len(raw)/2)
	for rest := raw[2:]; len(rest) > 1; rest = rest[2:] {
		units = append(units, order.Uint16(rest))
	}
	var out []byte
	for _, r := range utf16.Decode(units) {
		out = utf8.AppendRune(out, r)
	}
	return out
}

func parseObject(text []byte) (*parsed, error) {
	var content cookieFile
	// The decoder's own errors are left out here and below: they can quote the file, and the file is all secrets.
	if json.Unmarshal(text, &content) != nil {
		return nil, errNoLogin
	}
	if content.Data != nil {
		content.Data.Platform = cmp.Or(content.Data.Platform, content.Platform)
		content = *content.Data
	}
	out := newParsed()
	out.access = cmp.Or(content.TokenInfo.AccessToken, content.AccessToken)
	out.refresh = cmp.Or(content.TokenInfo.RefreshToken, content.RefreshToken)
	out.mid, out.platform = content.TokenInfo.Mid, string(content.Platform)
	for _, cookie := range content.CookieInfo.Cookies {
		out.add(cookie)
	}
	for _, other := range []json.RawMessage{content.Cookies, content.Cookie, text} {
		if len(out.cookies) == 0 && len(other) > 0 {
			out.addAny(other)
		}
	}
	return out, nil
}

// addAny adds cookies that are a list, an object of names and values, or a header in a text.
func (p *parsed) addAny(raw json.RawMessage) {
	var header string
	var values map[string]loose
	switch {
	case p.addList(raw) == nil:
	case json.Unmarshal(raw, &header) == nil:
		p.addHeader(header)
	case json.Unmarshal(raw, &values) == nil && values[bilibili.SessionCookie] != "":
		for _, name := range []string{bilibili.SessionCookie, "bili_jct", "DedeUserID", "DedeUserID__ckMd5", "sid"} {
			p.add(cookie{Name: name, Value: values[name]})
		}
		p.access, p.refresh = cmp.Or(p.access, values["access_token"]), cmp.Or(p.refresh, values["refresh_token"])
	}
}

func (p *parsed) addList(raw []byte) error {
	var list []cookie
	if json.Unmarshal(raw, &list) != nil {
		return errNoLogin
	}
	for _, cookie := range list {
		p.add(cookie)
	}
	return nil
}

// addTable adds the lines of a cookies.txt: domain, for subdomains too, path, TLS only, end, name, value.
func (p *parsed) addTable(text string) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(strings.TrimPrefix(line, "#HttpOnly_"))
		if len(fields) == 7 && !strings.HasPrefix(fields[0], "#") {
			p.add(cookie{Domain: fields[0], Expires: loose(fields[4]), Name: fields[5], Value: loose(fields[6])})
		}
	}
}

// addHeader adds what a browser sends: "SESSDATA=…; bili_jct=…", also over several lines.
func (p *parsed) addHeader(text string) {
	text = strings.Trim(strings.TrimSpace(text), `"'`)
	if name, value, ok := strings.Cut(text, ":"); ok && strings.EqualFold(strings.TrimSpace(name), "cookie") {
		text = value
	}
	found := newParsed()
	for pair := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ';' || r == '\n' || r == '\r' }) {
		if name, value, ok := strings.Cut(strings.TrimSpace(pair), "="); ok {
			found.add(cookie{Name: strings.TrimSpace(name), Value: loose(strings.TrimSpace(value))})
		}
	}
	if found.cookies[bilibili.SessionCookie].Name != "" {
		for _, cookie := range found.cookies {
			p.add(cookie)
		}
	}
}

// add takes a cookie of Bilibili. Where a browser has one of that name for several hosts, that of the whole site counts.
func (p *parsed) add(c cookie) {
	domain := strings.ToLower(strings.TrimPrefix(c.Domain, "."))
	before, there := p.cookies[c.Name]
	switch {
	case c.Name == "" || c.Value == "" || strings.ContainsAny(c.Name, "=; \t\r\n"):
	case domain != "" && domain != site && !strings.HasSuffix(domain, "."+site):
	case there && strings.TrimPrefix(before.Domain, ".") == site:
	default:
		p.cookies[c.Name] = c
	}
}

// site is what the cookies of a login are for.
const site = "bilibili.com"

// fit tells whether a value can stand in a Cookie header.
func (l loose) fit() bool {
	return !strings.ContainsFunc(string(l), func(r rune) bool { return r <= ' ' || r > '~' || r == ';' || r == '"' || r == '\\' })
}

// account makes an account of what was found.
func (p *parsed) account(name string, raw []byte) (*bilibili.Account, error) {
	account := &bilibili.Account{
		File: name, Mid: p.mid.number(), Cookies: make(map[string]string), Fingerprint: fingerprint(raw),
		AccessToken: string(p.access), RefreshToken: string(p.refresh), Platform: p.platform,
	}
	for _, cookie := range p.cookies {
		if cookie.Value.fit() {
			account.Cookies[cookie.Name] = string(cookie.Value)
		} else if cookie.Name == bilibili.SessionCookie {
			return nil, fmt.Errorf("%w: the SESSDATA cookie of %q holds characters that no cookie has; export it again", bilibili.ErrNoAccount, name)
		}
	}
	session := p.cookies[bilibili.SessionCookie]
	// A number of seconds, with or without a fraction; whatever else a tool wrote there tells nothing.
	end := cmp.Or(session.Expires, session.ExpirationDate, session.Expiry)
	if seconds, err := strconv.ParseFloat(string(end), 64); err == nil && seconds > 0 && seconds < 1<<33 {
		account.Expires = time.Unix(int64(seconds), 0)
	}
	if account.Mid == 0 {
		account.Mid = p.cookies["DedeUserID"].Value.number()
	}
	return account, nil
}
