package host_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/lubod/lubod/host/internal/hosttest"
)

// told is what a hook was told, as the guide of hooks says.
type told struct {
	Version int    `json:"v"`
	Event   string `json:"event"`
	Room    struct {
		Remark string `json:"remark"`
	} `json:"room"`
	Recording struct {
		ID *int64 `json:"id"`
	} `json:"recording"`
	Segments []struct {
		Path string `json:"path"`
	} `json:"segments"`
	Submission *struct {
		BVID string `json:"bvid"`
	} `json:"submission"`
}

// Every step in every hook where it makes sense, on one stream of a real daemon.
func TestHooksOnTheWayFromStreamToArchive(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var posted []told
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var one told
		if err := json.NewDecoder(r.Body).Decode(&one); err != nil {
			t.Error(err)
		}
		mu.Lock()
		posted = append(posted, one)
		mu.Unlock()
	}))
	defer receiver.Close()
	clip := hosttest.EncodeClip(t, 24)
	daemon := hosttest.New(t, fastArchives("LUBOD_ALLOW_RUN_HOOKS=true", "LUBOD_ALLOW_ADDRESSES=127.0.0.1", "SECRET_OF_THE_DAEMON=hush"))
	prepare(t, daemon)
	live := hosttest.ServeLive(t, clip)

	run := map[string]any{"run": `cat >> "stdin.$LUBOD_EVENT"; env >> "environment.$LUBOD_EVENT"; echo "ran at $LUBOD_EVENT"`, "on_error": "hold"}
	hook := map[string]any{"webhook": receiver.URL, "on_error": "hold"}
	daemon.Client.Do(http.MethodPost, "/streamers", map[string]any{
		"url": live.URL, "template_name": "默认模板", "remark": "测试主播", "split_time": 8, "format": "mp4",
		"preprocessor":         []any{run, hook},
		"segment_processor":    []any{run, map[string]any{"mv": "ready", "on_error": "hold"}, hook},
		"downloaded_processor": []any{run, map[string]any{"remux": "mkv", "on_error": "hold"}, map[string]any{"mv": "archive", "on_error": "hold"}, hook},
		"postprocessor":        []any{run, hook, "rm", map[string]any{"run": "echo the end"}},
	}, http.StatusOK, nil)
	live.Wait(t)
	archives, err := daemon.Sim.WaitArchives(t.Context(), 1)
	if err != nil {
		t.Fatalf("no archive: %v: %s", err, daemon.Log().Tail())
	}
	daemon.Log().Wait(1, "the end")
	daemon.Sim.RequireNoViolations(t)

	recordings := filepath.Join(daemon.DataDir, "recordings")
	parts := len(archives[0].Videos)
	for event, want := range map[string]int{"preprocessor": 1, "segment": parts, "downloaded": 1, "post": 1} {
		text, err := os.ReadFile(filepath.Join(recordings, "stdin."+event))
		if err != nil {
			t.Error(err)
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		// A plain URL counts as live for as long as somebody listens there: it is tried, and prepared, again after its end.
		if len(lines) < want || len(lines) != want && event != "preprocessor" {
			t.Errorf("%s: told %d times, want %d", event, len(lines), want)
		}
		var one told
		if err := json.Unmarshal([]byte(lines[0]), &one); err != nil || one.Version != 1 || one.Event != event || one.Room.Remark != "测试主播" ||
			(one.Recording.ID == nil) != (event == "preprocessor") || (one.Submission != nil && one.Submission.BVID != "") != (event == "post") {
			t.Errorf("%s was told %s (%v)", event, lines[0], err)
		}
		endings := map[string]string{"segment": ".mp4", "downloaded": ".mp4", "post": ".mkv"}
		for _, segment := range one.Segments {
			if filepath.Ext(segment.Path) != endings[event] {
				t.Errorf("%s was told of %s", event, segment.Path)
			}
		}
		environment, err := os.ReadFile(filepath.Join(recordings, "environment."+event))
		if err != nil || strings.Contains(string(environment), "hush") || strings.Contains(string(environment), "DATABASE_URL") || !strings.Contains(string(environment), "LUBOD_EVENT="+event) {
			t.Errorf("%s: environment %s (%v)", event, environment, err)
		}
		if daemon.Log().Count("hook says", "ran at "+event) == 0 {
			t.Errorf("%s: what the command said is not in the log", event)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	calls := make(map[string]int)
	for _, one := range posted {
		calls[one.Event]++
	}
	if calls["preprocessor"] == 0 || calls["segment"] != parts || calls["downloaded"] != 1 || calls["post"] != 1 {
		t.Errorf("calls of the webhook: %v, for %d parts", calls, parts)
	}
	for _, video := range archives[0].Videos {
		if video.Filename == "" {
			t.Error("a part has no file")
		}
	}
	_, paths := theRecording(t, daemon)
	for _, path := range paths {
		if filepath.Dir(path) != filepath.Join(recordings, "archive") || filepath.Ext(path) != ".mkv" {
			t.Errorf("a file ended as %s", path)
		}
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("%s was not removed after the archive was accepted (%v)", path, err)
		}
	}
	daemon.Stop()
}

// A held segment keeps its recording from being submitted, across a restart, until a person lets it go on.
func TestHeldHookWaitsForAPerson(t *testing.T) {
	t.Parallel()
	clip := hosttest.EncodeClip(t, 24)
	daemon := hosttest.New(t, fastArchives("LUBOD_ALLOW_RUN_HOOKS=true"))
	prepare(t, daemon)
	live := hosttest.ServeLive(t, clip)
	daemon.Client.Do(http.MethodPost, "/streamers", map[string]any{
		"url": live.URL, "template_name": "默认模板", "remark": "测试主播", "segment_processor": []any{map[string]any{"run": "test -e mended", "on_error": "hold"}},
		"postprocessor": []any{"rm"},
	}, http.StatusOK, nil)
	live.Wait(t)
	daemon.Log().Wait(1, "recording ended")
	daemon.Log().Wait(1, "nothing goes on until a person retries it")
	daemon.Kill()
	daemon.Start()
	if reason := fmt.Sprint(watched(t, daemon)["reason"]); !strings.Contains(reason, "/api/v1/hooks/1/retry") {
		t.Errorf("reason = %s", reason)
	}
	_, paths := theRecording(t, daemon)
	for _, path := range paths {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	if len(daemon.Sim.Objects()) != 0 || len(daemon.Sim.Archives()) != 0 {
		t.Error("something was uploaded")
	}
	if err := os.WriteFile(filepath.Join(daemon.DataDir, "recordings", "mended"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	daemon.Client.Do(http.MethodPost, "/hooks/1/retry", nil, http.StatusOK, nil)
	if _, err := daemon.Sim.WaitArchives(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	daemon.Log().Wait(1, "file removed")
	daemon.Stop()
}

func TestRunHooksNeedTheFlag(t *testing.T) {
	t.Parallel()
	daemon := hosttest.New(t, hosttest.Options{})
	prepare(t, daemon)
	status, answer := daemon.Client.Raw(http.MethodPost, "/streamers", map[string]any{
		"url": "http://127.0.0.1:1/live.flv", "preprocessor": []any{map[string]any{"run": "touch ran"}},
	})
	if status != http.StatusForbidden || !strings.Contains(string(answer), "--allow-run-hooks") {
		t.Errorf("answered %d %s", status, answer)
	}
	daemon.Stop()
}
