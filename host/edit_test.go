package host_test

import (
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/lubod/lubod/host/internal/hosttest"
	"github.com/lubod/lubod/sdk/simulator/live"
)

// liveRoom is a room that sends a clip over and over, in real time.
func liveRoom(t *testing.T) *live.Server {
	t.Helper()
	clip, err := live.Load(hosttest.EncodeClip(t, 24).Path)
	if err != nil {
		t.Fatal(err)
	}
	room := live.New(t, live.Options{Clip: clip, Speed: 1, Loop: true})
	t.Cleanup(func() { room.RequireNoViolations(t) })
	return room
}

func watched(t *testing.T, daemon *hosttest.Daemon) map[string]any {
	t.Helper()
	var all []map[string]any
	daemon.Client.Do(http.MethodGet, "/streamers", nil, http.StatusOK, &all)
	if len(all) != 1 {
		t.Fatalf("there are %d streamers, want 1", len(all))
	}
	return all[0]
}

func id(t *testing.T, streamer map[string]any) int64 {
	t.Helper()
	inner, ok := streamer["inner"].(map[string]any)
	if !ok {
		t.Fatalf("streamer = %v", streamer)
	}
	return int64(inner["id"].(float64))
}

func TestEditPauseAndDeleteLoseNothing(t *testing.T) {
	t.Parallel()
	room := liveRoom(t)
	daemon := hosttest.New(t, hosttest.Options{})
	prepare(t, daemon)
	daemon.Client.Do(http.MethodPut, "/configuration", map[string]int{"delay": 120}, http.StatusOK, nil)
	addStreamer(daemon, room.URL(), 4)
	daemon.Log().Wait(1, "segment uploaded")
	streamer := id(t, watched(t, daemon))

	// An edit that keeps the URL interrupts nothing.
	daemon.Client.Do(http.MethodPut, "/streamers", map[string]any{"id": streamer, "remark": "另一个名字"}, http.StatusOK, nil)
	daemon.Log().Wait(2, "segment uploaded")
	if connections := room.Connections(); len(connections) != 1 || !connections[0].Open {
		t.Errorf("an edit interrupted the recording: %d connections", len(connections))
	}

	// A pause keeps what was received; going on within the delay is the same recording.
	daemon.Client.Do(http.MethodPost, fmt.Sprintf("/streamers/%d/pause", streamer), nil, http.StatusOK, nil)
	if status := watched(t, daemon)["status"]; status != "Pause" {
		t.Errorf("status = %v, want Pause", status)
	}
	if connections := room.Connections(); connections[0].Open {
		err := room.Wait(t.Context(), func(all []live.Connection) bool { return !all[0].Open })
		if err != nil {
			t.Fatal("a paused room is still being recorded")
		}
	}
	daemon.Client.Do(http.MethodPost, fmt.Sprintf("/streamers/%d/pause", streamer), nil, http.StatusOK, nil)
	daemon.Log().Wait(1, "recording goes on")

	// Deleting the streamer ends and publishes its recording at once, and keeps its files.
	began := time.Now()
	var deleted map[string]any
	daemon.Client.Do(http.MethodDelete, fmt.Sprintf("/streamers/%d", streamer), nil, http.StatusOK, &deleted)
	daemon.Log().Wait(1, "recording ended")
	if took := time.Since(began); took > 30*time.Second { // a second or two, and not the time that recordings wait
		t.Errorf("the recording of a deleted streamer ended after %v", took)
	}
	archives, err := daemon.Sim.WaitArchives(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	_, paths := theRecording(t, daemon)
	if len(archives[0].Videos) != len(paths) {
		t.Errorf("the archive has %d parts for %d files", len(archives[0].Videos), len(paths))
	}
	frames := 0
	for _, path := range paths {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
		frames += len(hosttest.Packets(t, path)["video"])
	}
	sent := 0
	for _, connection := range room.Connections() {
		sent += len(live.Hashes(connection.Tags, live.Video))
	}
	// What was on its way in the moment of a stop is the only difference: far less than a second for each of two.
	if frames > sent || sent-frames > 60 {
		t.Errorf("%d frames were sent and %d recorded", sent, frames)
	}
	daemon.Stop()
}

func TestAnotherURLIsAnotherRecording(t *testing.T) {
	t.Parallel()
	first, second := liveRoom(t), liveRoom(t)
	daemon := hosttest.New(t, hosttest.Options{})
	prepare(t, daemon)
	daemon.Client.Do(http.MethodPut, "/configuration", map[string]int{"delay": 120}, http.StatusOK, nil)
	addStreamer(daemon, first.URL(), 4)
	daemon.Log().Wait(1, "segment uploaded")
	streamer := id(t, watched(t, daemon))
	daemon.Client.Do(http.MethodPut, "/streamers", map[string]any{"id": streamer, "url": second.URL()}, http.StatusOK, nil)
	daemon.Log().Wait(2, "recording begins")
	if _, err := daemon.Sim.WaitArchives(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := first.Wait(t.Context(), func(all []live.Connection) bool { return len(all) == 1 && !all[0].Open }); err != nil {
		t.Error("the old URL is still being recorded")
	}
	daemon.Stop()
}

// Asking a room that sends nothing, again and again, is no recording.
func TestRoomThatIsNotLiveLeavesNoTrace(t *testing.T) {
	t.Parallel()
	clip, err := live.Load(hosttest.EncodeClip(t, 24).Path)
	if err != nil {
		t.Fatal(err)
	}
	room := live.New(t, live.Options{Clip: clip, Offline: true})
	daemon := hosttest.New(t, hosttest.Options{})
	prepare(t, daemon)
	addStreamer(daemon, room.URL(), 4)
	if err := room.WaitRequests(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if status := watched(t, daemon)["status"]; status != "Idle" {
		t.Errorf("status = %v, want Idle", status)
	}
	var recordings []recording
	daemon.Client.Do(http.MethodGet, "/streamer_info", nil, http.StatusOK, &recordings)
	if len(recordings) != 0 {
		t.Errorf("%d recordings of a room that never was live", len(recordings))
	}
	daemon.Stop()
}
