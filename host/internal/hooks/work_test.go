package hooks

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/host/internal/pipeline"
)

// say is a command that writes a word into a file.
func say(word string) string {
	return step(map[string]any{"run": "echo " + word + " >> said"})
}

func TestHooksRunInTheOrderOfARecording(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.hook(SegmentProcessor, step(map[string]any{"run": `echo "segment $LUBOD_SEGMENT_INDEX" >> said`}))
	h.hook(DownloadedProcessor, say("downloaded"))
	h.hook(Postprocessor, say("post"))
	s := h.service()
	h.start(s)
	recording := h.recording()
	for i := range 3 {
		h.closed(s, recording, i+1, "wanted")
	}
	h.until("three uploads", func() bool { return h.count("uploads") == 3 })
	if n := h.count("submissions"); n != 0 {
		t.Error("a recording that goes on was submitted")
	}
	h.end(s, recording)
	h.untilState(DownloadedProcessor, recording, "done")
	if n := h.count("submissions"); n != 1 {
		t.Errorf("%d submissions", n)
	}
	if said := h.read(filepath.Join(h.root, "said")); strings.Contains(said, "post") {
		t.Error("the postprocessor ran before the submission was accepted")
	}
	h.accept(s, recording)
	h.untilState(Postprocessor, recording, "done")
	want := "segment 1\nsegment 2\nsegment 3\ndownloaded\npost\n"
	if diff := cmp.Diff(want, h.read(filepath.Join(h.root, "said"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRecordingsWithoutHooksGoStraightOn(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.service()
	recording := h.recording()
	h.closed(s, recording, 1, "wanted")
	h.closed(s, recording, 2, "never")
	h.end(s, recording)
	h.accept(s, recording)
	if uploads, submissions, runs := h.count("uploads"), h.count("submissions"), h.count("hook_runs"); uploads != 1 || submissions != 1 || runs != 0 {
		t.Errorf("%d uploads, %d submissions, %d hooks", uploads, submissions, runs)
	}
}

func TestWhichSegmentsHaveHooks(t *testing.T) {
	t.Parallel()
	for publish, want := range map[string]int{"wanted": 1, "never": 1, "filtered": 0} {
		t.Run(publish, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.hook(SegmentProcessor, say("x"))
			h.hook(Postprocessor, say("post"))
			s := h.service()
			recording := h.recording()
			h.closed(s, recording, 1, publish)
			if runs := h.count("hook_runs"); runs != want {
				t.Errorf("%d hooks, want %d", runs, want)
			}
			if uploads := h.count("uploads"); uploads != 0 {
				t.Error("the upload was ordered before the hook was done")
			}
			if want == 1 {
				h.workOff(s, SegmentProcessor, recording)
			}
			if uploads := h.count("uploads"); (uploads == 1) != (publish == "wanted") {
				t.Errorf("%d uploads", uploads)
			}
			// What publishes nothing is over when the recording is.
			h.end(s, recording)
			if n := h.count("hook_runs WHERE stage = 'postprocessor'"); (n == 0) != (publish == "wanted") {
				t.Errorf("%d postprocessors", n)
			}
		})
	}
}

func TestErrorPolicies(t *testing.T) {
	t.Parallel()
	const fails = "cat > /dev/null; echo no luck >&2; exit 3"
	tests := map[string]struct {
		policy      string
		state, said string
		uploads     int
	}{
		"continue": {"continue", "done", "after\n", 1},
		"stop":     {"stop", "done", "", 1},
		"hold":     {"hold", "held", "", 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.hook(SegmentProcessor, step(map[string]any{"run": "echo try >> tries; " + fails, "on_error": test.policy, "retries": 2}),
				step(map[string]any{"run": "echo after >> said"}))
			s := h.service()
			h.start(s)
			recording := h.recording()
			segment := h.closed(s, recording, 1, "wanted")
			run := h.untilState(SegmentProcessor, recording, test.state)
			if want := "segment_processor: step 1 (run): exit status 3: no luck"; run.Error != want {
				t.Errorf("error = %q, want %q", run.Error, want)
			}
			if tries := h.read(filepath.Join(h.root, "tries")); strings.Count(tries, "try") != 3 {
				t.Errorf("tried %q times", tries)
			}
			said, _ := os.ReadFile(filepath.Join(h.root, "said"))
			if string(said) != test.said {
				t.Errorf("said %q, want %q", said, test.said)
			}
			if uploads := h.count("uploads"); uploads != test.uploads {
				t.Errorf("%d uploads, want %d", uploads, test.uploads)
			}
			if _, err := os.Stat(h.segment(segment).Path); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestHeldHookKeepsTheRecordingUntilAPersonRetries(t *testing.T) {
	t.Parallel()
	for _, skip := range []bool{false, true} {
		t.Run(fmt.Sprint("skip ", skip), func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.hook(SegmentProcessor, step(map[string]any{"run": "test -e mended", "on_error": "hold"}), say("after"))
			s := h.service()
			h.start(s)
			recording := h.recording()
			h.closed(s, recording, 1, "wanted")
			held := h.untilState(SegmentProcessor, recording, "held")
			h.hook(SegmentProcessor, say("later"))
			h.closed(s, recording, 2, "wanted")
			h.until("the next segment goes on", func() bool { return h.count("uploads") == 1 })
			h.end(s, recording)
			if n := h.count("submissions"); n != 0 {
				t.Error("a recording with a held segment was submitted")
			}
			if !skip {
				h.write(filepath.Join(h.root, "mended"), "")
			}
			run, err := s.Retry(t.Context(), held.ID, skip)
			if err != nil || run.State != "pending" {
				t.Fatalf("retry: %v, state %s", err, run.State)
			}
			h.until("submitted", func() bool { return h.count("submissions") == 1 })
			if n := h.count("uploads"); n != 2 {
				t.Errorf("%d uploads", n)
			}
			if _, err := s.Retry(t.Context(), held.ID, skip); !errors.Is(err, pipeline.ErrNotHeld) {
				t.Errorf("retry of what is done: %v", err)
			}
			if _, err := s.Retry(t.Context(), 999, skip); !errors.Is(err, pgx.ErrNoRows) {
				t.Errorf("retry of nothing: %v", err)
			}
			if said := h.read(filepath.Join(h.root, "said")); said != "later\nafter\n" {
				t.Errorf("said %q", said)
			}
		})
	}
}

func TestDeletedStreamerKeepsItsHooks(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.hook(SegmentProcessor, say("segment"))
	h.hook(DownloadedProcessor, say("downloaded"))
	h.hook(Postprocessor, say("post"))
	s := h.service()
	h.start(s)
	recording := h.recording()
	h.closed(s, recording, 1, "wanted")
	if _, err := h.db.DeleteStreamer(t.Context(), h.streamer); err != nil {
		t.Fatal(err)
	}
	h.closed(s, recording, 2, "wanted")
	h.end(s, recording)
	h.until("submitted", func() bool { return h.count("submissions") == 1 })
	h.accept(s, recording)
	h.untilState(Postprocessor, recording, "done")
	if said := h.read(filepath.Join(h.root, "said")); said != "segment\nsegment\ndownloaded\npost\n" {
		t.Errorf("said %q", said)
	}
}

func TestEditedHooksCountForWhatBecomesDueLater(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.hook(SegmentProcessor, say("old"))
	s := h.service()
	recording := h.recording()
	h.closed(s, recording, 1, "wanted")
	h.hook(SegmentProcessor, say("new"))
	h.closed(s, recording, 2, "wanted")
	for _, run := range h.runs(recording) {
		h.work(t.Context(), s, run.ID)
	}
	if said := h.read(filepath.Join(h.root, "said")); said != "old\nnew\n" {
		t.Errorf("said %q", said)
	}
}

func TestStopInTheMiddleOfACommandBeginsItAgain(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.hook(SegmentProcessor, say("before"),
		step(map[string]any{"run": `echo "run $$" >> said; if ! test -e go; then sleep 600; fi`, "on_error": "hold"}), say("after"))
	s := h.service()
	stop := h.start(s)
	recording := h.recording()
	h.closed(s, recording, 1, "wanted")
	said := filepath.Join(h.root, "said")
	h.until("running", func() bool { text, _ := os.ReadFile(said); return strings.Contains(string(text), "run") })
	began := time.Now()
	stop()
	if took := time.Since(began); took > 6*time.Second {
		t.Errorf("the stop took %v", took)
	}
	if run := h.the(SegmentProcessor, recording); run.NextStep != 1 || run.Attempts != 0 || run.Error != "" {
		t.Errorf("a stop counts as a failure: %+v", run)
	}
	h.write(filepath.Join(h.root, "go"), "")
	h.start(h.service())
	h.untilState(SegmentProcessor, recording, "done")
	if text := h.read(said); strings.Count(text, "before") != 1 || strings.Count(text, "run") != 2 || strings.Count(text, "after") != 1 {
		t.Errorf("said %q", text)
	}
}

func TestJobThatWasLostIsFoundAtStart(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.hook(SegmentProcessor, say("x"))
	recording := h.recording()
	h.closed(h.service(), recording, 1, "wanted")
	h.exec("DELETE FROM river_job", nil)
	h.start(h.service())
	h.untilState(SegmentProcessor, recording, "done")
}

func TestStepsThatNobodyCanReadHoldTheRun(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.exec(`UPDATE streamers SET segment_processor = '[{"teleport": "moon"}]'`, nil)
	s := h.service()
	recording := h.recording()
	h.closed(s, recording, 1, "wanted")
	run := h.workOff(s, SegmentProcessor, recording)
	if run.State != "held" || !strings.Contains(run.Error, "teleport") {
		t.Errorf("%s: %s", run.State, run.Error)
	}
}

func TestPayloadOfEveryEvent(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	seen := newReceiver(t, nil)
	hook := step(map[string]any{"webhook": seen.URL})
	h.hook(SegmentProcessor, hook)
	h.hook(DownloadedProcessor, hook)
	h.hook(Postprocessor, hook)
	s := h.service()
	recording := h.recording()
	segment := h.closed(s, recording, 1, "wanted")
	h.workOff(s, SegmentProcessor, recording)
	h.end(s, recording)
	h.workOff(s, DownloadedProcessor, recording)
	h.accept(s, recording)
	h.workOff(s, Postprocessor, recording)

	requests := seen.all()
	if len(requests) != 3 {
		t.Fatalf("%d requests", len(requests))
	}
	for i, event := range []string{"segment", "downloaded", "post"} {
		request := requests[i]
		if got := request.header.Get("X-Lubod-Event"); got != event || request.header.Get("Content-Type") != "application/json" || request.header.Get("Idempotency-Key") == "" {
			t.Errorf("header %v", request.header)
		}
		var got map[string]any
		if err := json.Unmarshal([]byte(request.body), &got); err != nil {
			t.Fatal(err)
		}
		media := got["segments"].([]any)[0].(map[string]any)
		about := got["recording"].(map[string]any)
		for _, key := range []string{"started_at", "ended_at"} {
			if _, err := time.Parse(time.RFC3339, fmt.Sprint(media[key])); err != nil {
				t.Error(err)
			}
			delete(media, key)
		}
		if ended := about["ended_at"]; (ended == nil) != (event == "segment") {
			t.Errorf("%s: ended_at = %v", event, ended)
		}
		delete(about, "started_at")
		delete(about, "ended_at")
		var submission any
		if event == "post" {
			at := got["submission"].(map[string]any)
			if _, err := time.Parse(time.RFC3339, fmt.Sprint(at["accepted_at"])); err != nil {
				t.Error(err)
			}
			delete(at, "accepted_at")
			submission = map[string]any{"state": "accepted", "title": "archive", "aid": 5.0, "bvid": "BV5"}
		}
		want := map[string]any{
			"v": 1.0, "event": event,
			"room":      map[string]any{"id": float64(h.streamer), "url": "http://room/1", "remark": "主播", "template_name": "t"},
			"recording": map[string]any{"id": float64(recording), "title": "标题 100%", "streamer": "name", "category": "Game", "cover_url": ""},
			"segments": []any{map[string]any{
				"id": float64(segment), "index": 1.0, "path": h.path(recording, 1), "size_bytes": float64(len(h.read(h.path(recording, 1)))),
				"duration_ms": 4000.0, "publish": "wanted",
			}},
			"submission": submission,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", event, diff)
		}
	}
}

func TestWebhookAnswers(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	seen := newReceiver(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	h.hook(SegmentProcessor, step(map[string]any{"webhook": seen.URL + "/bot-secret", "retries": 2, "on_error": "hold"}))
	s := h.service()
	h.start(s)
	recording := h.recording()
	h.closed(s, recording, 1, "wanted")
	h.untilState(SegmentProcessor, recording, "done")
	requests := seen.all()
	if len(requests) != 3 || requests[0].header.Get("Idempotency-Key") != requests[2].header.Get("Idempotency-Key") {
		t.Errorf("%d requests", len(requests))
	}

	slow := newReceiver(t, func(_ int, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for name, test := range map[string]struct{ url, want string }{
		"private": {"http://10.1.2.3/bot-secret", "10.1.2.3"},
		"slow":    {slow.URL + "/bot-secret", "longer than 1s"},
		"refused": {newReceiver(t, func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }).URL + "/bot-secret", "status 404"},
	} {
		h.hook(SegmentProcessor, step(map[string]any{"webhook": test.url, "timeout": 1, "on_error": "hold"}))
		recording := h.recording()
		h.closed(s, recording, 1, "wanted")
		run := h.untilState(SegmentProcessor, recording, "held")
		if !strings.Contains(run.Error, test.want) {
			t.Errorf("%s: %s, want %s", name, run.Error, test.want)
		}
	}
	if strings.Contains(h.logged(), "bot-secret") || h.count("hook_runs WHERE error LIKE '%bot-secret%'") > 0 {
		t.Error("the secret part of a webhook's URL was told")
	}
}

// A hook that waits for its next try lets hooks of other recordings pass.
func TestRecordingsDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.options.Pace.Retry, h.options.Pace.RetryMax = time.Hour, time.Hour
	h.hook(SegmentProcessor, step(map[string]any{"run": `test "$LUBOD_RECORDING_ID" != 1`, "retries": 3}))
	s := h.service()
	h.start(s)
	first, second := h.recording(), h.recording()
	if first != 1 {
		t.Fatal("the first recording has another id")
	}
	h.closed(s, first, 1, "wanted")
	h.closed(s, first, 2, "wanted")
	h.closed(s, second, 1, "wanted")
	h.untilState(SegmentProcessor, second, "done")
	h.until("waiting", func() bool { return h.runs(first)[0].Attempts == 1 })
	if runs := h.runs(first); runs[1].State != "pending" || runs[1].Attempts != 0 {
		t.Errorf("the second segment did not wait for its turn: %+v", runs[1])
	}
}
