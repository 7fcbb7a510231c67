package hooks

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// t.Setenv does not go with parallel tests, and the environment is the point here.
func TestCommandGetsThePayloadAndNothingOfTheDaemon(t *testing.T) {
	t.Setenv("LUBOD_DATABASE_URL", "postgres://u:secret@h/x")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("TZ", "Asia/Shanghai")
	h := newHarness(t)
	h.hook(SegmentProcessor, step(map[string]any{"run": "cat > stdin; env -0 > environment; pwd > cwd"}))
	s := h.service()
	recording := h.recording()
	h.closed(s, recording, 1, "wanted")
	if run := h.workOff(s, SegmentProcessor, recording); run.Error != "" {
		t.Fatal(run.Error)
	}
	var payload Payload
	if err := json.Unmarshal([]byte(h.read(filepath.Join(h.root, "stdin"))), &payload); err != nil {
		t.Fatal(err)
	}
	if payload.Event != EventSegment || len(payload.Segments) != 1 || payload.Segments[0].Path != h.path(recording, 1) {
		t.Errorf("payload = %+v", payload)
	}
	if cwd := strings.TrimSpace(h.read(filepath.Join(h.root, "cwd"))); cwd != h.root {
		t.Errorf("it ran in %s", cwd)
	}
	var names []string
	values := make(map[string]string)
	for entry := range strings.SplitSeq(h.read(filepath.Join(h.root, "environment")), "\x00") {
		name, value, found := strings.Cut(entry, "=")
		// The shell adds its own.
		if found && !slices.Contains([]string{"PWD", "OLDPWD", "SHLVL", "_", "HOME", "LANG", "PATH"}, name) {
			names = append(names, name)
			values[name] = value
		}
	}
	slices.Sort(names)
	want := []string{
		"LUBOD_EVENT", "LUBOD_FILE", "LUBOD_FILES", "LUBOD_RECORDING_ID", "LUBOD_SEGMENT_INDEX", "LUBOD_STARTED_AT", "LUBOD_STREAMER", "LUBOD_TITLE", "LUBOD_URL", "TZ",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	if values["LUBOD_STREAMER"] != "主播" || values["LUBOD_TITLE"] != "标题 100%" || values["LUBOD_FILE"] != h.path(recording, 1) {
		t.Errorf("values = %v", values)
	}
}

func TestCommandEndsAsAGroupWhenItsTimeIsOver(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	// A child that ignores the polite signal.
	h.hook(SegmentProcessor, step(map[string]any{"run": `sh -c 'trap "" TERM; echo $$ > child; while :; do sleep 1; done' & wait`, "timeout": 1, "on_error": "hold"}))
	s := h.service()
	recording := h.recording()
	h.closed(s, recording, 1, "wanted")
	run := h.workOff(s, SegmentProcessor, recording)
	if run.State != "held" || !strings.Contains(run.Error, "longer than 1s") {
		t.Errorf("%s %s", run.State, run.Error)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(h.read(filepath.Join(h.root, "child"))))
	if err != nil {
		t.Fatal(err)
	}
	h.until("the child is gone", func() bool { return !alive(pid) })
}

// alive does not count what is dead and not yet fetched by its parent.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err == nil && !strings.Contains(string(status), ") Z ")
}

func TestCommandsThatEndOddly(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ command, failure string }{
		"reads nothing":          {"exec <&-; true", ""},
		"leaves a child":         {"sleep 30 & echo started", ""},
		"killed":                 {"kill -9 $$", "killed"},
		"no such program":        {"no-such-program-here", "exit status 127"},
		"takes the file away":    {`rm "$LUBOD_FILE"`, "still to be published"},
		"says much":              {`yes | head -c 300000; printf "%5000s\n" x`, ""},
		"binary":                 {`printf '\377\000\n'`, ""},
		"rewrites the file":      {`echo more >> "$LUBOD_FILE"`, ""},
		"last line is the cause": {"echo first; echo the cause >&2; exit 4", "exit status 4: the cause"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.hook(SegmentProcessor, step(map[string]any{"run": test.command, "on_error": "hold"}))
			s := h.service()
			recording := h.recording()
			segment := h.closed(s, recording, 1, "wanted")
			began := time.Now()
			run := h.workOff(s, SegmentProcessor, recording)
			if (run.State == "done") != (test.failure == "") || !strings.Contains(run.Error, test.failure) {
				t.Errorf("%s: %s", run.State, run.Error)
			}
			if took := time.Since(began); took > 25*time.Second {
				t.Errorf("it took %v", took)
			}
			if lines := strings.Count(h.logged(), `msg="hook says"`); lines > maxLines {
				t.Errorf("%d lines in the log", lines)
			}
			if row := h.segment(segment); test.failure == "" && row.SizeBytes != int64(len(h.read(row.Path))) {
				t.Errorf("the row says %d bytes, the file has %d", row.SizeBytes, len(h.read(row.Path)))
			}
		})
	}
}

func TestCommandsAreRefusedWithoutTheFlag(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.options.AllowRun = false
	h.hook(SegmentProcessor, step(map[string]any{"run": "touch ran", "retries": 3}))
	s := h.service()
	recording := h.recording()
	h.closed(s, recording, 1, "wanted")
	run := h.workOff(s, SegmentProcessor, recording)
	if !strings.Contains(run.Error, "--allow-run-hooks") || h.count("uploads") != 1 {
		t.Errorf("%s: %s", run.State, run.Error)
	}
	if _, err := os.Stat(filepath.Join(h.root, "ran")); err == nil {
		t.Error("the command ran")
	}
}
