package upload

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/bilibili"
	"github.com/lubod/lubod/host/internal/jobs"
	simulator "github.com/lubod/lubod/sdk/simulator/bilibili"
)

// A file that is found after its recording was submitted is part of it, whatever the submission is at.
func TestASegmentThatComesLateIsPublished(t *testing.T) {
	t.Parallel()
	type world struct {
		h         *harness
		sim       *simulator.Server
		s         *Service
		recording int64
	}
	late := func(w world) { w.h.closed(w.s, w.recording, 3) }
	archives := func(w world, around func(next Archives) Archives) { w.s.Archives = around(w.s.Archives) }
	for name, arise := range map[string]func(w world){
		"accepted": func(w world) {
			w.h.submit(w.h.t.Context(), w.s, w.recording)
			late(w)
		},
		"public": func(w world) {
			w.h.submit(w.h.t.Context(), w.s, w.recording)
			w.h.exec("UPDATE submissions SET archive = 'public'", nil)
			late(w)
		},
		"composing": func(w world) { late(w) },
		"submitting": func(w world) {
			archives(w, func(next Archives) Archives { return during{next, func() { late(w) }} })
			w.h.submit(w.h.t.Context(), w.s, w.recording)
		},
		"unknown": func(w world) {
			w.sim.AddFault(simulator.SubmitAnswerLost())
			w.h.submit(w.h.t.Context(), w.s, w.recording)
			late(w)
		},
		"never arrived": func(w world) {
			w.sim.AddFault(simulator.Reset(simulator.CallSubmit))
			w.h.submit(w.h.t.Context(), w.s, w.recording)
			late(w)
		},
		"failed": func(w world) {
			w.sim.AddFault(simulator.Code(21103))
			w.h.submit(w.h.t.Context(), w.s, w.recording)
			late(w)
			submission, _ := w.h.submission(w.recording)
			if submission.State != "failed" || !strings.Contains(submission.Error, "21103") {
				w.h.t.Errorf("it does not wait for a person visibly: %+v", submission)
			}
			if _, err := w.s.RetryRecording(w.h.t.Context(), w.recording); err != nil {
				w.h.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			sim := h.real(simulator.Options{})
			w := world{h: h, sim: sim, s: h.service()}
			var names []string
			w.recording, names = h.stored(sim, 2)
			h.end(w.s, w.recording)
			arise(w)
			h.start(h.service())
			h.untilPublished(w.recording, 1, 3)
			rows, err := h.db.RecordingSegments(t.Context(), w.recording)
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, rows[2].RemoteName)
			if got := partsOf(sim); len(got) != 1 || !slices.Equal(got[0], names) {
				t.Errorf("parts %v, want %v", got, names)
			}
			if submission, _ := h.submission(w.recording); submission.Archive != "review" {
				t.Errorf("an archive that was edited is not followed anew: %+v", submission)
			}
			sim.RequireNoViolations(t)
		})
	}
}

// during is Bilibili while something happens.
type during struct {
	Archives
	happens func()
}

func (d during) Submit(ctx context.Context, account *bilibili.Account, archive bilibili.Archive) (bilibili.Accepted, error) {
	d.happens()
	return d.Archives.Submit(ctx, account, archive)
}

// A segment that is not uploaded, or comes back, while its recording waits to be submitted holds it: an archive never has a hole.
func TestAnArchiveIsNeverSubmittedWithAHole(t *testing.T) {
	t.Parallel()
	for name, arise := range map[string]func(h *harness, s *Service, recording, segment int64){
		"pending": func(h *harness, _ *Service, _, segment int64) {
			h.exec("UPDATE uploads SET state = 'pending', remote_name = '' WHERE segment_id = $1", []any{segment})
		},
		"failed": func(h *harness, _ *Service, _, segment int64) {
			h.exec("UPDATE uploads SET state = 'failed', remote_name = '' WHERE segment_id = $1", []any{segment})
		},
		"uploading, with a name of before": func(h *harness, _ *Service, _, segment int64) {
			h.exec("UPDATE uploads SET state = 'uploading' WHERE segment_id = $1", []any{segment})
		},
		"no upload yet": func(h *harness, _ *Service, _, segment int64) {
			h.exec("DELETE FROM uploads WHERE segment_id = $1", []any{segment})
		},
		"comes late": func(h *harness, s *Service, recording, _ int64) { h.closed(s, recording, 3) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			sim := h.real(simulator.Options{})
			s := h.service()
			recording, _ := h.stored(sim, 2)
			h.end(s, recording)
			rows, err := h.db.RecordingSegments(t.Context(), recording)
			if err != nil {
				t.Fatal(err)
			}
			arise(h, s, recording, rows[1].ID)
			if _, again := h.submit(t.Context(), s, recording); !again {
				t.Error("it is given up")
			}
			submission, _ := h.submission(recording)
			if len(sim.Submits()) != 0 || submission.State != "waiting" || submission.Attempts != 0 || reasonCode(submission.Reason) != "submission.not_uploaded" {
				t.Errorf("%d submits, submission %+v", len(sim.Submits()), submission)
			}
		})
	}
}

// A segment that comes late and cannot be uploaded can be given up, though its recording is published: whatever waits for the
// recording to be published as a whole goes on.
func TestALateSegmentCanBeGivenUp(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	sim := h.real(simulator.Options{})
	h.exec(`UPDATE streamers SET postprocessor = '["rm"]'`, nil)
	s := h.service()
	recording, _ := h.stored(sim, 2)
	h.end(s, recording)
	segment := h.closed(s, recording, 3)
	h.exec("UPDATE segments SET publish = 'waived' WHERE id = $1", []any{segment})
	h.submit(t.Context(), s, recording)
	h.exec("UPDATE segments SET publish = 'wanted' WHERE id = $1", []any{segment})
	h.exec("UPDATE uploads SET state = 'failed', error = 'no video' WHERE segment_id = $1", []any{segment})
	h.exec("DELETE FROM hook_runs", nil)
	rows, err := h.db.RecordingSegments(t.Context(), recording)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, s.WaiveSegment(t.Context(), rows[0].ID), "it is published in BV")
	if err := s.WaiveSegment(t.Context(), segment); err != nil {
		t.Fatal(err)
	}
	refused(t, s.RetrySegment(t.Context(), segment), "published as BV")
	var due int
	if h.exec("SELECT count(*) FROM hook_runs WHERE stage = 'postprocessor'", nil, &due); due != 1 {
		t.Errorf("%d postprocessors are due, want 1", due)
	}
}

// Parts are looked at once more when an edit is marked as sent.
func TestAPartThatIsGivenUpWhileItIsAddedIsNotAdded(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	sim := h.real(simulator.Options{})
	h.addsAtMost(2)
	s := h.service()
	recording, names := h.stored(sim, 4)
	h.end(s, recording)
	h.submit(t.Context(), s, recording)
	rows, err := h.db.RecordingSegments(t.Context(), recording)
	if err != nil {
		t.Fatal(err)
	}
	made, _ := h.submission(recording)
	err = s.Pipeline.Appends(t.Context(), made, uuid.Nil, names[2:], func(ctx context.Context, q *db.Queries) error {
		return errPartsChanged
	})
	if !errors.Is(err, errPartsChanged) {
		t.Errorf("an edit is sent all the same: %v", err)
	}
	if err := stillRemaining(t.Context(), h.db.Queries, made, names[2:]); err != nil {
		t.Error(err)
	}
	if err := s.WaiveSegment(t.Context(), rows[3].ID); err != nil {
		t.Fatal(err)
	}
	if err := stillRemaining(t.Context(), h.db.Queries, made, names[2:]); !errors.Is(err, errPartsChanged) {
		t.Errorf("a part that was given up would be added: %v", err)
	}
	h.start(s)
	h.untilPublished(recording, 1, 3)
	if got := partsOf(sim); len(got) != 1 || !slices.Equal(got[0], names[:3]) {
		t.Errorf("parts %v of %v", got, names)
	}
}

// The parts are looked at once more in the transaction that marks a submission as sent: a person may change them while its cover
// is uploaded, for example.
func TestPartsThatChangeWhileAnArchiveIsComposedAreSeen(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(h *harness, s *Service, recording, segment int64) error{
		"waived": func(h *harness, s *Service, _, segment int64) error { return s.WaiveSegment(h.t.Context(), segment) },
		"late":   func(h *harness, s *Service, recording, _ int64) error { h.closed(s, recording, 3); return nil },
		"another worker has it": func(h *harness, _ *Service, _, _ int64) error {
			h.exec("UPDATE submissions SET claim = gen_random_uuid()", nil)
			return nil
		},
		"sent by another worker": func(h *harness, _ *Service, _, _ int64) error {
			h.exec("UPDATE submissions SET state = 'unknown', submitted_at = now()", nil)
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			sim := h.real(simulator.Options{})
			s := h.service()
			recording, _ := h.stored(sim, 2)
			h.end(s, recording)
			rows, err := h.db.RecordingSegments(t.Context(), recording)
			if err != nil {
				t.Fatal(err)
			}
			changed := false
			s.Pictures = pictures(func() {
				changed = true
				if err := change(h, s, recording, rows[1].ID); err != nil {
					t.Error(err)
				}
			})
			h.exec("UPDATE templates SET cover = 'http://pictures/cover.jpg'", nil)
			h.submit(t.Context(), s, recording) // without the cover: it has waited long enough for it
			if submits := len(sim.Submits()); submits != 0 || !changed {
				t.Errorf("%d submits with the parts of before, changed %v", submits, changed)
			}
		})
	}
}

// pictures cannot be fetched; something happens meanwhile.
type pictures func()

func (p pictures) Picture(context.Context, string, int64) ([]byte, error) {
	p()
	return nil, errors.New("no picture")
}

// A job of an earlier round has nothing to do.
func TestAJobOfAnEarlierRoundDoesNothing(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	sim := h.real(simulator.Options{})
	s := h.service()
	recording, _ := h.stored(sim, 1)
	h.end(s, recording)
	submission, _ := h.submission(recording)
	h.exec("UPDATE submissions SET round = round + 1", nil)
	if _, again := s.submitJob(t.Context(), jobs.Submit{SubmissionID: submission.ID, Round: submission.Round}).Next(); again || len(sim.Submits()) != 0 {
		t.Errorf("again %v, %d submits", again, len(sim.Submits()))
	}
}
