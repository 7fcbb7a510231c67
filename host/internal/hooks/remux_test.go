package hooks

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// encode makes a real recording of four seconds.
func encode(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	output, err := exec.Command("ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=160x120:rate=10:duration=4",
		"-f", "lavfi", "-i", "sine=duration=4", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-f", "flv", path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
}

func TestRemuxToEveryContainer(t *testing.T) {
	t.Parallel()
	for _, container := range []string{"mp4", "mkv", "ts", "flv"} {
		t.Run(container, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.options.AllowRun = false
			h.exec("UPDATE streamers SET format = $1", []any{container})
			s := h.service()
			recording := h.recording()
			encode(t, h.path(recording, 1))
			segment := h.closed(s, recording, 1, "wanted")
			if run := h.workOff(s, SegmentProcessor, recording); run.State != "done" || run.Error != "" {
				t.Fatalf("%s: %s", run.State, run.Error)
			}
			row := h.segment(segment)
			want := stem(h.path(recording, 1)) + "." + container
			if name, _ := filepath.Rel(h.root, want); row.Path != want || cmp.Diff([]string{name}, h.files()) != "" {
				t.Errorf("the row says %s, there is %v", row.Path, h.files())
			}
			found, err := probe(t.Context(), want, want)
			if err != nil || cmp.Diff([]string{"audio aac", "video h264"}, found.Streams) != "" || found.Duration.Seconds() < 3.5 {
				t.Errorf("%+v, %v", found, err)
			}
			if info, err := os.Stat(want); err != nil || info.Size() != row.SizeBytes {
				t.Errorf("the row says %d bytes: %v", row.SizeBytes, err)
			}
		})
	}
}

func TestRemuxThatFailsKeepsTheFile(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.hook(SegmentProcessor, step(map[string]any{"remux": "mp4"}))
	s := h.service()
	recording := h.recording()
	segment := h.closed(s, recording, 1, "wanted") // no media in it
	run := h.workOff(s, SegmentProcessor, recording)
	if run.State != "done" || run.Error == "" || h.segment(segment).Path != h.path(recording, 1) || h.count("uploads") != 1 {
		t.Errorf("%s: %s", run.State, run.Error)
	}
	if files := h.files(); len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
}

// A stream may send a list of other files in the place of media. It is read as the container that its name says.
func TestRemuxReadsNoOtherFile(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.hook(SegmentProcessor, step(map[string]any{"remux": "mp4", "on_error": "hold"}))
	s := h.service()
	recording := h.recording()
	secret := filepath.Join(h.root, "secret.ts")
	encode(t, secret)
	h.write(h.path(recording, 1), "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nfile://"+secret+"\n#EXT-X-ENDLIST\n")
	h.closed(s, recording, 1, "wanted")
	if run := h.workOff(s, SegmentProcessor, recording); run.State != "held" {
		t.Errorf("a list was taken for media: %s %s, %v", run.State, run.Error, h.files())
	}
}

func TestCompareRefusesWhatIsNotTheSame(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole.flv")
	encode(t, whole)
	for name, arguments := range map[string][]string{
		"short.mp4":  {"-t", "2", "-c", "copy"},
		"silent.mp4": {"-an", "-c", "copy"},
	} {
		path := filepath.Join(dir, name)
		command := append(append([]string{"-v", "error", "-i", whole}, arguments...), path)
		if output, err := exec.Command("ffmpeg", command...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, output)
		}
		if err := compare(t.Context(), whole, path, path); err == nil || !strings.Contains(err.Error(), "kept") {
			t.Errorf("%s passes: %v", name, err)
		}
	}
}

func TestKillInARemuxLosesNothing(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.exec("UPDATE streamers SET format = 'mp4'", nil)
	healthy := h.service()
	media := filepath.Join(t.TempDir(), "media.flv")
	encode(t, media)
	content := h.read(media)
	for statements := 0; ; statements++ {
		if statements > 60 {
			t.Fatal("a process that lives does not come to an end")
		}
		recording := h.recording()
		h.write(h.path(recording, 1), content)
		segment := h.closed(healthy, recording, 1, "wanted")
		s, ctx := h.crashingService(statements)
		h.work(ctx, s, h.the(SegmentProcessor, recording).ID)
		finished := h.the(SegmentProcessor, recording).State == "done"
		if path := h.segment(segment).Path; compare(t.Context(), media, path, path) != nil {
			t.Errorf("death %d: the row leads to %s, which is not whole", statements, path)
		}
		if run := h.workOff(healthy, SegmentProcessor, recording); run.State != "done" || run.Error != "" {
			t.Fatalf("death %d: %s %s", statements, run.State, run.Error)
		}
		path := h.segment(segment).Path
		if err := compare(t.Context(), media, path, path); err != nil || filepath.Ext(path) != ".mp4" {
			t.Errorf("death %d: %s: %v", statements, path, err)
		}
		if n := len(h.files()); n != statements+1 {
			t.Errorf("death %d: %v", statements, h.files())
		}
		if n := h.count("uploads WHERE segment_id = $1", segment); n != 1 {
			t.Errorf("death %d: %d uploads", statements, n)
		}
		if finished && ctx.Err() == nil {
			return
		}
	}
}
