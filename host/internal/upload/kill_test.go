package upload

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/db/dbtest"
	"github.com/lubod/lubod/host/internal/bilibili"
	simulator "github.com/lubod/lubod/sdk/simulator/bilibili"
)

// crashingService is a service whose process dies after so many statements. Its jobs are run by hand.
func (h *harness) crashingService(archives Archives, statements int) (*Service, *dbtest.Crashing) {
	h.t.Helper()
	m := dbtest.NewCrashing(h.t, h.db)
	s := h.serviceOn(m.DB)
	s.Archives = archives
	m.CrashAfter(statements)
	return s, m
}

// memory is Bilibili with archives by their first part.
type memory struct {
	mu       sync.Mutex
	archives map[string]int
}

func (b *memory) Submit(_ context.Context, _ *bilibili.Account, archive bilibili.Archive) (bilibili.Accepted, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.archives[archive.Videos[0].Filename]++
	return bilibili.Accepted{AID: 5, BVID: "BV5"}, nil
}

func (b *memory) made(part string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.archives[part]
}

// dying is Bilibili at whose call the process dies: before or after the archive was made.
type dying struct {
	Archives
	before, after func()
}

func (d dying) Submit(ctx context.Context, account *bilibili.Account, archive bilibili.Archive) (bilibili.Accepted, error) {
	if d.before != nil {
		d.before()
		return bilibili.Accepted{}, ctx.Err()
	}
	accepted, err := d.Archives.Submit(ctx, account, archive)
	d.after()
	return accepted, err
}

// A process that dies between any two statements, before, in or after any call, leaves what the next one turns into one
// archive.
func TestKillBetweenAnyTwoStepsMakesOneArchive(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.pace.Linger = time.Millisecond // the dead do not linger
	world := &memory{archives: make(map[string]int)}
	living := h.archivesOf(world)
	h.archives = living
	healthy := h.service()

	var recordings []int64
	run := func(s *Service, ctx context.Context) (finished bool) {
		recording := h.recording("recording")
		recordings = append(recordings, recording)
		segment := h.closed(healthy, recording, 1)
		h.exec("DELETE FROM river_job", nil) // as if it were this process's, and was lost with it
		h.transfer(ctx, s, segment)
		h.end(healthy, recording)
		h.submit(ctx, s, recording)
		submission, exists := h.submission(recording)
		return exists && submission.State == "accepted"
	}
	statements := 0
	for ; ; statements++ {
		s, m := h.crashingService(living, statements)
		if run(s, m.Context) && !m.Crashed() {
			break
		}
		if statements > 60 {
			t.Fatal("a process that lives does not come to an end")
		}
	}
	if statements < 8 {
		t.Errorf("only %d statements were seen", statements)
	}
	for _, when := range []string{"before", "after"} {
		var d dying
		s, m := h.crashingService(nil, 1<<40)
		d = dying{Archives: living, after: m.Crash}
		if when == "before" {
			d.before = m.Crash
		}
		s.Archives = d
		run(s, m.Context)
	}

	h.start(h.service())
	for i, recording := range recordings {
		h.untilSubmission(recording, "accepted")
		if made := world.made(fmt.Sprintf("nr%d_001", recording)); made != 1 {
			t.Errorf("death %d: %d archives, want 1", i, made)
		}
	}
}

// archivesOf answers from a memory.
func (h *harness) archivesOf(world *memory) Archives {
	return &fakeArchives{
		submit: world.Submit,
		find: func(_ context.Context, _ *bilibili.Account, parts []string) (bilibili.Accepted, error) {
			if world.made(parts[0]) == 0 {
				return bilibili.Accepted{}, bilibili.ErrNoArchive
			}
			return bilibili.Accepted{AID: 5, BVID: "BV5"}, nil
		},
	}
}

// A worker lets go of its archive in the statement that orders the next job for it: that job has nobody to wait for.
func TestAnArchiveIsLetGoOfWithWhatIsCommitted(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	sim := h.real(simulator.Options{})
	h.addsAtMost(1)
	s := h.service()
	recording, names := h.stored(sim, 2)
	h.end(s, recording)
	claim := uuid.New()
	held := func() db.Submission {
		h.exec("UPDATE submissions SET claim = $1", []any{claim})
		submission, _ := h.submission(recording)
		return submission
	}
	h.exec("UPDATE submissions SET state = 'submitting', parts = $1", []any{names[:1]})
	if err := s.Pipeline.Accepted(t.Context(), held(), claim, 1, "BV1"); err != nil {
		t.Fatal(err)
	}
	if submission, _ := h.submission(recording); submission.Claim != nil || submission.State != "appending" {
		t.Errorf("after it was accepted: %+v", submission)
	}
	if err := s.Pipeline.Appended(t.Context(), held(), claim, names, false); err != nil {
		t.Fatal(err)
	}
	if submission, _ := h.submission(recording); submission.Claim != nil || submission.State != "accepted" {
		t.Errorf("after an edit: %+v", submission)
	}
}
