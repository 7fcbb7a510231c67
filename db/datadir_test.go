package db_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/db/dbtest"
)

// filed are the paths of everything that names a file.
func filed(t *testing.T, database *db.DB) []string {
	t.Helper()
	rows, err := database.Pool.Query(t.Context(), `
		SELECT 'segment ' || path || ' ' || coalesce(recorded_path, '-') FROM segments
		UNION ALL SELECT 'session ' || path_prefix FROM recorder_sessions
		UNION ALL SELECT 'plan ' || plan::text FROM hook_runs ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// file makes rows of a host whose data directory is dir.
func file(t *testing.T, database *db.DB, host uuid.UUID, dir string) {
	t.Helper()
	_, err := database.Pool.Exec(t.Context(), `
		WITH r AS (INSERT INTO recordings (host_id, url, remark, title, streamer_name, state, started_at, ended_at) VALUES ('`+host.String()+`', 'http://a', '', '', '', 'ended', now(), now()) RETURNING id),
		s AS (INSERT INTO recorder_sessions (id, host_id, plugin, instance, path_prefix, first_index, room)
			VALUES (gen_random_uuid(), '`+host.String()+`', 'p', 'i', '`+dir+`/recordings/房间/a', 1, '{}')),
		g AS (INSERT INTO segments (recording_id, index, path, recorded_path, size_bytes, duration_ms, started_at, ended_at, publish)
			SELECT id, v.index, v.path, v.was, 1, 1, now(), now(), 'wanted' FROM r,
			(VALUES (1, '`+dir+`/recordings/房间/a_001.flv', NULL), (2, '`+dir+`-nas/a_002.flv', '`+dir+`/recordings/房间/a_002.flv'), (3, '`+dir+`/by "hand".mp4', NULL)) AS v(index, path, was))
		INSERT INTO hook_runs (recording_id, stage, steps, plan) SELECT id, 'postprocessor', '[]',
			'{"moves": [{"from": "`+dir+`/by \"hand\".mp4", "to": "/nas`+dir+`/x"}]}'::jsonb FROM r`)
	if err != nil {
		t.Fatal(err)
	}
}

func TestFilesFollowTheDataDirectory(t *testing.T) {
	database := dbtest.New(t)
	me, other := uuid.New(), uuid.New()
	follow := func(host uuid.UUID, dir, wantFrom string, wantChanged int64) {
		t.Helper()
		if from, changed, err := database.FollowDataDir(t.Context(), host, dir); err != nil || from != wantFrom || changed != wantChanged {
			t.Errorf("to %s: from %q, %d changed, %v", dir, from, changed, err)
		}
	}
	follow(me, "/srv/data", "", 0)
	file(t, database, me, "/srv/data")
	file(t, database, other, "/else/data")
	before := filed(t, database)
	follow(me, "/srv/data", "", 0)
	follow(me, "/srv/data2", "/srv/data", 5)
	want := []string{
		`plan {"moves": [{"to": "/nas/else/data/x", "from": "/else/data/by \"hand\".mp4"}]}`,
		`plan {"moves": [{"to": "/nas/srv/data/x", "from": "/srv/data2/by \"hand\".mp4"}]}`,
		`segment /else/data-nas/a_002.flv /else/data/recordings/房间/a_002.flv`,
		`segment /else/data/by "hand".mp4 -`,
		`segment /else/data/recordings/房间/a_001.flv -`,
		`segment /srv/data-nas/a_002.flv /srv/data2/recordings/房间/a_002.flv`,
		`segment /srv/data2/by "hand".mp4 -`,
		`segment /srv/data2/recordings/房间/a_001.flv -`,
		`session /else/data/recordings/房间/a`,
		`session /srv/data2/recordings/房间/a`,
	}
	if diff := cmp.Diff(want, filed(t, database)); diff != "" {
		t.Error(diff)
	}
	follow(me, "/srv/data2", "", 0)
	follow(me, "/srv/data", "/srv/data2", 5)
	if diff := cmp.Diff(before, filed(t, database)); diff != "" {
		t.Errorf("there and back: %s", diff)
	}
}

// A database of an older version does not say where the data directory was; its recordings do.
func TestFilesOfAnOlderVersionFollowTheDataDirectory(t *testing.T) {
	for dir, want := range map[string]string{
		"/srv/data":             "",
		"/moved/data":           "/srv/data",
		"/srv/data/recordings/": "/srv/data",
	} {
		database := dbtest.New(t)
		me := uuid.New()
		file(t, database, me, "/srv/data")
		if _, err := database.Pool.Exec(t.Context(), `INSERT INTO recorder_sessions (id, host_id, plugin, instance, path_prefix, first_index, room)
			VALUES (gen_random_uuid(), $1, 'p', 'i', '/srv/data/recordings/deep/recordings/b', 1, '{}')`, me); err != nil {
			t.Fatal(err)
		}
		if from, _, err := database.FollowDataDir(t.Context(), me, dir); err != nil || from != want {
			t.Errorf("to %s: from %q, %v; want %q", dir, from, err, want)
		}
	}
}
