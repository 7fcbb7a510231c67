package host_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/lubod/lubod/db/dbtest"
	"github.com/lubod/lubod/db/embedded"
	"github.com/lubod/lubod/host/internal/hosttest"
	"github.com/lubod/lubod/sdk/simulator/bilibili"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(hosttest.Main(dbtest.Main(m))) }

// prepare logs in and sets what every scenario needs: an account, a template, and times that suit a test.
func prepare(t *testing.T, daemon *hosttest.Daemon) {
	t.Helper()
	daemon.Start()
	client := daemon.Client
	client.Register()
	client.Do(http.MethodPut, "/configuration", map[string]any{
		"lines": "bda2", "threads": 3, "delay": 4, "event_loop_interval": 1, "filtering_threshold": 0,
	}, http.StatusOK, nil)
	client.Do(http.MethodPost, "/users", map[string]string{"key": "bilibili-cookies", "value": "cookies.json"}, http.StatusOK, nil)
	client.Do(http.MethodPost, "/upload_streamers", map[string]any{
		"id": nil, "template_name": "默认模板", "title": "{streamer} %Y-%m-%d", "tid": 171, "tag": "游戏,直播录像", "copyright": 1,
		"desc": "直播录像 {{url}}", "user_cookie": "cookies.json",
	}, http.StatusOK, nil)
}

func addStreamer(daemon *hosttest.Daemon, url string, splitSeconds int) {
	daemon.Client.Do(http.MethodPost, "/streamers", map[string]any{
		"url": url, "template_name": "默认模板", "remark": "测试主播", "split_time": splitSeconds,
	}, http.StatusOK, nil)
}

type recording struct {
	ID           int64  `json:"id"`
	StreamTitle  string `json:"stream_title"`
	StreamerName string `json:"streamer_name"`
	VideoPath    string `json:"video_path"`
}

type file struct {
	Path     string  `json:"file_path"`
	Size     int64   `json:"file_size"`
	Duration float64 `json:"duration"`
}

// recordings returns all recordings, and the paths of the files of the only one there may be.
func theRecording(t *testing.T, daemon *hosttest.Daemon) (recording, []string) {
	t.Helper()
	var all []recording
	daemon.Client.Do(http.MethodGet, "/streamer_info", nil, http.StatusOK, &all)
	if len(all) != 1 {
		t.Fatalf("there are %d recordings, want 1: %v", len(all), all)
	}
	var files []file
	daemon.Client.Do(http.MethodGet, fmt.Sprintf("/streamer_info/%d/files", all[0].ID), nil, http.StatusOK, &files)
	paths := make([]string, 0, len(files))
	for _, file := range files {
		paths = append(paths, file.Path)
	}
	return all[0], paths
}

// checkPublished wants one archive whose parts are exactly the files, in order, byte for byte, and the files to hold
// every packet of the clip once.
func checkPublished(t *testing.T, daemon *hosttest.Daemon, clip hosttest.Clip) []string {
	t.Helper()
	archives, err := daemon.Sim.WaitArchives(t.Context(), 1)
	if err != nil {
		t.Fatalf("no archive: %v: %s", err, daemon.Log().Tail())
	}
	daemon.Log().Wait(1, "archive accepted")
	_, paths := theRecording(t, daemon)
	want, got := hosttest.Packets(t, clip.Path), hosttest.Packets(t, paths...)
	for _, kind := range []string{"video", "audio"} {
		if diff := cmp.Diff(want[kind], got[kind]); diff != "" {
			t.Errorf("%s packets: %d sent, %d recorded (-sent +recorded):\n%.2000s", kind, len(want[kind]), len(got[kind]), diff)
		}
	}
	if len(archives) != 1 {
		t.Fatalf("%d archives, want 1", len(archives))
	}
	archive := archives[0]
	if len(archive.Videos) != len(paths) {
		t.Fatalf("the archive has %d parts, want %d", len(archive.Videos), len(paths))
	}
	for i, video := range archive.Videos {
		stem := strings.TrimSuffix(filepath.Base(paths[i]), filepath.Ext(paths[i]))
		if video.Title != stem {
			t.Errorf("part %d is %q, want %q", i+1, video.Title, stem)
		}
		stored, err := daemon.Sim.SHA256(video.Filename)
		if err != nil {
			t.Fatal(err)
		}
		if local := sha256Of(t, paths[i]); stored != local {
			t.Errorf("part %d: stored %s, recorded %s", i+1, stored, local)
		}
	}
	daemon.Sim.RequireNoViolations(t)
	return paths
}

func sha256Of(t *testing.T, path string) string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// curl runs a command line as a user would type it.
func curl(t *testing.T, dir, script string) string {
	t.Helper()
	command := exec.Command("bash", "-euc", script)
	command.Dir = dir
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, output)
	}
	return string(output)
}

func TestLiveStreamBecomesAnArchiveWhileItIsRecorded(t *testing.T) {
	t.Parallel()
	clip := hosttest.EncodeClip(t, 64)
	daemon := hosttest.New(t, hosttest.Options{})
	prepare(t, daemon)
	live := hosttest.ServeLive(t, clip)

	base := daemon.Client.Base() + "/api/v1"
	curl(t, daemon.Dir, `curl -sSf -X POST `+base+`/users/login \
  -H "Content-Type: application/json" \
  -c cookies.txt \
  -d '{"username":"admin","password":"password123"}'`)
	created := curl(t, daemon.Dir, `curl -sSf -X POST `+base+`/streamers \
  -H "Content-Type: application/json" \
  -b cookies.txt \
  -d '{
    "url": "`+live.URL+`",
    "template_name": "默认模板",
    "remark": "测试主播",
    "split_time": 20
  }'`)
	if !strings.Contains(created, `"id"`) || !strings.Contains(created, `"split_size":2048`) {
		t.Errorf("the streamer was answered as %s", created)
	}

	// Two segments are on the other side while the third is being recorded.
	daemon.Log().Wait(2, "segment uploaded")
	var streamers []struct {
		Status string `json:"status"`
	}
	daemon.Client.Do(http.MethodGet, "/streamers", nil, http.StatusOK, &streamers)
	if len(streamers) != 1 || streamers[0].Status != "Working" {
		t.Errorf("streamers = %v, want one that is Working", streamers)
	}
	if archives := daemon.Sim.Archives(); len(archives) != 0 {
		t.Error("an archive exists before the recording ended")
	}
	live.Wait(t)

	paths := checkPublished(t, daemon, clip)
	if len(paths) != 4 {
		t.Errorf("%d segments, want 4 of at most 20 s", len(paths))
	}
	archive := daemon.Sim.Archives()[0]
	if want := "测试主播 " + time.Now().Format("2006-01-02"); archive.Title != want && !strings.HasPrefix(archive.Title, "测试主播 ") {
		t.Errorf("title = %q, want %q", archive.Title, want)
	}
	if want := "直播录像 " + live.URL; archive.Desc != want {
		t.Errorf("description = %q, want %q", archive.Desc, want)
	}
	daemon.Stop()
}

func TestKillsOfHostAndLineLoseNothing(t *testing.T) {
	t.Parallel()
	clip := hosttest.EncodeClip(t, 64)
	// Small chunks on a slow line: there is always a transfer to interrupt.
	daemon := hosttest.New(t, hosttest.Options{Sim: bilibili.Options{ChunkSize: 1 << 20}})
	daemon.Sim.AddFault(bilibili.Bandwidth("", 3<<20))
	prepare(t, daemon)
	live := hosttest.ServeLive(t, clip)
	addStreamer(daemon, live.URL, 20)

	moment := func(most time.Duration) {
		length := rand.N(most)
		t.Logf("killing after another %v", length)
		<-time.After(length)
	}
	daemon.Log().Wait(1, "segment opened")
	moment(10 * time.Second)
	daemon.Kill()
	moment(3 * time.Second)
	daemon.Start()

	daemon.Log().Wait(1, "transfer starts")
	moment(2 * time.Second)
	if daemon.KillPlugin("line-upos") == 0 {
		t.Error("there was no line process to kill")
	}
	daemon.Log().Wait(2, "transfer starts")
	moment(2 * time.Second)
	daemon.Kill()
	moment(3 * time.Second)
	daemon.Start()

	live.Wait(t)
	paths := checkPublished(t, daemon, clip)
	if objects := daemon.Sim.Objects(); len(objects) != len(paths) {
		t.Errorf("%d transfers were begun for %d segments: one did not go on from its last chunk", len(objects), len(paths))
	}
	if submits := daemon.Sim.Submits(); len(submits) != 1 {
		t.Errorf("%d submits, want 1", len(submits))
	}
	daemon.Stop()
}

func TestLinesSwapTakesEffectForTheNextSegment(t *testing.T) {
	t.Parallel()
	clip := hosttest.EncodeClip(t, 24)
	daemon := hosttest.New(t, hosttest.Options{})
	prepare(t, daemon)
	live := hosttest.ServeLive(t, clip)
	addStreamer(daemon, live.URL, 4)

	daemon.Log().Wait(2, "segment uploaded")
	before := daemon.Log().Count("transfer starts")
	daemon.Client.Do(http.MethodPut, "/configuration", map[string]string{"lines": "qn"}, http.StatusOK, nil)
	plugins := daemon.PluginPIDs("line-upos")
	live.Wait(t)

	paths := checkPublished(t, daemon, clip)
	old, swapped := daemon.Log().Count("transfer starts", "line=bda2"), daemon.Log().Count("transfer starts", "line=qn")
	// One transfer may have begun between the count and the answer of the PUT.
	if old > before+1 || swapped < 1 || old+swapped != len(paths) {
		t.Errorf("%d transfers over bda2 (%d before the swap) and %d over qn for %d segments", old, before, swapped, len(paths))
	}
	for _, object := range daemon.Sim.Objects() {
		if object.Line != "bda2" && object.Line != "qn" {
			t.Errorf("%s came over %s", object.FileName, object.Line)
		}
	}
	if after := daemon.PluginPIDs("line-upos"); !slices.Equal(plugins, after) {
		t.Errorf("the line plugin was restarted: %v, then %v", plugins, after)
	}
	daemon.Stop()
}

func TestThirdPartyExtractorIsDroppedInByEditingPluginsHCL(t *testing.T) {
	t.Parallel()
	clip := hosttest.EncodeClip(t, 24)
	daemon := hosttest.New(t, hosttest.Options{})
	prepare(t, daemon)
	live := hosttest.ServeLive(t, clip)
	platform := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/room/42" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"live":true,"title":"100%% 直播","owner":"acme","flv":%q,"start":%d}`, live.URL, time.Now().Unix())
	}))
	defer platform.Close()

	const room = "https://live.acme.tv/42"
	status, answer := daemon.Client.Raw(http.MethodPost, "/streamers", map[string]string{"url": room})
	if status < 400 || status > 499 || !strings.Contains(string(answer), "error") {
		t.Errorf("a URL that no extractor takes was answered with %d %s", status, answer)
	}
	text, err := os.ReadFile(daemon.Plugins)
	if err != nil {
		t.Fatal(err)
	}
	daemon.WritePlugins(string(text) + fmt.Sprintf("plugin \"extractor-acme\" {\n  options {\n    api = %q\n  }\n}\n", platform.URL))
	daemon.Signal(syscall.SIGHUP)
	daemon.Log().Wait(1, "plugins.hcl was taken over")
	addStreamer(daemon, room, 3600)
	live.Wait(t)
	checkPublished(t, daemon, clip)
	made, _ := theRecording(t, daemon)
	if made.StreamTitle != "100% 直播" || made.StreamerName != "acme" {
		t.Errorf("recording = %+v", made)
	}
	daemon.Stop()
}

func TestDatabaseAwayForHalfAMinuteWhileRecording(t *testing.T) {
	t.Parallel()
	clip := hosttest.EncodeClip(t, 64)
	dir, err := os.MkdirTemp("", "lubod-pg-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	database, err := embedded.Start(t.Context(), embedded.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	daemon := hosttest.New(t, hosttest.Options{DatabaseURL: database.URL()})
	prepare(t, daemon)
	live := hosttest.ServeLive(t, clip)
	addStreamer(daemon, live.URL, 20)
	daemon.Log().Wait(1, "segment opened")

	away := time.Now()
	if err := database.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A segment closes meanwhile: its event waits for the database.
	daemon.Log().Wait(1, "cannot go on, trying again", "recorder event")
	<-time.After(time.Until(away.Add(30 * time.Second)))
	database, err = embedded.Start(t.Context(), embedded.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = database.Stop(context.Background()) })

	live.Wait(t)
	checkPublished(t, daemon, clip)
	daemon.Stop()
}
