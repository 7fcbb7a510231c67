package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/plugintest"
	"github.com/lubod/lubod/sdk/recorder"
	"github.com/lubod/lubod/sdk/simulator/live"
)

func TestConformance(t *testing.T) {
	source := func(o live.Options, faults ...live.Fault) func(*testing.T) []recorder.Stream {
		return func(t *testing.T) []recorder.Stream { return at(serve(t, o, faults...).URL()) }
	}
	plugintest.Recorder(t, info, newNative, testOptions(),
		plugintest.RecorderCase{
			Name: "clip", Streams: source(live.Options{}), SplitDuration: 2 * time.Second, MinSegments: 3,
			Check: func(t *testing.T, segments []recorder.Segment) { wantSound(t, segments) },
		},
		plugintest.RecorderCase{Name: "endless", Streams: source(live.Options{Speed: 4, Loop: true}), Endless: true},
		plugintest.RecorderCase{Name: "web page", WantEnd: recorder.EndOffline, WantKind: sdk.Unavailable, WantCode: sdk.CodeHTML, Streams: source(live.Options{}, live.HTML())},
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
				if n := len(s.Requests()); n != 1 {
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
	const group = 12
	var body bytes.Buffer
	if _, err := clip(t, "plain").WriteTo(&body); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(withoutFirstKeyframe(body.Bytes()))
	}))
	t.Cleanup(server.Close)
	r := begin(t, at(server.URL))
	r.must()
	segments := r.session.segments()
	wantHashes(t, "video", hashes(t, segments, "video"), clip(t, "plain").Hashes(live.Video)[group:])
	got, all := hashes(t, segments, "audio"), clip(t, "plain").Hashes(live.Audio)
	// Half a second of sound is 21 frames; the one that sounds with the first picture may begin before it.
	if lost := len(all) - len(got); lost < 18 || lost > 22 {
		t.Errorf("%d sounds before the first picture were dropped", lost)
	} else {
		wantHashes(t, "audio", got, all[lost:])
	}
	if !slices.Contains(r.session.notes(), "before-first-keyframe") {
		t.Errorf("notes: %q", r.session.notes())
	}
	wantSound(t, segments)
}

// withoutFirstKeyframe cuts the first keyframe out of an FLV file.
func withoutFirstKeyframe(b []byte) []byte {
	for at := 13; ; {
		end := at + 15 + (int(b[at+1])<<16 | int(b[at+2])<<8 | int(b[at+3]))
		if b[at] == 9 && b[at+11]>>4 == 1 && b[at+12] == 1 {
			return slices.Concat(b[:at], b[end:])
		}
		at = end
	}
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
	h := s.Requests()[0].Header
	if h.Get("Referer") != "https://live.example/1" || h.Get("Cookie") != "a=b" || h.Get("User-Agent") != "test" {
		t.Errorf("headers: %v", h)
	}
}

func TestFollowsRedirects(t *testing.T) {
	s := serve(t, live.Options{}, live.Redirect("/there"))
	streams := at(s.URL())
	streams[0].Headers = map[string]string{"Referer": "https://live.example/1"}
	r := begin(t, streams)
	r.must()
	c := s.Requests()
	if len(c) != 2 || c[1].Path != "/there" || c[1].Header.Get("Referer") == "" {
		t.Errorf("requests: %+v", c)
	}
	wantAll(t, s, r.session.segments())
}

func TestNothingOpens(t *testing.T) {
	start := live.At{}
	for name, fault := range map[string]live.Fault{
		"403":           live.Forbidden(),
		"404":           live.NotFound(),
		"500":           live.Status(http.StatusInternalServerError),
		"web page":      live.HTML(),
		"playlist":      live.Answer("application/vnd.apple.mpegurl", "#EXTM3U\n"),
		"empty":         live.Answer("video/x-flv", ""),
		"refused":       live.Refuse(),
		"no answer":     live.Hang(),
		"headers only":  live.Close(start),
		"reset":         live.Reset(start),
		"half a tag":    live.Reset(start).InMidTag(),
		"stall at once": live.Stall(start),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := serve(t, live.Options{}, fault), serve(t, live.Options{}, fault)
			r := begin(t, append(at(first.URL()), at(second.URL())...), func(r *run) {
				r.options.IdleTimeout, r.options.ConnectTimeout = 1, 1
			})
			if err := r.end(); !isOffline(err) {
				t.Errorf("the recording ended with: %v", err)
			}
			if files := r.files(); len(files) > 0 {
				t.Errorf("files: %q", files)
			}
			for _, s := range []*live.Server{first, second} {
				if n := len(s.Requests()); n != 1 {
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
	if n := len(s.Requests()); n > 0 {
		t.Errorf("%d requests", n)
	}
}
