package host_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/lubod/lubod/host/internal/hosttest"
)

// Whoever watches the log of one streamer sees its way from the stream to the archive, and nothing of another one.
func TestTheLogOfOneStreamerIsItsWholeWay(t *testing.T) {
	t.Parallel()
	daemon := hosttest.New(t, hosttest.Options{Env: []string{"LUBOD_ALLOW_RUN_HOOKS=true"}})
	prepare(t, daemon)
	say := func(text string) []any { return []any{map[string]any{"run": "echo " + text}} }
	live, other := hosttest.ServeLive(t, hosttest.EncodeClip(t, 24)), hosttest.ServeLive(t, hosttest.EncodeClip(t, 12))
	for _, streamer := range []map[string]any{
		{"url": live.URL + "?token=hush", "remark": "watched", "preprocessor": say("it is live"), "segment_processor": say("a file is there")},
		{"url": other.URL, "remark": "unwatched", "segment_processor": say("another file is there")},
	} {
		streamer["template_name"] = "默认模板"
		daemon.Client.Do(http.MethodPost, "/streamers", streamer, http.StatusOK, nil)
	}
	live.Wait(t)
	other.Wait(t)
	if _, err := daemon.Sim.WaitArchives(t.Context(), 2); err != nil {
		t.Fatalf("no archives: %v: %s", err, daemon.Log().Tail())
	}
	lines := readLog(t, daemon, "?streamer=1&lines=1000", "archive accepted")
	for _, want := range []string{
		"record: recording begins", "record: segment opened", "record: segment closed", "record: session ended", "record: recording ended",
		"upload: transfer starts", "upload: segment uploaded", "upload: archive accepted",
		`line="it is live"`, `line="a file is there"`, "room=watched",
	} {
		if !strings.Contains(lines, want) {
			t.Errorf("the log of the streamer does not tell %q:\n%s", want, lines)
		}
	}
	if strings.Contains(lines, "another file") || strings.Contains(lines, other.URL) {
		t.Errorf("the log of the streamer tells of another one:\n%s", lines)
	}
	daemon.Stop()
	// What goes to stderr ends in files and reports.
	if daemon.Log().Count("recording begins", "token=***") == 0 || daemon.Log().Count("hush") != 0 {
		t.Errorf("the daemon's log tells a secret: %s", daemon.Log().Tail())
	}
}

// readLog reads the log as a client of the API does, up to a line with a text.
func readLog(t *testing.T, daemon *hosttest.Daemon, query, last string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	options := &websocket.DialOptions{HTTPClient: daemon.Client.HTTP()}
	conn, _, err := websocket.Dial(ctx, daemon.Client.Base()+"/api/v1/ws/logs"+query, options) //nolint:bodyclose // the library does
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()
	var lines strings.Builder
	for !strings.Contains(lines.String(), last) {
		_, line, err := conn.Read(ctx)
		if err != nil {
			t.Fatalf("%v; the log has no %q:\n%s", err, last, lines.String())
		}
		lines.Write(append(line, '\n'))
	}
	return lines.String()
}
