package upload

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/bilibili"
	"github.com/lubod/lubod/host/internal/jobs"
	"github.com/lubod/lubod/host/internal/pipeline"
	simulator "github.com/lubod/lubod/sdk/simulator/bilibili"
)

// follow looks after an archive once in this goroutine, as its job would.
func (h *harness) follow(s *Service, recording int64) (wait time.Duration, again bool) {
	h.t.Helper()
	submission, _ := h.submission(recording)
	return s.followJob(h.t.Context(), jobs.Follow{SubmissionID: submission.ID, Round: submission.FollowRound}).Next()
}

// later lets time pass for what is known of archives.
func (h *harness) later(d time.Duration) {
	h.t.Helper()
	h.exec("UPDATE submissions SET accepted_at = accepted_at - $1::interval, archive_at = archive_at - $1::interval", []any{d})
}

// archiveEvents are what subscribers hear of archives.
func (h *harness) archiveEvents() (told []string) {
	h.t.Helper()
	rows, err := h.db.Pool.Query(h.t.Context(), "SELECT data->>'archive' || ' ' || (data->>'archive_text') FROM events WHERE kind = 'submission.archive' ORDER BY id")
	if err != nil {
		h.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			h.t.Fatal(err)
		}
		told = append(told, text)
	}
	return told
}

// accepted makes an archive in the simulator and returns a service that does nothing by itself, in the pace of real life.
func (h *harness) accepted(sim *simulator.Server, parts int) (*Service, int64) {
	h.t.Helper()
	h.pace = pipeline.DefaultPace()
	s := h.service()
	recording, _ := h.stored(sim, parts)
	h.end(s, recording)
	h.submit(h.t.Context(), s, recording)
	if submission, _ := h.submission(recording); submission.State != "accepted" {
		h.t.Fatalf("submission %+v; %s", submission, h.logged())
	}
	return s, recording
}

// views counts how often the simulator was asked for an archive.
func views(sim *simulator.Server) (n int) {
	for _, request := range sim.Requests() {
		if request.Call == simulator.CallView {
			n++
		}
	}
	return n
}

// The pauses are those that users were promised: after 1, 2, 5 and 10 minutes, then every 30.
func TestAnArchiveIsAskedForInGrowingPauses(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	sim := h.real(simulator.Options{Review: 1000 * time.Hour})
	s, recording := h.accepted(sim, 1)
	var minutes []int
	wait, again := h.follow(s, recording)
	for range 8 {
		if !again {
			t.Fatalf("after %v minutes it is not asked any more", minutes)
		}
		minutes = append(minutes, int(wait.Round(time.Second).Minutes()))
		before := views(sim)
		h.later(wait - 10*time.Second)
		if early, again := h.follow(s, recording); !again || early <= 0 || early > 10*time.Second || views(sim) != before {
			t.Errorf("a job that runs 10 s early: again %v in %v, asked %d times", again, early, views(sim)-before)
		}
		h.later(10 * time.Second)
		if wait, again = h.follow(s, recording); views(sim) != before+1 {
			t.Errorf("after %d minutes it is not asked", minutes[len(minutes)-1])
		}
	}
	if got := fmt.Sprint(minutes); got != "[1 2 5 10 30 30 30 30]" {
		t.Errorf("pauses in minutes: %s", got)
	}
	if submission, _ := h.submission(recording); submission.Archive != "review" || submission.Follows != 8 {
		t.Errorf("submission %+v", submission)
	}
}

func TestWhatBecameOfAnArchiveIsKeptAndTold(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fate  *simulator.Fate
		want  string
		again bool
		words string
	}{
		"public":    {nil, "public", false, ""},
		"scheduled": {&simulator.Fate{State: simulator.StateScheduled}, "scheduled", true, ""},
		"transcode": {&simulator.Fate{State: simulator.StateTranscodeFailed}, "rejected", true, "转码失败"},
		"returned":  {&simulator.Fate{State: simulator.StateReturned, Reason: "画面不清晰"}, "rejected", true, "画面不清晰"},
		"locked":    {&simulator.Fate{State: simulator.StateLocked, Reason: "违规"}, "rejected", true, "违规"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			sim := h.real(simulator.Options{Transcode: -1, Review: -1})
			if test.fate != nil {
				if err := sim.AddFate(*test.fate); err != nil {
					t.Fatal(err)
				}
			}
			s, recording := h.accepted(sim, 1)
			h.later(time.Minute)
			wait, again := h.follow(s, recording)
			submission, _ := h.submission(recording)
			if submission.Archive != test.want || !strings.Contains(submission.ArchiveText, test.words) || again != test.again {
				t.Errorf("again %v in %v, submission %+v", again, wait, submission)
			}
			if test.fate != nil && int(submission.ArchiveCode) != test.fate.State {
				t.Errorf("state %d, want %d", submission.ArchiveCode, test.fate.State)
			}
			if told := h.archiveEvents(); len(told) != 2 || !strings.HasPrefix(told[1], test.want+" ") || !strings.Contains(told[1], test.words) {
				t.Errorf("told: %q", told) // the first one says that it is in review
			}
			for line := range strings.Lines(h.logged()) {
				if strings.Contains(line, "bilibili=") && !strings.Contains(line, fmt.Sprintf("streamer=%d", h.streamer)) {
					t.Errorf("whoever watches the room's log does not see %s", line)
				}
			}
		})
	}
}

func TestARejectedArchiveThatBecomesPublicIsNoticed(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	sim := h.real(simulator.Options{Transcode: -1, Review: -1})
	if err := sim.AddFate(simulator.Fate{State: simulator.StateReturned, Reason: "no"}); err != nil {
		t.Fatal(err)
	}
	s, recording := h.accepted(sim, 1)
	h.later(time.Minute)
	h.follow(s, recording)
	if err := sim.SetArchiveState(sim.Archives()[0].AID, simulator.StatePublic, ""); err != nil {
		t.Fatal(err)
	}
	h.later(30 * time.Minute)
	if _, again := h.follow(s, recording); again {
		t.Error("it is public, and asked for again")
	}
	if submission, _ := h.submission(recording); submission.Archive != "public" {
		t.Errorf("submission %+v", submission)
	}
}

func TestAfterAMonthAnArchiveIsLeftToAPerson(t *testing.T) {
	t.Parallel()
	for name, dead := range map[string]bool{"in review": false, "account dead": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			sim := h.real(simulator.Options{Review: 1000 * time.Hour})
			s, recording := h.accepted(sim, 1)
			h.later(29*24*time.Hour + 23*time.Hour)
			if _, again := h.follow(s, recording); !again {
				t.Error("it is not followed for 30 days")
			}
			if dead {
				h.cookies("a.json", "void")
				s.Accounts = &doubtfulAccounts{fakeAccounts: fakeAccounts{dir: h.dir}}
			}
			h.later(2 * time.Hour)
			if _, again := h.follow(s, recording); again {
				t.Error("it is asked for again")
			}
			if submission, _ := h.submission(recording); submission.Archive != "unknown" {
				t.Errorf("submission %+v", submission)
			}
			if told := h.archiveEvents(); len(told) < 2 || !strings.HasPrefix(told[len(told)-1], "unknown ") {
				t.Errorf("told: %q", told)
			}
		})
	}
}

func TestAnEditBeginsTheReviewAnew(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	sim := h.real(simulator.Options{Transcode: -1, Review: -1})
	s, recording := h.accepted(sim, 1)
	h.later(time.Minute)
	h.follow(s, recording)
	before, _ := h.submission(recording)
	if before.Archive != "public" {
		t.Fatalf("submission %+v", before)
	}
	h.storedSegments(sim, recording, 2, 2) // one that was found late
	h.advance(s, recording)
	h.submit(t.Context(), s, recording)
	after, _ := h.submission(recording)
	if after.Archive != "review" || after.Follows != 0 || after.FollowRound != before.FollowRound+1 {
		t.Errorf("submission %+v", after)
	}
	if _, again := s.followJob(t.Context(), jobs.Follow{SubmissionID: after.ID, Round: before.FollowRound}).Next(); again {
		t.Error("the job of before the edit goes on")
	}
	h.later(time.Minute)
	if _, again := h.follow(s, recording); again {
		t.Error("it is public, and asked for again")
	}
	if submission, _ := h.submission(recording); submission.Archive != "public" {
		t.Errorf("submission %+v", submission)
	}
}

// What Bilibili said of an archive before it was edited is not said of what it is now: nothing may be removed for it.
func TestAnAnswerFromBeforeAnEditCountsNoMore(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	sim := h.real(simulator.Options{Transcode: -1, Review: -1})
	s, recording := h.accepted(sim, 1)
	real := s.Archives
	s.Archives = &fakeArchives{view: func(bilibili.Accepted) (bilibili.View, error) {
		h.storedSegments(sim, recording, 2, 2)
		h.advance(s, recording)
		asking := s.Archives
		s.Archives = real
		h.submit(t.Context(), s, recording) // the edit is accepted while the answer is on its way
		s.Archives = asking
		return bilibili.View{State: bilibili.StatePublic}, nil
	}}
	h.later(time.Minute)
	if _, again := h.follow(s, recording); again {
		t.Error("the job of before the edit goes on")
	}
	if submission, _ := h.submission(recording); submission.Archive != "review" || len(submission.Parts) != 2 {
		t.Errorf("submission %+v", submission)
	}
}

// An account that is dead for days is asked for along the same pauses, and what was known stays.
func TestAnArchiveThatCannotBeAskedForIsAskedAlongTheSamePauses(t *testing.T) {
	t.Parallel()
	for name, cause := range map[string]error{
		"login":       fmt.Errorf("%w: log in again", bilibili.ErrNoAccount),
		"unreachable": bilibili.ErrNotSent, "lost": bilibili.ErrAnswerLost, "refused": &bilibili.RefusedError{Code: -404}, "other": errors.New("other"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			sim := h.real(simulator.Options{})
			s, recording := h.accepted(sim, 1)
			s.Archives = &fakeArchives{view: func(bilibili.Accepted) (bilibili.View, error) { return bilibili.View{}, cause }}
			known, _ := h.submission(recording)
			least := []time.Duration{2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute, 30 * time.Minute}
			for i, want := range least {
				h.later(time.Hour)
				if wait, again := h.follow(s, recording); !again || wait < want || wait > 24*time.Hour {
					t.Errorf("failure %d: again %v in %v, want %v at least", i+1, again, wait, want)
				}
			}
			submission, _ := h.submission(recording)
			if submission.Archive != known.Archive || submission.ArchiveText != known.ArchiveText || submission.ArchiveAt == nil || time.Since(*submission.ArchiveAt) < 4*time.Hour {
				t.Errorf("what is known changed: %+v", submission)
			}
		})
	}
}

// advance tells the pipeline that something about a recording changed.
func (h *harness) advance(s *Service, recording int64) {
	h.t.Helper()
	if err := h.db.InTx(h.t.Context(), func(tx pgx.Tx, _ *db.Queries) error { return s.Pipeline.Advance(h.t.Context(), tx, recording) }); err != nil {
		h.t.Fatal(err)
	}
}
