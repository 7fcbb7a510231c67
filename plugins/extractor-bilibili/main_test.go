package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/extractor"
	"github.com/lubod/lubod/sdk/plugintest"
	"github.com/lubod/lubod/sdk/simulator/platforms/bililive"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fast are options for a server that needs no politeness.
func fast(base string) options {
	return options{LiveURL: base, APIURL: base, ShortURL: base, Interval: 1}
}

// newTest is the plugin as a host would set it up, with more options as JSON members.
func newTest(t *testing.T, base string, more ...string) *bilibili {
	t.Helper()
	opts := options{Quality: 25000, Protocol: "stream", Codecs: []string{"avc"}, HLSTimeout: 60, UseWBI: "auto", Batch: true}
	f := fast(base)
	opts.LiveURL, opts.APIURL, opts.ShortURL, opts.Interval = f.LiveURL, f.APIURL, f.ShortURL, f.Interval
	for _, m := range more {
		if err := json.Unmarshal([]byte("{"+m+"}"), &opts); err != nil {
			t.Fatal(err)
		}
	}
	b, err := newBilibili(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func numbered(number string) map[string]string { return map[string]string{"room": number} }

func ask(t *testing.T, b *bilibili, number string) (extractor.Status, error) {
	t.Helper()
	return b.Resolve(t.Context(), extractor.Ref{Groups: numbered(number)})
}

var startedAt = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func liveRoom() bililive.Room {
	return bililive.Room{
		ID: 7000001, ShortID: 77, UID: 1001, State: bililive.Live, Title: "demo", Streamer: "DemoUp", Avatar: "https://i.example/f.jpg",
		Cover: "https://i.example/c.jpg", Area: "leaf", ParentArea: "root", StartedAt: startedAt,
	}
}

func checkDemo(t *testing.T, got extractor.Status) {
	t.Helper()
	if !got.Live() || got.RoomID != "7000001" || got.Title != "demo" || got.Streamer != "DemoUp" || got.AvatarURL == "" || got.CoverURL == "" || got.Category != "root / leaf" ||
		!got.StartedAt.Equal(startedAt) || len(got.Streams) != 6 {
		t.Errorf("got %+v", got)
	}
	first := got.Streams[0]
	if first.Container != "flv" || first.CDN != "cn-gotcha01" || first.Quality != "超清" || first.Headers["Referer"] != "https://live.bilibili.com/7000001" {
		t.Errorf("first stream %+v", first)
	}
}

func TestConformance(t *testing.T) {
	sim := bililive.New(t, bililive.Options{})
	sim.SetRoom(liveRoom())
	sim.SetRoom(bililive.Room{ID: 7000002, UID: 1002})
	sim.SetRoom(bililive.Room{ID: 7000003, UID: 1003, State: bililive.Loop})
	sim.SetRoom(bililive.Room{ID: 7000004, UID: 1004, State: bililive.Live, Encrypted: true})
	sim.SetRoom(bililive.Room{ID: 7000005, UID: 1005, State: bililive.Live, DRM: true})
	sim.SetRoom(bililive.Room{ID: 7000006, UID: 1006, LockedUntil: time.Now().Add(time.Hour)})
	sim.SetRoom(bililive.Room{ID: 7000007, UID: 1007, State: bililive.Live, NoStream: true})
	sim.SetShortLink("AbC12", "https://live.bilibili.com/7000001?share=x")
	hangs := make(chan struct{})
	slow := bililive.New(t, bililive.Options{})
	slow.AddFault(bililive.Fault{Path: "/xlive/", Hang: hangs})
	banned := bililive.New(t, bililive.Options{})
	banned.AddFault(bililive.Fault{Path: "/xlive/", Code: -412})

	var cases []plugintest.ExtractorCase
	for _, url := range []string{
		"https://live.bilibili.com/7000001", "live.bilibili.com/77", "HTTP://Live.Bilibili.com/0077/?x=y#z", "https://live.bilibili.com/h5/7000001",
		"https://live.bilibili.com/blanc/7000001?liteVersion=true", "https://www.bilibili.com/7000001", "https://b23.tv/AbC12?from=app", "b23.tv/AbC12",
	} {
		cases = append(cases, plugintest.ExtractorCase{Name: url, URL: url, Check: checkDemo})
	}
	at := func(n string) string { return "https://live.bilibili.com/" + n }
	cases = append(cases,
		plugintest.ExtractorCase{Name: "offline", URL: at("7000002"), Want: extractor.Status{RoomID: "7000002"}},
		plugintest.ExtractorCase{Name: "loop", URL: at("7000003"), Want: extractor.Status{RoomID: "7000003", State: extractor.StateReplay}},
		plugintest.ExtractorCase{Name: "password", URL: at("7000004"), WantKind: sdk.Forbidden},
		plugintest.ExtractorCase{Name: "paid", URL: at("7000005"), WantKind: sdk.Forbidden},
		plugintest.ExtractorCase{Name: "locked", URL: at("7000006"), WantKind: sdk.Forbidden},
		plugintest.ExtractorCase{Name: "members", URL: at("7000007"), WantKind: sdk.Forbidden},
		plugintest.ExtractorCase{Name: "not found", URL: at("9"), WantKind: sdk.NotFound},
		plugintest.ExtractorCase{Name: "unknown short link", URL: "https://b23.tv/none", WantKind: sdk.NotFound},
		plugintest.ExtractorCase{Name: "wrong option", URL: at("7000001"), Options: map[string]any{"bili_cdn": []string{"akamai"}}, WantKind: sdk.InvalidOption},
		plugintest.ExtractorCase{Name: "base URL of a room", URL: at("7000001"), Options: map[string]any{"live_url": "http://h"}, WantKind: sdk.InvalidOption},
	)
	plugintest.Extractor(t, info, newBilibili, fast(sim.URL()), cases...)
	sim.RequireNoViolations(t)
	t.Run("cancelled", func(t *testing.T) {
		plugintest.Extractor(t, info, newBilibili, fast(slow.URL()), plugintest.ExtractorCase{Name: "hangs", URL: at("7000001"), Hangs: hangs})
	})
	t.Run("banned", func(t *testing.T) {
		plugintest.Extractor(t, info, newBilibili, fast(banned.URL()),
			plugintest.ExtractorCase{Name: "-412", URL: at("7000001"), WantKind: sdk.RateLimited, RetryAfter: banPause})
	})
}

func TestBinary(t *testing.T) {
	sim := bililive.New(t, bililive.Options{})
	sim.SetRoom(liveRoom())
	conn := plugintest.Binary(t, plugintest.Build(t, ".", "extractor-bilibili"))
	raw, err := json.Marshal(map[string]any{"live_url": sim.URL(), "api_url": sim.URL(), "short_url": sim.URL()})
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Configure(t.Context(), raw); err != nil {
		t.Fatal(err)
	}
	got, err := conn.Extractor().Resolve(t.Context(), extractor.Ref{URL: "https://live.bilibili.com/77"})
	if err != nil {
		t.Fatal(err)
	}
	checkDemo(t, got)
	sim.RequireNoViolations(t)
}

func TestOtherPagesAreNotTaken(t *testing.T) {
	for _, url := range []string{
		"https://live.bilibili.com/", "https://live.bilibili.com/p/eden/area-tags", "https://live.bilibili.com/activity/123", "https://live.bilibili.com/0",
		"https://live.bilibili.com/12a", "https://live.bilibili.com.evil.example/12", "https://evil.example/live.bilibili.com/12", "https://b23.tv/",
		"https://b23.tv/a/b", "https://space.bilibili.com/12", "https://www.bilibili.com/video/BV1", "ftp://live.bilibili.com/12",
		"https://user@live.bilibili.com/12", "https://live.bilibili.com/1234567890123456789012", " https://live.bilibili.com/12",
	} {
		if matches(url) != nil {
			t.Errorf("%q is taken", url)
		}
	}
}

func TestOptionsThatCannotWork(t *testing.T) {
	for name, change := range map[string]func(*options){
		"bili_cdn":         func(o *options) { o.CDN = []string{"cn-gotcha01", "akamai"} },
		"request_interval": func(o *options) { o.Interval = -1 },
		"bili_codec":       func(o *options) { o.Codecs = []string{} },
		"live_url":         func(o *options) { o.LiveURL = "ftp://h" },
		"bili_liveapi":     func(o *options) { o.LiveAPI = "http://user:secret@h" },
	} {
		opts := options{Codecs: []string{"avc"}, LiveURL: "http://h", APIURL: "http://h", ShortURL: "http://h"}
		change(&opts)
		_, err := newBilibili(t.Context(), opts)
		if sdk.KindOf(err) != sdk.InvalidOption || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
