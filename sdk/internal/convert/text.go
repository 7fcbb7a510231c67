package convert

import (
	"strings"
	"unicode/utf8"
)

// The most of a text that crosses, in characters. Texts are cut on both sides: a plugin need not think of it, and a host does
// not have to trust it. An address is not cut: half of one is none, and it is left out.
const (
	maxText    = 4096
	maxName    = 512
	maxAddress = 16 << 10
	maxEntries = 128
)

// Text makes a text for people fit: protobuf refuses a whole message for one byte that is not UTF-8, and platforms do send
// such titles.
func Text(s string) string { return cut(s, maxText) }

// Name is Text for what fits on one line: names, titles, identifiers.
func Name(s string) string { return cut(s, maxName) }

// Address is Text for a URL. One that is too long is left out.
func Address(s string) string {
	if len(s) > maxAddress {
		return ""
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// TextMap is Address for each key and value; what is beyond the bounds is left out.
func TextMap(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]string, min(len(m), maxEntries))
	for k, v := range m {
		if len(out) < maxEntries && len(k) <= maxAddress && len(v) <= maxAddress {
			out[Address(k)] = Address(v)
		}
	}
	return out
}

func cut(s string, most int) string {
	// Characters beyond these bytes cannot be among the first, and a text of 200 MB is not looked through.
	if longest := most*utf8.UTFMax + utf8.UTFMax; len(s) > longest {
		s = s[:longest]
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= most {
		return s
	}
	count := 0
	for i := range s {
		if count == most-1 && utf8.RuneCountInString(s[i:]) > 1 {
			return s[:i] + "…"
		}
		count++
	}
	return s
}
