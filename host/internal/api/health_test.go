package api

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lubod/lubod/host/internal/health"
	"github.com/lubod/lubod/host/internal/reason"
)

// fakeHealth is what a test says that is not well.
type fakeHealth struct {
	mu     sync.Mutex
	checks []health.Check
	looked []string
}

func (f *fakeHealth) Checks() (health.Level, []health.Check) {
	f.mu.Lock()
	defer f.mu.Unlock()
	worst := health.OK
	for _, check := range f.checks {
		worst = health.Worse(worst, check.Level)
	}
	return worst, slices.Clone(f.checks)
}

func (f *fakeHealth) Of(code string) []health.Check {
	_, all := f.Checks()
	return slices.DeleteFunc(all, func(check health.Check) bool { return check.Code != code })
}

func (f *fakeHealth) Look(code string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looked = append(f.looked, code)
}

func (f *fakeHealth) set(checks ...health.Check) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.checks = checks
}

var healthSince = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func check(code, subject string, level health.Level, why reason.Reason) health.Check {
	return health.Check{Code: code, Finding: health.Finding{Level: level, Subject: subject, Since: healthSince, Reason: why}}
}

func TestHealthNamesWhatIsNotWell(t *testing.T) {
	h := newLoggedIn(t)
	equalJSON(t, h.call(t, "GET", "/healthz", "").must(t, 200).body, `{"status":"ok"}`)
	equalJSON(t, h.api(t, "GET", "/health", "").must(t, 200).body, `{"level":"ok","checks":[]}`)
	h.health.set(
		check(health.CodeDisk, "/secret/recordings", health.Warning, reason.New(reason.HealthDiskLow, "folder", "/secret/recordings", "free_mb", "812")),
		check(health.CodeDisk, "/secret", health.Failing, reason.New(reason.HealthDiskLow, "folder", "/secret", "free_mb", "1")),
		check(health.CodeDatabase, "", health.OK, reason.Reason{}),
		check(health.CodeAccount, "cookies.json", health.Failing, reason.New(reason.HealthAccountUnusable, "file", "cookies.json", "cause", "it expired")),
	)
	// Anybody may ask: no names.
	equalJSON(t, newBrowser(t, h.base).call(t, "GET", "/healthz", "").must(t, 200).body, `{"status":"ok","degraded":["disk","account"]}`)
	newBrowser(t, h.base).api(t, "GET", "/health", "").refused(t, 401, "log in")
	equalJSON(t, h.api(t, "GET", "/health", "").must(t, 200).body, `{"level":"error","checks":[
		{"code":"disk","subject":"/secret/recordings","level":"warning","since":"2026-01-02T03:04:05Z","text":"only 812 MB are free on the disk of /secret/recordings; recordings end when it is full",
		 "reason_code":"health.disk_low","reason_args":{"folder":"/secret/recordings","free_mb":"812"},"action":{"kind":"free_space","target":"host"}},
		{"code":"disk","subject":"/secret","level":"error","since":"2026-01-02T03:04:05Z","text":"only 1 MB are free on the disk of /secret; recordings end when it is full",
		 "reason_code":"health.disk_low","reason_args":{"folder":"/secret","free_mb":"1"},"action":{"kind":"free_space","target":"host"}},
		{"code":"database","subject":"","level":"ok","since":"2026-01-02T03:04:05Z","text":""},
		{"code":"account","subject":"cookies.json","level":"error","since":"2026-01-02T03:04:05Z","text":"the login in cookies.json cannot be used: it expired",
		 "reason_code":"health.account_unusable","reason_args":{"file":"cookies.json","cause":"it expired"},"action":{"kind":"login","target":"account"}}]}`)
	if zh := h.api(t, "GET", "/health", "", "Accept-Language", "zh-CN,zh;q=0.9,en;q=0.8").must(t, 200); !strings.Contains(zh.body, "所在磁盘仅剩 812 MB") || strings.Contains(zh.body, "are free") {
		t.Errorf("in Chinese: %s", zh.body)
	}
}

// TestStatesAreUnknownWhileTheDatabaseTakesNoWrites is a room that is shown as being recorded by a database that has not
// been told anything for a while.
func TestStatesAreUnknownWhileTheDatabaseTakesNoWrites(t *testing.T) {
	h := newLoggedIn(t)
	for _, body := range []string{`{"url":"https://a.example/1"}`, `{"url":"https://a.example/2"}`, `{"url":"https://a.example/3"}`} {
		h.api(t, "POST", "/streamers", body).must(t, 200)
	}
	insertRecording(t, h.db, 1, "recording")
	h.api(t, "POST", "/streamers/3/pause", "").must(t, 200)
	shown := func(wantUnknown ...bool) []StreamerState {
		t.Helper()
		var states []StreamerState
		h.api(t, "GET", "/streamers", "").must(t, 200).decode(t, &states)
		var status Status
		h.api(t, "GET", "/status", "").must(t, 200).decode(t, &status)
		for i, want := range wantUnknown {
			state, room := states[i], status.Rooms[i]
			if unknown := state.StateKnownAt != nil; unknown != want || want && (!state.StateKnownAt.Equal(healthSince) || *state.ReasonCode != reason.StateUnknown) {
				t.Errorf("room %d: %+v", i+1, state)
			}
			if unknown := room.StateKnownAt != nil; unknown != want || want && *room.ReasonCode != reason.StateUnknown {
				t.Errorf("room %d of /status: %+v", i+1, room)
			}
		}
		return states
	}
	shown(false, false, false)

	h.health.set(check(health.CodeDatabase, "", health.Failing, reason.New(reason.HealthDatabaseFull, "cause", "No space left on device")))
	states := shown(true, true, false) // a room that is paused is what it was told to be
	if want := "not known since 2026-01-02T03:04:05Z: the disk of the database is full: No space left on device"; *states[0].Reason != want {
		t.Errorf("reason %q, want %q", *states[0].Reason, want)
	}
	h.call(t, "GET", "/healthz", "").refused(t, 503, "2026-01-02T03:04:05Z")
	h.health.set(check(health.CodeDatabase, "", health.Warning, reason.New(reason.HealthUnanswered, "cause", "deadline")))
	shown(true, true, false)

	h.health.set(check(health.CodeDatabase, "", health.OK, reason.Reason{}), check(health.CodePlugin, "recorder-native", health.Failing, reason.New(reason.HealthPluginFailed, "plugin", "recorder-native", "cause", "no such file")))
	shown(false, false, false) // nobody records with it
	if _, err := h.db.Pool.Exec(t.Context(), `INSERT INTO recorder_sessions (id, streamer_id, recording_id, host_id, plugin, instance, path_prefix, first_index, room)
		VALUES (gen_random_uuid(), 1, 1, gen_random_uuid(), 'recorder-native', 'i', '/p', 1, '{}')`); err != nil {
		t.Fatal(err)
	}
	shown(true, false, false)
	h.health.set(check(health.CodePlugin, "recorder-native", health.Warning, reason.New(reason.HealthPluginUnwell, "plugin", "recorder-native", "cause", "no tool")))
	shown(false, false, false) // it answers
	if _, err := h.db.Pool.Exec(t.Context(), `UPDATE recorder_sessions SET ended_at = now()`); err != nil {
		t.Fatal(err)
	}
	h.health.set(check(health.CodePlugin, "recorder-native", health.Failing, reason.New(reason.HealthPluginFailed, "plugin", "recorder-native", "cause", "no such file")))
	shown(false, false, false)
}
