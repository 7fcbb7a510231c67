package host_test

import (
	"fmt"
	"net/http"
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
