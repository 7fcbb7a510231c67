package live_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lubod/lubod/sdk/simulator/live"
)

func TestStartRefusesWrongOptions(t *testing.T) {
	for name, options := range map[string]live.Options{
		"no clip": {}, "speed": {Clip: clip(t), Speed: -1}, "cache": {Clip: clip(t), GOPCache: -1},
		"log": {Clip: clip(t), TagLog: -1}, "address": {Clip: clip(t), Listen: "nowhere:x"},
	} {
		if s, err := live.Start(options); err == nil {
			t.Errorf("%s was accepted", name)
			s.Close()
		}
	}
}

func TestServesWhatFFprobeReads(t *testing.T) {
	for name, options := range map[string]live.Options{
		"unpaced": {}, "paced": {Speed: 20}, "identity": {Identity: true}, "from start": {FromStart: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, options)
			direct := clip(t).Hashes(live.Video)
			if options.Identity { // where ffprobe takes every end for one that came too early
				get(t, s)
			} else {
				direct = probe(t, s.URL(), live.Video)
			}
			if err := s.WaitEnded(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			if want := s.Expected(live.Video); len(want) != 60 || !slices.Equal(direct, want) || !slices.Equal(want, clip(t).Hashes(live.Video)) {
				t.Errorf("%d frames were sent, ffprobe reads %d, or they differ", len(want), len(direct))
			}
			s.GoLive()
			got := get(t, s)
			path := store(t, got.body)
			for _, track := range []live.Track{live.Video, live.Audio} {
				want := clip(t).Hashes(track)
				if sent := live.Hashes(s.Connections()[1].Tags, track); len(want) == 0 || !slices.Equal(sent, want) || !slices.Equal(probe(t, path, track), want) {
					t.Errorf("%s: the clip, what was sent and what ffprobe reads differ", track)
				}
			}
			program(t, "ffmpeg", "-v", "error", "-xerror", "-i", path, "-f", "null", "-")
			c := s.Connections()[1]
			if got.err != nil || c.Bytes != int64(len(got.body)) || c.Open || c.Ending != live.Ended || c.Keyframes != 4 {
				t.Errorf("%v, %d bytes, noted %+v", got.err, len(got.body), c.Bytes)
			}
			s.RequireNoViolations(t)
		})
	}
}

func TestNoTwoFramesAreAlike(t *testing.T) {
	for _, track := range []live.Track{live.Video, live.Audio} {
		hashes := clip(t).Hashes(track)
		n := len(hashes)
		slices.Sort(hashes)
		if n == 0 || len(slices.Compact(hashes)) != n {
			t.Errorf("%s: some of %d frames are alike", track, n)
		}
	}
}

func TestManifestSaysWhereEachTagIs(t *testing.T) {
	s := serve(t, live.Options{StartAt: 9000 * time.Second})
	body := get(t, s).body
	tags, rest := read(body)
	sent := s.Connections()[0].Tags
	if len(rest) > 0 || len(tags) != len(sent) {
		t.Fatalf("%d tags received, %d sent", len(tags), len(sent))
	}
	for i, tag := range tags {
		n := sent[i]
		header := body[n.Offset:]
		if tag.ms != n.Timestamp || len(tag.body) != n.Size || header[0] != tag.kind || tag.config() != n.Config || !n.Whole {
			t.Fatalf("tag %d: received %d ms, %d bytes; noted %+v", i, tag.ms, len(tag.body), n)
		}
	}
	for i, track := range []live.Track{live.Script, live.Video, live.Audio} {
		if sent[i].Track != track || !sent[i].Config || sent[i].Timestamp != 9_000_000 {
			t.Errorf("tag %d is %+v", i, sent[i])
		}
	}
}

func TestJoin(t *testing.T) {
	for name, test := range map[string]struct {
		cache time.Duration
		want  time.Duration
	}{
		"next keyframe": {0, 3 * time.Second}, "latest keyframe": {time.Millisecond, 2 * time.Second},
		"a second back": {time.Second, time.Second}, "all there is": {time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, live.Options{GOPCache: test.cache})
			s.AddFault(live.Cut(live.At{Media: 2500 * time.Millisecond}))
			get(t, s)
			body := get(t, s).body
			first := sentFrames(s, 2)[0]
			if off := first.Media - test.want; !first.Key || off.Abs() > 50*time.Millisecond {
				t.Errorf("the second connection begins at %v, want %v", first.Media, test.want)
			}
			if int64(first.Timestamp) != first.Media.Milliseconds() {
				t.Errorf("its clock says %d at %v", first.Timestamp, first.Media)
			}
			probe(t, store(t, body), live.Video)
			if lost := len(s.Expected(live.Video)) != 60; lost != (test.cache == 0) {
				t.Errorf("%d frames were sent", len(s.Expected(live.Video)))
			}
		})
	}
}

func TestPacedJoinFollowsTheClock(t *testing.T) {
	s := serve(t, live.Options{Speed: 2, Loop: true, GOPCache: time.Millisecond, Clients: 2})
	first := watch(t, s)
	if err := s.Wait(t.Context(), func(c []live.Connection) bool { return len(c) > 0 && c[0].Keyframes == 2 }); err != nil {
		t.Fatal(err)
	}
	second := watch(t, s)
	if err := s.Wait(t.Context(), func(c []live.Connection) bool { return len(c) > 1 && c[1].Frames > 0 }); err != nil {
		t.Fatal(err)
	}
	s.End()
	for _, got := range []answer{<-first, <-second} {
		if got.err != nil {
			t.Error(got.err)
		}
	}
	if begin := sentFrames(s, 2)[0]; !begin.Key || begin.Media < 900*time.Millisecond {
		t.Errorf("the second connection begins with %+v", begin)
	}
	s.RequireNoViolations(t)
}

// Nobody watches, and the broadcast is over by the clock all the same.
func TestPacedBroadcastEndsWithoutViewers(t *testing.T) {
	s := serve(t, live.Options{Speed: 1e6})
	s.AddFault(live.Cut(live.At{}))
	get(t, s)
	for s.Live() {
		if t.Context().Err() != nil {
			t.Fatal("it never ends")
		}
	}
	if got := get(t, s); got.status != http.StatusNotFound {
		t.Errorf("status %d", got.status)
	}
}

func TestLoopGoesOnWithoutAStep(t *testing.T) {
	s := serve(t, live.Options{Loop: true})
	s.AddFault(live.Close(live.AfterKeyframes(10)))
	got := get(t, s)
	if hashes := probe(t, store(t, got.body), live.Video); len(hashes) != 150 {
		t.Errorf("%d frames", len(hashes))
	}
	tags, _ := read(got.body)
	last := map[byte]uint32{}
	configs := 0
	for _, tag := range tags {
		if tag.config() {
			configs++
			continue
		}
		if before, ok := last[tag.kind]; ok && (tag.ms <= before || tag.ms > before+150) {
			t.Errorf("tag of type %d at %d ms after %d ms", tag.kind, tag.ms, before)
		}
		last[tag.kind] = tag.ms
	}
	if configs != 3 || !s.Live() {
		t.Errorf("%d headers, live %v", configs, s.Live())
	}
}

func TestControls(t *testing.T) {
	s := serve(t, live.Options{Offline: true, Speed: 1, Loop: true})
	if got := get(t, s); got.status != http.StatusNotFound || s.Live() {
		t.Errorf("before GoLive: status %d", got.status)
	}
	s.GoLive()
	s.GoLive() // no second one
	started := func(n int) {
		t.Helper()
		if err := s.Wait(t.Context(), func(c []live.Connection) bool { return len(c) == n && c[n-1].Frames > 3 }); err != nil {
			t.Fatal(err)
		}
	}
	first := watch(t, s)
	started(1)
	s.Break()
	if got := <-first; !errors.Is(got.err, io.ErrUnexpectedEOF) {
		t.Errorf("Break: the body ended with %v", got.err)
	}
	second := watch(t, s)
	started(2)
	s.End()
	got := <-second
	if tags, rest := read(got.body); got.err != nil || len(rest) > 0 || len(tags) != len(s.Connections()[1].Tags) {
		t.Errorf("End: the body ended with %v, %d bytes too many", got.err, len(rest))
	}
	if got := get(t, s); got.status != http.StatusNotFound || s.Live() {
		t.Errorf("after End: status %d", got.status)
	}
	s.GoLive()
	third := watch(t, s)
	started(3)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if got := <-third; got.err != nil {
		t.Errorf("Close: the body ended with %v", got.err)
	}
	if frame := sentFrames(s, 3)[0]; frame.Timestamp != 0 {
		t.Errorf("a new broadcast begins with %+v", frame)
	}
	endings := []live.Ending{}
	for _, c := range s.Connections() {
		endings = append(endings, c.Ending)
	}
	if !slices.Equal(endings, []live.Ending{live.Broken, live.Ended, live.Shutdown}) {
		t.Errorf("endings %v", endings)
	}
	s.RequireNoViolations(t)
}

func TestClientThatLeaves(t *testing.T) {
	s := serve(t, live.Options{Speed: 1, Loop: true})
	for n := range 3 {
		response, err := http.Get(s.URL())
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if err := s.WaitEnded(t.Context(), n+1); err != nil {
			t.Fatal(err)
		}
		if c := s.Connections()[n]; c.Ending != live.Left {
			t.Errorf("noted %q", c.Ending)
		}
	}
	s.RequireNoViolations(t)
}

// A client that closes one connection before it opens the next has one at a time, however late the close is noticed.
func TestReconnectingClientHasOneConnectionAtATime(t *testing.T) {
	s := serve(t, live.Options{Speed: 1, Loop: true})
	for range 20 {
		response, err := http.Get(s.URL())
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	}
	s.RequireNoViolations(t)
}

func TestViolations(t *testing.T) {
	s := serve(t, live.Options{Speed: 1, Loop: true})
	for _, method := range []string{http.MethodHead, http.MethodPost} {
		if got := fetch(t.Context(), method, s.URL()); got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != http.MethodGet {
			t.Errorf("%s: status %d", method, got.status)
		}
	}
	first := watch(t, s)
	if err := s.WaitConnections(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	second := make(chan answer, 1)
	go func() {
		second <- fetch(ctx, http.MethodGet, s.URL(), "Range", "bytes=0-", "Referer", "https://example.org/")
	}()
	if err := s.WaitConnections(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	s.End()
	for _, got := range []answer{<-first, <-second} {
		if got.status != http.StatusOK || got.err != nil {
			t.Errorf("status %d, %v", got.status, got.err)
		}
	}
	rules := []live.Rule{}
	for _, v := range s.Violations() {
		rules = append(rules, v.Rule)
	}
	if !slices.Equal(rules, []live.Rule{live.RuleMethod, live.RuleMethod, live.RuleRange, live.RuleConnections}) {
		t.Errorf("violations %v", s.Violations())
	}
	requests := s.Requests()
	if last := requests[len(requests)-1]; len(requests) != 4 || last.Header.Get("Referer") == "" || last.Status != 200 || last.Connection != 2 {
		t.Errorf("requests %+v", requests)
	}
	complaints := &recorder{}
	s.RequireNoViolations(complaints)
	if complaints.n != 4 {
		t.Errorf("a test is told of %d violations", complaints.n)
	}
}

type recorder struct{ n int }

func (*recorder) Helper()                 {}
func (*recorder) Cleanup(func())          {}
func (r *recorder) Errorf(string, ...any) { r.n++ }
func (*recorder) Fatalf(string, ...any)   {}

func TestPathsShareABroadcast(t *testing.T) {
	s := serve(t, live.Options{Paths: []string{"/a.flv", "/b.flv"}, GOPCache: time.Millisecond})
	s.AddFault(live.Cut(live.AfterTags(50)).OfPath("/a*"))
	fetch(t.Context(), http.MethodGet, s.URL()+"?token=1")
	if got := fetch(t.Context(), http.MethodGet, s.URLOf("/b.flv")); got.err != nil {
		t.Error(got.err)
	}
	if got := fetch(t.Context(), http.MethodGet, s.URLOf("/c.flv")); got.status != http.StatusNotFound {
		t.Errorf("another path: status %d", got.status)
	}
	if !slices.Equal(s.Expected(live.Video), clip(t).Hashes(live.Video)) {
		t.Error("both paths together did not send the clip")
	}
	if c := s.Connections(); c[0].Path != "/a.flv" || c[1].Path != "/b.flv" || s.Requests()[0].Query.Get("token") != "1" {
		t.Errorf("connections %v", c)
	}
}

func TestHandlerBehindTLS(t *testing.T) {
	s, err := live.Handler(live.Options{Clip: clip(t)})
	if err != nil {
		t.Fatal(err)
	}
	s.AddFault(live.Cut(live.AfterTags(20)).InMidTag())
	front := httptest.NewTLSServer(s)
	defer front.Close()
	response, err := front.Client().Get(front.URL + s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if c := s.Connections()[0]; !errors.Is(err, io.ErrUnexpectedEOF) || c.Ending != live.ByCut || c.Bytes != int64(len(body)) {
		t.Errorf("%v, %d bytes, %+v", err, len(body), c)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if got := httptest.NewRecorder(); true {
		s.ServeHTTP(got, httptest.NewRequest(http.MethodGet, "/", nil))
		if got.Code != http.StatusServiceUnavailable {
			t.Errorf("after Close: status %d", got.Code)
		}
	}
}

// A client that does not read must hold up neither the end nor other clients.
func TestCloseWithAClientThatDoesNotRead(t *testing.T) {
	for _, end := range []func(*live.Server){func(*live.Server) {}, (*live.Server).Break, (*live.Server).End} {
		s := serve(t, live.Options{Loop: true})
		conn, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(s.URL(), "http://"), "/live/demo.flv"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET /live.flv HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReaderSize(conn, 16).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		end(s)
		for range 2 {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := s.WaitFrames(t.Context(), 1<<40); err == nil {
			t.Error("waiting for a closed server has no end")
		}
	}
}

func TestLogsAreBounded(t *testing.T) {
	s := serve(t, live.Options{FromStart: true, TagLog: 100, RequestLog: 4})
	for range 9 {
		get(t, s)
	}
	tags := 0
	connections := s.Connections()
	for _, c := range connections {
		tags += len(c.Tags)
		if c.Frames+3 != len(c.Tags)+c.Forgotten {
			t.Errorf("%d frames, %d remembered, %d forgotten", c.Frames, len(c.Tags), c.Forgotten)
		}
	}
	if tags == 0 || tags > 100 || len(connections) > 4 || len(s.Requests()) > 4 {
		t.Errorf("%d tags, %d connections, %d requests", tags, len(connections), len(s.Requests()))
	}
}
