package main

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/lubod/lubod/sdk/plugintest"
	"github.com/lubod/lubod/sdk/recorder"
	"github.com/lubod/lubod/sdk/simulator/live"
)

func TestConformance(t *testing.T) {
	source := func(o live.Options) func(*testing.T) []recorder.Stream {
		return func(t *testing.T) []recorder.Stream { return at(serve(t, o).URL()) }
	}
	plugintest.Recorder(t, info, newNative, testOptions(),
		plugintest.RecorderCase{
			Name: "clip", Streams: source(live.Options{}), SplitDuration: 2 * time.Second, MinSegments: 3,
			Check: func(t *testing.T, segments []recorder.Segment) { wantSound(t, segments) },
		},
		plugintest.RecorderCase{Name: "endless", Streams: source(live.Options{Speed: 4, Loop: true}), Endless: true},
		plugintest.RecorderCase{Name: "web page", WantEnd: recorder.EndOffline, Streams: source(live.Options{
			Faults: []live.Fault{{Do: live.Answer{ContentType: "text/html", Body: "<html>"}}},
		})},
	)
}

func TestEveryFrameOnce(t *testing.T) {
	for _, name := range []string{"plain", "sound", "pictures", "one group"} {
		for _, speed := range []float64{0, 10} {
			t.Run(name, func(t *testing.T) {
				s := serve(t, live.Options{Clip: clip(t, name), Speed: speed, StartAt: -68 * time.Millisecond})
				r := begin(t, at(s.URL()))
				r.must()
				wantAll(t, s, r.session.segments())
				wantSound(t, r.session.segments())
				if notes := r.session.notes(); len(notes) > 0 {
					t.Errorf("notes about a flawless stream: %q", notes)
				}
				if n := len(s.Connections()); n != 1 {
					t.Errorf("%d requests, want 1", n)
				}
			})
		}
	}
}

func TestSplitByTime(t *testing.T) {
	for _, name := range []string{"plain", "sound", "pictures"} {
		t.Run(name, func(t *testing.T) {
			const limit = 2 * time.Second
			s := serve(t, live.Options{Clip: clip(t, name)})
			r := begin(t, at(s.URL()), func(r *run) { r.request.SplitDuration = limit; r.request.FirstIndex = 7 })
			r.must()
			segments := r.session.segments()
			if len(segments) < 2 || segments[0].Index != 7 {
				t.Fatalf("segments: %+v", segments)
			}
			for _, segment := range segments {
				// A tone frame of 23 ms may last over the cut.
				if segment.Duration > limit+25*time.Millisecond {
					t.Errorf("segment %d lasts %v", segment.Index, segment.Duration)
				}
			}
			wantAll(t, s, segments)
			wantSound(t, segments)
		})
	}
}

func TestSplitBySize(t *testing.T) {
	const limit = 300 << 10
	s := serve(t, live.Options{})
	r := begin(t, at(s.URL()), func(r *run) { r.request.SplitSize = limit })
	r.must()
	segments := r.session.segments()
	if len(segments) < 2 {
		t.Fatalf("%d segments", len(segments))
	}
	for _, segment := range segments {
		if segment.SizeBytes > limit {
			t.Errorf("segment %d has %d bytes", segment.Index, segment.SizeBytes)
		}
	}
	wantAll(t, s, segments)
	wantSound(t, segments)
}

func TestSplitOnRequest(t *testing.T) {
	s := serve(t, live.Options{Speed: 4})
	r := begin(t, at(s.URL()))
	r.session.wait(t, "progress", func(p recorder.Payload) bool { _, ok := p.(recorder.Progress); return ok })
	r.session.split <- struct{}{}
	r.must()
	if n := len(r.session.segments()); n != 2 {
		t.Errorf("%d segments after one request to split, want 2", n)
	}
	wantAll(t, s, r.session.segments())
	wantSound(t, r.session.segments())
}

// A client that joins in the middle drops what cannot be decoded, says so, and keeps everything from the keyframe on.
func TestStartsAtTheFirstKeyframe(t *testing.T) {
	s := serve(t, live.Options{AnyTag: true, Faults: []live.Fault{{Connection: 1, AfterTags: 50, Do: live.Abort{}}}})
	r := begin(t, at(s.URL()))
	r.must()
	second := s.Connections()[1].Tags
	if second[0].Key {
		t.Fatal("the test needs a connection that begins between keyframes")
	}
	key := slices.IndexFunc(second, func(tag live.Sent) bool { return tag.Key })
	want := append(live.Hashes(s.Connections()[0].Tags, true), live.Hashes(second[key:], true)...)
	wantHashes(t, "video", hashes(t, r.session.segments(), "video"), want)
	got := hashes(t, r.session.segments()[1:], "audio")
	wantHashes(t, "audio after the keyframe", got[max(0, len(got)-len(live.Hashes(second[key:], false))):], live.Hashes(second[key:], false))
	if !slices.Contains(r.session.notes(), "before-first-keyframe") {
		t.Errorf("notes: %q", r.session.notes())
	}
	wantSound(t, r.session.segments())
}

func TestEventsInOrder(t *testing.T) {
	s := serve(t, live.Options{Speed: 4})
	r := begin(t, at(s.URL()), func(r *run) { r.request.SplitDuration = 2 * time.Second })
	r.must()
	open, progress := 0, 0
	for i, e := range r.session.all() {
		switch p := e.(type) {
		case recorder.MediaArrived:
			if i != 0 {
				t.Errorf("MediaArrived is event %d", i)
			}
		case recorder.SegmentOpened:
			if open != 0 {
				t.Error("a segment opened before the one before it closed")
			}
			open = p.Index
		case recorder.SegmentClosed:
			if open != p.Segment.Index {
				t.Errorf("segment %d closed, %d was open", p.Segment.Index, open)
			}
			open = 0
		case recorder.Progress:
			progress++
		}
	}
	if open != 0 || progress == 0 {
		t.Errorf("segment %d is open at the end; %d times progress", open, progress)
	}
}

func TestHeadersOfStreamsAreSent(t *testing.T) {
	s := serve(t, live.Options{})
	streams := at(s.URL())
	streams[0].Headers = map[string]string{"Referer": "https://live.example/1", "Cookie": "a=b"}
	r := begin(t, streams)
	r.must()
	h := s.Connections()[0].Header
	if h.Get("Referer") != "https://live.example/1" || h.Get("Cookie") != "a=b" || h.Get("User-Agent") != "test" {
		t.Errorf("headers: %v", h)
	}
}

func TestFollowsRedirects(t *testing.T) {
	s := serve(t, live.Options{Faults: []live.Fault{{Connection: 1, Do: live.Redirect{To: "/there"}}}})
	streams := at(s.URL())
	streams[0].Headers = map[string]string{"Referer": "https://live.example/1"}
	r := begin(t, streams)
	r.must()
	c := s.Connections()
	if len(c) != 2 || c[1].Path != "/there" || c[1].Header.Get("Referer") == "" {
		t.Errorf("requests: %+v", c)
	}
	wantAll(t, s, r.session.segments())
}

func TestNothingOpens(t *testing.T) {
	refuse := func(a live.Action) live.Options { return live.Options{Faults: []live.Fault{{Do: a}}} }
	for name, o := range map[string]live.Options{
		"offline":       {Offline: true},
		"403":           refuse(live.Refuse{Status: http.StatusForbidden}),
		"500":           refuse(live.Refuse{Status: http.StatusInternalServerError}),
		"web page":      refuse(live.Answer{ContentType: "text/html", Body: "<!DOCTYPE html><title>not live</title>"}),
		"playlist":      refuse(live.Answer{ContentType: "application/vnd.apple.mpegurl", Body: "#EXTM3U\n"}),
		"empty":         refuse(live.Answer{ContentType: "video/x-flv"}),
		"headers only":  refuse(live.CloseCleanly{}),
		"reset":         refuse(live.Reset{}),
		"half a tag":    refuse(live.Reset{MidTag: true}),
		"stall at once": refuse(live.Stall{}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := serve(t, o), serve(t, o)
			r := begin(t, append(at(first.URL()), at(second.URL())...), func(r *run) { r.options.IdleTimeout = 1 })
			if err := r.end(); !isOffline(err) {
				t.Errorf("the recording ended with: %v", err)
			}
			if files := r.files(); len(files) > 0 {
				t.Errorf("files: %q", files)
			}
			for _, s := range []*live.Server{first, second} {
				if n := len(s.Connections()); n != 1 {
					t.Errorf("%d requests, want exactly 1", n)
				}
			}
			for _, e := range r.session.all() {
				if _, ok := e.(recorder.Note); !ok {
					t.Errorf("event %T %+v", e, e)
				}
			}
		})
	}
}

// The second address is used when the first has nothing.
func TestNextAddress(t *testing.T) {
	dead, alive := serve(t, live.Options{Offline: true}), serve(t, live.Options{})
	r := begin(t, append(at(dead.URL()), at(alive.URL())...))
	r.must()
	wantAll(t, alive, r.session.segments())
}

func TestOtherContainersAreNotTried(t *testing.T) {
	s := serve(t, live.Options{})
	r := begin(t, []recorder.Stream{{URL: s.URL(), Container: "hls"}})
	if err := r.end(); err == nil || isOffline(err) {
		t.Errorf("a room without FLV ended with: %v", err)
	}
	if n := len(s.Connections()); n > 0 {
		t.Errorf("%d requests", n)
	}
}
