package main

import (
	"strings"
	"testing"
	"time"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/simulator/platforms/bililive"
)

func TestBetterQualityIsAskedForByItsNumber(t *testing.T) {
	sim := bililive.New(t, bililive.Options{})
	r := liveRoom()
	r.AnonymousQuality = 10000
	sim.SetRoom(r)
	// 25000 does not exist in this room: the site gives its least then.
	got, err := ask(t, newTest(t, sim.URL()), "77")
	if err != nil || got.Streams[0].Quality != "原画" || sim.Count(playCall) != 2 {
		t.Errorf("got %+v, %v after %d requests", got.Streams, err, sim.Count(playCall))
	}
	sim.AddFault(bililive.Fault{Path: playCall, Code: -500, Times: 1})
	if _, err := ask(t, newTest(t, sim.URL()), "77"); sdk.KindOf(err) != sdk.Unavailable {
		t.Errorf("first request fails: %v", err)
	}
}

func TestCodecs(t *testing.T) {
	sim := bililive.New(t, bililive.Options{})
	sim.SetRoom(liveRoom())
	got, err := ask(t, newTest(t, sim.URL(), `"bili_codec":["hevc","avc"]`), "77")
	if err != nil || len(got.Streams) != 12 || got.Streams[0].Codec != "hevc" || got.Streams[2].Codec != "avc" || got.Streams[2].Container != "flv" {
		t.Errorf("got %+v, %v", got.Streams, err)
	}
}

func TestYoungBroadcastWaitsForItsOrigin(t *testing.T) {
	sim := bililive.New(t, bililive.Options{})
	sim.AddLogin("s")
	r := liveRoom()
	r.NoFMP4 = true
	r.StartedAt = time.Now().Truncate(time.Second)
	sim.SetRoom(r)
	b := newTest(t, sim.URL(), `"bili_protocol":"hls_fmp4","bili_cookie":"SESSDATA=s","bili_qn":10000`)
	at := &clock{r.StartedAt.Add(20 * time.Second)}
	b.now = at.now
	if _, err := ask(t, b, "77"); sdk.KindOf(err) != sdk.Unavailable || !strings.Contains(err.Error(), "40s") {
		t.Errorf("young: %v", err)
	}
	at.at = r.StartedAt.Add(61 * time.Second)
	if got, err := ask(t, b, "77"); err != nil || got.Streams[0].Container != "flv" {
		t.Errorf("old: %+v, %v", got, err)
	}
	r.NoFMP4 = false
	sim.SetRoom(r)
	at.at = r.StartedAt.Add(30 * time.Second)
	if got, err := ask(t, b, "77"); err != nil || !strings.Contains(got.Streams[0].URL, "index.m3u8") {
		t.Errorf("ready: %+v, %v", got, err)
	}
}

func TestAnonymousOrigin(t *testing.T) {
	sim := bililive.New(t, bililive.Options{})
	sim.SetRoom(liveRoom())
	b := newTest(t, sim.URL(), `"bili_protocol":"hls_fmp4","bili_anonymous_origin":true,"bili_qn":10000`)
	got, err := ask(t, b, "77")
	if err != nil || got.Streams[0].Quality != "原画" || !strings.Contains(got.Streams[0].URL, "index.m3u8") {
		t.Errorf("got %+v, %v", got.Streams, err)
	}
	sim.AddFault(bililive.Fault{Path: "/xlive/play-gateway", Body: "#EXTINF"})
	if got, err := ask(t, b, "77"); err != nil || got.Streams[0].Quality != "超清" {
		t.Errorf("without a playlist: %+v, %v", got.Streams, err)
	}
	sim.RequireNoViolations(t)
}

func TestFirstAddressThatAnswers(t *testing.T) {
	sim := bililive.New(t, bililive.Options{})
	r := liveRoom()
	r.DownCDNs = []string{"cn-gotcha01"}
	sim.SetRoom(r)
	b := newTest(t, sim.URL(), `"bili_cdn_fallback":true`)
	if got, err := ask(t, b, "77"); err != nil || got.Streams[0].CDN != "cn-gotcha07" || got.Streams[0].Container != "flv" {
		t.Errorf("got %+v, %v", got.Streams, err)
	}
	r.DownCDNs = []string{"cn-gotcha01", "cn-gotcha07"}
	sim.SetRoom(r)
	if _, err := ask(t, b, "77"); sdk.KindOf(err) != sdk.Unavailable {
		t.Errorf("none answers: %v", err)
	}
	sim.RequireNoViolations(t)
}

func TestShortLinks(t *testing.T) {
	sim := bililive.New(t, bililive.Options{})
	sim.SetRoom(bililive.Room{ID: 7000001, UID: 1001})
	for code, to := range map[string]string{
		"room": "/step", "step": "https://LIVE.bilibili.com/h5/7000001", "loop": "/back", "back": "/loop", "video": "https://www.bilibili.com/video/BV1xx",
		"user": "https://a:b@live.bilibili.com/7000001", "evil": "http://169.254.169.254/latest", "file": "file:///etc/passwd", "none": "", "l0": "/l1", "l1": "/l2",
		"l2": "/l3", "l3": "/l4", "l4": "/l5", "l5": "/l6", "l6": "/l7", "l7": "/l8", "l8": "/l9",
	} {
		sim.SetShortLink(code, to)
	}
	b := newTest(t, sim.URL())
	for code, want := range map[string]sdk.Kind{
		"room": "", "loop": sdk.Bug, "video": sdk.Unsupported, "user": sdk.Unsupported, "evil": sdk.Unsupported, "file": sdk.Bug, "none": sdk.Bug, "l0": sdk.Bug,
		"missing": sdk.NotFound,
	} {
		number, err := b.number(t.Context(), map[string]string{"short": code})
		if sdk.KindOf(err) != want || (err == nil && number != "7000001") {
			t.Errorf("%s: got %q, %v (%s), want %s", code, number, err, sdk.KindOf(err), want)
		}
	}
	before := sim.Count("/room")
	if _, err := b.number(t.Context(), map[string]string{"short": "room"}); err != nil || sim.Count("/room") != before {
		t.Errorf("a known link is asked for again, or %v", err)
	}
}
