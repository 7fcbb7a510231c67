package record

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lubod/lubod/host/internal/naming"
	"github.com/lubod/lubod/sdk/recorder"
)

func TestPrefixIsThatOfTheRoomThenOfTheConfiguration(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.start()
	for _, tc := range []struct{ change, want string }{
		{"UPDATE streamers SET remark = 'host'", `host/host\d{4}-\d\d-\d\dT\d\d_\d\d_\d\d`},
		{`UPDATE configuration SET value = value || '{"filename_prefix": "all/{title} %Y"}'`, `all/title \d{4}`},
		{`UPDATE streamers SET override = '{"filename_prefix": "override/{url}"}'`, `override/http___room_1`},
		{"UPDATE streamers SET filename_prefix = 'own/{{streamer}}'", `own/host`},
		{"UPDATE streamers SET filename_prefix = '../../{title}', remark = ''", `_/_/title`}, // the API lets no such thing in
	} {
		h.exec(tc.change)
		h.reread()
		id := h.begin(s)
		below, err := filepath.Rel(h.root, h.request(id).PathPrefix)
		if err != nil || !regexp.MustCompile("^"+tc.want+"$").MatchString(below) {
			t.Errorf("%s: %s (%v), want %s", tc.change, below, err, tc.want)
		}
		if info, err := os.Stat(filepath.Dir(h.request(id).PathPrefix)); err != nil || !info.IsDir() {
			t.Errorf("%s: no folder: %v", tc.change, err)
		}
		h.process.emit(id, recorder.MediaArrived{}, recorder.Ended{Reason: recorder.EndEOF})
		<-h.asked
	}
}

func TestPrefixIsNeverTakenTwice(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.start()
	for _, template := range []string{"[{title}]*", "{title} %Y-%m-%dT%H_%M_%S", "{title}/a%M"} {
		h.exec("UPDATE streamers SET filename_prefix = $1", template)
		h.reread()
		seen := make(map[string]bool)
		for n := range 4 {
			id := h.begin(s)
			prefix := h.request(id).PathPrefix
			if seen[prefix] {
				t.Errorf("%s: %s was given twice", template, prefix)
			}
			seen[prefix] = true
			// The second one leaves a file that is moved away, the third one's stays without a row: neither name is free.
			if n == 2 {
				h.touch(prefix + "_001.flv.part")
				h.process.emit(id, recorder.Ended{Reason: recorder.EndEOF})
				<-s.find(h.streamer.ID).done
				continue
			}
			h.process.emit(id, recorder.MediaArrived{}, recorder.Ended{Reason: recorder.EndEOF})
			<-h.asked
		}
	}
}

func TestPrefixesAreManyAndDiffer(t *testing.T) {
	t.Parallel()
	s := New(Options{Root: "/recordings"})
	now := time.Date(2025, 1, 10, 23, 59, 58, 0, time.Local)
	for template, want := range map[string][]string{
		naming.Default:   {"r/r2025-01-10T23_59_58", "r/r2025-01-10T23_59_59", "r/r2025-01-11T00_00_00"},
		"{streamer}":     {"r", "r_2", "r_3"},
		"{streamer}%H%M": {"r2359", "r2359_2", "r0000", "r2359_4"},
	} {
		var got []string
		seen := make(map[string]bool)
		for prefix := range s.prefixes(template, room{Remark: "r"}, now) {
			if seen[prefix] {
				t.Errorf("%s: %s comes twice", template, prefix)
			}
			seen[prefix] = true
			got = append(got, strings.TrimPrefix(prefix, "/recordings/"))
		}
		if len(got) < maxNames/2 || strings.Join(got[:len(want)], " ") != strings.Join(want, " ") {
			t.Errorf("%s: %d names, first %q, want %q", template, len(got), got[:len(want)], want)
		}
	}
}

func TestPrefixNeverLeadsOutOfTheRecordings(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	outside := t.TempDir()
	for link, target := range map[string]string{"dirlink": outside, "host": outside, "inner": "room"} {
		if err := os.Symlink(target, filepath.Join(h.root, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(h.root, "room"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := h.start()
	for _, tc := range []struct{ template, folder string }{
		{"dirlink/x", "dirlink"}, {"dirlink/new/x", "dirlink/new"}, {"{streamer}/x", "host"}, // the remark is "host"
	} {
		h.exec("UPDATE streamers SET filename_prefix = $1", tc.template)
		h.reread()
		err := s.Start(h.t.Context(), h.streamer, live)
		if err == nil {
			t.Fatalf("%s: a recording outside began", tc.template)
		}
		for _, words := range []string{"the folder " + filepath.Join(h.root, tc.folder) + " leads out", outside, "filename_prefix", "mount --bind", "--data-dir"} {
			if !strings.Contains(err.Error(), words) {
				t.Errorf("%s: %v does not say %q", tc.template, err, words)
			}
		}
		h.until("the session is forgotten", func() bool { return !s.Active(h.streamer.ID) })
	}
	if made, err := os.ReadDir(outside); err != nil || len(made) > 0 {
		t.Errorf("made outside: %v %v", made, err)
	}
	if n := h.rows("recorder_sessions"); n != 0 {
		t.Errorf("%d sessions", n)
	}
	// A link that stays inside is followed: a file has one name.
	h.exec("UPDATE streamers SET filename_prefix = 'inner/new/x'")
	h.reread()
	if got := h.request(h.begin(s)).PathPrefix; got != filepath.Join(h.root, "room/new/x") {
		t.Errorf("recorded as %s", got)
	}
}

// Whoever has the recordings on another disk may make their folder a link.
func TestPrefixBelowALinkedRecordingsFolder(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	disk := h.root
	h.root = filepath.Join(t.TempDir(), "recordings")
	if err := os.Symlink(disk, h.root); err != nil {
		t.Fatal(err)
	}
	h.exec("UPDATE streamers SET filename_prefix = 'a/x'")
	h.reread()
	if got := h.request(h.begin(h.start())).PathPrefix; got != filepath.Join(h.root, "a/x") {
		t.Errorf("recorded as %s", got)
	}
	if info, err := os.Stat(filepath.Join(disk, "a")); err != nil || !info.IsDir() {
		t.Errorf("no folder: %v", err)
	}
}
