package naming

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

var at = time.Date(2025, 1, 10, 20, 5, 9, 0, time.UTC)

func TestRender(t *testing.T) {
	for name, tc := range map[string]struct {
		template string
		values   Values
		want     string
	}{
		"default":                      {Default, Values{Streamer: "主播 备注"}, "主播 备注/主播 备注2025-01-10T20_05_09"},
		"biliup's own default":         {"{streamer}%Y-%m-%dT%H_%M_%S", Values{Streamer: "a"}, "a2025-01-10T20_05_09"},
		"all variables":                {"{streamer}-{title}-{url}-{date}-{time}", Values{"s", "t", "https://a.example/1?x"}, "s-t-https___a.example_1-2025-01-10-20_05_09"},
		"double braces":                {"{{streamer}}{{ title }}", Values{Streamer: "s", Title: "t"}, "st"},
		"percent signs of the room":    {"{title} %d", Values{Title: "100%d off %Y"}, "100%d off %Y 10"},
		"braces of the room":           {"{title}", Values{Title: "{streamer}"}, "{streamer}"},
		"folders":                      {"%Y/%m/{streamer}/{title}", Values{Streamer: "s", Title: "t"}, "2025/01/s/t"},
		"slashes of the room":          {"{title}/x", Values{Title: "../../etc/passwd"}, "_.._etc_passwd/x"},
		"only dots":                    {"{title}/x", Values{Title: ".."}, "_/x"},
		"empty":                        {"{title}/x", Values{Title: "  "}, "_/x"},
		"directives with slashes":      {"%D", Values{}, "01_10_25"},
		"characters of no file system": {"{title}", Values{Title: "a\\b:c*d?e\"f<g>h|i\x00j\nk"}, "a_b_c_d_e_f_g_h_ij k"},
		"dots and spaces at the ends":  {" {title} .", Values{Title: "a"}, "a"},
		"not UTF-8":                    {"{title}", Values{Title: "a\xffb"}, "ab"},
		"long values":                  {"{title} %Y", Values{Title: strings.Repeat("播", 100)}, strings.Repeat("播", 40) + " 2025"},
		"long names":                   {strings.Repeat("x", 300), Values{}, strings.Repeat("x", 200)},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Render(tc.template, tc.values, at); got != tc.want {
				t.Errorf("Render(%q) = %q, want %q", tc.template, got, tc.want)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	for template, want := range map[string]string{
		Default:                       "",
		"{{ title }}%s":               "",
		"a/b/c":                       "",
		"100% {title}":                "",
		"":                            "must not be empty",
		" ":                           "must not be empty",
		strings.Repeat("x", 501):      "must have at most 500 bytes",
		"a\nb":                        "must not hold control characters",
		`a\b`:                         "must not hold a backslash",
		"/etc/{title}":                "must not begin with a slash",
		"../{title}":                  "must not hold a folder or file name that is empty or made of dots",
		"a//b":                        "must not hold a folder or file name that is empty or made of dots",
		"a/":                          "must not hold a folder or file name that is empty or made of dots",
		strings.Repeat("a/", 8) + "b": "must have at most 7 folders",
		"{streamer}{name}":            "there is no variable {name}; there are {streamer}, {title}, {url}, {date}, {time}, and strftime codes such as %Y",
		"{{roomid}}":                  "there is no variable {{roomid}}",
	} {
		err := Check(template)
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("Check(%.40q) = %v, want %q", template, err, want)
		}
	}
}

// TestRenderStaysBelow: no template that is accepted and no room leads out of the folder, or to a name that a file system
// refuses.
func TestRenderStaysBelow(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		pieces := rapid.SliceOfN(rapid.OneOf(
			rapid.SampledFrom([]string{"/", "..", ".", " ", "{title}", "{{streamer}}", "{url}", "%Y", "%D", "%%", "%", "{", "播", "a"}), rapid.String(),
		), 0, 12).Draw(rt, "template")
		template := strings.Join(pieces, "")
		text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"..", "../..", "/etc", "%2F", "%", ".", "", "\x00", strings.Repeat("长", 300)}))
		values := Values{text.Draw(rt, "streamer"), text.Draw(rt, "title"), text.Draw(rt, "url")}
		if Check(template) != nil {
			return
		}
		got := Render(template, values, at)
		if !filepath.IsLocal(got) || filepath.Clean(got) != got || !utf8.ValidString(got) {
			rt.Fatalf("%q with %+v is %q", template, values, got)
		}
		for name := range strings.SplitSeq(got, "/") {
			if name == "" || len(name) > maxName || strings.Trim(name, " .") != name || strings.ContainsAny(name, `\:*?"<>|`+"\x00\n") {
				rt.Fatalf("%q with %+v has the name %q", template, values, name)
			}
		}
		if depth := strings.Count(template, "/"); strings.Count(got, "/") != depth {
			rt.Fatalf("%q with %+v is %q: not %d folders", template, values, got, depth)
		}
	})
}
