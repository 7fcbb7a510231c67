package upload

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/bilibili"
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/line"
)

// refused wants a person to be told why something cannot be done.
func refused(t *testing.T, err error, words ...string) {
	t.Helper()
	var conflict *ConflictError
	if !errors.As(err, &conflict) {
		t.Errorf("error %v, want a conflict", err)
		return
	}
	for _, word := range words {
		if !strings.Contains(conflict.Error(), word) {
			t.Errorf("%q does not say %q", conflict, word)
		}
	}
}

// The job that fails is still being ended when the retry comes: the retry gets a job of its own all the same.
func TestFailedUploadIsRetriedAtOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	failures := 0
	h.lines.upload = func(ctx context.Context, file line.File, report func(line.Progress) error) (line.Result, error) {
		if failures++; failures <= 8 {
			return line.Result{}, sdk.Errorf(sdk.Corrupt, "failure %d", failures)
		}
		return h.store(ctx, file, report)
	}
	s := h.service()
	h.start(s)
	recording := h.recording("recording")
	segment := h.closed(s, recording, 1)
	h.end(s, recording)
	for n := range 8 {
		h.until("the failure", func() bool {
			upload := h.upload(segment)
			return upload.State == "failed" && upload.Error == fmt.Sprintf("failure %d", n+1)
		})
		if err := s.RetrySegment(t.Context(), segment); err != nil {
			t.Fatal(err)
		}
	}
	h.untilSubmission(recording, "accepted")
	refused(t, s.RetrySegment(t.Context(), segment), "uploaded")
	if err := s.RetrySegment(t.Context(), 999); !errors.Is(err, pgx.ErrNoRows) {
		t.Errorf("retry of nothing: %v", err)
	}
	if _, err := s.RetryRecording(t.Context(), 999); !errors.Is(err, pgx.ErrNoRows) {
		t.Errorf("retry of nothing: %v", err)
	}
}

func TestUploadThatWaitsIsTriedAtOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.pace.Throttled = longTime
	throttled := true
	h.lines.upload = func(ctx context.Context, file line.File, report func(line.Progress) error) (line.Result, error) {
		if throttled {
			throttled = false
			return line.Result{}, sdk.Errorf(sdk.RateLimited, "too fast")
		}
		return h.store(ctx, file, report)
	}
	s := h.service()
	h.start(s)
	segment := h.closed(s, h.recording("recording"), 1)
	h.until("the pause", func() bool { return h.jobs("transfer", "scheduled") == 1 })
	if err := s.RetrySegment(t.Context(), segment); err != nil {
		t.Fatal(err)
	}
	h.untilUpload(segment, "uploaded")
}

func TestFailedSubmissionIsLookedUpBeforeItIsMadeAgain(t *testing.T) {
	t.Parallel()
	for name, exists := range map[string]bool{"refused": false, "made by the person meanwhile": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			submits, looks := 0, 0
			h.archives = &fakeArchives{
				submit: func(context.Context, *bilibili.Account, bilibili.Archive) (bilibili.Accepted, error) {
					if submits++; submits == 1 {
						return bilibili.Accepted{}, &bilibili.RefusedError{Code: 21103, Message: "title too long"}
					}
					return bilibili.Accepted{AID: 1, BVID: "BV1"}, nil
				},
				find: func(_ context.Context, _ *bilibili.Account, parts []string) (bilibili.Accepted, error) {
					looks++
					if exists {
						return bilibili.Accepted{AID: 2, BVID: "BV2"}, nil
					}
					return bilibili.Accepted{}, bilibili.ErrNoArchive
				},
			}
			recording, _ := h.published(1, "failed")
			s := h.service()
			retried, err := s.RetryRecording(t.Context(), recording)
			if err != nil || retried != (Retried{Submission: true}) {
				t.Fatalf("retried %+v, %v", retried, err)
			}
			submission := h.untilSubmission(recording, "accepted")
			if want := map[bool]string{false: "BV1", true: "BV2"}[exists]; submission.BVID != want || looks == 0 {
				t.Errorf("accepted as %s after %d looks, want %s", submission.BVID, looks, want)
			}
			if again, err := s.RetryRecording(t.Context(), recording); err != nil || again != (Retried{}) {
				t.Errorf("retried %+v, %v", again, err)
			}
		})
	}
}

// Whoever mends the template that Bilibili refused has done all there is to do.
func TestRefusedSubmissionIsMadeAgainWhenItsTemplateChanges(t *testing.T) {
	t.Parallel()
	for name, restarted := range map[string]bool{"at once": false, "after a restart": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			looked, told := make(chan string, 1), false
			var recording int64
			h.archives = &fakeArchives{
				submit: func(_ context.Context, _ *bilibili.Account, archive bilibili.Archive) (bilibili.Accepted, error) {
					if archive.Tag != "mended" {
						return bilibili.Accepted{}, &bilibili.RefusedError{Code: 21005, Message: "tags"}
					}
					return bilibili.Accepted{AID: 1, BVID: "BV1"}, nil
				},
				find: func(context.Context, *bilibili.Account, []string) (bilibili.Accepted, error) {
					if submission, _ := h.submission(recording); submission.Error != "" && !told {
						looked <- submission.Error
						told = true
					}
					return bilibili.Accepted{}, bilibili.ErrNoArchive
				},
			}
			s := h.service()
			recording = h.recording("recording")
			h.closed(s, recording, 1)
			h.end(s, recording)
			stop := h.start(s)
			h.untilSubmission(recording, "failed")
			s.PublishingChanged() // by another template
			h.exec("UPDATE templates SET tag = 'mended', updated_at = now() WHERE template_name = 't'", nil)
			if restarted {
				stop()
				h.start(h.service())
			} else {
				s.PublishingChanged()
			}
			if submission := h.untilSubmission(recording, "accepted"); submission.Refusal != 0 || submission.Error != "" {
				t.Errorf("submission = %+v", submission)
			}
			if text := <-looked; !strings.Contains(text, "refused the last submit with code 21005") || strings.Contains(text, "lost") {
				t.Errorf("meanwhile it says %q", text)
			}
		})
	}
}

func TestWaivedSegmentIsLeftOut(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.lines.upload = func(ctx context.Context, file line.File, report func(line.Progress) error) (line.Result, error) {
		if strings.HasSuffix(file.Path, "_002.flv") {
			return line.Result{}, sdk.Errorf(sdk.Corrupt, "no video")
		}
		return h.store(ctx, file, report)
	}
	s := h.service()
	h.start(s)
	recording := h.recording("recording")
	segments := []int64{h.closed(s, recording, 1), h.closed(s, recording, 2), h.closed(s, recording, 3)}
	h.end(s, recording)
	h.untilUpload(segments[0], "uploaded")
	h.untilUpload(segments[1], "failed")
	h.untilUpload(segments[2], "uploaded")
	if _, exists := h.submission(recording); exists {
		t.Fatal("a submission with a hole was ordered")
	}
	for range 2 {
		if err := s.WaiveSegment(t.Context(), segments[1]); err != nil {
			t.Fatal(err)
		}
	}
	submission := h.untilSubmission(recording, "accepted")
	if len(submission.Parts) != 2 {
		t.Errorf("submitted %v", submission.Parts)
	}
	refused(t, s.WaiveSegment(t.Context(), segments[0]), "published", "BV1")
	refused(t, s.RetrySegment(t.Context(), segments[1]), "published", "BV1")
	if unfinished, err := h.db.UploadsWithoutJob(t.Context(), []string{"pending", "uploading", "failed"}, "wanted", db.Page{Most: 10}); err != nil || len(unfinished) > 0 {
		t.Errorf("unfinished: %v, %v", unfinished, err)
	}
}

func TestRecordingWithEverySegmentWaivedIsNotSubmitted(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.pace.Operator = longTime
	h.exec("DELETE FROM templates", nil)
	h.archives = &fakeArchives{}
	s := h.service()
	recording := h.recording("recording")
	segment := h.closed(s, recording, 1)
	h.exec("UPDATE uploads SET state = 'uploaded', account_file = 'a.json', remote_name = 'n'", nil)
	h.end(s, recording)
	h.start(s)
	h.until("the wait", func() bool { submission, _ := h.submission(recording); return submission.Error != "" })
	if err := s.WaiveSegment(t.Context(), segment); err != nil {
		t.Fatal(err)
	}
	if submission, exists := h.submission(recording); exists {
		t.Errorf("submission %+v", submission)
	}
	// Taken back, there is something to submit again.
	h.archives.(*fakeArchives).submit = func(context.Context, *bilibili.Account, bilibili.Archive) (bilibili.Accepted, error) {
		return bilibili.Accepted{AID: 1, BVID: "BV1"}, nil
	}
	h.template("t")
	if err := s.RetrySegment(t.Context(), segment); err != nil {
		t.Fatal(err)
	}
	h.untilSubmission(recording, "accepted")
}

func TestSegmentCannotBeWaivedWhileItIsBeingSubmitted(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.service()
	recording := h.recording("recording")
	first, second := h.closed(s, recording, 1), h.closed(s, recording, 2)
	h.exec("UPDATE uploads SET state = 'uploaded', account_file = 'a.json', remote_name = 'n' || segment_id", nil)
	h.end(s, recording)
	made, _ := h.submission(recording)
	_, archive, err := s.compose(t.Context(), made)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.WaiveSegment(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if err := stillTheParts(t.Context(), h.db.Queries, made, filenames(archive.Videos)); !errors.Is(err, errPartsChanged) {
		t.Errorf("an archive with a waived part would be sent: %v", err)
	}
	for _, state := range []string{"submitting", "unknown"} {
		h.exec("UPDATE submissions SET state = $1, submitted_at = now(), parts = (SELECT array_agg(remote_name) FROM uploads WHERE segment_id = $2)", []any{state, second})
		refused(t, s.WaiveSegment(t.Context(), second), "being submitted")
		refused(t, s.RetrySegment(t.Context(), first), "being submitted")
	}
	h.exec("UPDATE submissions SET state = 'failed'", nil)
	if err := s.RetrySegment(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if err := stillTheParts(t.Context(), h.db.Queries, made, filenames(archive.Videos)); err != nil {
		t.Error(err)
	}
}

// A job may find its segment waived and end just as the segment is taken back: nobody works on it until a sweep sees it.
func TestTransferWithoutJobIsOrderedAgain(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.pace.Sweep = time.Millisecond
	s := h.service()
	segment := h.closed(s, h.recording("recording"), 1)
	waived := h.closed(s, h.recording("ended"), 1)
	if err := s.WaiveSegment(t.Context(), waived); err != nil {
		t.Fatal(err)
	}
	if lost, err := h.db.UploadsWithoutJob(t.Context(), []string{"pending", "uploading"}, "wanted", db.Page{Most: 100}); err != nil || len(lost) != 0 {
		t.Errorf("without a job: %v, %v", lost, err)
	}
	h.start(s)
	h.untilUpload(segment, "uploaded")
	h.exec("UPDATE uploads SET state = 'pending', remote_name = '' WHERE segment_id = $1", []any{segment})
	h.until("another transfer", func() bool { return h.upload(segment).RemoteName != "" })
	if state := h.upload(waived).State; state != "pending" {
		t.Errorf("the waived one is %s", state)
	}
}

// A person's retry or waiver is there with its jobs or not at all, whatever statement the process dies at, and made again
// it leads to one archive.
func TestKillWhileAPersonRetriesOrWaivesMakesOneArchive(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.pace.Linger = time.Millisecond
	world := &memory{archives: make(map[string]int)}
	h.archives = h.archivesOf(world)
	healthy := h.service()
	var recordings []int64
	for name, act := range map[string]func(ctx context.Context, s *Service, recording, segment int64) error{
		"retry segment": func(ctx context.Context, s *Service, _, segment int64) error { return s.RetrySegment(ctx, segment) },
		"retry recording": func(ctx context.Context, s *Service, recording, _ int64) error {
			_, err := s.RetryRecording(ctx, recording)
			return err
		},
		"waive": func(ctx context.Context, s *Service, _, segment int64) error { return s.WaiveSegment(ctx, segment) },
	} {
		deaths := 0
		for ; ; deaths++ {
			recording := h.recording("recording")
			recordings = append(recordings, recording)
			good, bad := h.closed(healthy, recording, 1), h.closed(healthy, recording, 2)
			h.end(healthy, recording)
			h.exec("UPDATE uploads SET state = 'uploaded', account_file = 'a.json', remote_name = $2 WHERE segment_id = $1",
				[]any{good, fmt.Sprintf("nr%d_001", recording)})
			h.exec("UPDATE uploads SET state = 'failed', error = 'broken' WHERE segment_id = $1", []any{bad})
			h.exec("UPDATE river_job SET state = 'completed', finalized_at = now() WHERE state <> 'completed' AND args ->> 'segment_id' = ANY ($1)",
				[]any{[]string{fmt.Sprint(good), fmt.Sprint(bad)}})
			s, m := h.crashingService(h.archives, deaths)
			err := act(m.Context, s, recording, bad)
			if err := act(t.Context(), healthy, recording, bad); err != nil {
				t.Fatalf("%s, death %d, made again: %v", name, deaths, err)
			}
			if err == nil {
				break
			}
			if deaths > 60 {
				t.Fatal("a process that lives does not come to an end")
			}
		}
		if deaths < 6 {
			t.Errorf("%s: only %d statements were seen", name, deaths)
		}
	}
	h.start(h.service())
	for _, recording := range recordings {
		h.untilSubmission(recording, "accepted")
		if made := world.made(fmt.Sprintf("nr%d_001", recording)); made != 1 {
			t.Errorf("recording %d: %d archives, want 1", recording, made)
		}
	}
}

// A retry and the end of a transfer lock the same rows: they wait for each other, and neither fails.
func TestRetryBesideFinishingTransfers(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.service()
	recording := h.recording("recording")
	for i := range 8 {
		h.closed(s, recording, i+1)
	}
	h.end(s, recording)
	h.exec("UPDATE uploads SET state = 'failed' WHERE segment_id % 2 = 0", nil)
	done := make(chan error)
	rows, err := h.db.RecordingSegments(t.Context(), recording)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		go func() {
			if row.UploadState == "failed" {
				_, err := s.RetryRecording(t.Context(), recording)
				done <- err
				return
			}
			h.transfer(t.Context(), s, row.ID)
			done <- nil
		}()
	}
	for range rows {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if log := h.logged(); strings.Contains(log, "deadlock") {
		t.Error(log)
	}
	if n := h.jobs("transfer"); n == 0 {
		t.Error("no jobs")
	}
}

// The files of a manual upload that are there are taken by a retry of the whole, and one that is gone is named.
func TestRetryOfAManualUploadNamesTheFileThatIsGone(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.service()
	recording, _ := h.ordered(s, Order{Files: []File{h.file("a.flv", "a", newYear), {Path: filepath.Join(h.dir, "b.flv"), SizeBytes: 1, ModifiedAt: newYear}}})
	h.exec("UPDATE uploads SET state = 'failed'", nil)
	_, err := s.RetryRecording(t.Context(), recording)
	refused(t, err, "b.flv", "waive")
	h.file("b.flv", "", newYear)
	_, err = s.RetryRecording(t.Context(), recording)
	refused(t, err, "b.flv", "empty")
	h.file("b.flv", "bb", newYear)
	if retried, err := s.RetryRecording(t.Context(), recording); err != nil || retried.Uploads != 2 {
		t.Errorf("retried %+v, %v", retried, err)
	}
}
