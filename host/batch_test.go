package host_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/lubod/lubod/sdk/simulator/live"
	"github.com/lubod/lubod/sdk/simulator/platforms/bililive"
)

// watchOffline is a daemon that watches bilibiliRoom and so many others, all of them offline.
func watchOffline(t *testing.T, others int) *bilibiliLive {
	t.Helper()
	daemon := newBilibiliLive(t, handler(t, live.Options{Clip: loadClip(t), Speed: 1, Loop: true}))
	daemon.live.SetRoom(room(bililive.Offline))
	prepare(t, daemon.Daemon)
	addStreamer(daemon.Daemon, bilibiliRoom, 60)
	for i := range int64(others) {
		daemon.live.SetRoom(bililive.Room{ID: 8000000 + i, UID: 2000 + i, Title: "t", Streamer: "s"})
		addStreamer(daemon.Daemon, fmt.Sprintf("https://live.bilibili.com/%d", 8000000+i), 60)
	}
	return daemon
}

// A platform that bans addresses that ask often is asked about all its rooms at once: a hundred rooms that are offline cost
// a few requests, and the one that goes live among them is recorded.
func TestManyRoomsOfAPlatformAreAskedTogether(t *testing.T) {
	t.Parallel()
	daemon := watchOffline(t, 100)
	daemon.Stop()
	daemon.Start()
	const batchCall, roomCall = "/room/v1/Room/get_status_info_by_uids", "/xlive/web-room/v1/index/getInfoByRoom"
	batches, single := daemon.live.Count(batchCall), daemon.live.Count(roomCall)
	daemon.until("all rooms are asked a few times", func() bool { return daemon.live.Count(batchCall) >= batches+9 })
	// A room whose turn comes when no other one is due is asked by itself.
	if alone := daemon.live.Count(roomCall) - single; alone > 5 {
		t.Errorf("%d rooms that are offline were asked by themselves", alone)
	}
	daemon.live.SetRoom(room(bililive.Live))
	daemon.Log().Wait(1, "recording begins")
	daemon.Stop()
	daemon.live.RequireNoViolations(t)
}

// The extractor dies, and is taken out of plugins.hcl and put back, while many rooms are being asked about: none of them is
// forgotten, and none is taken for offline.
func TestExtractorThatDiesAndGoesDuringABatch(t *testing.T) {
	t.Parallel()
	const rooms, batchCall = 20, "/room/v1/Room/get_status_info_by_uids"
	daemon := watchOffline(t, rooms)
	asking := make(chan struct{})
	daemon.live.AddFault(bililive.Fault{Path: batchCall, Hang: asking})
	<-asking
	if daemon.KillPlugin("extractor-bilibili") == 0 {
		t.Fatal("there was no extractor to kill")
	}
	<-asking // by the next process
	text, err := os.ReadFile(daemon.Plugins)
	if err != nil {
		t.Fatal(err)
	}
	daemon.WritePlugins(strings.Replace(string(text), `plugin "extractor-bilibili"`, `plugin "extractor-acme"`, 1))
	daemon.Signal(syscall.SIGHUP)
	daemon.Log().Wait(1, "plugins.hcl was not taken over") // its options are those of the other one
	daemon.WritePlugins(strings.Replace(string(text), withBilibiliBlock, "", 1))
	daemon.Signal(syscall.SIGHUP)
	daemon.Log().Wait(1, "plugins.hcl was taken over")
	daemon.live.ClearFaults()
	daemon.live.SetRoom(room(bililive.Live))
	daemon.Log().Wait(rooms+1, "room cannot be watched", "no extractor takes this URL")
	daemon.WritePlugins(string(text))
	daemon.Signal(syscall.SIGHUP)
	daemon.Log().Wait(1, "recording begins")
	type watched struct {
		Reason string `json:"reason"`
	}
	daemon.until("no room is in trouble", func() bool {
		var all []watched
		daemon.Client.Do(http.MethodGet, "/streamers", nil, http.StatusOK, &all)
		return len(all) == rooms+1 && !slices.ContainsFunc(all, func(one watched) bool { return one.Reason != "" })
	})
	daemon.Stop()
}
