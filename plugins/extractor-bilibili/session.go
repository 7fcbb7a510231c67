package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/extractor"
)

// session is one question to the platform, with the options and the login of one room.
type session struct {
	*bilibili
	opts  options
	login map[string]string
}

func (b *bilibili) newSession(opts options, credentials *extractor.Credentials) (*session, error) {
	s := &session{bilibili: b, opts: opts}
	var err error
	switch {
	case credentials != nil && len(credentials.Cookies) > 0:
		s.login = keepCookies(credentials.Cookies)
	case opts.Cookie != "":
		s.login, err = parseCookies(opts.Cookie)
	case opts.CookieFile != "":
		s.login, err = readCookies(opts.CookieFile)
	}
	return s, err
}

// mid is the account's number; empty without a login.
func (s *session) mid() string { return s.login["DedeUserID"] }

func (s *session) loggedIn() bool { return s.login["SESSDATA"] != "" }

// cookie is the header for a server: the login goes to the platform alone.
func (s *session) cookie(ctx context.Context, base string) (string, error) {
	all := map[string]string{}
	if s.trusted(base) {
		maps.Copy(all, s.login)
	}
	if all["buvid3"] == "" {
		ids, err := s.visitor.ids(ctx)
		if err != nil {
			return "", err
		}
		maps.Copy(all, ids)
	}
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if out.Len() > 0 {
			out.WriteString("; ")
		}
		out.WriteString(name + "=" + all[name])
	}
	return out.String(), nil
}

func (s *session) trusted(base string) bool {
	if base == s.base.LiveURL {
		return true
	}
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "https" {
		return false
	}
	host := strings.ToLower(u.Hostname())
	return host == "bilibili.com" || strings.HasSuffix(host, ".bilibili.com")
}

// question is a call that may need a signature.
type question struct {
	base, path string
	query      map[string]string
	signed     bool
	text       bool
}

// ask asks, and once more with new ids and a signature by a new key when risk control refuses.
func (s *session) ask(ctx context.Context, q question) (json.RawMessage, error) {
	q.signed = s.opts.UseWBI == "always" || q.signed && s.opts.UseWBI != "never"
	data, err := s.try(ctx, q)
	if sdk.KindOf(err) != sdk.Challenged {
		return data, err
	}
	retry := q
	retry.signed = s.opts.UseWBI != "never"
	renewed, problem := false, error(nil)
	if retry.signed {
		renewed, problem = s.keys.renew(ctx)
	}
	if problem != nil {
		return nil, fmt.Errorf("%w (and the keys for signatures cannot be renewed: %v)", err, problem)
	}
	if !renewed && retry.signed == q.signed {
		return nil, err // the same request again would be refused again
	}
	if err := s.visitor.renew(ctx); err != nil {
		return nil, err
	}
	return s.try(ctx, retry)
}

func (s *session) try(ctx context.Context, q question) (json.RawMessage, error) {
	cookie, err := s.cookie(ctx, q.base)
	if err != nil {
		return nil, err
	}
	r := request{base: q.base, path: q.path, cookie: cookie, query: encoded(q.query), text: q.text}
	if q.signed {
		if r.query, err = s.keys.sign(ctx, q.query); err != nil {
			return nil, err
		}
	}
	answer, err := s.get(ctx, r)
	return answer.data, err
}

// cookieValue accepts what may stand in a Cookie header (RFC 6265, 4.1.1).
func cookieValue(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`",;\`, r) })
}

func keepCookies(all map[string]string) map[string]string {
	kept := map[string]string{}
	for name, value := range all {
		if cookieValue(name) && !strings.Contains(name, "=") && cookieValue(value) {
			kept[name] = value
		}
	}
	return kept
}

func parseCookies(text string) (map[string]string, error) {
	all := map[string]string{}
	for pair := range strings.SplitSeq(text, ";") {
		if name, value, ok := strings.Cut(strings.TrimSpace(pair), "="); ok {
			all[name] = value
		}
	}
	if all = keepCookies(all); len(all) == 0 {
		return nil, sdk.Errorf(sdk.InvalidOption, "option bili_cookie holds no cookie; write it as SESSDATA=…; bili_jct=…")
	}
	return all, nil
}

// readCookies reads a login file anew for every question: another program renews it.
func readCookies(path string) (map[string]string, error) {
	const most = 1 << 20
	file, err := os.Open(path)
	if err != nil {
		return nil, sdk.Errorf(sdk.InvalidOption, "option bili_cookie_file: %w", err)
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, most))
	if err != nil {
		return nil, sdk.Errorf(sdk.InvalidOption, "option bili_cookie_file: %w", err)
	}
	var content struct {
		Info struct {
			Cookies []struct{ Name, Value string } `json:"cookies"`
		} `json:"cookie_info"`
	}
	// The text of a JSON error stays out: it could repeat what the file holds.
	if json.Unmarshal(raw, &content) != nil || len(content.Info.Cookies) == 0 {
		return nil, sdk.Errorf(sdk.InvalidOption, "option bili_cookie_file: %s is no login file with cookie_info.cookies; log in again to make one", path)
	}
	all := map[string]string{}
	for _, c := range content.Info.Cookies {
		all[c.Name] = c.Value
	}
	return keepCookies(all), nil
}
