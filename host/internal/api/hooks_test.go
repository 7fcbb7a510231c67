package api

import (
	"fmt"
	"strings"
	"testing"
)

func TestHeldHooksAreShownAndRetried(t *testing.T) {
	h := newLoggedIn(t)
	h.api(t, "POST", "/streamers", `{"url":"https://a.example/1"}`).must(t, 200)
	var ids [3]int64
	for i, state := range []string{"held", "pending", "done"} {
		err := h.db.Pool.QueryRow(t.Context(), `
			WITH recording AS (
				INSERT INTO recordings (streamer_id, host_id, url, remark, title, streamer_name, state, started_at, ended_at)
				SELECT id, gen_random_uuid(), url, '', 'title', 'name', 'ended', now(), now() FROM streamers RETURNING id
			)
			INSERT INTO hook_runs (recording_id, stage, steps, state, attempts, error)
			SELECT id, 'downloaded_processor', '[{"run":"upload --token=secret"},{"mv":"x"}]', $1, 3, 'downloaded_processor: step 1 (run): exit status 3'
			FROM recording RETURNING id`, state).Scan(&ids[i])
		if err != nil {
			t.Fatal(err)
		}
	}
	var status Status
	shown := h.api(t, "GET", "/status", "").must(t, 200)
	shown.decode(t, &status)
	if len(status.Hooks) != 3 || status.Hooks[0].ID != ids[0] || status.Hooks[0].State != HookStateHeld || status.Hooks[0].Steps != 2 || status.Hooks[0].Attempts != 3 {
		t.Errorf("hooks = %+v", status.Hooks)
	}
	if strings.Contains(shown.body, "secret") {
		t.Error("the status tells what a command is")
	}
	var streamers []StreamerState
	h.api(t, "GET", "/streamers", "").must(t, 200).decode(t, &streamers)
	want := fmt.Sprintf("downloaded_processor: step 1 (run): exit status 3: held; after mending it, POST /api/v1/hooks/%d/retry", ids[0])
	if streamers[0].Reason == nil || *streamers[0].Reason != want {
		t.Errorf("reason = %v, want %s", streamers[0].Reason, want)
	}

	retry := func(id int64) string { return fmt.Sprintf("/hooks/%d/retry", id) }
	h.api(t, "POST", retry(ids[1]), "").refused(t, 409, "not held")
	h.api(t, "POST", retry(ids[2]), "").refused(t, 409, "not held")
	h.api(t, "POST", retry(999), "").refused(t, 404, "hook", "999")
	h.api(t, "POST", retry(ids[0])+"?skip=maybe", "").refused(t, 400, "skip")
	var run HookRun
	h.api(t, "POST", retry(ids[0])+"?skip=true", "").must(t, 200).decode(t, &run)
	if run.State != HookStatePending || run.Step != 2 || run.Attempts != 0 {
		t.Errorf("the hook is %+v", run)
	}
	h.api(t, "POST", retry(ids[0]), "").refused(t, 409, "not held")
	var after []StreamerState
	h.api(t, "GET", "/streamers", "").must(t, 200).decode(t, &after)
	if after[0].Reason != nil {
		t.Errorf("reason = %v", *after[0].Reason)
	}
}
