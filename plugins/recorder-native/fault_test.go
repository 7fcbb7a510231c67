package main

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lubod/lubod/sdk/recorder"
	"github.com/lubod/lubod/sdk/simulator/live"
)

// The tail is kept however a connection ends, and recording goes on over a new one when the network was at fault.
func TestBreaks(t *testing.T) {
	const tags = 100
	tests := []struct {
		name     string
		do       live.Action
		requests int
	}{
		{"end", live.CloseCleanly{}, 1},
		{"end in a tag", live.CutMidTag{}, 2},
		{"end without the end of the body", live.Abort{}, 2},
		{"reset", live.Reset{}, 2},
		{"reset in a tag", live.Reset{MidTag: true}, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, live.Options{Faults: []live.Fault{{Connection: 1, AfterTags: tags, Do: test.do}}})
			r := begin(t, at(s.URL()))
			r.must()
			if n := len(s.Connections()); n != test.requests {
				t.Errorf("%d requests, want %d", n, test.requests)
			}
			if n := len(r.session.segments()); n != test.requests {
				t.Errorf("%d segments, want one per connection", n)
			}
			wantAll(t, s, r.session.segments())
			wantSound(t, r.session.segments())
		})
	}
}

// The stream breaks and is not to be opened again: that is its end, and everything received is kept.
func TestBreakWithoutReturn(t *testing.T) {
	s := serve(t, live.Options{Faults: []live.Fault{{AfterTags: 100, Do: live.Reset{MidTag: true}}}})
	r := begin(t, at(s.URL()), func(r *run) { r.options.Reconnect = 0 })
	r.must()
	if n := len(s.Connections()); n != 1 {
		t.Errorf("%d requests without reconnecting", n)
	}
	wantAll(t, s, r.session.segments())
	if !slices.Contains(r.session.notes(), "incomplete-tag") {
		t.Errorf("notes: %q", r.session.notes())
	}
}

// Addresses that are refused after a break are reported, and new ones used.
func TestRefreshedAddresses(t *testing.T) {
	faults := []live.Fault{{Connection: 1, AfterTags: 100, Do: live.Reset{}}}
	for n := 2; n < 20; n++ {
		faults = append(faults, live.Fault{Connection: n, Do: live.Refuse{Status: http.StatusForbidden}})
	}
	old := serve(t, live.Options{Faults: faults})
	fresh := serve(t, live.Options{Clip: clip(t, "other")})
	r := begin(t, at(old.URL()))
	r.session.wait(t, "wish for new addresses", func(p recorder.Payload) bool { _, ok := p.(recorder.RefreshWanted); return ok })
	r.session.refreshed <- at(fresh.URL())
	r.must()
	segments := r.session.segments()
	if len(segments) != 2 {
		t.Fatalf("segments: %+v", segments)
	}
	wantHashes(t, "first address", hashes(t, segments[:1], "video"), sent(old, true))
	wantHashes(t, "second address", hashes(t, segments[1:], "video"), sent(fresh, true))
}

// A stall longer than the idle timeout is given up like a broken connection.
func TestStallIsGivenUp(t *testing.T) {
	s := serve(t, live.Options{AllowConcurrent: true, Faults: []live.Fault{{Connection: 1, AfterTags: 100, Do: live.Stall{}}}})
	r := begin(t, at(s.URL()), func(r *run) { r.options.IdleTimeout = 1 })
	r.must()
	wantAll(t, s, r.session.segments())
	if len(s.Connections()) != 2 {
		t.Errorf("%d requests", len(s.Connections()))
	}
}

// Everything received before a stop is in the files, and stopping is no failure.
func TestStopKeepsTheTail(t *testing.T) {
	s := serve(t, live.Options{Faults: []live.Fault{{AfterTags: 123, Do: live.Stall{}}}})
	r := begin(t, at(s.URL()))
	if err := s.Wait(t.Context(), func(c []live.Connection) bool { return len(c) == 1 && c[0].Stalled }); err != nil {
		t.Fatal(err)
	}
	r.cancel()
	r.must()
	wantAll(t, s, r.session.segments())
	wantSound(t, r.session.segments())
}

// What the sender's encoder and the network do to a stream, and what becomes of it.
func TestOddStreams(t *testing.T) {
	tests := []struct {
		name     string
		faults   []live.Fault
		segments int
		notes    []string
	}{
		{"garbage between tags", []live.Fault{{AfterTags: 50, Do: live.Garbage{Bytes: 3000}}}, 1, []string{"resync"}},
		{"size of a tag is damaged", []live.Fault{{AfterTags: 50, Do: live.DamageTag{Size: 1 << 20}}}, 1, []string{"resync"}},
		{"size of a tag is too small", []live.Fault{{AfterTags: 50, Do: live.DamageTag{Size: 3}}}, 1, []string{"resync"}},
		{"sizes behind tags are wrong", []live.Fault{{Do: live.WrongTrailers{}}}, 1, []string{"previous-tag-size"}},
		{"headers are repeated", []live.Fault{{AfterTags: 20, Do: live.RepeatHeaders{}}, {AfterTags: 70, Do: live.RepeatHeaders{}}}, 1, nil},
		{"clock jumps ahead", []live.Fault{{AfterTags: 100, Do: live.Jump{By: 13 * time.Second}}}, 2, []string{"clock-jump"}},
		{"clock falls back", []live.Fault{{AfterTags: 200, Do: live.Jump{By: -3 * time.Hour}}}, 2, []string{"clock-jump"}},
		{"small hole", []live.Fault{{AfterTags: 100, Do: live.Jump{By: 400 * time.Millisecond}}}, 1, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, live.Options{Faults: test.faults})
			r := begin(t, at(s.URL()))
			r.must()
			if n := len(r.session.segments()); n != test.segments {
				t.Errorf("%d segments, want %d; events:\n%s", n, test.segments, r.session)
			}
			wantAll(t, s, r.session.segments())
			wantSound(t, r.session.segments())
			notes := slices.Compact(r.session.notes())
			if !slices.Equal(notes, test.notes) {
				t.Errorf("notes %q, want %q", notes, test.notes)
			}
		})
	}
}

// Clocks at the ends of their range, and without the byte that extends it.
func TestClocksAtTheirEnds(t *testing.T) {
	for name, start := range map[string]time.Duration{
		"below 0":           -48807 * time.Millisecond,
		"24 bits":           (1<<24 - 3000) * time.Millisecond,
		"31 bits":           (1<<31 - 3000) * time.Millisecond,
		"32 bits":           (1<<32 - 3000) * time.Millisecond,
		"hours after start": 9_000_000 * time.Millisecond,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, live.Options{StartAt: start})
			r := begin(t, at(s.URL()))
			r.must()
			if n := len(r.session.segments()); n != 1 {
				t.Errorf("%d segments; events:\n%s", n, r.session)
			}
			wantAll(t, s, r.session.segments())
			wantSound(t, r.session.segments())
		})
	}
}

// Other parameter sets begin another segment; every segment can be decoded on its own.
func TestEncoderChanges(t *testing.T) {
	s := serve(t, live.Options{Faults: []live.Fault{{AfterTags: 100, Do: live.Switch{To: clip(t, "other")}}}})
	r := begin(t, at(s.URL()))
	r.must()
	segments := r.session.segments()
	if len(segments) != 2 {
		t.Fatalf("%d segments; events:\n%s", len(segments), r.session)
	}
	wantAll(t, s, segments)
	wantSound(t, segments)
}

// Parameter sets that come before their keyframe cost the frames between them, which nothing could decode, and no sound.
func TestEncoderChangesEarly(t *testing.T) {
	const late = 10
	s := serve(t, live.Options{Faults: []live.Fault{{AfterTags: 100, Do: live.Switch{To: clip(t, "other"), Late: late}}}})
	r := begin(t, at(s.URL()))
	r.must()
	got, want := hashes(t, r.session.segments(), "video"), sent(s, true)
	if len(want)-len(got) > late || len(got) == 0 {
		t.Errorf("%d frames recorded, %d sent; up to %d are expected to be missing", len(got), len(want), late)
	}
	if !slices.Equal(got[len(got)-10:], want[len(want)-10:]) {
		t.Error("the new encoding is not recorded to its end")
	}
	if n := len(hashes(t, r.session.segments(), "audio")); n != len(sent(s, false)) {
		t.Errorf("%d sounds recorded, %d sent", n, len(sent(s, false)))
	}
	wantSound(t, r.session.segments())
}

// Files that exist are never touched: the segment takes the next number.
func TestNamesThatAreTaken(t *testing.T) {
	s := serve(t, live.Options{})
	r := begin(t, at(s.URL()), func(r *run) {
		for _, name := range []string{"_001.flv", "_002.flv.part"} {
			if err := os.WriteFile(r.request.PathPrefix+name, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	})
	r.must()
	segments := r.session.segments()
	if len(segments) != 1 || segments[0].Index != 3 || !strings.HasSuffix(segments[0].Path, "_003.flv") {
		t.Errorf("segments: %+v", segments)
	}
	for _, name := range []string{"_001.flv", "_002.flv.part"} {
		if b, err := os.ReadFile(r.request.PathPrefix + name); err != nil || string(b) != "precious" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	wantAll(t, s, segments)
}

// A folder that cannot be written to is told in words, and costs no other session anything.
func TestNowhereToWrite(t *testing.T) {
	s := serve(t, live.Options{})
	r := begin(t, at(s.URL()), func(r *run) {
		file := r.request.PathPrefix
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		r.request.PathPrefix = file + "/room" // below a file
	})
	if err := r.end(); err == nil || isOffline(err) || !strings.Contains(err.Error(), "folder") {
		t.Errorf("the recording ended with: %v", err)
	}
}
