package host_test

import (
	"fmt"
	"testing"

	"github.com/lubod/lubod/sdk/simulator/live"
	"github.com/lubod/lubod/sdk/simulator/platforms/bililive"
)

// A platform that bans addresses that ask often is asked about all its rooms at once: a hundred rooms that are offline cost
// a few requests, and the one that goes live among them is recorded.
func TestManyRoomsOfAPlatformAreAskedTogether(t *testing.T) {
	t.Parallel()
	daemon := newBilibiliLive(t, handler(t, live.Options{Clip: loadClip(t), Speed: 1, Loop: true}))
	const rooms = 100
	for i := range int64(rooms) {
		daemon.live.SetRoom(bililive.Room{ID: 8000000 + i, UID: 2000 + i, Title: "t", Streamer: "s"})
	}
	daemon.live.SetRoom(room(bililive.Offline))
	prepare(t, daemon.Daemon)
	for i := range rooms {
		addStreamer(daemon.Daemon, fmt.Sprintf("https://live.bilibili.com/%d", 8000000+i), 60)
	}
	addStreamer(daemon.Daemon, bilibiliRoom, 60)
	daemon.Stop()
	before := len(daemon.live.Requests())
	daemon.Start()
	const batchCall, roomCall = "/room/v1/Room/get_status_info_by_uids", "/xlive/web-room/v1/index/getInfoByRoom"
	batches := daemon.live.Count(batchCall)
	daemon.until("all rooms are asked a few times", func() bool { return daemon.live.Count(batchCall) >= batches+9 })
	for _, request := range daemon.live.Requests()[before:] {
		if request.Path == roomCall {
			t.Fatalf("a room that is offline was asked by itself: %+v", request)
		}
	}
	daemon.live.SetRoom(room(bililive.Live))
	daemon.Log().Wait(1, "recording begins")
	daemon.Stop()
	daemon.live.RequireNoViolations(t)
}
