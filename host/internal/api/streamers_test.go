package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lubod/lubod/db"
)

// equalJSON compares two JSON texts by value.
func equalJSON(t *testing.T, got, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Fatalf("%v in %s", err, got)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("%v in %s", err, want)
	}
	if diff := cmp.Diff(w, g); diff != "" {
		t.Errorf("answer differs (-want +got):\n%s", diff)
	}
}

// noOptions are the fields of an answer that few rooms set.
const noOptions = `,"filename_prefix":null,"format":null,"time_range":null,"excluded_keywords":[],"preprocessor":[],"segment_processor":[],"downloaded_processor":[],"postprocessor":[],"publish":null`

const streamerJSON = `{"url":"https://live.bilibili.com/123456","template_name":"默认模板","remark":"主播备注","split_time":3600,"split_size":2048}`

func TestStreamerFromCreationToDeletion(t *testing.T) {
	h := newLoggedIn(t)
	created := h.api(t, "POST", "/streamers", streamerJSON).must(t, 200)
	equalJSON(t, created.body, `{"id":1,"url":"https://live.bilibili.com/123456","template_name":"默认模板","remark":"主播备注","split_time":3600,"split_size":2048,"override":{}`+noOptions+`}`)
	if got := h.notes.take(); got != "room 1 changed" {
		t.Errorf("announced %q", got)
	}
	equalJSON(t, h.api(t, "GET", "/streamers", "").must(t, 200).body, `[{"status":"Idle","upload_status":"Idle",
		"reason":"there is no template \"默认模板\": nothing that is recorded of the room is published until there is",
		"reason_code":"room.no_template","reason_args":{"template":"默认模板"},"action":{"kind":"edit","target":"template"},
		"inner":{"id":1,"url":"https://live.bilibili.com/123456","template_name":"默认模板","remark":"主播备注","split_time":3600,"split_size":2048,"override":{}`+noOptions+`}}]`)

	updated := h.api(t, "PUT", "/streamers", `{"id":1,"url":"https://live.bilibili.com/123456","template_name":"新模板","remark":"更新后的备注"}`).must(t, 200)
	equalJSON(t, updated.body, `{"id":1,"url":"https://live.bilibili.com/123456","template_name":"新模板","remark":"更新后的备注","split_time":3600,"split_size":2048,"override":{}`+noOptions+`}`)
	if got := h.notes.take(); got != "room 1 changed; publishing changed" {
		t.Errorf("announced %q", got)
	}

	deleted := h.api(t, "DELETE", "/streamers/1", "").must(t, 200)
	equalJSON(t, deleted.body, updated.body)
	if got := h.notes.take(); got != "stop 1: the streamer was deleted; room 1 changed" {
		t.Errorf("announced %q", got)
	}
	equalJSON(t, h.api(t, "GET", "/streamers", "").must(t, 200).body, `[]`)
	h.api(t, "DELETE", "/streamers/1", "").refused(t, 404, "no streamer with the id 1")
}

func TestStreamerDefaults(t *testing.T) {
	h := newLoggedIn(t)
	for i, body := range []string{
		`{"url":"https://a.example/1"}`,
		`{"url":" https://a.example/2 ","template_name":null,"remark":null,"split_time":null,"split_size":null,"override":null,"id":null}`,
		`{"url":"https://a.example/3","template_name":"","override":{}}`,
	} {
		got := h.api(t, "POST", "/streamers", body).must(t, 200)
		equalJSON(t, got.body, fmt.Sprintf(`{"id":%d,"url":"https://a.example/%d","template_name":null,"remark":"","split_time":3600,"split_size":2048,"override":{}`+noOptions+`}`, i+1, i+1))
	}
}

func TestOnlyARoomThatSaysSoIsNeverPublished(t *testing.T) {
	h := newLoggedIn(t)
	said := func(answer string) (publish, template any) {
		var streamer map[string]any
		if err := json.Unmarshal([]byte(answer), &streamer); err != nil {
			t.Fatal(err)
		}
		return streamer["publish"], streamer["template_name"]
	}
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/1","postprocessor":["rm"]}`).must(t, 200)
	for _, step := range []struct {
		change            string
		publish, template any
	}{
		{`{"id":1,"publish":"never"}`, "never", nil},
		{`{"id":1,"remark":"r"}`, "never", nil},
		{`{"id":1,"publish":null}`, nil, nil},
		{`{"id":1,"publish":"never"}`, "never", nil},
		{`{"id":1,"publish":""}`, nil, nil},
		{`{"id":1,"template_name":"t"}`, nil, "t"},
		{`{"id":1,"template_name":null}`, nil, nil}, // without a template is not: never
		{`{"id":1,"publish":"never"}`, "never", nil},
		{`{"id":1,"publish":null,"template_name":"t"}`, nil, "t"},
		{`{"id":1,"publish":"never","template_name":null}`, "never", nil},
	} {
		if publish, template := said(h.api(t, "PUT", "/streamers", step.change).must(t, 200).body); publish != step.publish || template != step.template {
			t.Errorf("after %s the room is published %v with the template %v", step.change, publish, template)
		}
	}
	h.api(t, "PUT", "/streamers", `{"id":1,"template_name":"t"}`).refused(t, 400, `publish: is "never", and the room has the template "t"`)
	h.api(t, "PUT", "/streamers", `{"id":1,"publish":"always"}`).refused(t, 400, "publish: must be never")
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/2","template_name":"t","publish":"never"}`).refused(t, 400, "publish: is")
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/2","publish":"never"}`).must(t, 200)
}

func TestUpdateKeepsWhatItDoesNotName(t *testing.T) {
	h := newLoggedIn(t)
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/1","template_name":"t","remark":"r","split_time":60,"split_size":10,"override":{"delay":5}}`).must(t, 200)
	same := `{"id":1,"url":"https://a.example/1","template_name":"t","remark":"r","split_time":60,"split_size":10,"override":{"delay":5}` + noOptions + `}`
	equalJSON(t, h.api(t, "PUT", "/streamers", `{"id":1}`).must(t, 200).body, same)
	// What GET answers can be sent back as it is.
	equalJSON(t, h.api(t, "PUT", "/streamers", same).must(t, 200).body, same)
	if got := h.notes.take(); strings.Contains(got, "stop") {
		t.Errorf("a recording was ended by an edit that changed nothing: %q", got)
	}
	equalJSON(t, h.api(t, "PUT", "/streamers", `{"id":1,"template_name":null,"remark":null,"split_time":null,"split_size":0,"override":null}`).must(t, 200).body,
		`{"id":1,"url":"https://a.example/1","template_name":null,"remark":"","split_time":3600,"split_size":0,"override":{}`+noOptions+`}`)
	h.api(t, "PUT", "/streamers", `{"id":7,"remark":"x"}`).refused(t, 404, "no streamer with the id 7")
}

func TestUpdateEndsARecordingOnlyForAnotherURL(t *testing.T) {
	h := newLoggedIn(t)
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/1"}`).must(t, 200)
	h.notes.take()
	h.rooms.stop = func(ctx context.Context, id int64, reason string) error {
		row, err := h.db.GetStreamer(ctx, id)
		h.notes.add("stop %d at %s (%v): %s", id, row.URL, err, reason)
		return errors.New("the recorder does not answer")
	}
	h.api(t, "PUT", "/streamers", `{"id":1,"url":"https://a.example/2"}`).must(t, 200)
	if got := h.notes.take(); got != "stop 1 at https://a.example/2 (<nil>): the URL was changed; room 1 changed" {
		t.Errorf("announced %q", got)
	}
}

func TestUpdateKeepsAURLWhosePluginIsAway(t *testing.T) {
	h := newLoggedIn(t)
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/1","override":{"lines":"qn"}}`).must(t, 200)
	h.plugins.accepts = func(context.Context, string) error { return errors.New("no plugin") }
	h.api(t, "PUT", "/streamers", `{"id":1,"url":"https://a.example/1","remark":"x","override":{"lines":"qn"}}`).must(t, 200)
	h.api(t, "PUT", "/streamers", `{"id":1,"url":"https://a.example/2"}`).refused(t, 400, "url: no plugin")
	h.api(t, "PUT", "/streamers", `{"id":1,"override":{"lines":"bda2"}}`).must(t, 200)
}

func TestPauseFollowsItsThreeRules(t *testing.T) {
	h := newLoggedIn(t)
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/1"}`).must(t, 200)
	h.notes.take()
	status := func(a answer) RecordStatus {
		var state StreamerState
		a.must(t, 200).decode(t, &state)
		return state.Status
	}
	pause := func() answer { return h.api(t, "POST", "/streamers/1/pause", "") }
	stopped := func(want string) {
		t.Helper()
		if got := h.notes.take(); got != want {
			t.Errorf("announced %q, want %q", got, want)
		}
	}
	h.rooms.stop = func(ctx context.Context, id int64, reason string) error {
		row, err := h.db.GetStreamer(ctx, id)
		h.notes.add("stop %d while paused is %v (%v)", id, row.Paused, err)
		return nil
	}
	if got := status(pause()); got != RecordStatusPause {
		t.Errorf("Idle became %s", got)
	}
	stopped("stop 1 while paused is true (<nil>); room 1 changed")
	if got := status(pause()); got != RecordStatusIdle {
		t.Errorf("Pause became %s", got)
	}
	stopped("room 1 changed")
	insertRecording(t, h.db, 1, "recording")
	if got := status(pause()); got != RecordStatusPause {
		t.Errorf("Working became %s", got)
	}
	// Even when the recorder cannot be reached the pause stands: an error would make a client resume it again.
	h.rooms.stop = func(context.Context, int64, string) error { return errors.New("the recorder does not answer") }
	pause()
	if got := status(pause()); got != RecordStatusPause {
		t.Errorf("with a recorder that is away: %s", got)
	}
	h.api(t, "POST", "/streamers/9/pause", "").refused(t, 404, "no streamer with the id 9")
	h.api(t, "POST", "/streamers/x/pause", "").refused(t, 400, "id: must be a whole number")
}

func TestDeleteKeepsRecordingsAndEndsThemFirst(t *testing.T) {
	h := newLoggedIn(t)
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/1"}`).must(t, 200)
	recording := insertRecording(t, h.db, 1, "recording")
	h.rooms.stop = func(context.Context, int64, string) error { return errors.New("the recorder does not answer") }
	h.api(t, "DELETE", "/streamers/1", "").refused(t, 503, "paused", "delete it again")
	h.rooms.stop = func(ctx context.Context, id int64, _ string) error {
		if row, err := h.db.GetStreamer(ctx, id); err != nil || !row.Paused {
			t.Errorf("while it is stopped: paused %v, %v", row.Paused, err)
		}
		return nil
	}
	h.api(t, "DELETE", "/streamers/1", "").must(t, 200)
	kept, err := h.db.GetRecording(t.Context(), recording)
	if err != nil || kept.StreamerID != nil {
		t.Errorf("recording %+v, %v", kept, err)
	}
}

func TestStreamerMistakesAreNamedAndChangeNothing(t *testing.T) {
	h := newLoggedIn(t)
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/1"}`).must(t, 200)
	h.notes.take()
	for name, tc := range map[string]struct {
		method, body string
		status       int
		words        []string
	}{
		"no URL":                   {"POST", `{}`, 400, []string{"url: is missing"}},
		"empty URL":                {"POST", `{"url":""}`, 400, []string{"url: must not be empty"}},
		"URL is a number":          {"POST", `{"url":7}`, 400, []string{"url: must be a text, not a number"}},
		"URL is null":              {"POST", `{"url":null}`, 400, []string{"url: must be a text, not null"}},
		"URL of another scheme":    {"POST", `{"url":"file:///etc/passwd"}`, 400, []string{"url:", "http://"}},
		"URL without a host":       {"POST", `{"url":"http:///x"}`, 400, []string{"url:"}},
		"URL with a password":      {"POST", `{"url":"http://u:secret@a.example/x"}`, 400, []string{"url:", "password"}},
		"URL in broken form":       {"POST", `{"url":"http://[::1"}`, 400, []string{"url:"}},
		"URL too long":             {"POST", `{"url":"http://a.example/` + strings.Repeat("a", 2000) + `"}`, 400, []string{"url:", "2000"}},
		"URL too long in bytes":    {"POST", `{"url":"http://a.example/` + strings.Repeat("播", 1900) + `"}`, 400, []string{"url:", "2000 bytes"}},
		"URL that nobody takes":    {"POST", `{"url":"https://nobody.example/1"}`, 400, []string{"url:", "extractor-direct takes"}},
		"URL that exists":          {"POST", `{"url":"https://a.example/1","split_time":77}`, 409, []string{"url:", "already", "split_time"}},
		"split_time a text":        {"POST", `{"url":"https://a.example/2","split_time":"60"}`, 400, []string{"split_time: must be a whole number, not a text"}},
		"split_time a fraction":    {"POST", `{"url":"https://a.example/2","split_time":1.5}`, 400, []string{"split_time: must be a whole number"}},
		"split_time 1.0":           {"POST", `{"url":"https://a.example/2","split_time":1.0}`, 400, []string{"split_time: must be a whole number, written without"}},
		"split_time negative":      {"POST", `{"url":"https://a.example/2","split_time":-1}`, 400, []string{"split_time: must be from 0 to 604800"}},
		"split_time huge":          {"POST", `{"url":"https://a.example/2","split_time":1e300}`, 400, []string{"split_time: must be from 0 to 604800"}},
		"split_time beyond floats": {"POST", `{"url":"https://a.example/2","split_time":1e999}`, 400, []string{"split_time"}},
		"remark too long":          {"POST", `{"url":"https://a.example/2","remark":"` + strings.Repeat("长", 201) + `"}`, 400, []string{"remark: must have at most 200 characters"}},
		"NUL":                      {"POST", `{"url":"https://a.example/2","remark":"a\u0000"}`, 400, []string{"NUL"}},
		"misspelt field":           {"POST", `{"url":"https://a.example/2","split_tme":60}`, 400, []string{"split_tme: is not known here", "split_time"}},
		"field in other case":      {"POST", `{"URL":"https://a.example/2","url":"https://a.example/3"}`, 400, []string{"URL: is not known here"}},
		"override a text":          {"POST", `{"url":"https://a.example/2","override":"x"}`, 400, []string{"override: must be a JSON object, not a text"}},
		"override unknown key":     {"POST", `{"url":"https://a.example/2","override":{"dely":1}}`, 400, []string{"override.dely: is not known here", "delay"}},
		"override wrong type":      {"POST", `{"url":"https://a.example/2","override":{"delay":"1"}}`, 400, []string{"override.delay: must be a whole number, not a text"}},
		"override out of bounds":   {"POST", `{"url":"https://a.example/2","override":{"threads":99}}`, 400, []string{"override.threads: must be from 1 to 64"}},
		"a list":                   {"POST", `[]`, 400, []string{"the body must be a JSON object, not a list"}},
		"null":                     {"POST", `null`, 400, []string{"the body must be a JSON object, not null"}},
		"a text":                   {"POST", `"x"`, 400, []string{"the body must be a JSON object, not a text"}},
		"half an object":           {"POST", `{"url":`, 400, []string{"the body is not JSON"}},
		"two objects":              {"POST", `{"url":"https://a.example/2"}{}`, 400, []string{"the body is not JSON"}},
		"not UTF-8":                {"POST", "{\"url\":\"https://a.example/\xff\"}", 400, []string{"UTF-8"}},
		"only spaces":              {"POST", `   `, 400, []string{"the body is missing"}},
		"deep":                     {"POST", strings.Repeat(`[`, 20000) + strings.Repeat(`]`, 20000), 400, []string{"the body is not JSON"}},
		"PUT without id":           {"PUT", `{"remark":"x"}`, 400, []string{"id: is missing"}},
		"PUT id null":              {"PUT", `{"id":null}`, 400, []string{"id: must be a whole number, not null"}},
		"PUT id zero":              {"PUT", `{"id":0}`, 400, []string{"id: must be from 1"}},
		"PUT id beyond int64":      {"PUT", `{"id":9223372036854775808}`, 400, []string{"id: must be from 1"}},
		"PUT unknown field":        {"PUT", `{"id":1,"paused":true}`, 400, []string{"paused: is not known here"}},
	} {
		t.Run(name, func(t *testing.T) {
			h.api(t, tc.method, "/streamers", tc.body).refused(t, tc.status, tc.words...)
			if got := h.notes.take(); got != "" {
				t.Errorf("announced %q", got)
			}
		})
	}
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/9"}`).must(t, 200)
	h.api(t, "PUT", "/streamers", `{"id":1,"url":"https://a.example/9"}`).refused(t, 409, "another streamer")
	var states []StreamerState
	h.api(t, "GET", "/streamers", "").decode(t, &states)
	if len(states) != 2 || states[0].Inner.URL != "https://a.example/1" {
		t.Errorf("mistakes changed something: %+v", states)
	}
}

func TestURLCheckThatTakesTooLong(t *testing.T) {
	h := newLoggedIn(t)
	h.plugins.accepts = func(context.Context, string) error { return fmt.Errorf("ask plugins: %w", context.DeadlineExceeded) }
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/1"}`).refused(t, 503, "try again")
}

func TestStreamerStatesSayWhyNot(t *testing.T) {
	h := newLoggedIn(t)
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := h.db.Pool.Exec(t.Context(), query, args...); err != nil {
			t.Fatal(err)
		}
	}
	h.api(t, "POST", "/upload_streamers", `{"template_name":"t"}`).must(t, 200)
	for i := range 12 {
		h.api(t, "POST", "/streamers", fmt.Sprintf(`{"url":"https://a.example/%d","template_name":"t"}`, i+1)).must(t, 200)
	}
	insertRecording(t, h.db, 2, "recording")
	insertRecording(t, h.db, 3, "waiting")
	insertUpload(t, h.db, insertRecording(t, h.db, 4, "ended"), "uploading", "")
	insertUpload(t, h.db, insertRecording(t, h.db, 5, "ended"), "failed", "the file is gone")
	submitting := insertRecording(t, h.db, 6, "ended")
	insertUpload(t, h.db, submitting, "uploaded", "old trouble")
	exec("INSERT INTO submissions (recording_id, state) VALUES ($1, 'submitting')", submitting)
	failed := insertRecording(t, h.db, 7, "ended")
	exec("INSERT INTO submissions (recording_id, state, error) VALUES ($1, 'failed', 'the title is refused')", failed)
	accepted := insertRecording(t, h.db, 8, "ended")
	exec("INSERT INTO submissions (recording_id, state) VALUES ($1, 'accepted')", accepted)
	exec("UPDATE streamers SET last_error = 'the room does not exist' WHERE id = 9")
	exec("UPDATE streamers SET paused = true WHERE id = 8")
	const left = `{"code": "recording.unadopted", "args": {"cause": "read-only file system"}}`
	exec("UPDATE recordings SET reason = $1 WHERE streamer_id = 3", left)
	exec("UPDATE recordings SET reason = $1 WHERE streamer_id = 4", left) // it ended: its own list tells
	insertUpload(t, h.db, insertRecording(t, h.db, 10, "ended"), "pending", "")
	insertUpload(t, h.db, insertRecording(t, h.db, 11, "ended"), "pending", "there is no template")
	waiting := insertRecording(t, h.db, 12, "ended")
	exec("INSERT INTO submissions (recording_id, state, error) VALUES ($1, 'waiting', 'log in again')", waiting)
	orphan := insertRecording(t, h.db, 1, "ended")
	insertUpload(t, h.db, orphan, "failed", "of a streamer that is gone")
	exec("UPDATE recordings SET streamer_id = NULL WHERE id = $1", orphan)

	var states []StreamerState
	h.api(t, "GET", "/streamers", "").must(t, 200).decode(t, &states)
	var got []string
	for _, s := range states {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%d %s %s %s", s.Inner.ID, s.Status, s.UploadStatus, text(s.Reason))))
	}
	want := []string{
		"1 Idle Idle", "2 Working Idle", "3 Idle Idle files of the recording are not taken over yet: read-only file system", "4 Idle Working", "5 Idle Idle the file is gone", "6 Idle Working",
		"7 Idle Idle the title is refused", "8 Pause Idle", "9 Idle Idle the room does not exist",
		"10 Idle Working", "11 Idle Idle there is no template", "12 Idle Idle log in again",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
}

func TestListTakesFourQueriesWhateverTheNumberOfRooms(t *testing.T) {
	h := newLoggedIn(t)
	if _, err := h.db.Pool.Exec(t.Context(), `INSERT INTO streamers (url) SELECT 'https://a.example/' || n FROM generate_series(1, 1000) n`); err != nil {
		t.Fatal(err)
	}
	counter := &queryCounter{}
	config := h.db.Pool.Config()
	config.ConnConfig.Tracer = counter
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	h.db = &db.DB{Queries: db.New(pool), Pool: pool}
	counted := newBrowser(t, serve(t, h.start(t)))
	counted.client.Jar = h.client.Jar
	counted.api(t, "GET", "/streamers", "").must(t, 200)
	counter.take()
	var states []StreamerState
	counted.api(t, "GET", "/streamers", "").must(t, 200).decode(t, &states)
	if len(states) != 1000 {
		t.Fatalf("%d streamers", len(states))
	}
	// The session, its user, the list, and what rooms inherit.
	if queries := counter.take(); len(queries) != 4 {
		t.Errorf("%d queries: %s", len(queries), strings.Join(queries, "\n"))
	}
}

// queryCounter notes each query of a pool.
type queryCounter struct{ notes }

func (q *queryCounter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if !strings.Contains(data.SQL, "DeleteExpiredUserSessions") {
		q.add("%s", data.SQL)
	}
	return ctx
}

func (q *queryCounter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (q *queryCounter) take() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	lines := q.lines
	q.lines = nil
	return lines
}

// insertRecording puts a recording of a streamer into the database, as the recording part would.
func insertRecording(t *testing.T, database *db.DB, streamer int64, state string) (id int64) {
	t.Helper()
	err := database.Pool.QueryRow(t.Context(), `
		INSERT INTO recordings (streamer_id, host_id, url, remark, template_name, title, streamer_name, state, resume_until, started_at, ended_at)
		SELECT id, gen_random_uuid(), url, remark, template_name, '直播标题', '主播名称', $2, CASE WHEN $2 = 'waiting' THEN timestamptz '2025-01-10T13:05:00Z' END,
		       '2025-01-10T12:00:00Z', CASE WHEN $2 = 'ended' THEN timestamptz '2025-01-10T13:00:00Z' END
		FROM streamers WHERE id = $1 RETURNING id`, streamer, state).Scan(&id)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// insertUpload puts one more segment with its upload into the database.
func insertUpload(t *testing.T, database *db.DB, recording int64, state, message string) (segment int64) {
	t.Helper()
	segment = insertSegment(t, database, recording, "wanted", "")
	_, err := database.Pool.Exec(t.Context(), `
		INSERT INTO uploads (segment_id, state, account_file, line, checkpoint, acknowledged_bytes, attempts, error)
		VALUES ($1, $2, 'cookies.json', 'bda2', 'checkpoint-secret', 500, 2, $3)`, segment, state, message)
	if err != nil {
		t.Fatal(err)
	}
	return segment
}

func insertSegment(t *testing.T, database *db.DB, recording int64, publish, reason string) (id int64) {
	t.Helper()
	err := database.Pool.QueryRow(t.Context(), `
		INSERT INTO segments (recording_id, index, path, size_bytes, duration_ms, started_at, ended_at, publish, reason)
		SELECT $1, n, '/data/recordings/' || $1 || '_part' || n || '.flv', 1000, 3600500, '2025-01-10T12:00:00Z', '2025-01-10T13:00:00.5Z', $2, $3
		FROM (SELECT count(*) + 1 AS n FROM segments WHERE recording_id = $1) s RETURNING id`, recording, publish, reason).Scan(&id)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Scripts create their streamers at each start.
func TestStreamerIsCreatedOnceHoweverOftenItIsAskedFor(t *testing.T) {
	h := newLoggedIn(t)
	body := `{"url":"https://a.example/1","remark":"主播","template_name":null,"override":{"delay":60,"lines":"qn"}}`
	first := h.api(t, "POST", "/streamers", body).must(t, 200)
	h.notes.take()
	if again := h.api(t, "POST", "/streamers", body).must(t, 200); again.body != first.body {
		t.Errorf("the second answer is %s, the first %s", again.body, first.body)
	}
	h.api(t, "POST", "/streamers", `{"url":" https://a.example/1 "}`).must(t, 200)
	h.api(t, "POST", "/streamers", `{"url":"a.example/1"}`).must(t, 200) // as it is copied from an address bar
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/2","excluded_keywords":[" 录播 ","回放",""]}`).must(t, 200)
	h.notes.take()
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/2","excluded_keywords":[" 录播 ","回放",""]}`).must(t, 200)
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/2","excluded_keywords":["回放"]}`).refused(t, 409, "excluded_keywords")
	for _, other := range []string{`"remark":"另一个"`, `"split_size":1`, `"override":{"delay":60}`, `"template_name":"x"`} {
		h.api(t, "POST", "/streamers", `{"url":"https://a.example/1",`+other+`}`).refused(t, 409, "streamer 1", "PUT")
	}
	if noted := h.notes.take(); noted != "" {
		t.Errorf("nothing changed, but: %s", noted)
	}
}

// A second spelling of a room's URL would be a second recording and a second archive.
func TestSecondSpellingOfARoomIsRefused(t *testing.T) {
	h := newLoggedIn(t)
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/?room=7"}`).must(t, 200)
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/other"}`).must(t, 200)
	refused := h.api(t, "POST", "/streamers", `{"url":"https://m.a.example/?room=7"}`).must(t, 409)
	if !strings.Contains(refused.body, "streamer 1") || !strings.Contains(refused.body, "a.example") || !strings.Contains(refused.body, "api.streamer_same_room") {
		t.Errorf("answer: %s", refused.body)
	}
	h.api(t, "PUT", "/streamers", `{"id":2,"url":"https://m.a.example/?room=7"}`).must(t, 409)
	h.api(t, "PUT", "/streamers", `{"id":1,"url":"https://m.a.example/?room=7"}`).must(t, 200) // its own
	h.api(t, "POST", "/streamers", `{"url":"https://m.a.example/?room=7"}`).must(t, 200)       // sent again
	// What the platform calls the room counts, too.
	if _, err := h.db.Pool.Exec(t.Context(), "UPDATE streamers SET room_id = '7000007' WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/?room=7000007"}`).must(t, 409)
	// Another URL is another room, of which the platform has not told yet.
	h.api(t, "PUT", "/streamers", `{"id":1,"url":"https://a.example/elsewhere"}`).must(t, 200)
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/?room=7000007"}`).must(t, 200)
}
