package host_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lubod/lubod/host/internal/hosttest"
)

// watching reads events as a script would, with curl.
type watching struct {
	t     *testing.T
	lines chan string
	seen  []string
}

func watchEvents(t *testing.T, daemon *hosttest.Daemon, types string) *watching {
	t.Helper()
	base := daemon.Client.Base() + "/api/v1"
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	command := exec.CommandContext(ctx, "bash", "-euc", `curl -sSf -o login.json -c events-cookies.txt -H "Content-Type: application/json" `+base+`/users/login -d '{"username":"admin","password":"password123"}'
exec curl -sSN -b events-cookies.txt "`+base+`/events?types=`+types+`"`)
	command.Dir = daemon.Dir
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	w := &watching{t: t, lines: make(chan string, 100)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(w.lines)
		for scanner := bufio.NewScanner(output); scanner.Scan(); {
			w.lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() {
		cancel()
		for range w.lines { // whatever is left
		}
		<-read
		_ = command.Wait()
	})
	w.until("ready", nil)
	return w
}

// until returns when there was an event of a type whose fields have these values.
func (w *watching) until(kind string, want map[string]string) {
	w.t.Helper()
	for line := range w.lines {
		data, found := strings.CutPrefix(line, "data: ")
		if !found {
			continue
		}
		w.seen = append(w.seen, data)
		var event map[string]any
		if err := json.Unmarshal([]byte(data), &event); err != nil {
			w.t.Fatalf("%s: %v", data, err)
		}
		matches := event["type"] == kind
		for field, value := range want {
			matches = matches && event[field] == value
		}
		if matches {
			return
		}
	}
	w.t.Fatalf("no event %s with %v came, but %v", kind, want, w.seen)
}

// What becomes of a plugin is told as it happens: its end, its next start, and that it was taken out of plugins.hcl.
func TestEventsTellWhatBecomesOfAPlugin(t *testing.T) {
	t.Parallel()
	daemon := hosttest.New(t, hosttest.Options{})
	prepare(t, daemon)
	told := watchEvents(t, daemon, "plugin")
	if daemon.KillPlugin("line-upos") == 0 {
		t.Fatal("there was no line process to kill")
	}
	told.until("plugin.state", map[string]string{"plugin": "line-upos", "kind": "line", "state": "backoff"})
	told.until("plugin.state", map[string]string{"plugin": "line-upos", "state": "ready", "error": ""})
	text, err := os.ReadFile(daemon.Plugins)
	if err != nil {
		t.Fatal(err)
	}
	daemon.WritePlugins(strings.Replace(string(text), `plugin "line-upos" {}`, "", 1))
	daemon.Signal(syscall.SIGHUP)
	told.until("plugin.removed", map[string]string{"plugin": "line-upos"})
	daemon.Stop()
}

// A hook that is held, the person who lets it go on and the file that it removes are told as they happen.
func TestEventsTellWhatBecomesOfAHook(t *testing.T) {
	t.Parallel()
	daemon := hosttest.New(t, fastArchives("LUBOD_ALLOW_RUN_HOOKS=true"))
	prepare(t, daemon)
	live := hosttest.ServeLive(t, hosttest.EncodeClip(t, 24))
	told := watchEvents(t, daemon, "hook,segment")
	daemon.Client.Do(http.MethodPost, "/streamers", map[string]any{
		"url": live.URL, "template_name": "默认模板", "remark": "测试主播",
		"postprocessor": []any{map[string]any{"run": "test -e repaired || exit 7", "on_error": "hold"}, "rm"},
	}, http.StatusOK, nil)
	live.Wait(t)
	told.until("segment.closed", nil)
	told.until("hook.state", map[string]string{"hook": "postprocessor", "state": "held"})
	curl(t, daemon.DataDir, "touch recordings/repaired")
	daemon.Client.Do(http.MethodPost, "/hooks/1/retry", nil, http.StatusOK, nil)
	told.until("segment.removed", nil)
	told.until("hook.state", map[string]string{"state": "done"})
	daemon.Stop()
}
