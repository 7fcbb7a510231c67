package upload

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/bilibili"
)

var evening = time.Date(2026, 1, 2, 20, 3, 4, 0, time.Local)

func TestDescribeKeepsBilibilisLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		recording := db.Recording{Title: rapid.String().Draw(t, "title"), URL: "http://x/1", StartedAt: evening}
		template := db.Template{
			Title: rapid.String().Draw(t, "template"), Tag: rapid.String().Draw(t, "tag"), Description: rapid.String().Draw(t, "desc"), Copyright: 2,
		}
		archive := describe(recording, template, nil, time.UTC)
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

// What is signed is signed for this host alone: no text that is published carries it on.
func TestNothingPublishedHoldsSecretsOfAnAddress(t *testing.T) {
	const signed = "https://user:hunter2@cdn.example/live/room1.flv?wsSecret=abc123&wsTime=99#frag"
	for _, url := range []string{signed, "rtmp://user:hunter2@cdn.example/live/room1?token=abc123", "user:hunter2@cdn.example/room1?abc123"} {
		for _, copyright := range []int32{1, 2, 3} {
			recording := db.Recording{Title: "see " + url, StreamerName: url, URL: url, StartedAt: evening}
			template := db.Template{
				Title: "{{title}} {{url}} {streamer}", Source: "{{url}}", Description: "{url} {{title}}\n" + signed, Dynamic: "{{url}}{streamer}",
				Tag: "live,{{url}}", Copyright: copyright,
			}
			for _, template := range []db.Template{template, {Copyright: copyright}, {Copyright: copyright, Source: signed}} {
				archive := describe(recording, template, nil, time.UTC)
				published := fmt.Sprintf("%+v", archive)
				for _, secret := range []string{"abc123", "hunter2", "user:", "wsTime", "frag"} {
					if strings.Contains(published, secret) && url != "user:hunter2@cdn.example/room1?abc123" {
						t.Errorf("%s is published: %s", secret, published)
					}
				}
				if strings.ContainsAny(archive.Source, "?@#") || copyright == 2 && archive.Source == "" {
					t.Errorf("source %q", archive.Source)
				}
			}
		}
	}
}

func TestOwnWorkHasADescription(t *testing.T) {
	recording := db.Recording{StreamerName: "100%Y ann", URL: "http://x/1", StartedAt: evening}
	for _, copyright := range []int32{1, 3} {
		for _, description := range []string{"", " \n\t", "\u0000", "{{title}}"} {
			if description == "{{title}}" {
				recording.StreamerName, recording.Title = "", ""
			}
			got := describe(recording, db.Template{Copyright: copyright, Description: description}, nil, time.UTC).Desc
			if !strings.Contains(got, "直播录像，2026-01-02 20:03 开播") || recording.StreamerName != "" && !strings.HasPrefix(got, "100%Y ann ") {
				t.Errorf("copyright %d, description %q: %q is published", copyright, description, got)
			}
		}
		recording.StreamerName = "100%Y ann"
	}
	if got := describe(recording, db.Template{Copyright: 2}, nil, time.UTC).Desc; got != "" {
		t.Errorf("a repost got the description %q", got)
	}
}

// Texts with control characters are refused by Bilibili, or shown in pieces.
func TestControlCharactersAreNotPublished(t *testing.T) {
	const dirty = "a\x00b\x07c\u202Ed\uFEFFe\r\nf\tg\u2028h\xffi"
	recording := db.Recording{Title: dirty, StreamerName: dirty, URL: "http://x/" + dirty, StartedAt: evening}
	template := db.Template{Title: "{{title}}" + dirty, Source: dirty, Description: dirty, Dynamic: "{{title}}", Tag: dirty + ",{streamer}", Copyright: 1}
	archive := describe(recording, template, []bilibili.Part{{Title: partTitle("/rec/"+dirty+".flv", 1)}, {Title: partTitle("/rec/\x01.flv", 2)}}, time.UTC)
	for name, got := range map[string]string{
		"title": archive.Title, "source": archive.Source, "tag": archive.Tag, "part": archive.Videos[0].Title, "desc": archive.Desc, "dynamic": archive.Dynamic,
	} {
		lines := name == "desc" || name == "dynamic"
		for _, r := range got {
			if unicode.IsControl(r) && (r != '\n' || !lines) || strings.ContainsRune("\u202E\uFEFF\u2028\uFFFD", r) {
				t.Errorf("%s holds %q: %q", name, r, got)
			}
		}
		if strings.Contains(got, "\n") != lines {
			t.Errorf("%s is %q", name, got)
		}
	}
	if archive.Videos[0].Title != "abcde f g hi" || archive.Desc != "abcde\nf g\nhi" || archive.Videos[1].Title != "P2" {
		t.Errorf("archive %+v", archive)
	}
}

func TestWhatAnAuthorDeclaresIsSent(t *testing.T) {
	recording := db.Recording{StreamerName: "ann", URL: "http://x/1", StartedAt: evening}
	for _, test := range []struct {
		copyright, statement int32
		want                 string
	}{
		{1, 0, ""}, {1, 4, `{"id":4}`}, {3, 0, `{"id":-1}`}, {3, 2, `{"id":2}`}, {2, 0, ""}, {2, 1, ""},
	} {
		archive := describe(recording, db.Template{Copyright: test.copyright, CreationStatement: test.statement, TID: 17, HumanType2: 1011}, nil, time.UTC)
		sent, err := json.Marshal(archive)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(sent, &fields); err != nil {
			t.Fatal(err)
		}
		if string(fields["creation_statement"]) != test.want || string(fields["human_type2"]) != "1011" || string(fields["tid"]) != "17" {
			t.Errorf("copyright %d, statement %d: %s", test.copyright, test.statement, sent)
		}
	}
}
