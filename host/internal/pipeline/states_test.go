package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
)

// keys are the states of a table of transitions, sorted.
func keys[S ~string](table map[S][]S) []string {
	return slices.Sorted(func(yield func(string) bool) {
		for state := range table {
			if !yield(string(state)) {
				return
			}
		}
	})
}

// columns are all columns of the database that hold a state, with the states that they may hold.
var columns = map[string][]string{
	"segments.publish":    keys(publishes),
	"uploads.state":       keys(uploadStates),
	"hook_runs.state":     keys(runStates),
	"hook_runs.stage":     {string(DownloadedProcessor), string(Postprocessor), string(SegmentProcessor)},
	"submissions.state":   keys(submissionStates),
	"submissions.archive": keys(archives),
	"recordings.state":    {string(RecordingEnded), string(RecordingLive), string(RecordingWaiting)},
	"recordings.publish":  {string(Never)},
	"streamers.publish":   {string(Never)},
}

var quoted = regexp.MustCompile(`'([^']*)'`)

func literals(text string) (found []string) {
	for _, match := range quoted.FindAllStringSubmatch(text, -1) {
		if match[1] != "" {
			found = append(found, match[1])
		}
	}
	return found
}

// The database refuses every state that the tables do not know, and takes every one that they do.
func TestStatesAreThoseOfTheDatabase(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for column, want := range columns {
		table, name, _ := strings.Cut(column, ".")
		var definition string
		r.exec(`SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'c' AND conrelid = $1::regclass AND conname = $2`,
			[]any{table, table + "_" + name + "_check"}, &definition)
		got := literals(definition)
		slices.Sort(got)
		if diff := cmp.Diff(slices.Sorted(slices.Values(want)), got); diff != "" {
			t.Errorf("%s (-here +database):\n%s", column, diff)
		}
	}
}

func TestTablesLeadToStatesThatTheyKnow(t *testing.T) {
	t.Parallel()
	closedUnder(t, publishes)
	closedUnder(t, uploadStates)
	closedUnder(t, runStates)
	closedUnder(t, submissionStates)
	closedUnder(t, archives)
}

func closedUnder[S ~string](t *testing.T, table map[S][]S) {
	t.Helper()
	reached := make(map[S]bool)
	for from, next := range table {
		for _, to := range next {
			if reached[to] = true; table[to] == nil {
				t.Errorf("%s leads to %s, of which the table knows nothing", from, to)
			}
		}
	}
	if len(reached) == 0 {
		t.Error("a table without transitions")
	}
}

// What is written into SQL as a state is one that the tables know: neither the compiler nor the generator look at it.
func TestLiteralsInStatementsAreStates(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../../db/queries/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	found := 0
	for _, file := range append(files, "../../../db/jobs.go") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		uses, err := statesIn(string(text))
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(file), err)
		}
		found += len(uses)
		for _, use := range uses {
			if known, ok := columns[use.column]; ok && !slices.Contains(known, use.value) {
				t.Errorf("%s: %s is never %q", filepath.Base(file), use.column, use.value)
			}
		}
	}
	if found < 40 {
		t.Errorf("only %d literals were found", found)
	}
}

func TestLiteralsAreFoundInStatements(t *testing.T) {
	t.Parallel()
	uses, err := statesIn(`-- name: A :exec
UPDATE uploads u SET state = 'a' FROM segments g WHERE g.publish IN ('b', 'c') AND coalesce(u.state, '') <> 'd';
-- name: B :exec
INSERT INTO recordings (kind, state) VALUES ('room', 'e');
-- name: C :exec
SELECT 1 FROM submissions WHERE archive = 'f' AND state NOT IN ('g') ORDER BY submissions.state <> 'h';`)
	if err != nil {
		t.Fatal(err)
	}
	want := []use{
		{"uploads.state", "a"}, {"segments.publish", "b"}, {"segments.publish", "c"}, {"uploads.state", "d"}, {"recordings.state", "e"},
		{"submissions.archive", "f"}, {"submissions.state", "g"}, {"submissions.state", "h"},
	}
	if diff := cmp.Diff(want, uses, cmp.AllowUnexported(use{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// use is a literal in a statement, and the column that it is for.
type use struct{ column, value string }

var (
	comparison = regexp.MustCompile(`(?:\b(\w+)\.)?\b(state|publish|archive|stage)\b(?:, '')?\)?\s*(?:=|<>|(?:NOT )?IN)\s*(\([^()]*\)|'[^']*')`)
	named      = regexp.MustCompile(`\b(?:FROM|JOIN|UPDATE|INTO)\s+([a-z_]+)(?:\s+([a-z]\b))?`)
	inserted   = regexp.MustCompile(`(?s)INSERT INTO ([a-z_]+) \(([^)]*)\)\s*VALUES \(([^)]*)\)`)
)

// statesIn finds the literals that are compared with columns of states, or put into them.
func statesIn(text string) (uses []use, err error) {
	for _, statement := range regexp.MustCompile(`-- name: |\nfunc `).Split(text, -1) {
		aliases, first := map[string]string{"j": "river_job"}, ""
		for _, match := range named.FindAllStringSubmatch(statement, -1) {
			aliases[match[1]] = match[1]
			if match[2] != "" {
				aliases[match[2]] = match[1]
			}
			if first == "" {
				first = match[1]
			}
		}
		for _, match := range inserted.FindAllStringSubmatch(statement, -1) {
			values := strings.Split(match[3], ",")
			for i, column := range strings.Split(match[2], ",") {
				if i >= len(values) {
					break // what is computed comes last
				}
				for _, value := range literals(values[i]) {
					uses = append(uses, use{match[1] + "." + strings.TrimSpace(column), value})
				}
			}
		}
		for _, match := range comparison.FindAllStringSubmatch(statement, -1) {
			table := aliases[match[1]]
			if match[1] == "" {
				table = first
			}
			if table == "" {
				return nil, fmt.Errorf("whose column is %s?", match[0])
			}
			for _, value := range literals(match[3]) {
				uses = append(uses, use{table + "." + match[2], value})
			}
		}
	}
	return slices.DeleteFunc(uses, func(u use) bool {
		_, name, _ := strings.Cut(u.column, ".")
		return !slices.Contains([]string{"state", "publish", "archive", "stage"}, name)
	}), nil
}

// change is a fact of the pipeline, and what it may do to a row.
type change struct {
	// to is the state that the fact leads to, from the states in from; nil from: from those of the table.
	to   string
	from []string
	// told is the fact; its error is ErrLost when it changed nothing, or nothing where it is silent.
	told   func(ctx context.Context) error
	silent bool
}

// hold tells each fact in each state of a row: the row changes exactly when the table says so.
func hold[S ~string](t *testing.T, r *rig, table map[S][]S, column string, id int64, key string, claim *uuid.UUID, facts map[string]change) {
	t.Helper()
	at, name, _ := strings.Cut(column, ".")
	set := fmt.Sprintf("UPDATE %s SET %s = $2%s WHERE %s = $1", at, name, map[bool]string{true: ", claim = $3"}[claim != nil], key)
	reached := make(map[string]bool)
	for _, from := range slices.Sorted(maps.Keys(table)) {
		for label, fact := range facts {
			args := []any{id, string(from)}
			if claim != nil {
				args = append(args, *claim)
			}
			r.exec(set, args)
			may := fact.from
			if may == nil {
				may = before(table, S(fact.to))
			}
			reached[fact.to] = true
			want, lost := string(from), true
			if slices.Contains(may, string(from)) {
				want, lost = fact.to, false
				if !slices.Contains(table[from], S(fact.to)) {
					t.Errorf("%s leads from %s to %s, which the table does not know", label, from, fact.to)
				}
			}
			err := fact.told(t.Context())
			switch {
			case err != nil && !errors.Is(err, ErrLost):
				t.Fatalf("%s of a row that is %s: %v", label, from, err)
			case !fact.silent && errors.Is(err, ErrLost) != lost:
				t.Errorf("%s of a row that is %s: %v", label, from, err)
			}
			var got string
			r.exec(fmt.Sprintf("SELECT %s FROM %s WHERE %s = $1", name, at, key), []any{id}, &got)
			if got != want {
				t.Errorf("%s of a row that is %s makes it %s, want %s", label, from, got, want)
			}
		}
	}
	for state := range table {
		if leads := before(table, state); len(leads) > 0 && !reached[string(state)] {
			t.Errorf("no fact leads to %s, though the table says that one does", state)
		}
	}
}

func TestUploadsChangeAsTheTableSays(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	recording := r.recording()
	segment := r.closed(recording)
	claim := uuid.New()
	failed := func(final bool) change {
		to := UploadPending
		if final {
			to = UploadFailed
		}
		return change{to: string(to), from: texts(UploadPending, UploadUploading), told: func(ctx context.Context) error {
			return r.UploadFailed(ctx, segment, claim, Setback{Verdict: Verdict{Final: final}, Text: "x"})
		}}
	}
	hold(t, r, uploadStates, "uploads.state", segment, "segment_id", &claim, map[string]change{
		"started": {to: string(UploadUploading), told: func(ctx context.Context) error {
			return r.UploadStarted(ctx, segment, claim, LineChoice{Name: "l"}, "a")
		}},
		"stored": {to: string(UploadUploaded), told: func(ctx context.Context) error {
			return r.Uploaded(ctx, recording, segment, claim, Stored{RemoteName: "n"})
		}},
		"failed":     failed(true),
		"tried":      failed(false),
		"progressed": {to: string(UploadUploading), from: texts(UploadUploading), silent: true, told: func(ctx context.Context) error { return r.UploadProgressed(ctx, segment, claim, []byte("c"), 5) }},
		"restarted": {to: string(UploadPending), from: texts(UploadFailed, UploadPending), silent: true, told: func(ctx context.Context) error {
			return r.DB.InTx(ctx, func(tx pgx.Tx, _ *db.Queries) error { return r.RestartUpload(ctx, tx, segment) })
		}},
	})
}

func TestRunsChangeAsTheTableSays(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	recording := r.recording()
	segment := r.row(recording, Wanted, 1)
	r.exec(`UPDATE streamers SET segment_processor = '["x"]'`, nil)
	r.inTx(func(tx pgx.Tx) error { return r.SegmentClosed(t.Context(), tx, segment) })
	runs, err := r.DB.RecordingHookRuns(t.Context(), recording)
	if err != nil || len(runs) != 1 {
		t.Fatalf("%d runs: %v", len(runs), err)
	}
	id, claim := runs[0].ID, uuid.New()
	now := func() db.HookRun {
		run, err := r.DB.GetHookRun(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return run
	}
	hold(t, r, runStates, "hook_runs.state", id, "id", &claim, map[string]change{
		"started":   {to: string(RunRunning), told: func(ctx context.Context) error { return r.StepStarted(ctx, now(), claim) }},
		"passed":    {to: string(RunPending), from: texts(RunPending, RunRunning), silent: true, told: func(ctx context.Context) error { return r.StepPassed(ctx, now(), claim, false, Setback{}) }},
		"over":      {to: string(RunDone), silent: true, told: func(ctx context.Context) error { return r.StepPassed(ctx, now(), claim, true, Setback{}) }},
		"held":      {to: string(RunHeld), silent: true, told: func(ctx context.Context) error { return r.StepHeld(ctx, now(), claim, Setback{Text: "x"}) }},
		"postponed": {to: string(RunPending), from: texts(RunPending, RunRunning), silent: true, told: func(ctx context.Context) error { return r.StepPostponed(ctx, now(), claim, true, 0, Setback{}) }},
		"retried": {to: string(RunPending), from: texts(RunHeld), silent: true, told: func(ctx context.Context) error {
			if _, err := r.RetryRun(ctx, id, false); !errors.Is(err, ErrNotHeld) {
				return err
			}
			return nil
		}},
	})
}

func TestSubmissionsChangeAsTheTableSays(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	recording := r.recording()
	r.exec("INSERT INTO submissions (recording_id, state) VALUES ($1, 'waiting')", []any{recording})
	id, claim := r.submission(recording).ID, uuid.New()
	now := func() db.Submission { return r.submission(recording) }
	is := func(states ...SubmissionState) []string { return texts(states...) }
	final := Setback{Verdict: Verdict{Final: true}, Text: "x"}
	restart := func(to SubmissionState, prepare string, from ...SubmissionState) change {
		return change{to: string(to), from: is(from...), silent: true, told: func(ctx context.Context) error {
			r.exec("UPDATE submissions SET "+prepare, nil)
			defer r.exec("UPDATE submissions SET aid = 0, submitted_at = NULL", nil)
			return r.DB.InTx(ctx, func(tx pgx.Tx, _ *db.Queries) error { return r.RestartSubmission(ctx, tx, now()) })
		}}
	}
	refused := func(to SubmissionState, verdict Verdict) change {
		return change{to: string(to), silent: true, told: func(ctx context.Context) error {
			_, err := r.SubmissionRefused(ctx, now(), claim, Refusal{Setback: Setback{Verdict: verdict}})
			return err
		}}
	}
	hold(t, r, submissionStates, "submissions.state", id, "id", &claim, map[string]change{
		"sent": {to: string(SubmissionSubmitting), told: func(ctx context.Context) error {
			return r.SubmissionSent(ctx, now(), claim, Sent{Parts: []string{"n"}}, func(context.Context, *db.Queries) error { return nil })
		}},
		"accepted": {to: string(SubmissionAccepted), told: func(ctx context.Context) error { return r.Accepted(ctx, now(), claim, 5, "BV5") }},
		"appended": {to: string(SubmissionAccepted), told: func(ctx context.Context) error { return r.Appended(ctx, now(), claim, []string{"n"}, false) }},
		"appends": {to: string(SubmissionAppending), from: is(SubmissionAppending), told: func(ctx context.Context) error {
			return r.Appends(ctx, now(), claim, []string{"n"}, func(context.Context, *db.Queries) error { return nil })
		}},
		"held":                    {to: string(SubmissionFailed), told: func(ctx context.Context) error { return r.SubmissionHeld(ctx, now(), claim, final) }},
		"looked up":               {to: string(SubmissionUnknown), told: func(ctx context.Context) error { return r.LookedUp(ctx, now(), claim, true, Setback{}) }},
		"never made":              {to: string(SubmissionWaiting), told: func(ctx context.Context) error { return r.NeverMade(ctx, now(), claim, Setback{}) }},
		"given up":                {to: string(SubmissionFailed), told: func(ctx context.Context) error { return r.NeverMade(ctx, now(), claim, final) }},
		"lost":                    refused(SubmissionUnknown, Verdict{Unknown: true}),
		"refused":                 refused(SubmissionWaiting, Verdict{}),
		"refused for good":        refused(SubmissionFailed, Verdict{Final: true}),
		"restarted":               restart(SubmissionWaiting, "aid = 0, submitted_at = NULL", SubmissionFailed, SubmissionWaiting),
		"restarted after a send":  restart(SubmissionUnknown, "aid = 0, submitted_at = now()", SubmissionFailed),
		"restarted as an archive": restart(SubmissionAppending, "aid = 5", SubmissionFailed, SubmissionAppending),
	})
}

func TestArchivesChangeAsTheTableSays(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	recording := r.recording()
	r.exec("INSERT INTO submissions (recording_id, state) VALUES ($1, 'accepted')", []any{recording})
	facts := make(map[string]change)
	for archive := range archives {
		facts["followed: "+string(archive)] = change{to: string(archive), told: func(ctx context.Context) error {
			return r.Followed(ctx, r.submission(recording), archive, 0, "words")
		}}
	}
	hold(t, r, archives, "submissions.archive", r.submission(recording).ID, "id", nil, facts)
}

func TestSegmentsChangeAsTheTableSays(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	recording := r.recording()
	segment := r.row(recording, Wanted, 1)
	decide := func(to Publish, from ...Publish) change {
		return change{to: string(to), told: func(ctx context.Context) error {
			return decided(ctx, r.DB.Queries, decision{Segment: segment, Publish: to}, from...)
		}, from: texts(from...)}
	}
	person := func(to, from Publish) change {
		return change{to: string(to), from: texts(from), told: func(ctx context.Context) error {
			return r.DB.InTx(ctx, func(tx pgx.Tx, _ *db.Queries) error { return r.Waived(ctx, tx, recording, segment, to) })
		}}
	}
	hold(t, r, publishes, "segments.publish", segment, "id", nil, map[string]change{
		"left out": decide(Filtered, Undecided), "taken": decide(Wanted, Undecided, Filtered),
		"waived": person(Waived, Wanted), "taken back": person(Wanted, Waived),
	})
}
