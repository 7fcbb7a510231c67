package host_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lubod/lubod/host/internal/hosttest"
	"github.com/lubod/lubod/sdk/simulator/bilibili"
)

// The data directory is moved while uploads, an order of a person and a hook wait: everything goes on where it is now, and
// nothing is recorded, uploaded or submitted twice.
func TestMovedDataDirectory(t *testing.T) {
	t.Parallel()
	clip := hosttest.EncodeClip(t, 24)
	daemon := hosttest.New(t, hosttest.Options{Sim: bilibili.Options{ChunkSize: 1 << 20}})
	slow := daemon.Sim.AddFault(bilibili.Bandwidth("", 1<<10))
	prepare(t, daemon)
	placeVideos(t, daemon, clip, "手动/by hand.flv")
	order := map[string]any{"files": []string{"手动/by hand.flv"}, "params": map[string]any{
		"template_name": "默认模板", "title": "{{title}} 手动", "tid": 171, "tag": "测试", "user_cookie": "cookies.json",
	}}
	daemon.Client.Do(http.MethodPost, "/uploads", order, http.StatusOK, nil)
	live := hosttest.ServeLive(t, clip)
	daemon.Client.Do(http.MethodPost, "/streamers", map[string]any{
		"url": live.URL, "template_name": "默认模板", "remark": "测试主播", "split_time": 10,
		"segment_processor": []map[string]string{{"mv": "moved"}}, "postprocessor": []map[string]string{{"mv": "published"}},
	}, http.StatusOK, nil)
	live.Wait(t)
	daemon.Log().Wait(2, "segment closed")
	daemon.Log().Wait(2, "transfer starts")
	daemon.Kill()

	old := daemon.DataDir
	daemon.DataDir = filepath.Join(daemon.Dir, "data2")
	if err := os.Rename(old, daemon.DataDir); err != nil {
		t.Fatal(err)
	}
	daemon.Sim.RemoveFault(slow)
	daemon.Start()
	daemon.Log().Wait(1, "the data directory was moved", "from="+old, "to="+daemon.DataDir)
	daemon.Client.Do(http.MethodPost, "/uploads", order, http.StatusOK, nil) // whoever sees no archive yet asks again

	archives, err := daemon.Sim.WaitArchives(t.Context(), 2)
	if err != nil {
		t.Fatalf("no archives: %v: %s", err, daemon.Log().Tail())
	}
	daemon.Log().Wait(2, "archive accepted")
	published := filepath.Join(daemon.DataDir, "recordings", "published") + "/"
	var paths []string
	hosttest.Until(t, "the last hook moved the files", func() bool {
		_, paths = theRecording(t, daemon)
		return !slices.ContainsFunc(paths, func(path string) bool { return !strings.HasPrefix(path, published) })
	}, daemon.Log().Tail)
	want, got := hosttest.Packets(t, clip.Path), hosttest.Packets(t, paths...)
	for _, kind := range []string{"video", "audio"} {
		if diff := cmp.Diff(want[kind], got[kind]); diff != "" {
			t.Errorf("%s packets: %d sent, %d recorded", kind, len(want[kind]), len(got[kind]))
		}
	}
	recorded, byHand := archives[0], archives[1]
	if strings.HasSuffix(recorded.Title, "手动") {
		recorded, byHand = byHand, recorded
	}
	checkUploaded(t, daemon, byHand, []string{"手动/by hand.flv"})
	if len(recorded.Videos) != len(paths) {
		t.Errorf("%d parts of %d files", len(recorded.Videos), len(paths))
	}
	if submits, objects := len(daemon.Sim.Submits()), len(daemon.Sim.Objects()); submits != 2 || objects != len(paths)+1 {
		t.Errorf("%d submits, %d transfers", submits, objects)
	}
	daemon.Sim.RequireNoViolations(t)
	if _, err := os.Stat(filepath.Join(old, "recordings")); err == nil {
		t.Errorf("something is recorded to %s", old)
	}
	daemon.Stop()
}
