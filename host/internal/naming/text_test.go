package naming

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestText(t *testing.T) {
	values := Values{Title: "100%Y {streamer}", Streamer: "ann", URL: "http://x/1"}
	for text, want := range map[string]string{
		"{{title}}":                "100%Y {streamer}",
		"{title}":                  "100%Y {streamer}",
		"{{ streamer }} live":      "ann live",
		"%Y.%m.%d {streamer}":      "2025.01.10 ann",
		"%H:%M {unknown} {{}}":     "20:05 {unknown} {{}}",
		"{date} {time}":            "2025-01-10 20:05:09",
		"{streamer}{url}":          "annhttp://x/1",
		"":                         "",
		"plain 50%":                "plain 50%",
		" two\r\nlines\tand more ": "two\nlines and more",
	} {
		if got := Text(text, values, at); got != want {
			t.Errorf("Text(%q) = %q, want %q", text, got, want)
		}
		if got := Line(text, values, at); got != strings.ReplaceAll(want, "\n", " ") {
			t.Errorf("Line(%q) = %q", text, got)
		}
	}
}

func TestPlainLine(t *testing.T) {
	for text, want := range map[string]string{
		"a\x00b\x07c\x7fd\u0085e": "abcd e", "evil\u202Etxt.exe": "eviltxt.exe", "\u2066a\u2069": "a", "\uFEFFa\u200Bb": "ab", "a\uFFFDb\xffc\uFFFE": "abc",
		"👩\u200d💻": "👩\u200d💻", "a\u2028b\u2029c\vd": "a b c d", " a\tb ": "a b", "播\u00a0": "播",
	} {
		if got := PlainLine(text); got != want {
			t.Errorf("PlainLine(%q) = %q, want %q", text, got, want)
		}
	}
}

// What a room calls itself comes out as it went in, but for what cannot be read, and it is no template.
func TestTextLeavesValuesAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		title := rapid.String().Draw(t, "title")
		got := Line("{{title}}", Values{Title: title}, at)
		if want := PlainLine(title); got != want && !strings.Contains(title, "://") {
			t.Fatalf("%q became %q, want %q", title, got, want)
		}
		if !utf8.ValidString(got) || strings.ContainsFunc(got, unicode.IsControl) || PlainLine(got) != got {
			t.Fatalf("%q became %q", title, got)
		}
	})
}

func TestPublicURL(t *testing.T) {
	for address, want := range map[string]string{
		"https://live.example/1":            "https://live.example/1",
		"https://live.example/1?a=b#c":      "https://live.example/1",
		"https://live.example/1#c?a":        "https://live.example/1",
		"https://live.example?token=1":      "https://live.example",
		"https://u:p@live.example:8080/a@b": "https://live.example:8080/a@b",
		"https://u:p@x@live.example/":       "https://live.example/",
		"rtmp://u@live.example/app/key":     "rtmp://live.example/app/key",
		"//u@live.example/1?x":              "//live.example/1",
		"u:p@live.example/1?x":              "live.example/1",
		" https://live.example/1 ":          "https://live.example/1",
		"https://live.example/%zz?x":        "https://live.example/%zz",
		"":                                  "",
	} {
		if got := PublicURL(address); got != want {
			t.Errorf("PublicURL(%q) = %q, want %q", address, got, want)
		}
	}
}

func TestAddressesInTextsLoseTheirSecrets(t *testing.T) {
	values := Values{URL: "https://u:p@cdn.example/a.flv?x=1", Title: "at https://cdn.example/b?c=d, now"}
	for text, want := range map[string]string{
		"{url}":                       "https://cdn.example/a.flv",
		"{title}":                     "at https://cdn.example/b now",
		"https://cdn.example/a.flv?y": "https://cdn.example/a.flv", // the room's own, typed by hand
		"https://www.youtube.com/watch?v=abc&t=3":         "https://www.youtube.com/watch?v=abc&t=3",
		"https://search.example/?keyword=x":               "https://search.example/?keyword=x",
		"（https://other.example/live?auth_key=1-0-0-abc）": "（https://other.example/live）",
		"https://o.example/?a=1&txSecret=2":               "https://o.example/",
		"https://me:pw@o.example/?a=1":                    "https://o.example/?a=1",
		"mail@example.com":                                "mail@example.com",
	} {
		if got := Line(text, values, at); got != want {
			t.Errorf("Line(%q) = %q, want %q", text, got, want)
		}
	}
	if got := Render("{url}/{title}", values, at); strings.ContainsAny(got, "?") || strings.Contains(got, "x=1") || strings.Contains(got, "c=d") || strings.Contains(got, "u_p") {
		t.Errorf("the file is called %q", got)
	}
}
