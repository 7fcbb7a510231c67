package host_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lubod/lubod/host/internal/hosttest"
	"github.com/lubod/lubod/sdk/simulator/live"
	"github.com/lubod/lubod/sdk/simulator/platforms/bililive"
)

// stage is a room of a platform that tells titles, and a daemon that watches it.
type stage struct {
	*hosttest.Daemon
	t        *testing.T
	platform *bililive.Server
	media    *live.Server
}

const stageURL = "https://live.bilibili.com/123456"

func newStage(t *testing.T, title string) *stage {
	t.Helper()
	clip, err := live.Load(hosttest.EncodeClip(t, 24).Path)
	if err != nil {
		t.Fatal(err)
	}
	media, err := live.Handler(live.Options{Clip: clip, Speed: 1, Loop: true, GOPCache: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = media.Close() })
	platform := bililive.New(t, bililive.Options{Media: media})
	t.Cleanup(func() { platform.RequireNoViolations(t) })
	s := &stage{t: t, platform: platform, media: media}
	s.call(title)
	s.Daemon = hosttest.New(t, hosttest.Options{
		Plugins: "plugin_dir = %q\nplugin \"extractor-bilibili\" {\n  options {\n    request_interval = 1\n  }\n}\nplugin \"recorder-native\" {}\nplugin \"line-upos\" {}\n",
		Env:     []string{"LUBOD_BILIBILI_LIVE_URL=" + platform.URL(), "LUBOD_BILIBILI_LIVE_API_URL=" + platform.URL(), "LUBOD_BILIBILI_SHORT_URL=" + platform.URL()},
	})
	prepare(t, s.Daemon)
	s.Client.Do(http.MethodPut, "/configuration", map[string]int{"delay": 120}, http.StatusOK, nil)
	return s
}

// call gives the broadcast a title.
func (s *stage) call(title string) {
	s.platform.SetRoom(bililive.Room{ID: 123456, UID: 7, State: bililive.Live, Title: title, Streamer: "主播名称"})
}

// untilReason returns when the only streamer's reason holds the words; none: when it has no reason.
func untilReason(t *testing.T, daemon *hosttest.Daemon, words ...string) map[string]any {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		state := watched(t, daemon)
		reason, _ := state["reason"].(string)
		if (reason == "") == (len(words) == 0) && (len(words) == 0 || strings.Contains(reason, strings.Join(words, ""))) {
			return state
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("reason = %q, want %q: %s", reason, words, daemon.Log().Tail())
		}
	}
}

// inZone is a time range in the form of this API, from one duration from now to another.
func inZone(t *testing.T, zone string, from, to time.Duration) map[string]any {
	t.Helper()
	location, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().In(location)
	return map[string]any{"start": now.Add(from).Format("15:04:05"), "end": now.Add(to).Format("15:04:05"), "time_zone": zone}
}

func TestWindowThatEndsEndsTheRecordingAndPublishesItAtOnce(t *testing.T) {
	t.Parallel()
	room := liveRoom(t)
	daemon := hosttest.New(t, hosttest.Options{})
	prepare(t, daemon)
	daemon.Client.Do(http.MethodPut, "/configuration", map[string]int{"delay": 120}, http.StatusOK, nil)
	addStreamer(daemon, room.URL(), 60)
	daemon.Log().Wait(1, "recording begins")
	streamer := id(t, watched(t, daemon))

	// An hour of the day before to a moment from now: a window over midnight, except in one hour of the day.
	window := inZone(t, "Asia/Shanghai", -23*time.Hour, 3*time.Second)
	daemon.Client.Do(http.MethodPut, "/streamers", map[string]any{"id": streamer, "time_range": window}, http.StatusOK, nil)
	if err := room.Wait(t.Context(), func(all []live.Connection) bool { return !all[0].Open }); err != nil {
		t.Fatal(err)
	}
	state := untilReason(t, daemon, "outside its time window until "+strings.TrimSuffix(window["start"].(string), ":00")+" (Asia/Shanghai)")
	if state["status"] != "Idle" {
		t.Errorf("status = %v, want Idle", state["status"])
	}
	archives, err := daemon.Sim.WaitArchives(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, paths := theRecording(t, daemon); len(paths) != 1 || len(archives[0].Videos) != 1 {
		t.Errorf("%d files and %d parts, want one", len(paths), len(archives[0].Videos))
	}
	// Without the window the room is live as before, and that is another recording.
	daemon.Client.Do(http.MethodPut, "/streamers", map[string]any{"id": streamer, "time_range": nil}, http.StatusOK, nil)
	daemon.Log().Wait(2, "recording begins")
	daemon.Stop()
}

func TestRoomIsLeftAloneUntilItsWindowBegins(t *testing.T) {
	t.Parallel()
	room := liveRoom(t)
	daemon := hosttest.New(t, hosttest.Options{})
	prepare(t, daemon)
	// As biliup's page stores it: of some day, in UTC.
	begins := time.Now().UTC().Add(4 * time.Second).Truncate(time.Second)
	instants, err := json.Marshal([]string{begins.AddDate(0, -1, 0).Format(time.RFC3339), begins.Add(2*time.Hour).AddDate(0, -1, 0).Format(time.RFC3339)})
	if err != nil {
		t.Fatal(err)
	}
	daemon.Client.Do(http.MethodPost, "/streamers", map[string]any{"url": room.URL(), "template_name": "默认模板", "time_range": string(instants)}, http.StatusOK, nil)
	untilReason(t, daemon, "outside its time window until ")
	daemon.Log().Wait(1, "recording begins")
	if first := room.Requests()[0].Time; first.Before(begins) {
		t.Errorf("the room was asked at %s, before %s", first, begins)
	}
	untilReason(t, daemon)
	daemon.Stop()
}

func TestKeywordsAreTestedAgainWhenTheTitleChanges(t *testing.T) {
	t.Parallel()
	s := newStage(t, "新的一天")
	s.Client.Do(http.MethodPost, "/streamers", map[string]any{
		"url": stageURL, "template_name": "默认模板", "remark": "测试主播", "excluded_keywords": []string{" 录播 ", "重播"},
	}, http.StatusOK, nil)
	s.Log().Wait(1, "recording begins")

	// A platform that answers nothing useful ends nothing.
	asked := len(s.platform.Requests())
	s.platform.AddFault(bililive.Fault{Path: "/", Code: -500, Times: 6})
	s.untilAsked(asked + 6)
	if all := s.media.Connections(); len(all) != 1 || !all[0].Open {
		t.Error("an error of the platform ended the recording")
	}
	s.platform.ClearFaults()

	s.call("昨天的录播")
	if err := s.media.WaitEnded(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	state := untilReason(t, s.Daemon, `the title holds the excluded keyword "录播"`)
	if state["status"] != "Idle" {
		t.Errorf("status = %v, want Idle", state["status"])
	}
	s.call("又是新的一天")
	s.Log().Wait(1, "recording goes on")
	untilReason(t, s.Daemon)
	theRecording(t, s.Daemon)
	s.Stop()
}

// untilAsked returns when the platform got n requests.
func (s *stage) untilAsked(n int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	for len(s.platform.Requests()) < n {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			s.t.Fatalf("%d requests, want %d", len(s.platform.Requests()), n)
		}
	}
}

func TestStreamThatComesBackJoinsItsRecordingWithinTheDelayAndNotAfterIt(t *testing.T) {
	t.Parallel()
	room := liveRoom(t)
	daemon := hosttest.New(t, hosttest.Options{})
	prepare(t, daemon)
	daemon.Client.Do(http.MethodPut, "/configuration", map[string]int{"delay": 120}, http.StatusOK, nil)
	addStreamer(daemon, room.URL(), 60)
	daemon.Log().Wait(1, "recording begins")
	room.End()
	daemon.Log().Wait(1, "segment uploaded")
	room.GoLive()
	daemon.Log().Wait(1, "recording goes on")

	// The room's own delay takes effect while it is recorded.
	daemon.Client.Do(http.MethodPut, "/streamers", map[string]any{"id": id(t, watched(t, daemon)), "override": map[string]any{"delay": 0}}, http.StatusOK, nil)
	room.End()
	archives, err := daemon.Sim.WaitArchives(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(archives[0].Videos) != 2 {
		t.Errorf("the archive has %d parts, want both halves of the stream", len(archives[0].Videos))
	}
	theRecording(t, daemon)
	room.GoLive()
	daemon.Log().Wait(2, "recording begins")
	daemon.Stop()
}

func TestOverrideHoldsForItsRoomOnly(t *testing.T) {
	t.Parallel()
	own, global := liveRoom(t), liveRoom(t)
	daemon := hosttest.New(t, hosttest.Options{})
	prepare(t, daemon)
	daemon.Client.Do(http.MethodPut, "/configuration", map[string]any{"delay": 120, "filename_prefix": "all/{streamer}"}, http.StatusOK, nil)
	for name, streamer := range map[string]map[string]any{
		"own": {"url": own.URL(), "override": map[string]any{"delay": 0, "filename_prefix": "own/{streamer}"}}, "global": {"url": global.URL()},
	} {
		streamer["remark"], streamer["template_name"] = name, "默认模板"
		daemon.Client.Do(http.MethodPost, "/streamers", streamer, http.StatusOK, nil)
	}
	daemon.Log().Wait(2, "recording begins")
	own.End()
	global.End()
	daemon.Log().Wait(2, "segment uploaded")
	if _, err := daemon.Sim.WaitArchives(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	var status struct {
		Recordings []struct{ Remark, State string }
	}
	daemon.Client.Do(http.MethodGet, "/status", nil, http.StatusOK, &status)
	if len(status.Recordings) != 1 || status.Recordings[0].Remark != "global" || status.Recordings[0].State != "waiting" {
		t.Errorf("open recordings = %+v, want the one of global, which waits", status.Recordings)
	}
	for _, path := range []string{"own/own_001.flv", "all/global_001.flv"} {
		if found, err := filepath.Glob(filepath.Join(daemon.DataDir, "recordings", path)); err != nil || len(found) != 1 {
			t.Errorf("there is no %s (%v)", path, err)
		}
	}
	daemon.Stop()
}

func TestFilesAreNamedByTheRoomAndNeverOverwritten(t *testing.T) {
	t.Parallel()
	s := newStage(t, "100%d ../off")
	s.Client.Do(http.MethodPost, "/streamers", map[string]any{
		"url": stageURL, "template_name": "默认模板", "filename_prefix": "%Y/{{streamer}}/{title}",
	}, http.StatusOK, nil)
	s.Log().Wait(1, "recording begins")
	streamer := id(t, watched(t, s.Daemon))
	for n := range 2 {
		s.Client.Do(http.MethodPost, fmt.Sprintf("/streamers/%d/pause", streamer), nil, http.StatusOK, nil)
		s.Log().Wait(n+1, "segment uploaded")
		s.Client.Do(http.MethodPost, fmt.Sprintf("/streamers/%d/pause", streamer), nil, http.StatusOK, nil)
		s.Log().Wait(n+1, "recording goes on")
	}
	_, paths := theRecording(t, s.Daemon)
	folder := filepath.Join(s.DataDir, "recordings", time.Now().Format("2006"), "主播名称")
	want := []string{filepath.Join(folder, "100%d .._off_001.flv"), filepath.Join(folder, "100%d .._off_2_002.flv")}
	if strings.Join(paths, "\n") != strings.Join(want, "\n") {
		t.Errorf("files = %q, want %q", paths, want)
	}
	s.Stop()
}
