package pipeline

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/db/dbtest"
	"github.com/lubod/lubod/host/internal/jobs"
)

// rig is a pipeline on a database of its own, with a room. No job runs here: what is ordered stays in the table of jobs.
type rig struct {
	*Pipeline
	t        *testing.T
	jobs     *jobs.Client
	host     uuid.UUID
	streamer int64
	log      *locked
}

// locked is a log that goroutines share.
type locked struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *locked) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(text)
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return newRigOn(t, dbtest.New(t))
}

func newRigOn(t *testing.T, database *db.DB) *rig {
	t.Helper()
	r := &rig{t: t, host: uuid.New(), log: &locked{}}
	logger := slog.New(slog.NewTextHandler(r.log, nil))
	client, err := jobs.New(jobs.Options{DB: database, HostID: r.host.String(), Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	r.jobs = client
	r.Pipeline = New(Options{DB: database, Orders: client, Logger: logger, Pace: DefaultPace()})
	r.exec("INSERT INTO streamers (url, template_name, remark) VALUES ('http://room/1', 't', 'r') RETURNING id", nil, &r.streamer)
	return r
}

// exec runs a statement, and scans its row into the results if there are any.
func (r *rig) exec(statement string, args []any, results ...any) {
	r.t.Helper()
	var err error
	if len(results) == 0 {
		_, err = r.DB.Pool.Exec(r.t.Context(), statement, args...)
	} else {
		err = r.DB.Pool.QueryRow(r.t.Context(), statement, args...).Scan(results...)
	}
	if err != nil {
		r.t.Fatalf("%s: %v", statement, err)
	}
}

func (r *rig) count(from string, args ...any) (n int) {
	r.t.Helper()
	r.exec("SELECT count(*) FROM "+from, args, &n)
	return n
}

// recording makes one that goes on, and ends those before.
func (r *rig) recording() (id int64) {
	r.t.Helper()
	r.exec("UPDATE recordings SET state = 'ended', resume_until = NULL, ended_at = now() WHERE state <> 'ended'", nil)
	r.exec(`INSERT INTO recordings (streamer_id, host_id, url, remark, template_name, title, streamer_name, state, started_at)
		VALUES ($1, $2, 'http://room/1', 'r', 't', 'title', 'name', 'recording', now()) RETURNING id`, []any{r.streamer, r.host}, &id)
	return id
}

// row adds a segment without telling the pipeline.
func (r *rig) row(recording int64, publish Publish, size int64) (id int64) {
	r.t.Helper()
	r.exec(`INSERT INTO segments (recording_id, index, path, size_bytes, duration_ms, started_at, ended_at, publish)
		SELECT $1, n, '/x/' || $1 || '-' || n, $3, 1000, now(), now(), $2 FROM (SELECT count(*) + 1 AS n FROM segments WHERE recording_id = $1) c RETURNING id`,
		[]any{recording, string(publish), size}, &id)
	return id
}

// closed adds a segment as record does.
func (r *rig) closed(recording int64) int64 {
	r.t.Helper()
	id := r.row(recording, Wanted, 100*megabyte)
	r.inTx(func(tx pgx.Tx) error { return r.SegmentClosed(r.t.Context(), tx, id) })
	return id
}

// end commits the end of a recording as record does.
func (r *rig) end(recording int64) {
	r.t.Helper()
	r.inTx(func(tx pgx.Tx) error {
		if err := r.DB.WithTx(tx).EndRecording(r.t.Context(), db.EndRecordingParams{ID: recording, EndedAt: time.Now()}); err != nil {
			return err
		}
		return r.RecordingEnded(r.t.Context(), tx, recording)
	})
}

func (r *rig) inTx(do func(tx pgx.Tx) error) {
	r.t.Helper()
	if err := r.DB.InTx(r.t.Context(), func(tx pgx.Tx, _ *db.Queries) error { return do(tx) }); err != nil {
		r.t.Fatal(err)
	}
}

// store brings an upload from claim to stored.
func (r *rig) store(recording, segment int64) {
	r.t.Helper()
	claim, end := r.jobs.Claims.Begin()
	defer end()
	err := errors.Join(
		r.ClaimUpload(r.t.Context(), jobs.Transfer{SegmentID: segment, Round: r.round("uploads", "segment_id", segment)}, claim, r.jobs.Claims.Living(claim)),
		r.UploadStarted(r.t.Context(), segment, claim, LineChoice{Name: "l"}, "a"),
		r.Uploaded(r.t.Context(), recording, segment, claim, Stored{RemoteName: fmt.Sprint("n", segment)}),
	)
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) round(table, column string, id int64) (round int32) {
	r.t.Helper()
	r.exec("SELECT round FROM "+table+" WHERE "+column+" = $1", []any{id}, &round)
	return round
}

func (r *rig) submission(recording int64) db.Submission {
	r.t.Helper()
	rows, err := r.DB.RecordingSubmissions(r.t.Context(), recording)
	if err != nil || len(rows) == 0 {
		r.t.Fatalf("%d submissions: %v", len(rows), err)
	}
	return rows[len(rows)-1]
}

// ordered are the jobs that will run, as kind and arguments.
func (r *rig) ordered() (found []string) {
	r.t.Helper()
	r.exec(`SELECT coalesce(array_agg(kind || ' ' || args::text ORDER BY id), '{}') FROM river_job WHERE state IN ('available', 'scheduled', 'retryable', 'running')`, nil, &found)
	slices.Sort(found)
	return found
}
