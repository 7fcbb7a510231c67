package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lubod/lubod/host/internal/events"
	"github.com/lubod/lubod/host/internal/health"
	"github.com/lubod/lubod/host/internal/reason"
)

func TestEventsTellWhatRequestsChanged(t *testing.T) {
	h := newWatched(t)
	s := h.watchEvents(t, "")
	s.want(t, "ready")
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/1","remark":"一"}`).must(t, 200)
	s.want(t, "streamer.created", `"streamer_id": 1`, `"url": "https://a.example/1"`, `"remark": "一"`)
	h.api(t, "PUT", "/streamers", `{"id":1,"split_time":60}`).must(t, 200)
	s.want(t, "streamer.changed", `"fields": ["split_time"]`)
	h.api(t, "POST", "/streamers/1/pause", "").must(t, 200)
	s.want(t, "streamer.paused")
	h.api(t, "POST", "/upload_streamers", `{"template_name":"t"}`).must(t, 200)
	s.want(t, "template.created", `"template_name": "t"`)
	h.api(t, "PUT", "/configuration", `{"threads":7}`).must(t, 200)
	s.want(t, "configuration.changed", `"keys": ["threads"]`)
	h.api(t, "DELETE", "/streamers/1", "").must(t, 200)
	s.want(t, "streamer.deleted")
}

// TestEveryKindOfEventIsInTheContract writes each kind once; the stream holds what comes against the contract.
func TestEveryKindOfEventIsInTheContract(t *testing.T) {
	h := newWatched(t)
	s := h.watchEvents(t, "")
	s.want(t, "ready")
	h.server.events.Tell(events.KindHealth, HealthChanged(health.Failing, []health.Check{
		{Code: health.CodeDisk, Finding: health.Finding{Subject: "/a", Level: health.Failing, Since: time.Now(), Reason: reason.New(reason.HealthDiskLow, "folder", "/a", "free_mb", "1")}},
		{Code: health.CodeDatabase, Finding: health.Finding{Level: health.OK, Since: time.Now()}},
	}))
	if m := s.want(t, "health.changed", `"reason_code":"health.disk_low"`, `"level":"error"`); m.id != "" || strings.Contains(m.data, "database") {
		t.Errorf("the health has the place %q among the events, and tells %s", m.id, m.data)
	}
	missing := slices.DeleteFunc(events.Kinds(), func(kind string) bool { return kind == events.KindHealth })
	for _, statement := range []string{
		`INSERT INTO streamers (url) VALUES ('https://a.example/1')`,
		`UPDATE streamers SET remark = 'b'`, `UPDATE streamers SET paused = true`, `UPDATE streamers SET paused = false`, `UPDATE streamers SET last_error = E'no\n"room"'`,
		`INSERT INTO recordings (streamer_id, host_id, url, remark, title, streamer_name, state, started_at) VALUES (1, gen_random_uuid(), 'u', 'r', 't', 'n', 'recording', now())`,
		`UPDATE recordings SET state = 'waiting', resume_until = now()`, `UPDATE recordings SET state = 'recording', resume_until = NULL`,
		`UPDATE recordings SET title = 'other'`, `UPDATE recordings SET state = 'ended', ended_at = now()`,
		`INSERT INTO segments (recording_id, index, path, size_bytes, duration_ms, started_at, ended_at, publish) VALUES (1, 1, '/a/1.flv', 10, 1500, now(), now(), 'wanted')`,
		`UPDATE segments SET publish = 'waived'`, `UPDATE segments SET removed_at = now()`,
		`INSERT INTO hook_runs (recording_id, segment_id, stage, steps) VALUES (1, 1, 'segment_processor', '["rm"]')`,
		`INSERT INTO uploads (segment_id) VALUES (1)`, `INSERT INTO submissions (recording_id) VALUES (1)`, `UPDATE submissions SET archive = 'review'`,
		`INSERT INTO templates (template_name) VALUES ('t')`, `UPDATE templates SET title = 'x'`, `DELETE FROM templates`,
		`INSERT INTO accounts (platform, file) VALUES ('p', 'cookies.json')`, `UPDATE accounts SET platform = 'q'`, `DELETE FROM accounts`,
		`INSERT INTO account_states (host_id, file, fingerprint, checked_at, check_after) VALUES (gen_random_uuid(), 'f', 'f', now(), now())`,
		`INSERT INTO plugin_states (host_id, plugin, kind, version, state, error) VALUES (gen_random_uuid(), 'p', 'line', '1', 'ready', '')`, `DELETE FROM plugin_states`,
		`INSERT INTO configuration (value) VALUES ('{"threads": 3}')`,
		`DELETE FROM streamers`, `DELETE FROM recordings`,
		`INSERT INTO recordings (host_id, url, remark, title, streamer_name, state, started_at, ended_at, kind, params, request_key) VALUES (gen_random_uuid(), '', '', '', '', 'ended', now(), now(), 'manual', '{}', 'k')`,
		`INSERT INTO segments (recording_id, index, path, size_bytes, duration_ms, started_at, ended_at, publish, modified_at) VALUES (2, 1, '/a/1.flv', 10, 0, now(), now(), 'wanted', now())`,
	} {
		if _, err := h.db.Pool.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		m, ok := s.next(t)
		if !ok {
			t.Fatal("the stream ended")
		}
		missing = slices.DeleteFunc(missing, func(kind string) bool { return kind == m.kind })
	}
	if len(missing) > 0 {
		t.Errorf("these kinds were not seen: %v", missing)
	}
}

func TestEventsResumeAfterARestart(t *testing.T) {
	h := newWatched(t)
	s := h.watchEvents(t, "")
	s.want(t, "ready")
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/1"}`).must(t, 200)
	last := s.want(t, "streamer.created").id
	h.stop()
	s.wantEnd(t)

	h.restart(t)
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/2"}`).must(t, 200)
	resumed := h.watchEvents(t, "", "Last-Event-ID", last)
	second := resumed.want(t, "streamer.created", "https://a.example/2")
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/3"}`).must(t, 200)
	resumed.want(t, "streamer.created", "https://a.example/3")
	// By the URL too; the header knows better.
	h.watchEvents(t, "?last_event_id="+last).want(t, "streamer.created", "https://a.example/2")
	h.watchEvents(t, "?last_event_id="+last, "Last-Event-ID", second.id).want(t, "streamer.created", "https://a.example/3")
	for _, id := range []string{"nonsense", "1-2-3", "zzzzzzzzzzzzzzzzzzzzzzzzzz-1-1", strings.Repeat("x", 5000)} {
		h.watchEvents(t, "", "Last-Event-ID", id).want(t, "reset")
	}
}

// TestEventsTellTheHealthToThoseWhoComeBack holds that a change of the health, which is in no table, is not missed.
func TestEventsTellTheHealthToThoseWhoComeBack(t *testing.T) {
	h := newWatched(t, quick)
	last := h.watchEvents(t, "").want(t, "ready").id
	s := h.watchEvents(t, "", "Last-Event-ID", last)
	s.want(t, "health.changed", `"level":"ok"`)
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/1"}`).must(t, 200)
	s.want(t, "streamer.created")
	h.server.events.Tell(events.KindHealth, HealthChanged(health.OK, nil))
	if m := s.want(t, "health.changed"); m.id != "" {
		t.Errorf("it has the place %q", m.id)
	}
	h.watchEvents(t, "?types=streamer", "Last-Event-ID", last).want(t, "streamer.created")
}

func TestEventsAreFiltered(t *testing.T) {
	h := newWatched(t)
	for _, url := range []string{"https://a.example/1", "https://a.example/2"} {
		h.api(t, "POST", "/streamers", `{"url":"`+url+`"}`).must(t, 200)
	}
	paused, second := h.watchEvents(t, "?types=streamer.paused,template"), h.watchEvents(t, "?streamer=2")
	paused.want(t, "ready")
	second.want(t, "ready")
	for _, path := range []string{"/streamers/1/pause", "/streamers/2/pause", "/streamers/2/pause"} {
		h.api(t, "POST", path, "").must(t, 200)
	}
	h.api(t, "POST", "/upload_streamers", `{"template_name":"t"}`).must(t, 200)
	h.api(t, "DELETE", "/streamers/2", "").must(t, 200)
	paused.want(t, "streamer.paused", `"streamer_id": 1`)
	paused.want(t, "streamer.paused", `"streamer_id": 2`)
	paused.want(t, "template.created")
	second.want(t, "streamer.paused", `"streamer_id": 2`)
	second.want(t, "streamer.resumed")
	second.want(t, "streamer.paused") // a streamer stops before it is deleted
	second.want(t, "streamer.deleted")

	h.api(t, "GET", "/events?types=recording,films", "").refused(t, 400, "types:", "films", "recording.started")
	h.api(t, "GET", "/events?streamer=x", "").refused(t, 400, "streamer")
	h.api(t, "GET", "/events?streamer=0", "").refused(t, 400, "streamer")
}

func TestEventsShowThatTheyLive(t *testing.T) {
	h := newWatched(t, quick)
	s := h.watchEvents(t, "?types=account")
	first := s.want(t, "ready").id
	if m, ok := s.next(t); !ok || !m.comment || m.id != "" {
		t.Fatalf("%+v, %v", m, ok)
	}
	// What the filter keeps back moves the position all the same.
	h.api(t, "POST", "/upload_streamers", `{"template_name":"t"}`).must(t, 200)
	for {
		m, ok := s.next(t)
		if !ok || !m.comment || m.data != "" {
			t.Fatalf("%+v, %v", m, ok)
		}
		if m.id != "" && m.id != first {
			break
		}
	}
}

func TestEventsEndWithTheSession(t *testing.T) {
	h := newWatched(t, quick)
	s := h.watchEvents(t, "")
	s.want(t, "ready")
	h.api(t, "GET", "/logout", "").must(t, 303)
	s.wantEnd(t)
	h.api(t, "GET", "/events", "").refused(t, 401, "log in")
}

func TestEventsEndWithTheToken(t *testing.T) {
	h := newWatched(t, quick)
	var made NewToken
	h.api(t, "POST", "/tokens", `{"name":"watcher","scope":"read"}`).must(t, 200).decode(t, &made)
	script := newBrowser(t, h.base)
	s := script.watchEvents(t, "", "Authorization", "Bearer "+made.Token)
	s.want(t, "ready")
	h.api(t, "DELETE", "/tokens/1", "").must(t, 200)
	s.wantEnd(t)
}

func TestEventsOutliveTheLimitsOfRequests(t *testing.T) {
	const limit = 50 * time.Millisecond
	h := newWatched(t, quick, func(s *Server) { s.readTimeout = limit })
	s := h.watchEvents(t, "")
	began := time.Now()
	s.want(t, "ready")
	for time.Since(began) < 4*limit {
		if _, ok := s.next(t); !ok {
			t.Fatalf("the stream ended after %v", time.Since(began))
		}
	}
}

func TestTooManyReadersOfEvents(t *testing.T) {
	w := newWatched(t, func(s *Server) { s.events.MaxSubscribers = 1 })
	w.watchEvents(t, "").want(t, "ready")
	refused := w.api(t, "GET", "/events", "")
	refused.refused(t, 503, "too many clients")
	if refused.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestOtherSitesCannotWatch(t *testing.T) {
	h := newWatched(t)
	for _, path := range []string{"/events", "/ws/logs"} {
		h.api(t, "GET", path, "", "Origin", "https://evil.example").refused(t, 403, "another site")
		h.api(t, "GET", path, "", "Sec-Fetch-Site", "same-site").refused(t, 403, "another site")
	}
	h.watchEvents(t, "", "Origin", h.base).want(t, "ready")
	if _, status := h.dialLogs(t, "", "Origin", "https://evil.example"); status != http.StatusForbidden {
		t.Errorf("status %d", status)
	}
	h.watchLogs(t, "", "Origin", h.base)
}
