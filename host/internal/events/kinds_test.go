package events

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/db/dbtest"
)

// TestEveryChangeIsAnEvent holds the triggers: what they write, and what they do not.
func TestEveryChangeIsAnEvent(t *testing.T) {
	database := dbtest.New(t)
	bus, _ := run(t, database, Options{})
	s := subscribe(t, bus, "")
	one(t, s, KindReady)
	for _, step := range []struct {
		statement string
		want      []string
	}{
		{`INSERT INTO streamers (url, remark) VALUES ('https://a.example/1', 'a')`, []string{`streamer.created 1 {"url": "https://a.example/1", "remark": "a", "streamer_id": 1}`}},
		{`UPDATE streamers SET split_time = 60, remark = 'b', updated_at = now()`, []string{`streamer.changed 1 {"url": "https://a.example/1", "fields": ["remark", "split_time"], "remark": "b", "streamer_id": 1}`}},
		{`UPDATE streamers SET updated_at = now() + interval '1 s'`, nil},
		{`UPDATE streamers SET paused = true`, []string{`streamer.paused 1 {"url": "https://a.example/1", "remark": "b", "streamer_id": 1}`}},
		{`UPDATE streamers SET paused = false`, []string{`streamer.resumed 1 {"url": "https://a.example/1", "remark": "b", "streamer_id": 1}`}},
		{`UPDATE streamers SET last_error = 'no'`, []string{`streamer.reason 1 {"url": "https://a.example/1", "reason": "no", "remark": "b", "streamer_id": 1}`}},
		{`UPDATE streamers SET last_error = 'no'`, nil},
		{`UPDATE streamers SET last_error = 'why', reason = '{"code":"net.dns","args":{"where":"a"}}'`, []string{`streamer.reason 1 {"url": "https://a.example/1", "reason": "why", "remark": "b", "reason_args": {"where": "a"}, "reason_code": "net.dns", "streamer_id": 1}`}},
		{`UPDATE streamers SET last_error = 'no', reason = '{"code":"error.other"}'`, []string{`streamer.reason 1 {"url": "https://a.example/1", "reason": "no", "remark": "b", "reason_args": {}, "reason_code": "error.other", "streamer_id": 1}`}},
		{
			`INSERT INTO recordings (streamer_id, host_id, url, remark, title, streamer_name, state, started_at) VALUES (1, gen_random_uuid(), 'u', 'r', 't', 'n', 'recording', '2026-01-02 03:04:05.5Z')`,
			[]string{`recording.started 1 {"url": "u", "state": "recording", "remark": "r", "start_time": "2026-01-02T03:04:05.500000Z", "streamer_id": 1, "stream_title": "t", "streamer_name": "n", "streamer_info_id": 1}`},
		},
		{`UPDATE recordings SET state = 'waiting', resume_until = '2026-01-02 03:05:00Z'`, []string{`recording.waiting 1 {"url": "u", "state": "waiting", "remark": "r", "start_time": "2026-01-02T03:04:05.500000Z", "streamer_id": 1, "resume_until": "2026-01-02T03:05:00.000000Z", "stream_title": "t", "streamer_name": "n", "streamer_info_id": 1}`}},
		{`UPDATE recordings SET state = 'recording', resume_until = NULL`, []string{`recording.resumed 1 *`}},
		{`UPDATE recordings SET title = 'other'`, []string{`recording.title 1 *`}},
		{`UPDATE recordings SET category = 'other'`, nil},
		{
			`INSERT INTO segments (recording_id, index, path, size_bytes, duration_ms, started_at, ended_at, publish) VALUES (1, 1, '/a/1.flv', 10, 1500, now(), now(), 'wanted')`,
			[]string{`segment.closed 1 {"index": 1, "reason": "", "publish": "wanted", "duration": 1.5000000000000000, "file_path": "/a/1.flv", "file_size": 10, "segment_id": 1, "streamer_id": 1, "streamer_info_id": 1}`},
		},
		{`UPDATE segments SET publish = 'waived', reason = 'given up'`, []string{`segment.changed 1 *`}},
		{`INSERT INTO uploads (segment_id) VALUES (1)`, []string{`upload.state 1 {"line": "", "error": "", "state": "pending", "attempts": 0, "file_path": "/a/1.flv", "segment_id": 1, "streamer_id": 1, "streamer_info_id": 1}`}},
		{`UPDATE uploads SET state = 'uploading', line = 'bda2'`, []string{`upload.state 1 *`}},
		{`UPDATE uploads SET checkpoint = 'x', acknowledged_bytes = 5, updated_at = now()`, nil},
		{`UPDATE uploads SET state = 'pending', error = 'cut'`, []string{`upload.state 1 {"line": "bda2", "error": "cut", "state": "pending", "attempts": 0, "file_path": "/a/1.flv", "segment_id": 1, "streamer_id": 1, "streamer_info_id": 1}`}},
		{`UPDATE segments SET removed_at = now()`, []string{`segment.removed 1 *`}},
		{`UPDATE segments SET removed_at = now() + interval '1 s'`, nil},
		{
			`INSERT INTO hook_runs (recording_id, segment_id, stage, steps) VALUES (1, 1, 'segment_processor', '[{"run": "secret"}, "rm"]')`,
			[]string{`hook.state 1 {"hook": "segment_processor", "step": 1, "error": "", "state": "pending", "steps": 2, "hook_id": 1, "attempts": 0, "segment_id": 1, "streamer_id": 1, "streamer_info_id": 1}`},
		},
		{`UPDATE hook_runs SET plan = '{}', due_at = now(), updated_at = now()`, nil},
		{`UPDATE hook_runs SET state = 'running', updated_at = now()`, []string{`hook.state 1 *`}},
		{`UPDATE hook_runs SET state = 'pending', updated_at = now()`, []string{`hook.state 1 *`}},
		// A step that waits for an upload is put off every few seconds.
		{`UPDATE hook_runs SET state = 'pending', attempts = attempts + 0, due_at = now() + interval '3 s', updated_at = now()`, nil},
		{`UPDATE hook_runs SET state = 'held', attempts = 1, error = 'no'`, []string{`hook.state 1 {"hook": "segment_processor", "step": 1, "error": "no", "state": "held", "steps": 2, "hook_id": 1, "attempts": 1, "segment_id": 1, "streamer_id": 1, "streamer_info_id": 1}`}},
		{`UPDATE hook_runs SET state = 'done', next_step = 2`, []string{`hook.state 1 *`}},
		{`INSERT INTO submissions (recording_id) VALUES (1)`, []string{`submission.state 1 {"aid": 0, "bvid": "", "error": "", "state": "waiting", "title": "", "number": 1, "attempts": 0, "streamer_id": 1, "streamer_info_id": 1}`}},
		{`UPDATE submissions SET lookups = 1`, nil},
		{`UPDATE submissions SET state = 'accepted', bvid = 'BV1', aid = 1`, []string{`submission.state 1 *`}},
		{`UPDATE submissions SET archive = 'rejected', archive_code = -2, archive_text = 'no'`, []string{`submission.archive 1 {"aid": 1, "bvid": "BV1", "number": 1, "archive": "rejected", "streamer_id": 1, "archive_code": -2, "archive_text": "no", "streamer_info_id": 1}`}},
		{`UPDATE submissions SET follows = 2, archive_at = now()`, nil},
		{`UPDATE recordings SET state = 'ended', ended_at = now()`, []string{`recording.ended 1 *`}},
		{`DELETE FROM streamers`, []string{`streamer.deleted 1 {"url": "https://a.example/1", "remark": "b", "streamer_id": 1}`}},
		{`DELETE FROM recordings`, []string{`recording.deleted 0 *`}},
		{
			`INSERT INTO recordings (host_id, url, remark, title, streamer_name, state, started_at, ended_at, kind, params, request_key) VALUES (gen_random_uuid(), '', '', '', '', 'ended', now(), now(), 'manual', '{"title": "x"}', 'k')`,
			[]string{`recording.ordered 0 *`},
		},
		{
			`INSERT INTO segments (recording_id, index, path, size_bytes, duration_ms, started_at, ended_at, publish, modified_at) VALUES (2, 1, '/a/1.flv', 10, 0, now(), now(), 'wanted', now())`,
			[]string{`segment.ordered 0 *`},
		},
		{`INSERT INTO templates (template_name) VALUES ('t')`, []string{`template.created 0 {"template_id": 1, "template_name": "t"}`}},
		{`UPDATE templates SET title = 'x', updated_at = now()`, []string{`template.changed 0 {"fields": ["title"], "template_id": 1, "template_name": "t"}`}},
		{`UPDATE templates SET title = 'x', updated_at = now()`, nil},
		{`DELETE FROM templates`, []string{`template.deleted 0 {"template_id": 1, "template_name": "t"}`}},
		{`INSERT INTO accounts (platform, file) VALUES ('p', 'cookies.json')`, []string{`account.added 0 {"value": "cookies.json", "platform": "p", "account_id": 1}`}},
		{`UPDATE accounts SET platform = 'q'`, []string{`account.changed 0 {"value": "cookies.json", "fields": ["platform"], "platform": "q", "account_id": 1}`}},
		{`INSERT INTO account_states (host_id, file, fingerprint, mid, check_after) VALUES ('00000000-0000-0000-0000-000000000001', 'cookies.json', 'f', 5, now())`, nil},
		{`UPDATE account_states SET refresh_began = now()`, nil},
		{`UPDATE account_states SET checked_at = now(), uname = 'n'`, []string{`account.state 0 {"mid": 5, "error": "", "uname": "n", "valid": true, "value": "cookies.json", "warning": ""}`}},
		{`UPDATE account_states SET checked_at = now(), check_after = now()`, nil},
		{`UPDATE account_states SET error = 'log in again', warning = 'w', fingerprint = 'g'`, []string{`account.state 0 {"mid": 5, "error": "log in again", "uname": "n", "valid": false, "value": "cookies.json", "warning": "w"}`}},
		{
			`INSERT INTO plugin_states (host_id, plugin, kind, version, state, error) VALUES (gen_random_uuid(), 'line-upos', 'line', '1', 'ready', '')`,
			[]string{`plugin.state 0 {"kind": "line", "error": "", "state": "ready", "plugin": "line-upos", "plugin_version": "1"}`},
		},
		{`UPDATE plugin_states SET state = 'backoff', error = 'it ended'`, []string{`plugin.state 0 {"kind": "line", "error": "it ended", "state": "backoff", "plugin": "line-upos", "plugin_version": "1"}`}},
		{`DELETE FROM plugin_states`, []string{`plugin.removed 0 {"kind": "line", "plugin": "line-upos"}`}},
		{`DELETE FROM accounts`, []string{`account.removed 0 {"value": "cookies.json", "platform": "q", "account_id": 1}`}},
		{`INSERT INTO configuration (value) VALUES ('{}')`, nil},
		{`UPDATE configuration SET value = '{"threads": 3, "cookie": "secret"}'`, []string{`configuration.changed 0 {"keys": ["cookie", "threads"]}`}},
		{`UPDATE configuration SET value = '{"threads": 4}', updated_at = now()`, []string{`configuration.changed 0 {"keys": ["cookie", "threads"]}`}},
		{`UPDATE configuration SET value = '{"threads": 4}', updated_at = now()`, nil},
	} {
		exec(t, database, step.statement)
		var got []string
		for _, e := range untilMark(t, database, s) {
			line := fmt.Sprintf("%s %d %s", e.Kind, e.StreamerID, e.Data)
			if i := len(got); i < len(step.want) && strings.HasSuffix(step.want[i], "*") {
				line = fmt.Sprintf("%s %d *", e.Kind, e.StreamerID)
			}
			got = append(got, line)
			if !slices.Contains(Kinds(), e.Kind) {
				t.Errorf("%s is not in Kinds", e.Kind)
			}
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.statement, diff)
		}
	}
}

// untilMark returns the events before one that it writes itself.
func untilMark(t *testing.T, database *db.DB, s *Subscription) []Event {
	t.Helper()
	exec(t, database, `SELECT write_event('mark', NULL, '{}')`)
	var all []Event
	for {
		for _, e := range read(t, s, 1) {
			if e.Kind == "mark" {
				return all
			}
			all = append(all, e)
		}
	}
}
