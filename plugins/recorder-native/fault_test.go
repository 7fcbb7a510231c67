package main

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/recorder"
	"github.com/lubod/lubod/sdk/simulator/live"
)

// The tail is kept however a connection ends, and recording goes on over a new one when the network was at fault.
func TestBreaks(t *testing.T) {
	const tags = 100
	here := live.AfterTags(tags)
	tests := []struct {
		name     string
		fault    live.Fault
		requests int
	}{
		{"end", live.Close(here), 1},
		{"end in a tag", live.Close(here).InMidTag(), 2},
		{"end without the end of the body", live.Cut(here), 2},
		{"end in a tag without the end of the body", live.Cut(here).InMidTag(), 2},
		{"reset", live.Reset(here), 2},
		{"reset in a tag", live.Reset(here).InMidTag(), 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, live.Options{}, test.fault)
			r := begin(t, at(s.URL()))
			r.must()
			if n := len(s.Requests()); n != test.requests {
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
	s := serve(t, live.Options{}, live.Reset(live.AfterTags(100)).InMidTag())
	r := begin(t, at(s.URL()), func(r *run) { r.options.Reconnect = 0 })
	r.must()
	if n := len(s.Requests()); n != 1 {
		t.Errorf("%d requests without reconnecting", n)
	}
	wantAll(t, s, r.session.segments())
	if !slices.Contains(r.session.notes(), "incomplete-tag") {
		t.Errorf("notes: %q", r.session.notes())
	}
}

// Addresses that are refused after a break are reported, and new ones used.
func TestRefreshedAddresses(t *testing.T) {
	old := serve(t, live.Options{}, live.Reset(live.AfterTags(100)), live.Forbidden().Always().After(1))
	fresh := serve(t, live.Options{Clip: clip(t, "other")})
	r := begin(t, at(old.URL()))
	r.session.wait(t, "request for new addresses", func(p recorder.Payload) bool { _, ok := p.(recorder.RefreshWanted); return ok })
	r.session.refreshed <- at(fresh.URL())
	r.must()
	segments := r.session.segments()
	if len(segments) != 2 {
		t.Fatalf("segments: %+v", segments)
	}
	wantHashes(t, "first address", hashes(t, segments[:1], "video"), sent(old, live.Video))
	wantHashes(t, "second address", hashes(t, segments[1:], "video"), sent(fresh, live.Video))
	wantTimeline(t, r, sdk.GapStreamLost, recorder.TimelineLost, recorder.TimelineChanged, recorder.TimelineResumed)
}

// wantTimeline looks for what was told of stretches, in order: a gap has its cause at both ends, and a length.
func wantTimeline(t *testing.T, r *run, cause sdk.GapCause, kinds ...recorder.TimelineKind) {
	t.Helper()
	var got []recorder.TimelineKind
	var lost recorder.Timeline
	for _, e := range r.session.all() {
		told, ok := e.(recorder.Timeline)
		if !ok {
			continue
		}
		got = append(got, told.Kind)
		switch told.Kind {
		case recorder.TimelineLost:
			lost = told
		case recorder.TimelineResumed:
			if told.Length <= 0 || told.Length != told.At.Sub(lost.At) || told.MediaTime != lost.MediaTime {
				t.Errorf("lost %+v, resumed %+v", lost, told)
			}
		default:
			continue
		}
		if told.Cause != cause {
			t.Errorf("%s by %s, want %s", told.Kind, told.Cause, cause)
		}
	}
	if !slices.Equal(got, kinds) {
		t.Errorf("timeline: %q, want %q", got, kinds)
	}
}

// A stall longer than the idle timeout is given up like a broken connection.
func TestStallIsGivenUp(t *testing.T) {
	s := serve(t, live.Options{}, live.Stall(live.AfterTags(100)))
	r := begin(t, at(s.URL()), func(r *run) { r.options.IdleTimeout = 1 })
	r.must()
	wantAll(t, s, r.session.segments())
	wantTimeline(t, r, sdk.GapStreamStalled, recorder.TimelineLost, recorder.TimelineResumed)
	if n := len(s.Requests()); n != 2 {
		t.Errorf("%d requests", n)
	}
}

// Everything received before a stop is in the files, and stopping is no failure.
func TestStopKeepsTheTail(t *testing.T) {
	s := serve(t, live.Options{})
	stall := s.AddFault(live.Stall(live.AfterTags(123)))
	r := begin(t, at(s.URL()))
	if err := s.WaitFault(t.Context(), stall, 1); err != nil {
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
		{"garbage between tags", []live.Fault{live.Garbage(live.AfterTags(50), 3000)}, 1, []string{"resync"}},
		{"size of a tag is damaged", []live.Fault{live.WrongSize(live.AfterTags(50), 1<<20)}, 1, []string{"resync"}},
		{"size of a tag is too small", []live.Fault{live.WrongSize(live.AfterTags(50), 3)}, 1, []string{"resync"}},
		{"sizes behind tags are wrong", []live.Fault{live.NoTrailers(live.At{})}, 1, []string{"previous-tag-size"}},
		{"headers are repeated", []live.Fault{live.RepeatHeaders(live.AfterTags(20)), live.RepeatHeaders(live.AfterTags(70))}, 1, nil},
		{"parameter sets change", []live.Fault{live.ChangeHeader(live.AfterKeyframes(4))}, 2, []string{"header-change"}},
		{"clock jumps ahead", []live.Fault{live.Jump(live.AfterTags(100), 13*time.Second)}, 2, []string{"clock-jump"}},
		{"clock falls back", []live.Fault{live.Jump(live.AfterTags(200), -3*time.Hour)}, 2, []string{"clock-jump"}},
		{"clock begins again", []live.Fault{live.Restart(live.AfterTags(200))}, 2, []string{"clock-jump"}},
		{"small hole", []live.Fault{live.Jump(live.AfterTags(100), 400*time.Millisecond)}, 1, nil},
		{"a group is lost", []live.Fault{live.SkipGOP(live.AfterTags(100))}, 1, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, live.Options{StartAt: time.Minute}, test.faults...)
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
	s := serve(t, live.Options{}, live.Switch(live.AfterTags(100), clip(t, "other")))
	r := begin(t, at(s.URL()))
	r.must()
	segments := r.session.segments()
	if len(segments) != 2 {
		t.Fatalf("%d segments; events:\n%s", len(segments), r.session)
	}
	wantAll(t, s, segments)
	wantSound(t, segments)
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
