package accounts

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/lubod/lubod/host/internal/bilibili"
)

// object is a JSON object whose values are kept as they were written.
type object = map[string]json.RawMessage

// fileOf is the cookie file of a login in biliup's form: what the file held before, or nothing, with the new login in it.
// What else is in there stays: fields of other tools, cookies that a login does not set, tokens at the root. Where it stands in
// the way of the new login, it goes.
func fileOf(l *bilibili.Login, before []byte) ([]byte, error) {
	bare, err := onto(l, nil)
	if err != nil || before == nil {
		return bare, err
	}
	merged, err := onto(l, before)
	if err != nil {
		return bare, nil //nolint:nilerr // what has another shape than a login has nothing to keep
	}
	if want, err := readTokens(bare); err != nil || !want.in(merged) {
		return bare, nil //nolint:nilerr // see above
	}
	return merged, nil
}

// tokens are what makes a login.
type tokens struct {
	session, access, refresh, platform string
}

func readTokens(file []byte) (tokens, error) {
	account, err := parseFields("", file)
	if err != nil {
		return tokens{}, err
	}
	return tokens{account.Cookies[bilibili.SessionCookie], account.AccessToken, account.RefreshToken, account.Platform}, nil
}

// in tells whether they are what is read from a file. A login without cookies leaves those of the file.
func (t tokens) in(file []byte) bool {
	got, err := readTokens(file)
	if t.session == "" {
		got.session = ""
	}
	return err == nil && got == t
}

// onto writes the login into a file's content; nil: into an empty one.
func onto(l *bilibili.Login, before []byte) ([]byte, error) {
	whole := object{}
	if before != nil {
		if err := json.Unmarshal(plain(before), &whole); err != nil || whole == nil {
			return nil, errors.New("the cookie file is no JSON object")
		}
	}
	login := whole
	// Some tools put everything below "data".
	inner, err := inside(whole, "data")
	if err != nil {
		return nil, err
	}
	if inner != nil {
		login = inner
	}
	if err := put(l, login); err != nil {
		return nil, err
	}
	login["platform"] = encoded(l.Platform)
	if inner != nil {
		whole["data"] = encoded(inner)
	}
	file, err := json.MarshalIndent(whole, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode cookie file: %w", err)
	}
	return append(file, '\n'), nil
}

// put writes the parts of the answer into the object that holds a login.
func put(l *bilibili.Login, login object) error {
	tokens, err := inside(object{"token_info": l.TokenInfo}, "token_info")
	if err != nil {
		return err
	}
	if len(tokens) > 0 {
		if login["token_info"], err = overlaid(login, "token_info", tokens); err != nil {
			return err
		}
	}
	for _, name := range []string{"access_token", "refresh_token", "expires_in", "mid"} {
		if _, there := login[name]; there && tokens[name] != nil {
			login[name] = tokens[name]
		}
	}
	if info, err := cookies(l, login); err != nil {
		return err
	} else if info != nil {
		login["cookie_info"] = info
	}
	if len(l.SSO) > 0 && string(l.SSO) != "null" {
		login["sso"] = l.SSO
	} else if login["sso"] == nil {
		login["sso"] = json.RawMessage("[]")
	}
	return nil
}

// cookies is the new cookie_info: the answer's cookies, and those of before that it does not name.
func cookies(l *bilibili.Login, login object) (json.RawMessage, error) {
	fresh, err := inside(object{"cookie_info": l.CookieInfo}, "cookie_info")
	if err != nil || fresh == nil {
		return nil, err
	}
	old, err := inside(login, "cookie_info")
	if err != nil {
		return nil, err
	}
	kept, err := cookieList(fresh["cookies"])
	if err != nil {
		return nil, err
	}
	if len(kept) == 0 {
		return nil, nil // an answer without cookies leaves those that there are
	}
	before, err := cookieList(old["cookies"])
	if err != nil {
		return nil, err
	}
	named := make(map[string]bool)
	for _, cookie := range kept {
		named[string(cookie["name"])] = true
	}
	for _, cookie := range before {
		if name := cookie["name"]; name != nil && !named[string(name)] {
			kept = append(kept, cookie)
		}
	}
	fresh["cookies"] = encoded(kept)
	return overlaid(login, "cookie_info", fresh)
}

func cookieList(raw json.RawMessage) ([]object, error) {
	var list []object
	if raw == nil {
		return nil, nil
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, errors.New("cookies are no list of objects")
	}
	return list, nil
}

// inside returns the object that a field holds; nil when it is absent or null.
func inside(outer object, field string) (object, error) {
	var inner object
	if len(outer[field]) == 0 {
		return nil, nil
	}
	if err := json.Unmarshal(outer[field], &inner); err != nil {
		return nil, fmt.Errorf("%s is no object", field)
	}
	return inner, nil
}

// overlaid is the object in a field with other values on top.
func overlaid(outer object, field string, values object) (json.RawMessage, error) {
	inner, err := inside(outer, field)
	if err != nil {
		return nil, err
	}
	if inner == nil {
		inner = object{}
	}
	for name, value := range values {
		inner[name] = value
	}
	return encoded(inner), nil
}

// encoded is for values that were decoded a moment ago, and strings: they always encode.
func encoded(value any) json.RawMessage {
	raw, err := json.Marshal(value)
	if err != nil {
		return json.RawMessage("null")
	}
	return raw
}
