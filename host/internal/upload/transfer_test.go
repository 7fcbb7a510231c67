package upload

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/pipeline"
	"github.com/lubod/lubod/host/internal/reason"
	"github.com/lubod/lubod/host/internal/settings"
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/line"
)

func TestSegmentIsUploadedWhileTheRecordingGoesOn(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.service()
	h.start(s)
	recording := h.recording("recording")
	upload := h.untilUpload(h.closed(s, recording, 1), "uploaded")
	if upload.RemoteName != fmt.Sprintf("nr%d_001", recording) || upload.RemoteID != 7 || upload.AcknowledgedBytes != 100 || upload.Checkpoint != nil {
		t.Errorf("upload = %+v", upload)
	}
	if _, exists := h.submission(recording); exists {
		t.Error("a submission was ordered before the recording ended")
	}
}

func TestOrderAndSegmentAreOneTransaction(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.service()
	recording := h.recording("recording")
	err := h.db.InTx(t.Context(), func(tx pgx.Tx, _ *db.Queries) error {
		id, err := h.segment(t.Context(), tx, recording, 1)
		if err != nil {
			return err
		}
		if err := s.Pipeline.SegmentClosed(t.Context(), tx, id); err != nil {
			return err
		}
		return context.Canceled
	})
	if err == nil || h.jobs("transfer") != 0 {
		t.Errorf("error %v, %d jobs of a segment that was never committed", err, h.jobs("transfer"))
	}
}

func TestOneTransferPerSegment(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.service()
	segment := h.closed(s, h.recording("recording"), 1)
	for range 3 { // each start of a host orders what is not finished
		if err := s.Pipeline.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := h.jobs("transfer"); n != 1 {
		t.Errorf("%d jobs for one segment", n)
	}
	h.start(s)
	h.untilUpload(segment, "uploaded")
	if n := len(h.begun()); n != 1 {
		t.Errorf("%d transfers for one segment", n)
	}
}

func TestRaisedUploadLimitTakesEffectAtOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.configure(map[string]any{"lines": "bda2", "upload_limit": 1})
	release := make(chan struct{})
	h.lines.upload = func(ctx context.Context, file line.File, report func(line.Progress) error) (line.Result, error) {
		result, err := h.store(ctx, file, report)
		<-release
		return result, err
	}
	s := h.service()
	h.start(s)
	recording := h.recording("recording")
	first, second := h.closed(s, recording, 1), h.closed(s, recording, 2)
	h.until("one transfer and one that waits", func() bool { return h.jobs("transfer", "running") == 2 && len(h.begun()) == 1 })
	h.configure(map[string]any{"lines": "bda2", "upload_limit": 2})
	if n := len(h.begun()); n != 1 {
		t.Errorf("%d transfers with upload_limit 1", n)
	}
	s.ConfigurationChanged()
	h.until("two transfers", func() bool { return len(h.begun()) == 2 })
	close(release)
	h.untilUpload(first, "uploaded")
	h.untilUpload(second, "uploaded")
}

func TestLargestUploadLimitIsReal(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.configure(map[string]any{"lines": "bda2", "upload_limit": settings.MaxUploadLimit})
	release := make(chan struct{})
	h.lines.upload = func(ctx context.Context, file line.File, report func(line.Progress) error) (line.Result, error) {
		result, err := h.store(ctx, file, report)
		<-release
		return result, err
	}
	s := h.service()
	h.start(s)
	recording := h.recording("recording")
	for i := range settings.MaxUploadLimit {
		h.closed(s, recording, i+1)
	}
	h.until("all run at once", func() bool { return len(h.begun()) == settings.MaxUploadLimit })
	close(release)
	h.until("all done", func() bool { return h.jobs("transfer", "running") == 0 })
}

func TestThreadsTakeEffectForTheNextTransfer(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.configure(map[string]any{"lines": "bda2", "threads": 2})
	began, release := make(chan struct{}, 2), make(chan struct{})
	h.lines.upload = func(ctx context.Context, file line.File, report func(line.Progress) error) (line.Result, error) {
		result, err := h.store(ctx, file, report)
		began <- struct{}{}
		<-release
		return result, err
	}
	s := h.service()
	h.start(s)
	recording := h.recording("recording")
	first := h.closed(s, recording, 1)
	<-began
	h.configure(map[string]any{"lines": "bda2", "threads": 7})
	s.ConfigurationChanged()
	second := h.closed(s, recording, 2)
	<-began
	close(release)
	h.untilUpload(first, "uploaded")
	h.untilUpload(second, "uploaded")
	if begun := h.begun(); len(begun) != 2 || begun[0].Threads != 2 || begun[1].Threads != 7 {
		t.Errorf("transfers: %+v", begun)
	}
}

func TestTransfersThatWaitForASlotHoldBackNoSubmission(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.configure(map[string]any{"lines": "bda2", "upload_limit": 1})
	s := h.service()
	ready := h.recording("recording")
	release := make(chan struct{})
	h.lines.upload = func(ctx context.Context, file line.File, report func(line.Progress) error) (line.Result, error) {
		if !strings.Contains(file.Path, fmt.Sprintf("r%d_", ready)) {
			<-release
		}
		return h.store(ctx, file, report)
	}
	h.start(s)
	h.untilUpload(h.closed(s, ready, 1), "uploaded")
	other := h.recording("ended")
	for i := range settings.MaxUploadLimit + 1 {
		h.closed(s, other, i+1)
	}
	h.until("all workers wait", func() bool { return h.jobs("transfer", "running") == settings.MaxUploadLimit })
	h.end(s, ready)
	h.untilSubmission(ready, "accepted")
	close(release)
}

func TestInterruptedTransferGoesOnFromItsCheckpointOnItsLine(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	saved := make(chan struct{})
	h.lines.upload = func(ctx context.Context, file line.File, report func(line.Progress) error) (line.Result, error) {
		h.began(file)
		if err := report(line.Progress{AcknowledgedBytes: 40, Checkpoint: []byte("half")}); err != nil {
			return line.Result{}, err
		}
		close(saved)
		<-ctx.Done()
		return line.Result{}, ctx.Err()
	}
	s := h.service()
	segment := h.closed(s, h.recording("recording"), 1)
	stop := h.start(s)
	<-saved
	stop()
	if upload := h.upload(segment); upload.Attempts != 0 || upload.AcknowledgedBytes != 40 {
		t.Errorf("a stop of the host left %+v", upload)
	}
	h.configure(map[string]any{"lines": "qn"}) // for the next segment, not for one that is under way
	h.lines.upload = h.store
	h.start(h.service())
	h.untilUpload(segment, "uploaded")
	if last := h.begun()[1]; last.Line != "bda2" || string(last.Checkpoint) != "half" {
		t.Errorf("went on over %s from %q, want bda2 from half", last.Line, last.Checkpoint)
	}
	if why := h.upload(segment).LineReason; why != nil {
		t.Errorf("it is the line that was configured when it began, and still %s", why)
	}
}

// failing is a line that reports a checkpoint and fails so many times.
func (h *harness) failing(times int, cause error) func(context.Context, line.File, func(line.Progress) error) (line.Result, error) {
	return func(ctx context.Context, file line.File, report func(line.Progress) error) (line.Result, error) {
		if len(h.begun()) >= times {
			return h.store(ctx, file, report)
		}
		h.began(file)
		if err := report(line.Progress{AcknowledgedBytes: 10, Checkpoint: []byte("at " + file.Line)}); err != nil {
			return line.Result{}, err
		}
		return line.Result{}, cause
	}
}

func TestFailingLineIsLeftWithItsCheckpoint(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.lines.upload = h.failing(pipeline.FailuresPerLine, sdk.Errorf(sdk.Unavailable, "broken"))
	s := h.service()
	segment := h.closed(s, h.recording("recording"), 1)
	h.start(s)
	h.untilUpload(segment, "uploaded")
	var lines, checkpoints []string
	for _, file := range h.begun() {
		lines, checkpoints = append(lines, file.Line), append(checkpoints, string(file.Checkpoint))
	}
	// ws is the best of the others, and another line starts over.
	if want := []string{"bda2", "bda2", "bda2", "ws"}; !slices.Equal(lines, want) {
		t.Errorf("lines = %v, want %v", lines, want)
	}
	if want := []string{"", "at bda2", "at bda2", ""}; !slices.Equal(checkpoints, want) {
		t.Errorf("checkpoints = %v, want %v", checkpoints, want)
	}
	if why := reason.Parse(h.upload(segment).LineReason); why.Code != reason.UploadLineLeft || why.Args["cause"] != "broken" {
		t.Errorf("the line's reason is %+v", why)
	}
}

// A stored name may be that of a line that is closed, or whose plugin was taken out: that is no reason to upload nothing.
func TestALineThatNothingServesMeansAuto(t *testing.T) {
	t.Parallel()
	for configured, want := range map[string]string{
		"kodo": "ws", // the best that was measured
		"nope": "ws",
		"qn":   "qn", // which a plugin serves here
	} {
		h := newHarness(t)
		h.configure(map[string]any{"lines": configured})
		s := h.service()
		segment := h.closed(s, h.recording("recording"), 1)
		h.start(s)
		upload := h.untilUpload(segment, "uploaded")
		if upload.Line != want {
			t.Errorf("%s: uploaded over %s, want %s", configured, upload.Line, want)
		}
		why := reason.Parse(upload.LineReason)
		if configured == want {
			if !why.IsZero() {
				t.Errorf("%s: it is the configured line, and still %s", configured, upload.LineReason)
			}
			continue
		}
		if why.Code != reason.UploadLineAuto || why.Args["line"] != configured || why.Args["lines"] != "bda2, qn, ws" {
			t.Errorf("%s: the line's reason is %s", configured, upload.LineReason)
		}
	}
}

// A line that a server refuses is not asked again and again: the order of AUTO follows, and the row says why, also when
// something else went wrong after that.
func TestALineThatRefusesIsFollowedByTheOrderOfAuto(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.lines.upload = func(ctx context.Context, file line.File, report func(line.Progress) error) (line.Result, error) {
		switch {
		case file.Line == "bda2":
			h.began(file)
			return line.Result{}, sdk.Errorf(sdk.Unsupported, "bilibili does not offer it")
		case len(h.begun()) == 1:
			h.began(file)
			return line.Result{}, sdk.Errorf(sdk.Unavailable, "broken")
		}
		return h.store(ctx, file, report)
	}
	s := h.service()
	segment := h.closed(s, h.recording("recording"), 1)
	h.start(s)
	upload := h.untilUpload(segment, "uploaded")
	var lines []string
	for _, file := range h.begun() {
		lines = append(lines, file.Line)
	}
	if want := []string{"bda2", "ws", "ws"}; !slices.Equal(lines, want) {
		t.Errorf("lines = %v, want %v", lines, want)
	}
	why := reason.Parse(upload.LineReason)
	if why.Code != reason.UploadLineLeft || why.Args["line"] != "bda2" || why.Args["cause"] != "bilibili does not offer it" {
		t.Errorf("the line's reason is %s", upload.LineReason)
	}
}

func TestCheckpointBelongsToOneAccount(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.cookies("b.json", "other")
	h.pace.Retry, h.pace.RetryMax = longTime, longTime
	h.lines.upload = h.failing(1, sdk.Errorf(sdk.Unavailable, "broken"))
	s := h.service()
	segment := h.closed(s, h.recording("recording"), 1)
	stop := h.start(s)
	h.untilUpload(segment, "pending")
	h.until("failed", func() bool { return h.upload(segment).Error != "" })
	stop()
	h.exec("UPDATE templates SET user_cookie = 'b.json'", nil)
	h.exec("UPDATE river_job SET state = 'available', scheduled_at = now()", nil)
	h.start(h.service())
	h.untilUpload(segment, "uploaded")
	if last := h.begun()[1]; last.Checkpoint != nil || last.Cookies["SESSDATA"] != "other" {
		t.Errorf("another account went on from %q", last.Checkpoint)
	}
}

func TestRateLimitedTransferWaitsAndIsNotCounted(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.lines.upload = h.failing(1, &sdk.Error{Kind: sdk.RateLimited, Message: "too fast", RetryAfter: longTime})
	s := h.service()
	segment := h.closed(s, h.recording("recording"), 1)
	h.start(s)
	h.until("waiting", func() bool { return h.upload(segment).Error == "too fast" && h.jobs("transfer", "scheduled") == 1 })
	if upload := h.upload(segment); upload.Attempts != 0 || upload.State != "pending" {
		t.Errorf("upload = %+v, want one that waits with no failure counted", upload)
	}
	if due := h.dueIn("transfer"); due < longTime-time.Minute {
		t.Errorf("next try in %v, want the hour that was asked for", due)
	}
}

func TestFinalFailureHoldsTheSubmission(t *testing.T) {
	t.Parallel()
	for _, kind := range []sdk.Kind{sdk.NotFound, sdk.Corrupt, sdk.Unsupported, sdk.Unavailable} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			recording := h.recording("recording")
			s := h.service()
			bad, good := h.closed(s, recording, 1), h.closed(s, recording, 2)
			// A NUL and broken UTF-8 in a message must not keep it from being saved.
			cause := &sdk.Error{Kind: kind, Message: "the file is broken\x00\xff"}
			h.lines.upload = func(ctx context.Context, file line.File, report func(line.Progress) error) (line.Result, error) {
				if strings.HasSuffix(file.Path, "_001.flv") {
					return line.Result{}, cause
				}
				return h.store(ctx, file, report)
			}
			if kind == sdk.Unavailable || kind == sdk.Unsupported { // the last of many tries
				h.exec("UPDATE uploads SET attempts = $1 WHERE segment_id = $2", []any{29, bad})
			}
			h.start(s)
			h.untilUpload(good, "uploaded")
			if upload := h.untilUpload(bad, "failed"); !strings.HasPrefix(upload.Error, "the file is broken") {
				t.Errorf("upload says %q", upload.Error)
			}
			h.end(s, recording)
			h.until("no job left", func() bool { return h.jobs("transfer", "completed") == 2 })
			if _, exists := h.submission(recording); exists || h.jobs("submit") != 0 {
				t.Error("a recording with a hole was submitted")
			}
		})
	}
}

// Each thing that an operator has to put right is named, and picked up when it is there.
func TestMissingThingsAreNamedAndPickedUp(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		breaks, mends func(h *harness)
		says          string
	}{
		"template": {
			breaks: func(h *harness) { h.exec("DELETE FROM templates", nil) },
			mends:  func(h *harness) { h.template("t") },
			says:   `template "t" does not exist`,
		},
		"account of template": {
			breaks: func(h *harness) { h.exec("UPDATE templates SET user_cookie = ''", nil) },
			mends:  func(h *harness) { h.exec("UPDATE templates SET user_cookie = 'a.json'", nil) },
			says:   "names no account",
		},
		"tag of template": {
			breaks: func(h *harness) { h.exec("UPDATE templates SET tag = ' ,'", nil) },
			mends:  func(h *harness) { h.exec("UPDATE templates SET tag = 'live'", nil) },
			says:   `template "t": tag: is missing`,
		},
		"tag that is empty for this recording": {
			breaks: func(h *harness) {
				h.exec("UPDATE templates SET tag = '{url}'", nil)
				h.exec("UPDATE recordings SET url = ''", nil)
			},
			mends: func(h *harness) { h.exec("UPDATE templates SET tag = '{streamer}'", nil) },
			says:  `template "t": tag: is missing`,
		},
		"title of template": {
			breaks: func(h *harness) { h.exec("UPDATE templates SET title = repeat('x', 81)", nil) },
			mends:  func(h *harness) { h.exec("UPDATE templates SET title = 'x'", nil) },
			says:   `template "t": title: must have at most 80 characters`,
		},
		"cookie file": {
			breaks: func(h *harness) { h.exec("UPDATE templates SET user_cookie = 'new.json'", nil) },
			mends:  func(h *harness) { h.cookies("new.json", "sess") },
			says:   `"new.json"`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.pace.Operator = longTime // only PublishingChanged can be it
			s := h.service()
			segment := h.closed(s, h.recording("recording"), 1)
			test.breaks(h)
			h.start(s)
			h.until("waits", func() bool {
				return strings.Contains(h.upload(segment).Error, test.says) && h.jobs("transfer", "scheduled") == 1
			})
			if begun := h.begun(); len(begun) > 0 {
				t.Errorf("uploaded %v", begun)
			}
			test.mends(h)
			s.PublishingChanged()
			if upload := h.untilUpload(segment, "uploaded"); upload.Attempts != 0 || upload.Error != "" {
				t.Errorf("upload = %+v", upload)
			}
		})
	}
}

func TestLineThatIsDownSaysNothingAboutTheFile(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	leases := 0 // by one job at a time
	h.lines.lease = func(string) error {
		if leases++; leases < 3 {
			return fmt.Errorf("the plugin starts again")
		}
		return nil
	}
	s := h.service()
	segment := h.closed(s, h.recording("recording"), 1)
	h.start(s)
	if upload := h.untilUpload(segment, "uploaded"); upload.Attempts != 0 {
		t.Errorf("%d failures were counted", upload.Attempts)
	}
}

func TestLineThatForgetsTheNameIsNoSuccess(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.lines.upload = func(_ context.Context, file line.File, _ func(line.Progress) error) (line.Result, error) {
		h.began(file)
		return line.Result{}, nil
	}
	h.pace.Retry, h.pace.RetryMax = longTime, longTime
	s := h.service()
	segment := h.closed(s, h.recording("recording"), 1)
	h.start(s)
	h.until("failed", func() bool { return strings.Contains(h.upload(segment).Error, "under which name") })
}

func TestLostJobsAreFound(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.pace.Sweep = 20 * time.Millisecond
	s := h.service()
	h.start(s)
	h.until("up", func() bool { return h.jobs("transfer") == 0 })
	var segment int64
	// The library handed the job out, and the answer never came.
	err := h.db.InTx(t.Context(), func(tx pgx.Tx, _ *db.Queries) (err error) {
		if segment, err = h.segment(t.Context(), tx, h.recording("recording"), 1); err != nil {
			return err
		}
		if err := s.Pipeline.SegmentClosed(t.Context(), tx, segment); err != nil {
			return err
		}
		_, err = tx.Exec(t.Context(), `UPDATE river_job SET state = 'running', attempt = 1, attempted_at = now(), attempted_by = ARRAY[$1]`, h.host.String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	h.untilUpload(segment, "uploaded")
}

func TestJobsOfADeadHostWithTheSameIDAreReleased(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.service()
	mine, foreign := h.closed(s, h.recording("ended"), 1), h.closed(s, h.recording("ended"), 1)
	for segment, host := range map[int64]string{mine: h.host.String(), foreign: "another host"} {
		h.exec(`UPDATE river_job SET state = 'running', attempt = 1, attempted_at = now(), attempted_by = ARRAY['earlier', $1]
			WHERE (args ->> 'segment_id')::bigint = $2`, []any{host, segment})
	}
	h.start(s)
	h.untilUpload(mine, "uploaded")
	h.until("job done", func() bool { return h.jobs("transfer", "completed") == 1 })
	if state := h.upload(foreign).State; state != "pending" || h.jobs("transfer", "running") != 1 {
		t.Errorf("the job of a host that may live was taken: %s", state)
	}
}

func TestDatabaseAwayAtTheEndOfATransfer(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.exec(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'away'; END $$`, nil)
	h.exec(`CREATE TRIGGER away BEFORE UPDATE ON uploads FOR EACH ROW WHEN (NEW.state = 'uploaded') EXECUTE FUNCTION refuse()`, nil)
	s := h.service()
	segment := h.closed(s, h.recording("recording"), 1)
	h.start(s)
	h.until("refused", func() bool { return strings.Contains(h.logged(), "state cannot be saved") })
	h.exec("DROP TRIGGER away ON uploads", nil)
	h.untilUpload(segment, "uploaded")
	if n := len(h.begun()); n != 1 {
		t.Errorf("the file was sent %d times", n)
	}
}

func TestRemovedRecordingEndsItsJobs(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	sending, release := make(chan struct{}), make(chan struct{})
	h.lines.upload = func(ctx context.Context, file line.File, report func(line.Progress) error) (line.Result, error) {
		close(sending)
		<-release
		return h.store(ctx, file, report)
	}
	s := h.service()
	recording := h.recording("recording")
	h.closed(s, recording, 1)
	h.start(s)
	<-sending
	h.exec("DELETE FROM recordings", nil)
	close(release)
	h.until("job done", func() bool { return h.jobs("transfer", "completed") == 1 })
}
