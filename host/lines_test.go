package host_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"syscall"
	"testing"

	"github.com/lubod/lubod/host/internal/hosttest"
	"github.com/lubod/lubod/sdk/simulator/bilibili"
)

// way is how a segment was uploaded, as the API tells it.
type way struct {
	Upload struct {
		State  string `json:"state"`
		Line   string `json:"line"`
		Reason *struct {
			Text string            `json:"text"`
			Code string            `json:"code"`
			Args map[string]string `json:"args"`
		} `json:"line_reason"`
	} `json:"upload"`
}

// waysOf are those of the segments of the only recording.
func waysOf(t *testing.T, daemon *hosttest.Daemon) []way {
	t.Helper()
	made, _ := theRecording(t, daemon)
	var ways []way
	daemon.Client.Do(http.MethodGet, fmt.Sprintf("/streamer_info/%d/files", made.ID), nil, http.StatusOK, &ways)
	return ways
}

// A line plugin is put in while a recording runs, carries its segments although its process is killed between any two calls of
// the protocol, and is taken out again: from then on its name means AUTO, and the segments say so.
func TestKodoIsPutInKilledAndTakenOut(t *testing.T) {
	t.Parallel()
	clip := hosttest.EncodeClip(t, 36)
	daemon := hosttest.New(t, hosttest.Options{Sim: bilibili.Options{Buckets: bilibili.KnownBuckets()[:1]}})
	prepare(t, daemon)
	without, err := os.ReadFile(daemon.Plugins)
	if err != nil {
		t.Fatal(err)
	}
	live := hosttest.ServeLive(t, clip)
	addStreamer(daemon, live.URL, 4)
	daemon.Log().Wait(1, "segment uploaded")

	daemon.WritePlugins(string(without) + "plugin \"line-kodo\" {}\n")
	daemon.Signal(syscall.SIGHUP)
	daemon.Log().Wait(1, "plugins.hcl was taken over")
	var hanging []bilibili.FaultID
	for _, call := range []bilibili.Call{bilibili.CallBlock, bilibili.CallMakeFile, bilibili.CallFetch} {
		hanging = append(hanging, daemon.Sim.AddFault(bilibili.Hang(call)))
	}
	daemon.Client.Do(http.MethodPut, "/configuration", map[string]any{"lines": "kodo", "upload_limit": 1}, http.StatusOK, nil)
	for _, fault := range hanging {
		if err := daemon.Sim.WaitFault(t.Context(), fault, 1); err != nil {
			t.Fatalf("%v: %s", err, daemon.Log().Tail())
		}
		if daemon.KillPlugin("line-kodo") == 0 { // which ends the request that hangs, and nothing was done about it
			t.Error("there was no line process to kill")
		}
	}
	err = daemon.Sim.Wait(t.Context(), func() bool {
		return slices.ContainsFunc(daemon.Sim.Objects(), func(o bilibili.Object) bool { return o.Complete && o.Line == bilibili.KodoLine })
	})
	if err != nil {
		t.Fatalf("%v: %s", err, daemon.Log().Tail())
	}

	daemon.WritePlugins(string(without))
	daemon.Signal(syscall.SIGHUP)
	daemon.Log().Wait(2, "plugins.hcl was taken over")
	live.Wait(t)
	paths := checkPublished(t, daemon, clip)

	lines := map[string]int{}
	// A process that dies before anybody heard of what it was granted leaves a grant, and no file.
	complete, err := daemon.Sim.WaitObjects(t.Context(), len(paths))
	if err != nil || len(complete) != len(paths) {
		t.Errorf("%d files are complete for %d segments: %v", len(complete), len(paths), err)
	}
	for _, object := range complete {
		lines[object.Line]++
	}
	if lines["kodo"] == 0 || lines["kodo"] == len(paths) {
		t.Errorf("objects came over %v", lines)
	}
	for i, way := range waysOf(t, daemon) {
		why := way.Upload.Reason
		switch {
		case way.Upload.Line == "kodo" && why != nil:
			t.Errorf("segment %d went over kodo and says %+v", i+1, why)
		case i == len(paths)-1 && (way.Upload.Line == "kodo" || why == nil || why.Code != "upload.line_auto" || why.Args["line"] != "kodo"):
			t.Errorf("the last segment went over %s and says %+v", way.Upload.Line, why)
		}
	}
	daemon.Stop()
}

// The service refuses the only line that is configured: the next one of AUTO's order carries the recording at once, and the
// segments say why.
func TestALineThatBilibiliRefusesIsFollowedByTheNext(t *testing.T) {
	t.Parallel()
	clip := hosttest.EncodeClip(t, 8)
	daemon := hosttest.New(t, hosttest.Options{
		Plugins: "plugin_dir = %q\nplugin \"extractor-direct\" {}\nplugin \"recorder-native\" {}\nplugin \"line-kodo\" {}\nplugin \"line-upos\" {}\n",
	})
	prepare(t, daemon)
	daemon.Client.Do(http.MethodPut, "/configuration", map[string]string{"lines": "kodo"}, http.StatusOK, nil)
	live := hosttest.ServeLive(t, clip)
	addStreamer(daemon, live.URL, 4)
	live.Wait(t)
	paths := checkPublished(t, daemon, clip)
	asked := 0
	for _, request := range daemon.Sim.Requests() {
		if request.Call == bilibili.CallPreupload && request.Line == "kodo" {
			asked++
		}
	}
	if asked != len(paths) {
		t.Errorf("kodo was asked %d times for %d segments", asked, len(paths))
	}
	for i, way := range waysOf(t, daemon) {
		why := way.Upload.Reason
		if way.Upload.Line == "kodo" || why == nil || why.Code != "upload.line_left" || why.Args["line"] != "kodo" || why.Args["cause"] == "" {
			t.Errorf("segment %d went over %s and says %+v", i+1, way.Upload.Line, why)
		}
	}
	daemon.Stop()
}
