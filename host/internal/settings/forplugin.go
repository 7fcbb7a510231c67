package settings

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/lubod/lubod/sdk"
)

// RoomOptions is what a plugin gets with one request about a room.
type RoomOptions struct {
	// JSON is one object; nil: nothing is set beside what the plugin was configured with.
	JSON json.RawMessage
	// Login is nil when none is set here.
	Login *Login
	// Ignored are keys whose stored value the plugin does not take: it was another version when they were set.
	Ignored []string
}

// Login is who a plugin shall be on its platform: either cookies, or a file in the data directory.
type Login struct {
	Cookies map[string]string
	// Key is the option that names File.
	Key, File string
}

// ForPlugin returns what a plugin with this schema gets. The layers are the global configuration and a room's override:
// a later one wins, key by key. A login is one thing, whichever of the options names it: the last layer that says
// anything about it decides, and cookies go before a file.
func ForPlugin(schema []sdk.Option, layers ...[]byte) (RoomOptions, error) {
	var found RoomOptions
	values := make(map[string]json.RawMessage)
	for _, layer := range layers {
		_, set, err := Split(layer)
		if err != nil {
			return RoomOptions{}, err
		}
		var login *Login
		mentioned := false
		for _, option := range schema {
			value, ok := set[option.Name]
			switch {
			case !ok || !option.Room || string(value) == "null":
			case mistake(option, value) != "":
				found.Ignored = append(found.Ignored, option.Name)
			case option.Format != "":
				mentioned = true
				login = login.or(option, value)
			default:
				values[option.Name] = value
			}
		}
		if mentioned {
			found.Login = login
			withoutOwnLogin(schema, values)
		}
	}
	if len(values) == 0 {
		return found, nil
	}
	encoded, err := json.Marshal(values)
	if err != nil {
		return RoomOptions{}, fmt.Errorf("encode options: %w", err)
	}
	found.JSON = encoded
	slices.Sort(found.Ignored)
	return found, nil
}

// or adds what an option says about the login.
func (l *Login) or(option sdk.Option, raw json.RawMessage) *Login {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil || text == "" {
		return l
	}
	switch {
	case option.Format == sdk.FormatCookies:
		return &Login{Cookies: parseCookies(text)}
	case l == nil && option.Format == sdk.FormatLoginFile:
		return &Login{Key: option.Name, File: text}
	}
	return l
}

// withoutOwnLogin puts empty texts over the logins that plugins.hcl names: what is said here goes first, and "none" is
// said too.
func withoutOwnLogin(schema []sdk.Option, values map[string]json.RawMessage) {
	for _, option := range schema {
		if option.Room && option.Format != "" {
			values[option.Name] = json.RawMessage(`""`)
		}
	}
}

// parseCookies reads a Cookie header.
func parseCookies(text string) map[string]string {
	cookies := make(map[string]string)
	for pair := range strings.SplitSeq(text, ";") {
		name, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if ok && cookiePart(name) && cookiePart(value) {
			cookies[name] = value
		}
	}
	return cookies
}

// cookiePart accepts what may stand in a Cookie header (RFC 6265, 4.1.1).
func cookiePart(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`",;\`, r) })
}
