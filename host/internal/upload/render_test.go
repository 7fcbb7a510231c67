package upload

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/lubod/lubod/db"
)

var evening = time.Date(2026, 1, 2, 20, 3, 4, 0, time.Local)

func TestRender(t *testing.T) {
	variables := map[string]string{"title": "100%Y {streamer}", "streamer": "ann", "url": "http://x/1"}
	tests := map[string]string{
		"{{title}}":            "100%Y {streamer}",
		"{title}":              "100%Y {streamer}",
		"{{ streamer }} live":  "ann live",
		"%Y.%m.%d {streamer}":  "2026.01.02 ann",
		"%H:%M {unknown} {{}}": "20:03 {unknown} {{}}",
		"{streamer}{url}":      "annhttp://x/1",
		"":                     "",
		"plain 50%":            "plain 50%",
	}
	for text, want := range tests {
		if got := render(text, variables, evening); got != want {
			t.Errorf("render(%q) = %q, want %q", text, got, want)
		}
	}
}

// What a room calls itself must come out as it went in, whatever is in it.
func TestRenderLeavesValuesAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		title := rapid.String().Draw(t, "title")
		if got := render("{{title}}", map[string]string{"title": title}, evening); got != title {
			t.Fatalf("render gave %q for %q", got, title)
		}
	})
}

func TestDescribeKeepsBilibilisLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		recording := db.Recording{Title: rapid.String().Draw(t, "title"), URL: "http://x/1", StartedAt: evening}
		template := db.Template{
			Title: rapid.String().Draw(t, "template"), Tag: rapid.String().Draw(t, "tag"), Description: rapid.String().Draw(t, "desc"), Copyright: 2,
		}
		archive := describe(recording, template, nil)
		if n := utf8.RuneCountInString(archive.Title); n > maxTitle || n == 0 {
			t.Fatalf("title has %d characters", n)
		}
		if archive.Source == "" {
			t.Fatal("a repost needs a source")
		}
		tags := strings.Split(archive.Tag, ",")
		if len(tags) > maxTags {
			t.Fatalf("%d tags", len(tags))
		}
		for _, tag := range tags {
			if utf8.RuneCountInString(tag) > maxTag {
				t.Fatalf("tag %q is too long", tag)
			}
		}
	})
}

func TestTags(t *testing.T) {
	if got := tags("游戏，直播, ,游戏," + strings.Repeat("长", 30)); got != "游戏,直播,"+strings.Repeat("长", 20) {
		t.Errorf("tags = %q", got)
	}
}
