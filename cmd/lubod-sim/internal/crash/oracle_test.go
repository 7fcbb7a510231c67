package crash

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lubod/lubod/sdk/simulator/live"
)

// stage is a run with one room that two connections fetched, and what a recorder made of them.
type stage struct {
	*run
	found *rows
	clip  *live.Clip
}

func newStage(t *testing.T) *stage {
	t.Helper()
	clip, err := live.Encode(t.Context(), live.Encoding{Length: 4 * time.Second, FrameRate: 15, VideoBitrate: 3_000_000})
	if err != nil {
		t.Fatal(err)
	}
	room := live.New(t, live.Options{Clip: clip})
	dir := t.TempDir()
	s := &stage{clip: clip, run: &run{
		dir: dir, data: dir, disks: &disks{data: dir, recordings: filepath.Join(dir, "recordings")}, rooms: []*live.Server{room},
		killed: []map[int]time.Time{{}}, host: &host{logPath: filepath.Join(dir, "lubod.txt")}, began: time.Now(),
	}}
	s.found = &rows{
		Recordings: []recording{{ID: 1, Remark: roomName(0), State: "ended"}},
		Sessions:   []session{{ID: "a", EndReason: "ended"}},
	}
	room.AddFault(live.Fault{Match: live.Match{Request: 1}, At: live.AfterKeyframes(2), Action: live.Action{Do: live.DoClose}})
	for i := range 2 {
		path := filepath.Join(s.disks.recordings, []string{"1.flv", "2.flv"}[i])
		s.write(t, path, s.fetch(t))
		s.found.Segments = append(s.found.Segments, segment{ID: int64(i + 1), RecordingID: 1, Index: i + 1, Path: path, Publish: "wanted"})
	}
	return s
}

func (s *stage) fetch(t *testing.T) []byte {
	t.Helper()
	response, err := http.Get(s.rooms[0].URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func (s *stage) write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// forget takes a segment's file and row away.
func (s *stage) forget(t *testing.T, i int) {
	t.Helper()
	if err := os.Remove(s.found.Segments[i].Path); err != nil {
		t.Fatal(err)
	}
	s.found.Segments = slices.Delete(s.found.Segments, i, i+1)
}

func TestTheOracleSeesWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		spoil func(*testing.T, *stage)
		want  string // part of the only failure; "": none
	}{
		{"nothing", func(*testing.T, *stage) {}, ""},
		{"a lost file", func(t *testing.T, s *stage) { s.forget(t, 0) }, "room 1, connection 1 (closed): "},
		{"a lost end", func(t *testing.T, s *stage) { s.forget(t, 1) }, "room 1, connection 2 (ended): "},
		{"a killed recorder that lost too much", func(t *testing.T, s *stage) {
			s.forget(t, 1)
			s.killed[0][2] = time.Now().Add(time.Minute)
		}, "frames are in no file, from 2."},
		{"a killed recorder that could not write", func(t *testing.T, s *stage) {
			s.forget(t, 1)
			s.killed[0][2] = s.began
		}, ""},
		{"a full disk", func(t *testing.T, s *stage) {
			s.forget(t, 1)
			s.full = []window{{time.Now().Add(-time.Minute), time.Now().Add(time.Minute)}}
		}, ""},
		{"a full disk at another time", func(t *testing.T, s *stage) {
			s.forget(t, 1)
			s.full = []window{{time.Now().Add(-time.Minute), time.Now().Add(-50 * time.Second)}}
		}, "room 1, connection 2"},
		{"a doubled file", func(t *testing.T, s *stage) {
			again := s.found.Segments[0]
			again.ID, again.Path = 3, filepath.Join(s.disks.recordings, "3.flv")
			content, err := os.ReadFile(s.found.Segments[0].Path)
			if err != nil {
				t.Fatal(err)
			}
			s.write(t, again.Path, content)
			s.found.Segments = append(s.found.Segments, again)
		}, "frames were recorded twice"},
		{"a file without a row", func(t *testing.T, s *stage) {
			s.write(t, filepath.Join(s.disks.recordings, "x.flv"), nil)
		}, "there is no row for the file"},
		{"a file in the trash", func(t *testing.T, s *stage) {
			s.write(t, filepath.Join(s.disks.recordings, ".trash", "x.flv"), nil)
		}, ""},
		{"a file half done", func(t *testing.T, s *stage) {
			s.write(t, filepath.Join(s.disks.recordings, "x.flv.part"), nil)
		}, "is left, half done"},
		{"a broken file", func(t *testing.T, s *stage) {
			content, err := os.ReadFile(s.found.Segments[0].Path)
			if err != nil {
				t.Fatal(err)
			}
			s.full = []window{{time.Now().Add(-time.Minute), time.Now().Add(time.Minute)}}
			s.write(t, s.found.Segments[0].Path, content[:len(content)-3])
		}, "is no sound file"},
		{"an unexplained omission", func(_ *testing.T, s *stage) { s.found.Segments[0].Publish = "filtered" }, "does not say why"},
		{"a filtered broadcast", func(_ *testing.T, s *stage) {
			s.plan.Threshold = 1
			for i := range s.found.Segments {
				s.found.Segments[i].Publish, s.found.Segments[i].Reason, s.found.Segments[i].SizeBytes = "filtered", []byte(`"small"`), 600_000
			}
		}, "1200000 are filtered"},
		{"a fragment", func(_ *testing.T, s *stage) {
			s.plan.Threshold = 1
			s.found.Segments[0].Publish, s.found.Segments[0].Reason, s.found.Segments[0].SizeBytes = "filtered", []byte(`"small"`), 600_000
		}, ""},
		{"an unexplained end", func(_ *testing.T, s *stage) {
			ended := time.Now().Format(time.RFC3339Nano)
			s.found.Sessions[0].EndedAt, s.found.Sessions[0].EndReason = &ended, ""
		}, "does not say why"},
		{"a session that is open", func(_ *testing.T, s *stage) { s.found.Sessions[0].EndedAt, s.found.Sessions[0].EndReason = nil, "" }, ""},
		{"a panic", func(t *testing.T, s *stage) { s.write(t, s.host.logPath, []byte("x\npanic: y\n")) }, "lubod.txt: panic: y"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			test.spoil(t, s)
			s.judgeFiles(s.found)
			s.judgeFiltered(s.found)
			s.judgeFrames(s.found)
			s.judgeLogs()
			switch {
			case test.want == "" && len(s.failures) == 0:
			case test.want == "" || len(s.failures) != 1 || !strings.Contains(s.failures[0], test.want):
				t.Errorf("failures %q, want one with %q", s.failures, test.want)
			}
		})
	}
}

// What a killed recorder may lose is the last second, and no more of it than 256 KiB unless that is less than a second.
func TestAKilledRecorderMayLoseItsLastSecond(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	tags := s.rooms[0].Connections()[1].Tags
	s.killed[0][2] = time.Now().Add(time.Minute)
	frames := map[string]*place{}
	for _, tag := range tags {
		if tags[len(tags)-1].Media-tag.Media > 900*time.Millisecond {
			frames[tag.Hash] = &place{count: 1}
		}
	}
	if _, lost := s.judgeConnection(0, s.rooms[0].Connections()[1], frames); lost == 0 || len(s.failures) > 0 {
		t.Errorf("%d frames lost, failures %q", lost, s.failures)
	}
	delete(s.killed[0], 2)
	if s.judgeConnection(0, s.rooms[0].Connections()[1], frames); len(s.failures) != 1 {
		t.Errorf("failures of a recorder that was not killed: %q", s.failures)
	}
}
