package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lubod/lubod/sdk/recorder"
	"github.com/lubod/lubod/sdk/simulator/live"
)

func TestMain(m *testing.M) {
	if os.Getenv(crashPrefix) != "" {
		recordUntilKilled()
	}
	if role := os.Getenv(liveRole); role != "" {
		recordLive(role)
	}
	goleak.VerifyTestMain(m)
}

// media are the clips of all tests, encoded once. A group of 12 pictures at 25 a second is 480 ms.
var media = sync.OnceValues(func() (map[string]*live.Clip, error) {
	clips := map[string]*live.Clip{}
	for name, e := range map[string]live.Encoding{
		"plain":     {Length: 6 * time.Second, FrameRate: 25, GOP: 12, BFrames: 2},
		"other":     {Length: 2 * time.Second, FrameRate: 25, GOP: 12, Width: 160, Height: 120, AudioRate: 48000},
		"sound":     {Length: 6 * time.Second, NoVideo: true},
		"pictures":  {Length: 3 * time.Second, FrameRate: 25, GOP: 12, NoAudio: true},
		"one group": {Length: 3 * time.Second, FrameRate: 25, GOP: 1000},
	} {
		c, err := live.Encode(context.Background(), e)
		if err != nil {
			return nil, err
		}
		clips[name] = c
	}
	return clips, nil
})

func clip(t testing.TB, name string) *live.Clip {
	t.Helper()
	clips, err := media()
	if err != nil {
		t.Fatal(err)
	}
	return clips[name]
}

// serve broadcasts; the test fails when the recorder was a bad client.
func serve(t *testing.T, o live.Options, faults ...live.Fault) *live.Server {
	t.Helper()
	if o.Clip == nil {
		o.Clip = clip(t, "plain")
	}
	s := live.New(t, o)
	for _, f := range faults {
		s.AddFault(f)
	}
	t.Cleanup(func() { s.RequireNoViolations(t) })
	return s
}

func at(url string) []recorder.Stream { return []recorder.Stream{{URL: url, Container: "flv"}} }

// session is a host's side: it collects what a recording tells.
type session struct {
	mu        sync.Mutex
	events    []recorder.Payload
	changed   chan struct{}
	refreshed chan []recorder.Stream
	split     chan struct{}
}

func newSession() *session {
	return &session{changed: make(chan struct{}), refreshed: make(chan []recorder.Stream, 1), split: make(chan struct{}, 1)}
}

func (s *session) Emit(p recorder.Payload) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, p)
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *session) Refreshed() <-chan []recorder.Stream { return s.refreshed }
func (s *session) SplitRequested() <-chan struct{}     { return s.split }
func (s *session) all() []recorder.Payload {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// wait returns when an event is as wanted.
func (s *session) wait(t *testing.T, what string, wanted func(recorder.Payload) bool) {
	t.Helper()
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if slices.ContainsFunc(s.all(), wanted) {
			return
		}
		select {
		case <-changed:
		case <-time.After(30 * time.Second):
			t.Fatalf("no %s within 30 s; events:\n%s", what, s)
		}
	}
}

func (s *session) String() string {
	var b strings.Builder
	for _, e := range s.all() {
		fmt.Fprintf(&b, "%T %+v\n", e, e)
	}
	return b.String()
}

func (s *session) segments() []recorder.Segment {
	var segments []recorder.Segment
	for _, e := range s.all() {
		if c, ok := e.(recorder.SegmentClosed); ok {
			segments = append(segments, c.Segment)
		}
	}
	return segments
}

// notes lists the codes of all notes.
func (s *session) notes() []string {
	var codes []string
	for _, e := range s.all() {
		if n, ok := e.(recorder.Note); ok {
			codes = append(codes, n.Code)
		}
	}
	return codes
}

// run is one recording of a test.
type run struct {
	t       *testing.T
	request recorder.Request
	options options
	session *session
	cancel  context.CancelFunc
	done    chan error
}

func testOptions() options {
	return options{IdleTimeout: 20, ConnectTimeout: 10, Reconnect: 5, UserAgent: "test"}
}

// begin starts a recording.
func begin(t *testing.T, streams []recorder.Stream, change ...func(*run)) *run {
	t.Helper()
	r := &run{
		t: t, session: newSession(), done: make(chan error, 1), options: testOptions(),
		request: recorder.Request{SessionID: t.Name(), Streams: streams, PathPrefix: filepath.Join(t.TempDir(), "录制 room"), FirstIndex: 1},
	}
	for _, c := range change {
		c(r)
	}
	n, err := newNative(t.Context(), r.options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() { r.done <- n.Record(ctx, r.request, r.session) }()
	t.Cleanup(cancel)
	return r
}

// end waits for the recording.
func (r *run) end() error {
	r.t.Helper()
	select {
	case err := <-r.done:
		return err
	case <-time.After(50 * time.Second):
		r.t.Fatalf("the recording did not end; events:\n%s", r.session)
		return nil
	}
}

// must waits for a good end.
func (r *run) must() {
	r.t.Helper()
	if err := r.end(); err != nil {
		r.t.Fatalf("the recording ended with: %v", err)
	}
}

// files lists the names in the folder.
func (r *run) files() []string {
	r.t.Helper()
	entries, err := os.ReadDir(filepath.Dir(r.request.PathPrefix))
	if err != nil {
		r.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// packet is what ffprobe says about one packet.
type packet struct {
	Codec string `json:"codec_type"`
	PTS   string `json:"pts_time"`
	DTS   string `json:"dts_time"`
	Flags string `json:"flags"`
	Hash  string `json:"data_hash"`
}

// packets reads a file as ffprobe does. Any complaint of ffprobe fails the test.
func packets(t *testing.T, path string) []packet {
	t.Helper()
	command := exec.CommandContext(t.Context(), "ffprobe", "-v", "warning", "-show_packets", "-show_data_hash", "sha256",
		"-show_entries", "packet=codec_type,pts_time,dts_time,flags,data_hash", "-of", "json", path)
	var complaints strings.Builder
	command.Stderr = &complaints
	out, err := command.Output()
	if err != nil || complaints.Len() > 0 {
		t.Fatalf("ffprobe %s (is ffmpeg installed?): %v: %s", path, err, complaints.String())
	}
	var answer struct{ Packets []packet }
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Packets
}

// hashes of the packets of files, in order; video or audio.
func hashes(t *testing.T, segments []recorder.Segment, codec string) []string {
	t.Helper()
	var list []string
	for _, s := range segments {
		for _, p := range packets(t, s.Path) {
			if p.Codec == codec {
				list = append(list, strings.ToLower(strings.TrimPrefix(p.Hash, "SHA256:")))
			}
		}
	}
	return list
}

// sent are the hashes of the frames that were sent whole, over all connections.
func sent(s *live.Server, track live.Track) []string {
	var list []string
	for _, c := range s.Connections() {
		list = append(list, live.Hashes(c.Tags, track)...)
	}
	return list
}

// wantAll fails unless the segments hold exactly what was sent.
func wantAll(t *testing.T, s *live.Server, segments []recorder.Segment) {
	t.Helper()
	for _, track := range []live.Track{live.Video, live.Audio} {
		wantHashes(t, string(track), hashes(t, segments, string(track)), sent(s, track))
	}
}

func wantHashes(t *testing.T, what string, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Errorf("%s: %d packets recorded, %d sent; the first difference is packet %d", what, len(got), len(want), i)
			return
		}
	}
	t.Errorf("%s: %d packets recorded, %d sent", what, len(got), len(want))
}

// wantSound checks every segment as a player would: it begins near 0 with a keyframe, time rises in each track, and the
// announced length is that of the packets.
func wantSound(t *testing.T, segments []recorder.Segment) {
	t.Helper()
	for _, s := range segments {
		last := map[string]float64{}
		first := true
		end := 0.0
		for _, p := range packets(t, s.Path) {
			dts := number(t, p.DTS)
			if before, ok := last[p.Codec]; ok && dts <= before {
				t.Errorf("segment %d: %s time %g after %g", s.Index, p.Codec, dts, before)
			} else if !ok && (dts > 1 || len(last) == 0 && dts > 0.1) {
				t.Errorf("segment %d: %s begins at %g s", s.Index, p.Codec, dts)
			}
			if p.Codec == "video" && first {
				first = false
				if !strings.HasPrefix(p.Flags, "K") {
					t.Errorf("segment %d begins with no keyframe", s.Index)
				}
			}
			last[p.Codec] = dts
			end = max(end, dts)
		}
		if d := s.Duration.Seconds(); d <= end || d > end+0.1 {
			t.Errorf("segment %d: announced %g s, the last packet is at %g s", s.Index, d, end)
		}
		wantFile(t, s)
	}
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	var f float64
	if _, err := fmt.Sscan(text, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func wantFile(t *testing.T, s recorder.Segment) {
	t.Helper()
	info, err := os.Stat(s.Path)
	if err != nil || info.Size() != s.SizeBytes {
		t.Errorf("segment %+v: %v", s, err)
	}
	out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", s.Path).Output()
	if err != nil {
		t.Fatal(err)
	}
	if d := number(t, string(out)) - s.Duration.Seconds(); d > 0.001 || d < -0.001 {
		t.Errorf("segment %d: the file says %s s, announced were %v", s.Index, strings.TrimSpace(string(out)), s.Duration)
	}
}

func isOffline(err error) bool { return errors.Is(err, recorder.ErrOffline) }
