package upload

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/bilibili"
	"github.com/lubod/lubod/host/internal/jobs"
	simulator "github.com/lubod/lubod/sdk/simulator/bilibili"
)

// stored makes a recording that still goes on and all of whose segments are at Bilibili, and returns their names there in order.
func (h *harness) stored(sim *simulator.Server, segments int) (recording int64, names []string) {
	h.t.Helper()
	recording = h.recording("recording")
	return recording, h.storedSegments(sim, recording, 1, segments)
}

// storedSegments gives a recording segments that are at Bilibili, from one index to another.
func (h *harness) storedSegments(sim *simulator.Server, recording int64, from, to int) (names []string) {
	h.t.Helper()
	var ids []int64
	for index := from; index <= to; index++ {
		object, err := sim.Store(sim.Accounts()[0].MID, "bda2", fmt.Sprintf("r%d_%03d.flv", recording, index), []byte{byte(index)})
		if err != nil {
			h.t.Fatal(err)
		}
		names, ids = append(names, object.Name), append(ids, object.BizID)
	}
	h.exec(`WITH given AS (SELECT * FROM unnest($4::text[], $5::bigint[]) WITH ORDINALITY AS given (name, number, nth)), g AS (
			INSERT INTO segments (recording_id, index, path, size_bytes, duration_ms, started_at, ended_at, publish, reason, ready_at)
			SELECT $1::bigint, $2::integer - 1 + nth, format('%s/r%s_%s.flv', $3::text, $1, $2 - 1 + nth), 100, 1, now(), now(), 'wanted', '', now() FROM given RETURNING id, index)
		INSERT INTO uploads (segment_id, state, remote_name, remote_id, account_file)
			SELECT g.id, 'uploaded', given.name, given.number, 'a.json' FROM g JOIN given ON given.nth = g.index - $2 + 1`,
		[]any{recording, from, h.dir, names, ids})
	return names
}

// addsAtMost bounds how many parts one request takes.
func (h *harness) addsAtMost(parts int) {
	h.t.Helper()
	h.exec(fmt.Sprintf("ALTER TABLE submissions ALTER part_limit SET DEFAULT %d", parts), nil)
}

// partsOf are the parts of each archive of the simulator, by the number of the archive.
func partsOf(sim *simulator.Server) (archives [][]string) {
	for _, archive := range sim.Archives() {
		var names []string
		for _, video := range archive.Videos {
			names = append(names, video.Filename)
		}
		archives = append(archives, names)
	}
	return archives
}

// untilPublished waits until every archive of a recording is accepted and no part is missing.
func (h *harness) untilPublished(recording int64, archives, parts int) {
	h.t.Helper()
	h.until(fmt.Sprintf("%d parts in %d archives of recording %d", parts, archives, recording), func() bool {
		rows, err := h.db.RecordingSubmissions(h.t.Context(), recording)
		if err != nil {
			h.t.Fatal(err)
		}
		found := 0
		for _, row := range rows {
			if row.State == "accepted" {
				found += len(row.Parts)
			}
		}
		return len(rows) == archives && found == parts
	})
}

func TestPartsBeyondOneRequestAreAddedByEdits(t *testing.T) {
	t.Parallel()
	for parts, edits := range map[int]int{100: 0, 105: 1, 230: 2} {
		t.Run(fmt.Sprint(parts), func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			sim := h.real(simulator.Options{})
			s := h.service()
			h.start(s)
			recording, names := h.stored(sim, parts)
			h.end(s, recording)
			h.untilPublished(recording, 1, parts)
			archives := sim.Archives()
			if len(archives) != 1 || archives[0].Edits != edits || len(sim.Submits()) != 1 || !slices.Equal(partsOf(sim)[0], names) {
				t.Errorf("%d archives, %d edits, %d submits, parts %v", len(archives), archives[0].Edits, len(sim.Submits()), partsOf(sim))
			}
			sim.RequireNoViolations(t)
		})
	}
}

func TestWhatAnArchiveDoesNotTakeBecomesANumberedOne(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	sim := h.real(simulator.Options{})
	s := h.service()
	h.start(s)
	recording, names := h.stored(sim, 520)
	long := strings.Repeat("长", 90)
	h.exec("UPDATE recordings SET title = $1", []any{long})
	h.exec("UPDATE templates SET title = '{title}'", nil)
	h.end(s, recording)
	h.untilPublished(recording, 2, 520)
	archives := sim.Archives()
	if len(archives) != 2 || len(archives[0].Videos) != 500 || len(archives[1].Videos) != 20 {
		t.Fatalf("archives: %d", len(archives))
	}
	if got := slices.Concat(partsOf(sim)...); !slices.Equal(got, names) {
		t.Errorf("parts are missing, doubled or out of order: %v", got)
	}
	first, second := archives[0].Title, archives[1].Title
	if first != long[:80*len("长")] || second != long[:76*len("长")]+" (2)" || utf8.RuneCountInString(second) != 80 {
		t.Errorf("titles %q and %q", first, second)
	}
	sim.RequireNoViolations(t)
}

func TestManyFilesThatAPersonOrdersBecomeOneArchive(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	sim := h.real(simulator.Options{})
	h.configure(map[string]any{"lines": "bda2", "upload_limit": 32})
	s := h.service()
	h.start(s)
	var files []File
	for i := range 101 {
		files = append(files, h.file(fmt.Sprintf("%03d.mp4", 101-i), "content", newYear))
	}
	recording, segments := h.ordered(s, Order{Files: files})
	h.untilPublished(recording, 1, 101)
	archives := sim.Archives()
	if len(archives) != 1 || len(archives[0].Videos) != 101 || archives[0].Edits != 1 {
		t.Fatalf("archives: %+v", archives)
	}
	for i, video := range archives[0].Videos {
		if video.Title != fmt.Sprintf("%03d", 101-i) || video.Filename != h.upload(segments[i]).RemoteName {
			t.Errorf("part %d is %+v", i+1, video)
		}
	}
	sim.RequireNoViolations(t)
}

func TestALostAnswerToAnEditDoublesNoPart(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]simulator.Fault{
		"lost":          simulator.AnswerLost(simulator.CallEdit),
		"never arrived": simulator.Reset(simulator.CallEdit),
		"gateway":       simulator.CodeButMade(-502).On(simulator.CallEdit),
		"no view":       simulator.Reset(simulator.CallView),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			sim := h.real(simulator.Options{})
			h.addsAtMost(2)
			sim.AddFault(fault)
			s := h.service()
			h.start(s)
			recording, names := h.stored(sim, 3)
			h.end(s, recording)
			h.untilPublished(recording, 1, 3)
			if got := partsOf(sim); len(got) != 1 || !slices.Equal(got[0], names) {
				t.Errorf("parts: %v", got)
			}
			if submission, _ := h.submission(recording); submission.Error != "" || submission.Reason != nil || len(submission.Appending) != 0 {
				t.Errorf("submission %+v", submission)
			}
			sim.RequireNoViolations(t)
		})
	}
}

// What was left for a further archive is given up: it is not waited for any more, and comes back when a part does.
func TestAFurtherArchiveThatNothingIsLeftForGoesAway(t *testing.T) {
	t.Parallel()
	for name, state := range map[string]string{
		"waiting for long":   "state = 'waiting', error = 'too often'",
		"refused":            "state = 'failed', refusal = 21103, error = 'refused', account_file = 'a.json', submitted_at = now(), parts = '{gone}'",
		"failed before that": "state = 'failed', error = 'failed'",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			sim := h.real(simulator.Options{MaxArchiveParts: 2})
			h.addsAtMost(2)
			s := h.service()
			recording, names := h.stored(sim, 3)
			h.end(s, recording)
			h.exec("DELETE FROM river_job", nil)
			for range 2 { // the archive, and the edit that it does not take
				h.submit(t.Context(), s, recording)
			}
			h.exec("UPDATE submissions SET "+state+" WHERE number = 2", nil)
			h.exec("DELETE FROM river_job", nil)
			rows, err := h.db.RecordingSegments(t.Context(), recording)
			if err != nil {
				t.Fatal(err)
			}
			h.start(s)
			if err := s.WaiveSegment(t.Context(), rows[0].ID); err == nil || !strings.Contains(err.Error(), "it is published in BV") {
				t.Errorf("a part of the archive can be given up: %v", err)
			}
			if err := s.WaiveSegment(t.Context(), rows[2].ID); err != nil {
				t.Fatal(err)
			}
			h.untilPublished(recording, 1, 2)
			if got := partsOf(sim); len(got) != 1 || !slices.Equal(got[0], names[:2]) {
				t.Errorf("parts: %v", got)
			}
		})
	}
}

// Bilibili takes fewer parts at once from some accounts: the first ones are sent, and the rest added.
func TestAnArchiveOfTooManyPartsBeginsWithHalfOfThem(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	sim := h.real(simulator.Options{})
	sim.AddFault(simulator.Code(bilibili.CodeTooManyParts))
	s := h.service()
	recording, names := h.stored(sim, 5)
	h.end(s, recording)
	h.start(s)
	h.untilPublished(recording, 1, 5)
	if got := partsOf(sim); len(got) != 1 || !slices.Equal(got[0], names) || sim.Archives()[0].Edits != 2 {
		t.Errorf("parts %v after %d edits", got, sim.Archives()[0].Edits)
	}
	sim.RequireNoViolations(t)
}

// A template or a default account that goes away after an archive was made has nothing to do with it.
func TestPartsAreAddedAsTheArchiveWasMade(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	sim := h.real(simulator.Options{})
	h.addsAtMost(2)
	s := h.service()
	recording, names := h.stored(sim, 3)
	h.end(s, recording)
	h.submit(t.Context(), s, recording)
	h.exec("DELETE FROM templates", nil)
	h.start(s)
	h.untilPublished(recording, 1, 3)
	if got := partsOf(sim); len(got) != 1 || !slices.Equal(got[0], names) {
		t.Errorf("parts: %v", got)
	}
}

// A process that dies between any two statements while an archive grows, or in a call, leaves each part exactly once, in order,
// in as few archives as there are to be.
func TestKillBetweenAnyTwoStepsWhileAnArchiveGrows(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.pace.Linger = time.Millisecond // the dead do not linger
	sim := h.real(simulator.Options{MaxArchiveParts: 2})
	h.addsAtMost(1)
	healthy := h.service()
	made := make(map[int64][]string)
	run := func(s *Service, ctx context.Context, parts int) (finished bool) {
		recording, names := h.stored(sim, parts)
		made[recording] = names
		h.end(healthy, recording)
		h.exec("DELETE FROM river_job", nil) // as if it were this process's, and was lost with it
		for range 8 {
			rows, err := h.db.RecordingSubmissions(t.Context(), recording)
			if err != nil {
				t.Fatal(err)
			}
			open := slices.IndexFunc(rows, func(row db.Submission) bool { return row.State != "accepted" })
			if open < 0 {
				return len(rows) > 0
			}
			s.submitJob(ctx, jobs.Submit{SubmissionID: rows[open].ID, Round: rows[open].Round})
		}
		return false
	}
	statements := 0
	for ; ; statements++ {
		s, m := h.crashingService(h.archives, statements)
		finished := run(s, m.Context, 3) && !m.Crashed()
		if m.Pool.Close(); finished { // so many dead at once would hold too many connections
			break
		}
		if statements > 200 {
			t.Fatal("a process that lives does not come to an end")
		}
	}
	if statements < 30 {
		t.Errorf("only %d statements were seen", statements)
	}
	for _, when := range []string{"before", "after"} {
		s, m := h.crashingService(nil, 1<<40)
		d := dyingEdit{dying{Archives: h.archives, after: m.Crash}}
		if when == "before" {
			d.before = m.Crash
		}
		s.Archives = d
		run(s, m.Context, 2)
	}

	h.start(h.service())
	for recording, names := range made {
		h.untilPublished(recording, (len(names)+1)/2, len(names))
	}
	wanted, seen := make(map[string][]string), 0
	for _, names := range made {
		for first := range slices.Chunk(names, 2) {
			wanted[first[0]] = first
		}
	}
	for _, parts := range partsOf(sim) {
		seen++
		if !slices.Equal(parts, wanted[parts[0]]) {
			t.Errorf("an archive has the parts %v, want %v", parts, wanted[parts[0]])
		}
	}
	if seen != len(wanted) {
		t.Errorf("%d archives, want %d", seen, len(wanted))
	}
	sim.RequireNoViolations(t)
}

// dyingEdit is Bilibili at whose edit the process dies.
type dyingEdit struct{ dying }

func (d dyingEdit) Submit(ctx context.Context, account *bilibili.Account, archive bilibili.Archive) (bilibili.Accepted, error) {
	return d.Archives.Submit(ctx, account, archive)
}

func (d dyingEdit) Edit(ctx context.Context, account *bilibili.Account, via bilibili.Via, archive bilibili.Accepted, add []bilibili.Part) error {
	if d.before != nil {
		d.before()
		return ctx.Err()
	}
	err := d.Archives.Edit(ctx, account, via, archive, add)
	d.after()
	return err
}
