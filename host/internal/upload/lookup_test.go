package upload

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lubod/lubod/host/internal/bilibili"
	"github.com/lubod/lubod/host/internal/pipeline"
	simulator "github.com/lubod/lubod/sdk/simulator/bilibili"
)

// passed lets time pass for a submission.
func (h *harness) passed(d time.Duration) {
	h.t.Helper()
	h.exec("UPDATE submissions SET updated_at = updated_at - $1::interval, submitted_at = submitted_at - $1::interval", []any{d})
}

// looks counts how often the list of archives was read.
func looks(sim *simulator.Server) (n int) {
	for _, request := range sim.Requests() {
		if request.Call == simulator.CallList {
			n++
		}
	}
	return n
}

// waiting makes a recording that is about to be submitted, and a service in the pace of real life that does nothing by itself.
func (h *harness) waiting(sim *simulator.Server, parts int) (*Service, int64) {
	h.t.Helper()
	h.pace = pipeline.DefaultPace()
	s := h.service()
	recording, _ := h.stored(sim, parts)
	h.end(s, recording)
	return s, recording
}

// A list that lags hides the archive of a lost answer for up to half an hour: it is looked for in growing pauses, and nothing is
// sent before that is over.
func TestAListThatLagsLeadsToNoSecondArchive(t *testing.T) {
	t.Parallel()
	for _, lag := range []time.Duration{42 * time.Second, 5 * time.Minute, 29 * time.Minute} {
		t.Run(lag.String(), func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			sim := h.real(simulator.Options{ListLag: lag})
			sim.AddFault(simulator.SubmitAnswerLost())
			s, recording := h.waiting(sim, 2)
			wait, again := h.submit(t.Context(), s, recording)
			var passed, last time.Duration
			for again {
				if submission, _ := h.submission(recording); submission.State != "unknown" {
					t.Fatalf("after %v it is %s: %s", passed, submission.State, submission.Error)
				}
				if wait < last && passed+wait < 29*time.Minute || wait > 5*time.Minute {
					t.Errorf("after %v it looks again in %v, the pause before was %v", passed, wait, last)
				}
				passed, last = passed+wait, wait
				h.passed(wait)
				sim.AdvanceArchives(wait)
				wait, again = h.submit(t.Context(), s, recording)
			}
			submission, _ := h.submission(recording)
			if submission.State != "accepted" || len(sim.Archives()) != 1 || len(sim.Submits()) != 1 {
				t.Errorf("after %v: %d archives, %d submits, submission %+v", passed, len(sim.Archives()), len(sim.Submits()), submission)
			}
			if n := looks(sim); passed < lag || passed > lag+5*time.Minute || n > 12 {
				t.Errorf("found after %v and %d looks, it was there after %v", passed, n, lag)
			}
			sim.RequireNoViolations(t)
		})
	}
}

// A submit that never arrived is repeated, and not before half an hour of looking.
func TestNothingIsSentAgainBeforeHalfAnHourOfLooking(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	sim := h.real(simulator.Options{})
	sim.AddFault(simulator.Reset(simulator.CallSubmit))
	s, recording := h.waiting(sim, 1)
	wait, again := h.submit(t.Context(), s, recording)
	var passed time.Duration
	for again && len(sim.Archives()) == 0 {
		submission, _ := h.submission(recording)
		if submission.State == "waiting" && passed < 30*time.Minute {
			t.Fatalf("after %v it is about to be sent again", passed)
		}
		if passed > time.Hour {
			t.Fatalf("after %v it is %s: %s", passed, submission.State, submission.Error)
		}
		passed += wait
		h.passed(wait)
		wait, again = h.submit(t.Context(), s, recording)
	}
	submission, _ := h.submission(recording)
	if len(sim.Archives()) != 1 || submission.State != "accepted" || submission.Attempts != 2 || passed < 30*time.Minute {
		t.Errorf("after %v: submission %+v", passed, submission)
	}
	if n := looks(sim); n < 8 || n > 14 {
		t.Errorf("the list was read %d times", n)
	}
}

// A single look proves nothing, however late it comes: the host may have been away for hours.
func TestOneLookIsNotEnoughHoweverLateItComes(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	sim := h.real(simulator.Options{ListLag: 5 * time.Hour})
	sim.AddFault(simulator.SubmitAnswerLost())
	s, recording := h.waiting(sim, 1)
	h.submit(t.Context(), s, recording)
	h.passed(4 * time.Hour)
	h.submit(t.Context(), s, recording)
	submission, _ := h.submission(recording)
	if submission.State != "unknown" || submission.Lookups != 1 || looks(sim) != 1 || len(sim.Submits()) != 1 {
		t.Errorf("submission %+v after %d looks", submission, looks(sim))
	}
}

// Bilibili says that a part is in another archive. None is made, ever; a person looks after half an hour.
func TestAPartThatIsInAnotherArchiveProvesIt(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	sim := h.real(simulator.Options{ListLag: 1000 * time.Hour})
	sim.AddFault(simulator.SubmitAnswerLost())
	s, recording := h.waiting(sim, 2)
	h.submit(t.Context(), s, recording)
	h.exec("UPDATE submissions SET state = 'waiting', submitted_at = NULL", nil) // as if nothing were known of it
	wait, again := h.submit(t.Context(), s, recording)
	if submission, _ := h.submission(recording); submission.State != "unknown" || !submission.Proven || !strings.Contains(submission.Error, "10009") {
		t.Fatalf("submission %+v", submission)
	}
	settle := func() (passed time.Duration) {
		t.Helper()
		for again {
			if passed > time.Hour {
				t.Fatalf("nobody is told for %v", passed)
			}
			passed += wait
			h.passed(wait)
			wait, again = h.submit(t.Context(), s, recording)
		}
		return passed
	}
	passed := settle()
	submission, _ := h.submission(recording)
	if submission.State != "failed" || passed < 30*time.Minute || reasonCode(submission.Reason) != "submission.proven" || len(sim.Submits()) != 2 {
		t.Errorf("after %v and %d submits: %+v", passed, len(sim.Submits()), submission)
	}

	// A person who retries has it looked for again, and nothing more.
	if _, err := s.RetryRecording(t.Context(), recording); err != nil {
		t.Fatal(err)
	}
	again, wait = true, 15*time.Second
	settle()
	if submission, _ := h.submission(recording); submission.State != "failed" || len(sim.Submits()) != 2 {
		t.Errorf("after %d submits: %+v", len(sim.Submits()), submission)
	}
	// It appears after all: nothing is lost.
	sim.AdvanceArchives(1001 * time.Hour)
	if _, err := s.RetryRecording(t.Context(), recording); err != nil {
		t.Fatal(err)
	}
	again, wait = true, 15*time.Second
	settle()
	if submission, _ := h.submission(recording); submission.State != "accepted" || len(sim.Archives()) != 1 {
		t.Errorf("submission %+v", submission)
	}
}

// A person who looked, and gives up the part that is in another archive, has the rest published.
func TestWhatIsInAnotherArchiveCanBeGivenUp(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	sim := h.real(simulator.Options{})
	var sent [][]string
	h.archives = &fakeArchives{
		submit: func(_ context.Context, _ *bilibili.Account, archive bilibili.Archive) (bilibili.Accepted, error) {
			if sent = append(sent, filenames(archive.Videos)); len(archive.Videos) > 1 {
				return bilibili.Accepted{}, &bilibili.RefusedError{Code: 10009, Message: "used elsewhere"}
			}
			return bilibili.Accepted{AID: 1, BVID: "BV1"}, nil
		},
		find: func(context.Context, *bilibili.Account, []string) (bilibili.Accepted, error) {
			return bilibili.Accepted{}, bilibili.ErrNoArchive
		},
	}
	s, recording := h.waiting(sim, 2)
	wait, again := h.submit(t.Context(), s, recording)
	settle := func() {
		for again {
			h.passed(wait)
			wait, again = h.submit(t.Context(), s, recording)
		}
	}
	settle()
	rows, err := h.db.RecordingSegments(t.Context(), recording)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.WaiveSegment(t.Context(), rows[0].ID); err != nil {
		t.Fatal(err)
	}
	again, wait = true, 15*time.Second
	settle()
	if submission, _ := h.submission(recording); submission.State != "accepted" || len(sent) != 2 || !slices.Equal(sent[1], []string{rows[1].RemoteName}) {
		t.Errorf("sent %v, submission %+v", sent, submission)
	}
}

// p06: each of these answers was seen to pass. It is waited for, with the code and what to make of it, and tried again.
func TestRefusalsThatPassAreNotFinal(t *testing.T) {
	t.Parallel()
	for _, code := range []int{-352, -509, -799, -412, -403, -405, 20042, 21111, 21171, 987654} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			sim := h.real(simulator.Options{})
			sim.AddFault(simulator.Code(code))
			s, recording := h.waiting(sim, 1)
			wait, again := h.submit(t.Context(), s, recording)
			submission, _ := h.submission(recording)
			if submission.State != "waiting" || !again || wait < time.Minute || wait > time.Hour || submission.Attempts != 1 {
				t.Errorf("again %v in %v, submission %+v", again, wait, submission)
			}
			advised := strings.Contains(submission.Error, "tried again") || strings.Contains(submission.Error, "seen to pass")
			if !strings.Contains(submission.Error, fmt.Sprint(code)) || !advised || reasonCode(submission.Reason) != "submission.refused" {
				t.Errorf("error %q, reason %s", submission.Error, submission.Reason)
			}
			h.passed(wait)
			h.submit(t.Context(), s, recording)
			if submission, _ := h.submission(recording); submission.State != "accepted" || submission.Error != "" || submission.Reason != nil || len(sim.Archives()) != 1 {
				t.Errorf("submission %+v", submission)
			}
			if n := looks(sim); n != 0 {
				t.Errorf("an answer that says that there is no archive is looked up %d times", n)
			}
			sim.RequireNoViolations(t)
		})
	}
}

// p07: a gateway says that it failed, and the archive was made.
func TestAGatewaysErrorIsLookedUpFirst(t *testing.T) {
	t.Parallel()
	for _, code := range []int{-500, -502, -503, -504, 20001, 21012, 10009} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			sim := h.real(simulator.Options{})
			sim.AddFault(simulator.CodeButMade(code))
			s, recording := h.waiting(sim, 1)
			wait, again := h.submit(t.Context(), s, recording)
			if submission, _ := h.submission(recording); submission.State != "unknown" || !again || wait > 15*time.Second {
				t.Fatalf("again %v in %v, submission %+v", again, wait, submission)
			}
			h.passed(wait)
			h.submit(t.Context(), s, recording)
			submission, _ := h.submission(recording)
			if submission.State != "accepted" || len(sim.Archives()) != 1 || len(sim.Submits()) != 1 || submission.BVID != sim.Archives()[0].BVID {
				t.Errorf("%d archives, submission %+v", len(sim.Archives()), submission)
			}
		})
	}
}

// p05: a recording that failed for its number of parts goes on when some are given up, also one that an older version left.
func TestAFailedSubmissionGoesOnWhenASegmentIsWaived(t *testing.T) {
	t.Parallel()
	for name, left := range map[string]string{
		"never sent":       "state = 'failed', error = 'the recording has 105 parts, Bilibili takes 100', submitted_at = NULL",
		"refused":          "state = 'failed', error = 'refused', refusal = 21058, submitted_at = now() - interval '1 day', updated_at = now(), account_file = 'a.json', parts = '{gone}'",
		"by this version":  "state = 'failed', error = 'refused', refusal = -400, submitted_at = now() - interval '1 minute', updated_at = now(), account_file = 'a.json', parts = '{gone}'",
		"lost for a month": "state = 'failed', error = 'lost', submitted_at = now() - interval '30 days', updated_at = now(), account_file = 'a.json', parts = '{gone}'",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			sim := h.real(simulator.Options{})
			h.pace.LookFor = 30 * time.Minute
			s := h.service()
			recording, names := h.stored(sim, 5)
			h.end(s, recording)
			h.exec("DELETE FROM river_job", nil)
			h.exec("UPDATE submissions SET "+left, nil)
			rows, err := h.db.RecordingSegments(t.Context(), recording)
			if err != nil {
				t.Fatal(err)
			}
			h.start(s)
			if err := s.WaiveSegment(t.Context(), rows[4].ID); err != nil {
				t.Fatal(err)
			}
			h.untilSubmission(recording, "accepted")
			if got := partsOf(sim); len(got) != 1 || !slices.Equal(got[0], names[:4]) {
				t.Errorf("parts %v of %v", got, names)
			}
		})
	}
}
