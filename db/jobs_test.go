package db_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/riverqueue/river/rivertype"

	"github.com/lubod/lubod/db/dbtest"
)

// The statements that are written by hand rely on columns and states of the job library's table: they are held against the table
// as its own migrations make it, and against the library's own names.
func TestJobs(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	columns := map[string]string{
		"id": "int8", "kind": "text", "args": "jsonb", "state": "river_job_state", "attempted_at": "timestamptz", "attempted_by": "_text", "scheduled_at": "timestamptz",
	}
	for column, want := range columns {
		var got string
		err := database.Pool.QueryRow(t.Context(), "SELECT udt_name FROM information_schema.columns WHERE table_name = 'river_job' AND column_name = $1", column).Scan(&got)
		if err != nil || got != want {
			t.Errorf("column %s is %q, want %s: %v", column, got, want, err)
		}
	}
	text, err := os.ReadFile("jobs.go")
	if err != nil {
		t.Fatal(err)
	}
	// A job that is in none of these is over; a state that the library adds has to be put on one side.
	lists := regexp.MustCompile(`j\.state IN \(([^)]*)\)`).FindAllStringSubmatch(string(text), -1)
	if len(lists) != 1 {
		t.Fatalf("%d lists of states of jobs that will run", len(lists))
	}
	over := []rivertype.JobState{rivertype.JobStateCancelled, rivertype.JobStateCompleted, rivertype.JobStateDiscarded}
	var want []string
	for _, state := range rivertype.JobStates() {
		if !slices.Contains(over, state) {
			want = append(want, "'"+string(state)+"'")
		}
	}
	got := strings.Split(lists[0][1], ", ")
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("states of jobs that will run (-library +here):\n%s", diff)
	}
	for _, state := range append(got, "'available'", "'running'") {
		if _, err := database.Pool.Exec(t.Context(), "SELECT "+state+"::river_job_state"); err != nil {
			t.Error(err)
		}
	}
}

// Only what counts as running at the client, that it does not know and that is not quite new, is taken from it.
func TestReleaseJobs(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	insert := func(state, by, age string) (id int64) {
		t.Helper()
		err := database.Pool.QueryRow(t.Context(), `INSERT INTO river_job (kind, args, max_attempts, state, attempted_by, attempted_at, finalized_at)
			VALUES ('x', '{}', 3, $1::river_job_state, string_to_array($2, ','), now() - $3::interval, CASE WHEN $1 = 'completed' THEN now() END) RETURNING id`, state, by, age).Scan(&id)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	lost, known, young := insert("running", "other,me", "1 hour"), insert("running", "me", "1 hour"), insert("running", "me", "1 second")
	theirs, done := insert("running", "me,other", "1 hour"), insert("completed", "me", "1 hour")
	available := func() (ids []int64) {
		t.Helper()
		if err := database.Pool.QueryRow(t.Context(), "SELECT coalesce(array_agg(id ORDER BY id), '{}') FROM river_job WHERE state = 'available'").Scan(&ids); err != nil {
			t.Fatal(err)
		}
		return ids
	}
	released, err := database.ReleaseLostJobs(t.Context(), "me", []int64{known}, time.Minute)
	if err != nil || released != 1 {
		t.Errorf("%d released: %v", released, err)
	}
	if diff := cmp.Diff([]int64{lost}, available()); diff != "" {
		t.Errorf("lost (-want +got):\n%s", diff)
	}
	if err := database.ReleaseJobs(t.Context(), "me"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int64{lost, known, young}, available()); diff != "" {
		t.Errorf("of a dead host, without %d and %d (-want +got):\n%s", theirs, done, diff)
	}
}
