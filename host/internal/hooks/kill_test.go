package hooks

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lubod/lubod/db/dbtest"
)

// crashingService is a service whose process dies after so many statements.
func (h *harness) crashingService(statements int) (*Service, context.Context) {
	h.t.Helper()
	m := dbtest.NewCrashing(h.t, h.db)
	s := h.serviceOn(m.DB)
	s.Pace.Linger = time.Millisecond // the dead do not linger
	m.CrashAfter(statements)
	return s, m.Context
}

// A process that dies between any two statements of a move leaves a row that leads to the whole file, and the next one
// brings the move to its end: one file, in its place, ordered to be uploaded once.
func TestKillInAMoveLosesNothing(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.hook(SegmentProcessor, step(map[string]any{"mv": "done"}), step(map[string]any{"mv": "done/later"}))
	healthy := h.service()
	for statements := 0; ; statements++ {
		if statements > 80 {
			t.Fatal("a process that lives does not come to an end")
		}
		recording := h.recording()
		segment := h.closed(healthy, recording, 1, "wanted")
		content := h.read(h.path(recording, 1))
		run := h.the(SegmentProcessor, recording)
		s, ctx := h.crashingService(statements)
		h.work(ctx, s, run.ID)
		if got := h.read(h.segment(segment).Path); got != content {
			t.Errorf("death %d: the row leads to %q", statements, got)
		}
		finished := h.the(SegmentProcessor, recording).State == "done"
		if got := h.workOff(healthy, SegmentProcessor, recording); got.State != "done" || got.Error != "" {
			t.Fatalf("death %d: %s %s", statements, got.State, got.Error)
		}
		row := h.segment(segment)
		if row.Path != filepath.Join(h.root, "done", "later", filepath.Base(h.path(recording, 1))) || h.read(row.Path) != content {
			t.Errorf("death %d: the file is at %s", statements, row.Path)
		}
		if n := len(h.files()); n != statements+1 {
			t.Errorf("death %d: %d files for %d segments: %v", statements, n, statements+1, h.files())
		}
		if n := h.count("uploads WHERE segment_id = $1", segment); n != 1 {
			t.Errorf("death %d: %d uploads", statements, n)
		}
		if finished && ctx.Err() == nil {
			if statements < 8 {
				t.Errorf("only %d statements were seen", statements)
			}
			return
		}
	}
}

// The same for files that are removed: none before its archive is accepted, and all of them in the end.
func TestKillInARemovalRemovesOnlyWhatIsPublished(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.hook(Postprocessor, `"rm"`)
	healthy := h.service()
	for statements := 0; ; statements++ {
		if statements > 60 {
			t.Fatal("a process that lives does not come to an end")
		}
		recording := h.recording()
		published := h.closed(healthy, recording, 1, "wanted")
		short := h.closed(healthy, recording, 2, "filtered")
		h.end(healthy, recording)
		h.accept(healthy, recording)
		s, ctx := h.crashingService(statements)
		h.work(ctx, s, h.the(Postprocessor, recording).ID)
		finished := h.the(Postprocessor, recording).State == "done"
		if row := h.segment(published); row.RemovedAt == nil {
			if _, err := os.Stat(row.Path); err != nil {
				t.Errorf("death %d: the row says that the file is there: %v", statements, err)
			}
		}
		if run := h.workOff(healthy, Postprocessor, recording); run.State != "done" || run.Error != "" {
			t.Fatalf("death %d: %s %s", statements, run.State, run.Error)
		}
		row := h.segment(published)
		if _, err := os.Stat(row.Path); !errors.Is(err, os.ErrNotExist) || row.RemovedAt == nil {
			t.Errorf("death %d: %v, removed at %v", statements, err, row.RemovedAt)
		}
		if _, err := os.Stat(h.segment(short).Path); err != nil {
			t.Errorf("death %d: a file that was not published is gone: %v", statements, err)
		}
		if finished && ctx.Err() == nil {
			return
		}
	}
}

// Accepted is not public: Bilibili refuses archives hours later, and then the files are all there is.
func TestRemoveKeepsWhatIsNotPublic(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		publish, spoil string
		gone           bool
	}{
		"public":             {"wanted", "SELECT 1", true},
		"never":              {"never", "UPDATE recordings SET publish = 'never'", true},
		"no template":        {"never", "SELECT 1", false},
		"too small":          {"filtered", "SELECT 1", false},
		"waived":             {"wanted", "UPDATE segments SET publish = 'waived'", false},
		"not a part":         {"wanted", "UPDATE submissions SET parts = '{other}'", false},
		"in review":          {"wanted", "UPDATE submissions SET archive = 'review'", false},
		"scheduled":          {"wanted", "UPDATE submissions SET archive = 'scheduled'", false},
		"rejected":           {"wanted", "UPDATE submissions SET archive = 'rejected'", false},
		"nothing came of it": {"wanted", "UPDATE submissions SET archive = 'unknown'", false},
		"not uploaded":       {"wanted", "UPDATE uploads SET state = 'failed'", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.hook(Postprocessor, `"rm"`)
			s := h.service()
			recording := h.recording()
			segment := h.closed(s, recording, 1, test.publish)
			h.end(s, recording)
			h.accept(s, recording)
			h.exec(test.spoil, nil)
			h.workOff(s, Postprocessor, recording)
			_, err := os.Stat(h.segment(segment).Path)
			if gone := errors.Is(err, os.ErrNotExist); gone != test.gone || (h.segment(segment).RemovedAt != nil) != test.gone {
				t.Errorf("gone: %v, removed at %v", gone, h.segment(segment).RemovedAt)
			}
		})
	}
}
