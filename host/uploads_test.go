package host_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lubod/lubod/host/internal/hosttest"
	"github.com/lubod/lubod/sdk/simulator/bilibili"
)

// placeVideos lets ffmpeg put a clip into the recordings folder, in several containers and folders.
func placeVideos(t *testing.T, daemon *hosttest.Daemon, clip hosttest.Clip, names ...string) {
	t.Helper()
	for _, name := range names {
		path := filepath.Join(daemon.DataDir, "recordings", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		command := exec.Command("ffmpeg", "-v", "error", "-i", clip.Path, "-c", "copy", path)
		if output, err := command.CombinedOutput(); err != nil {
			t.Fatalf("ffmpeg: %v\n%s", err, output)
		}
		hosttest.Settle(t, path)
	}
}

// listedVideos are the names that the API lists, which every field for a file takes.
func listedVideos(daemon *hosttest.Daemon) []string {
	var videos []struct {
		Name    string `json:"name"`
		Growing bool   `json:"growing"`
	}
	daemon.Client.Do(http.MethodGet, "/videos", nil, http.StatusOK, &videos)
	var names []string
	for _, video := range videos {
		if !video.Growing {
			names = append(names, video.Name)
		}
	}
	return names
}

// checkUploaded wants one archive whose parts are the named files, byte for byte and in order.
func checkUploaded(t *testing.T, daemon *hosttest.Daemon, archive bilibili.Archive, names []string) {
	t.Helper()
	if len(archive.Videos) != len(names) {
		t.Fatalf("the archive has %d parts, want %d", len(archive.Videos), len(names))
	}
	for i, video := range archive.Videos {
		path := filepath.Join(daemon.DataDir, "recordings", names[i])
		stored, err := daemon.Sim.SHA256(video.Filename)
		if err != nil {
			t.Fatal(err)
		}
		if local := sha256Of(t, path); stored != local {
			t.Errorf("part %d: stored %s, %s is %s", i+1, stored, names[i], local)
		}
		if stem := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)); video.Title != stem {
			t.Errorf("part %d is called %q, want %q", i+1, video.Title, stem)
		}
	}
}

// What /videos lists is what /uploads takes, and it becomes one archive although the daemon is killed again and again and
// the request is repeated each time.
func TestUploadedFilesBecomeOneArchiveWhateverIsKilled(t *testing.T) {
	t.Parallel()
	clip := hosttest.EncodeClip(t, 24)
	daemon := hosttest.New(t, hosttest.Options{Sim: bilibili.Options{ChunkSize: 1 << 20}})
	// So slow that the last kill comes long before the last byte.
	daemon.Sim.AddFault(bilibili.Bandwidth("", 3<<20))
	prepare(t, daemon)
	placeVideos(t, daemon, clip, "recording_20250110_120000.mp4", "房间/2025 年/第 2 段.flv", "房间/third.mkv")
	if err := os.WriteFile(filepath.Join(daemon.DataDir, "recordings", "now.flv.part"), []byte("FLV"), 0o600); err != nil {
		t.Fatal(err)
	}
	names := listedVideos(daemon)
	if len(names) != 3 {
		t.Fatalf("listed %q", names)
	}
	order := map[string]any{"files": names, "params": map[string]any{
		"template_name": "默认模板", "title": "{{title}} 手动", "tid": 171, "tag": "测试", "user_cookie": "cookies.json",
	}}
	send := func() {
		t.Helper()
		if status, answer := daemon.Client.Raw(http.MethodPost, "/uploads", order); status != http.StatusOK || strings.TrimSpace(string(answer)) != "{}" {
			t.Fatalf("answered %d %s", status, answer)
		}
	}
	moment := func(most time.Duration) {
		length := rand.N(most)
		t.Logf("killing after another %v", length)
		<-time.After(length)
	}

	send()
	daemon.Kill() // the answer came: whatever happens now, the work is ordered
	daemon.Start()
	send()
	for i := range 3 {
		daemon.Log().Wait(i+1, "transfer starts")
		moment(time.Second)
		daemon.Kill()
		daemon.Start()
		send()
	}
	if daemon.KillPlugin("line-upos") == 0 {
		t.Log("no line process was running")
	}

	archives, err := daemon.Sim.WaitArchives(t.Context(), 1)
	if err != nil {
		t.Fatalf("no archive: %v: %s", err, daemon.Log().Tail())
	}
	daemon.Log().Wait(1, "archive accepted")
	checkUploaded(t, daemon, archives[0], names)
	stem := strings.TrimSuffix(filepath.Base(names[0]), filepath.Ext(names[0]))
	if archive := archives[0]; archive.Title != stem+" 手动" || !strings.HasPrefix(archive.Desc, "直播录像") || archive.Tag != "测试" {
		t.Errorf("archive %+v", archive)
	}
	if submits := daemon.Sim.Submits(); len(submits) != 1 {
		t.Errorf("%d submits, want 1", len(submits))
	}
	if objects := daemon.Sim.Objects(); len(objects) != len(names) {
		t.Errorf("%d transfers were begun for %d files: one did not go on from its last chunk", len(objects), len(names))
	}
	daemon.Sim.RequireNoViolations(t)
	if left := listedVideos(daemon); len(left) != len(names) {
		t.Errorf("left are %q of %q", left, names)
	}
	var recordings []recording
	daemon.Client.Do(http.MethodGet, "/streamer_info", nil, http.StatusOK, &recordings)
	if len(recordings) != 0 {
		t.Errorf("recordings: %+v", recordings)
	}
	daemon.Stop()
}

// What was recorded and published can be uploaded by hand as well, by the names that its recording answers.
func TestRecordedFileIsUploadedByHandToo(t *testing.T) {
	t.Parallel()
	clip := hosttest.EncodeClip(t, 24)
	daemon := hosttest.New(t, hosttest.Options{})
	prepare(t, daemon)
	live := hosttest.ServeLive(t, clip)
	addStreamer(daemon, live.URL, 10)
	live.Wait(t)
	paths := checkPublished(t, daemon, clip)

	names := make([]string, 0, len(paths))
	for _, path := range paths {
		name, err := filepath.Rel(filepath.Join(daemon.DataDir, "recordings"), path)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	login := curl(t, daemon.Dir, `curl -sSf -X POST `+daemon.Client.Base()+`/api/v1/users/login -H "Content-Type: application/json" -c cookies.txt \
  -d '{"username":"admin","password":"password123"}'`)
	encoded, err := json.Marshal(paths)
	if err != nil {
		t.Fatal(err)
	}
	answer := curl(t, daemon.Dir, `curl -sSf -X POST `+daemon.Client.Base()+`/api/v1/uploads -H "Content-Type: application/json" -b cookies.txt \
  -d '{"files": `+string(encoded)+`, "params": {"template_name": "默认模板", "title": "{{streamer}} 精选", "tid": 171, "tag": "测试", "user_cookie": "cookies.json"}}'`)
	if strings.TrimSpace(answer) != "{}" {
		t.Errorf("answered %s after %s", answer, login)
	}
	archives, err := daemon.Sim.WaitArchives(t.Context(), 2)
	if err != nil {
		t.Fatalf("no archive: %v: %s", err, daemon.Log().Tail())
	}
	daemon.Log().Wait(2, "archive accepted")
	checkUploaded(t, daemon, archives[1], names)
	if archives[1].Title != "测试主播 精选" || archives[1].Desc != "直播录像 "+live.URL {
		t.Errorf("archive %+v", archives[1])
	}
	var status struct {
		Submissions []struct {
			Kind  string `json:"kind"`
			State string `json:"state"`
			BVID  string `json:"bvid"`
		} `json:"submissions"`
	}
	daemon.Client.Do(http.MethodGet, "/status", nil, http.StatusOK, &status)
	if got := fmt.Sprint(status.Submissions); len(status.Submissions) != 2 || status.Submissions[0].Kind != "manual" || status.Submissions[1].Kind != "room" {
		t.Errorf("submissions: %s", got)
	}
	daemon.Stop()
}

// A file that goes away before it is sent fails with a text that says what to do, and a person can do it.
func TestUploadOfAFileThatIsGoneIsRetriedByHand(t *testing.T) {
	t.Parallel()
	clip := hosttest.EncodeClip(t, 24)
	daemon := hosttest.New(t, hosttest.Options{})
	prepare(t, daemon)
	placeVideos(t, daemon, clip, "a.mp4", "b.mp4")
	// Nothing is sent while the account is away.
	cookies := filepath.Join(daemon.DataDir, "cookies.json")
	if err := os.Rename(cookies, cookies+".away"); err != nil {
		t.Fatal(err)
	}
	daemon.Client.Do(http.MethodPost, "/uploads", `{"files":["a.mp4","recordings/b.mp4"],"params":{"template_name":"默认模板"}}`, http.StatusOK, nil)
	gone := filepath.Join(daemon.DataDir, "recordings", "b.mp4")
	if err := os.Rename(gone, gone+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(cookies+".away", cookies); err != nil {
		t.Fatal(err)
	}
	daemon.Client.Do(http.MethodPost, "/upload_streamers", `{"id":1}`, http.StatusOK, nil) // what waits for an account looks again
	daemon.Log().Wait(1, "transfer failed", "the file is gone")

	var status struct {
		Uploads []struct {
			Segment   int64  `json:"segment_id"`
			Recording int64  `json:"streamer_info_id"`
			State     string `json:"state"`
			Path      string `json:"file_path"`
			Error     string `json:"error"`
		} `json:"uploads"`
	}
	daemon.Client.Do(http.MethodGet, "/status", nil, http.StatusOK, &status)
	failed := status.Uploads[len(status.Uploads)-1]
	if failed.State != "failed" || failed.Path != gone || !strings.Contains(failed.Error, "put it back") {
		t.Fatalf("uploads: %+v", status.Uploads)
	}
	if code, answer := daemon.Client.Raw(http.MethodPost, fmt.Sprintf("/segments/%d/retry", failed.Segment), nil); code != http.StatusConflict {
		t.Errorf("a retry without the file was answered with %d %s", code, answer)
	}
	if err := os.Rename(gone+".away", gone); err != nil {
		t.Fatal(err)
	}
	daemon.Client.Do(http.MethodPost, fmt.Sprintf("/streamer_info/%d/retry", failed.Recording), nil, http.StatusOK, nil)
	archives, err := daemon.Sim.WaitArchives(t.Context(), 1)
	if err != nil {
		t.Fatalf("no archive: %v: %s", err, daemon.Log().Tail())
	}
	checkUploaded(t, daemon, archives[0], []string{"a.mp4", "b.mp4"})
	daemon.Sim.RequireNoViolations(t)
	daemon.Stop()
}
