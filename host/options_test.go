package host_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lubod/lubod/host/internal/hosttest"
	"github.com/lubod/lubod/sdk/simulator/live"
	"github.com/lubod/lubod/sdk/simulator/platforms/bililive"
)

const withBilibiliBlock = `plugin "extractor-bilibili" {
  options {
    request_interval = 1
    bili_qn          = 80
  }
}
`

const withBilibili = `plugin_dir = %q
` + withBilibiliBlock + `plugin "extractor-direct" {}
plugin "recorder-native" {}
plugin "line-upos" {}
`

const bilibiliRoom = "https://live.bilibili.com/7000001"

// bilibiliLive is a daemon with a simulated live.bilibili.com that sends media of a real clip.
type bilibiliLive struct {
	*hosttest.Daemon
	live *bililive.Server
	t    *testing.T
}

func newBilibiliLive(t *testing.T, media http.Handler, env ...string) *bilibiliLive {
	t.Helper()
	sim := bililive.New(t, bililive.Options{Media: media})
	sim.SetRoom(room(bililive.Live))
	daemon := hosttest.New(t, hosttest.Options{Plugins: withBilibili, Env: append(env,
		"LUBOD_BILIBILI_LIVE_URL="+sim.URL(), "LUBOD_BILIBILI_LIVE_API_URL="+sim.URL(), "LUBOD_BILIBILI_SHORT_URL="+sim.URL(),
	)})
	return &bilibiliLive{daemon, sim, t}
}

func room(state bililive.State) bililive.Room {
	return bililive.Room{
		ID: 7000001, UID: 1001, State: state, Title: "demo", Streamer: "DemoUp", StartedAt: time.Now().Add(-time.Minute),
		Qualities: []int{10000, 400, 250, 80}, AnonymousQuality: 400,
	}
}

// media lists the qualities of the media that was fetched, one for each connection.
func (b *bilibiliLive) media() []string {
	var qualities []string
	for _, request := range b.live.Requests() {
		if strings.HasPrefix(request.Path, "/live-bvc/") {
			qualities = append(qualities, request.Query.Get("qn"))
		}
	}
	return qualities
}

func (b *bilibiliLive) waitMedia(quality string) {
	b.t.Helper()
	b.until("media of quality "+quality, func() bool {
		all := b.media()
		return len(all) > 0 && all[len(all)-1] == quality
	})
}

func (b *bilibiliLive) until(what string, condition func() bool) {
	b.t.Helper()
	hosttest.Until(b.t, what, condition, func() string { return fmt.Sprintf("media %v; log: %s", b.media(), b.Log().Tail()) })
}

func (b *bilibiliLive) configure(settings map[string]any) {
	b.t.Helper()
	b.Client.Do(http.MethodPut, "/configuration", settings, http.StatusOK, nil)
}

func loadClip(t *testing.T) *live.Clip {
	t.Helper()
	clip, err := live.Load(hosttest.EncodeClip(t, 24).Path)
	if err != nil {
		t.Fatal(err)
	}
	return clip
}

func handler(t *testing.T, options live.Options, faults ...live.Fault) *live.Server {
	t.Helper()
	media, err := live.Handler(options)
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range faults {
		media.AddFault(fault)
	}
	t.Cleanup(func() { _ = media.Close() })
	return media
}

// Every connection ends after a second, so that the room is asked again and again: each question goes by the options of
// that moment, and nothing is restarted.
func TestOptionsOfPluginsTakeEffectAtTheNextQuestion(t *testing.T) {
	t.Parallel()
	media := handler(t, live.Options{Clip: loadClip(t), Speed: 4, Loop: true, Clients: -1}, live.Close(live.AfterKeyframes(2)).Always())
	daemon := newBilibiliLive(t, media)
	prepare(t, daemon.Daemon)
	client := daemon.Client
	daemon.configure(map[string]any{"bili_qn": 250})
	client.Do(http.MethodPost, "/streamers", map[string]any{"url": bilibiliRoom, "override": map[string]any{"bili_qn": 400}}, http.StatusOK, nil)
	daemon.waitMedia("400") // the room's own
	if first := daemon.media()[0]; first != "400" {
		t.Errorf("the first connection was for quality %s", first)
	}
	plugins := daemon.PluginPIDs("extractor-bilibili")

	client.Do(http.MethodPut, "/streamers", map[string]any{"id": 1, "override": nil}, http.StatusOK, nil)
	daemon.waitMedia("250") // that of all rooms
	daemon.configure(map[string]any{"bili_qn": nil})
	daemon.waitMedia("80") // that of plugins.hcl

	const secret = "cookie-of-the-configuration"
	daemon.live.AddLogin(secret)
	daemon.configure(map[string]any{"bili_qn": 10000, "bili_cookie": "SESSDATA=" + secret})
	daemon.waitMedia("10000") // only with a login
	daemon.configure(map[string]any{"bili_cookie": nil})
	daemon.waitMedia("400") // the best without one

	// The login of an account of the data directory, for one room; not that of a file elsewhere.
	outside := filepath.Join(daemon.Dir, "outside.json")
	if err := daemon.Account.CookieFile().WriteFile(outside); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../outside.json", outside} {
		status, answer := client.Raw(http.MethodPut, "/configuration", map[string]string{"bili_cookie_file": name})
		if status != http.StatusBadRequest || !strings.Contains(string(answer), "bili_cookie_file") {
			t.Errorf("%s was answered with %d %s", name, status, answer)
		}
	}
	if err := os.Symlink(outside, filepath.Join(daemon.DataDir, "link.json")); err != nil {
		t.Fatal(err)
	}
	daemon.configure(map[string]any{"bili_cookie_file": "link.json"})
	daemon.Log().Wait(1, "room cannot be watched", "bili_cookie_file")
	daemon.configure(map[string]any{"bili_cookie_file": nil})
	daemon.live.AddLogin(daemon.Account.Cookies["SESSDATA"])
	client.Do(http.MethodPut, "/streamers", map[string]any{"id": 1, "override": map[string]any{"bili_cookie_file": "cookies.json"}}, http.StatusOK, nil)
	daemon.waitMedia("10000")

	if after := daemon.PluginPIDs("extractor-bilibili"); len(plugins) != 1 || len(after) != 1 || plugins[0] != after[0] {
		t.Errorf("the extractor was restarted: %v, then %v", plugins, after)
	}
	for _, path := range []string{"/configuration", "/status", "/streamers"} {
		if _, answer := client.Raw(http.MethodGet, path, nil); strings.Contains(string(answer), secret) {
			t.Errorf("%s shows a secret", path)
		}
	}
	if strings.Contains(daemon.Log().Text(), secret) {
		t.Error("the log holds a secret")
	}
	daemon.live.RequireNoViolations(t)
	daemon.Stop()
}

func TestOptionsReachTheRecorder(t *testing.T) {
	t.Parallel()
	source := live.New(t, live.Options{Clip: loadClip(t), Speed: 4, Loop: true})
	source.AddFault(live.Close(live.AfterKeyframes(2)).Always())
	daemon := hosttest.New(t, hosttest.Options{})
	prepare(t, daemon)
	daemon.Client.Do(http.MethodPut, "/configuration", map[string]any{"user_agent": "one/1.0"}, http.StatusOK, nil)
	daemon.Client.Do(http.MethodPost, "/streamers", map[string]any{"url": source.URL()}, http.StatusOK, nil)
	daemon.Log().Wait(1, "session ended", "part=record")
	daemon.Client.Do(http.MethodPut, "/streamers", map[string]any{"id": 1, "override": map[string]any{"user_agent": "two/2.0"}}, http.StatusOK, nil)
	daemon.Log().Wait(1+daemon.Log().Count("session ended", "part=record")+1, "session ended", "part=record")
	requests := source.Requests()
	if first, last := requests[0].Header.Get("User-Agent"), requests[len(requests)-1].Header.Get("User-Agent"); first != "one/1.0" || last != "two/2.0" {
		t.Errorf("media was fetched by %q at first and by %q at last", first, last)
	}
	daemon.Stop()
}

// expiring refuses every address but those that were handed out after the connection broke.
type expiring struct {
	media http.Handler
	mu    sync.Mutex
	first string
	used  int
}

func (e *expiring) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	expires := r.URL.Query().Get("expires")
	e.mu.Lock()
	if e.used == 0 {
		e.first = expires
	}
	e.used++
	refused := e.used > 1 && expires == e.first
	e.mu.Unlock()
	if refused {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	e.media.ServeHTTP(w, r)
}

func TestRecordingGoesOnWithANewAddressWhenTheOldOneIsRefused(t *testing.T) {
	t.Parallel()
	media := handler(t, live.Options{Clip: loadClip(t), Speed: 2, Clients: -1, GOPCache: 4 * time.Second}, live.Reset(live.AfterKeyframes(3)).OfRequest(1))
	daemon := newBilibiliLive(t, &expiring{media: media})
	prepare(t, daemon.Daemon)
	daemon.Client.Do(http.MethodPost, "/streamers", map[string]any{"url": bilibiliRoom}, http.StatusOK, nil)
	daemon.Log().Wait(1, "the recorder wants new addresses", "403")
	daemon.Log().Wait(1, "new addresses for the recorder")
	daemon.Log().Wait(2, "segment opened", "part=record")
	daemon.live.SetRoom(room(bililive.Offline))
	daemon.Log().Wait(1, "session ended", "part=record")
	if n := daemon.Log().Count("session ended", "part=record"); n != 1 {
		t.Errorf("%d sessions, want one that goes on", n)
	}
	_, paths := theRecording(t, daemon.Daemon)
	if len(paths) != 2 { // before and after the break
		t.Errorf("files: %v", paths)
	}
	daemon.live.RequireNoViolations(t)
	daemon.Stop()
}
