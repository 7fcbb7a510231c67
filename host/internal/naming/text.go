package naming

import (
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Line fills the template of a text of one line that is going to be published, such as a title.
func Line(template string, values Values, at time.Time) string {
	return PlainLine(published(template, values, at))
}

// Text fills the template of a text that is going to be published and may have several lines.
func Text(template string, values Values, at time.Time) string {
	return plain(published(template, values, at), true)
}

func published(template string, values Values, at time.Time) string {
	return withoutSecrets(fill(template, values, at, func(value string) string { return value }), PublicURL(values.URL))
}

// PlainLine is a text without what nobody can read: control characters and the like are left out, line breaks and tabs become
// spaces. Services refuse such texts, or show them in pieces.
func PlainLine(text string) string { return plain(text, false) }

func plain(text string, lines bool) string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	mapped := strings.Map(func(r rune) rune {
		switch {
		case lines && isBreak(r):
			return '\n'
		case isBreak(r) || r == '\t':
			return ' '
		case unreadable(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	return strings.TrimSpace(mapped)
}

func isBreak(r rune) bool {
	switch r {
	case '\n', '\v', '\f', '\r', 0x85, 0x2028, 0x2029:
		return true
	}
	return false
}

// unreadable tells whether a character has no place in a text: controls, those that change the direction of what follows, byte
// order marks, and what is no character at all. The joiners of emoji are none of them.
func unreadable(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || unicode.Is(unicode.Noncharacter_Code_Point, r) ||
		r == '\uFEFF' || r == utf8.RuneError || r == '\u200B'
}

// PublicURL is an address without query, fragment, and user name and password: those are what signed addresses carry their
// secrets in.
func PublicURL(address string) string {
	address = strings.TrimSpace(address)
	if i := strings.IndexAny(address, "?#"); i >= 0 {
		address = address[:i]
	}
	return withoutUser(address)
}

func withoutUser(address string) string {
	scheme, rest := "", address
	if i := strings.Index(address, "//"); i >= 0 {
		scheme, rest = address[:i+2], address[i+2:]
	}
	host, path := rest, ""
	if i := strings.IndexAny(rest, `/\?#`); i >= 0 {
		host, path = rest[:i], rest[i:]
	}
	return scheme + host[strings.LastIndex(host, "@")+1:] + path
}

var (
	// anAddress is an address in the midst of a text.
	anAddress = regexp.MustCompile(`(?i)\b[a-z][a-z0-9+.-]*://[^\s<>"'、，。；！）】》「」]+`)
	// signed is the name of a parameter by which an address is allowed for one visitor, or for a while.
	signed = regexp.MustCompile(`(?i)[?&#;](?:[^=&#]*(?:token|secret|sign|passw|session|credential|ticket|expire|wstime|txtime|jwt|(?:auth|api|access)_?key)[^=&#]*` +
		`|sig|key|auth|sid|pwd|pass|policy|deadline|hash|nonce|e|st)=`)
)

// WithoutSecrets is a text that a room gave, whose addresses are public ones: see PublicURL.
func WithoutSecrets(text string) string {
	return anAddress.ReplaceAllStringFunc(text, PublicURL)
}

// withoutSecrets takes from the addresses in a text what may be a secret: user names and passwords, and the query of the room's
// own address and of those that look signed. The query of any other address is what its author wants to have published.
func withoutSecrets(text, room string) string {
	return anAddress.ReplaceAllStringFunc(text, func(address string) string {
		public := PublicURL(address)
		if public == room || signed.MatchString(address) {
			return public
		}
		return withoutUser(address)
	})
}
