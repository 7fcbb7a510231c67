package plugintest

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/internal/serve"
	"github.com/lubod/lubod/sdk/recorder"
)

// RecorderCase is one live stream and what a recorder makes of it. The source behind it is the test's own server.
type RecorderCase struct {
	Name string
	// Streams starts a new source and returns where it is. It may be called several times.
	Streams func(t *testing.T) []recorder.Stream
	// Endless says that the source goes on until it is left. The suite then stops the session, splits it, and, with the
	// ability to recover, finishes what it would have left had it died. Other sources must end by themselves.
	Endless bool
	// SplitDuration and SplitSize limit one segment, SplitSize in bytes; 0: no limit.
	SplitDuration time.Duration
	SplitSize     int64
	// Options of the room over those of the plugin; nil: none.
	Options map[string]any
	// WantEnd is how the session ends; empty: recorder.EndEOF, or recorder.EndStopped for an endless source.
	WantEnd recorder.EndReason
	// WantKind and WantCode are those of the error that the session ended with; empty: not looked at.
	WantKind sdk.Kind
	WantCode string
	// MinSegments is how many segments there must be at least; 0 means one for sessions that end well.
	MinSegments int
	// Check looks at the finished segments; nil: no more than what the suite checks.
	Check func(t *testing.T, segments []recorder.Segment)
}

// Recorder runs the conformance suite for a recorder: order and numbers of events, files on disk, replay and
// acknowledgement, stop, split, recovery, and an address where nobody sends.
func Recorder[C any, R recorder.Recorder](
	t *testing.T, info sdk.Info, factory func(context.Context, C) (R, error), options C, cases ...RecorderCase,
) {
	t.Helper()
	build := func() *serve.Plugin { return recorder.Plugin(info, factory) }
	common(t, build, options)
	t.Run("nothing is being sent", func(t *testing.T) {
		c := RecorderCase{WantEnd: recorder.EndOffline, Streams: closedPort}
		c.run(t, configured(t, build(), options))
	})
	t.Run("unknown session", func(t *testing.T) { testUnknownSession(t, configured(t, build(), options)) })
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Run("record", func(t *testing.T) { c.run(t, configured(t, build(), options)) })
			if !c.Endless {
				return
			}
			t.Run("split", func(t *testing.T) { c.split(t, configured(t, build(), options)) })
			t.Run("recover", func(t *testing.T) { c.recover(t, configured(t, build(), options)) })
			t.Run("process told to end", func(t *testing.T) { c.endProcess(t, configured(t, build(), options)) })
		})
	}
}

// closedPort is an address that refuses connections.
func closedPort(t *testing.T) []recorder.Stream {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	return []recorder.Stream{{URL: "http://" + addr + "/live.flv", Container: "flv"}}
}

func testUnknownSession(t *testing.T, in *instance) {
	id := uuid.NewString()
	r := in.Recorder()
	ignore := func(recorder.Event) error { return nil }
	wantError(t, r.Watch(deadline(t), id, 0, ignore), sdk.NotFound, 0)
	wantError(t, r.Stop(deadline(t), id), sdk.NotFound, 0)
	wantError(t, r.Split(deadline(t), id), sdk.NotFound, 0)
	wantError(t, r.Refresh(deadline(t), id, closedPort(t)), sdk.NotFound, 0)
	if err := r.Acknowledge(deadline(t), id, 1); err != nil {
		t.Errorf("acknowledging what is forgotten already: %v", err)
	}
}

func (c RecorderCase) request(t *testing.T) recorder.Request {
	t.Helper()
	r := recorder.Request{
		SessionID:     uuid.NewString(),
		Streams:       c.Streams(t),
		PathPrefix:    filepath.Join(t.TempDir(), "录播 case"),
		FirstIndex:    3, // a session that continues a recording does not begin at 1
		SplitDuration: c.SplitDuration,
		SplitSize:     c.SplitSize,
	}
	if c.Options != nil {
		r.Options = json.RawMessage(marshal(t, c.Options))
	}
	return r
}

func (c RecorderCase) wantEnd() recorder.EndReason {
	switch {
	case c.WantEnd != "":
		return c.WantEnd
	case c.Endless:
		return recorder.EndStopped
	}
	return recorder.EndEOF
}

// begin starts a session twice: the second time must change nothing.
func begin(t *testing.T, in *instance, request recorder.Request) {
	t.Helper()
	for range 2 {
		if err := in.Recorder().Start(deadline(t), request); err != nil {
			t.Fatalf("start session: %v", err)
		}
	}
}

// follow watches a session to its end and calls each for every event.
func follow(t *testing.T, in *instance, id string, each func(recorder.Event)) *story {
	t.Helper()
	s := &story{}
	err := in.Recorder().Watch(deadline(t), id, 0, func(e recorder.Event) error {
		s.add(e)
		if each != nil {
			each(e)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("watch session: %v; so far:\n%s", err, s)
	}
	return s
}

func (c RecorderCase) run(t *testing.T, in *instance) {
	request := c.request(t)
	begin(t, in, request)
	stop := newStopper(t, in, request.SessionID)
	s := follow(t, in, request.SessionID, func(e recorder.Event) {
		if c.Endless {
			stop.on(e)
		}
	})
	stop.wait(t)
	s.check(t, request, c.wantEnd())
	c.checkError(t, s)
	c.checkSegments(t, s)
	testReplay(t, in, request.SessionID, s)
	testForgetting(t, in, request.SessionID, s)
}

// stopper stops a session once media is arriving, from inside its own watch: Stop returns only when the session has
// ended, so it must not keep the watch from going on.
type stopper struct {
	in     *instance
	id     string
	ctx    context.Context
	result chan error
}

func newStopper(t *testing.T, in *instance, id string) *stopper {
	t.Helper()
	return &stopper{in: in, id: id, ctx: deadline(t)}
}

func (s *stopper) on(e recorder.Event) {
	if p, ok := e.Payload.(recorder.Progress); ok && p.MediaDuration > 0 && s.result == nil {
		s.result = make(chan error, 1)
		go func() { s.result <- s.in.Recorder().Stop(s.ctx, s.id) }()
	}
}

// wait returns when Stop has, if it was called.
func (s *stopper) wait(t *testing.T) {
	t.Helper()
	if s.result == nil {
		return
	}
	if err := <-s.result; err != nil {
		t.Errorf("stop session: %v", err)
	}
}

// checkError looks at what a session ended with: the host decides by it when the room is tried again, and what a person is
// told.
func (c RecorderCase) checkError(t *testing.T, s *story) {
	t.Helper()
	end, _ := s.kept[len(s.kept)-1].Payload.(recorder.Ended)
	var got sdk.Error
	if end.Err != nil {
		got = *end.Err
	}
	if c.WantKind != "" && got.Kind != c.WantKind || c.WantCode != "" && got.Code != c.WantCode {
		t.Errorf("session ended with an error of kind %q, code %q, want %q, %q: %s", got.Kind, got.Code, c.WantKind, c.WantCode, end.Message)
	}
}

func (c RecorderCase) checkSegments(t *testing.T, s *story) {
	t.Helper()
	segments := s.segments()
	least := c.MinSegments
	if end := c.wantEnd(); least == 0 && (end == recorder.EndEOF || end == recorder.EndStopped) {
		least = 1
	}
	if len(segments) < least {
		t.Errorf("%d segments, want at least %d; events:\n%s", len(segments), least, s)
	}
	if c.Check != nil {
		c.Check(t, segments)
	}
}

// testReplay: what is not acknowledged is told again, to anybody and from any point.
func testReplay(t *testing.T, in *instance, id string, s *story) {
	t.Helper()
	for _, after := range []int{0, len(s.kept) / 2, len(s.kept)} {
		seq := int64(0)
		if after > 0 {
			seq = s.kept[after-1].Seq
		}
		again := &story{}
		err := in.Recorder().Watch(deadline(t), id, seq, func(e recorder.Event) error { again.add(e); return nil })
		if err != nil {
			t.Errorf("watch again after %d: %v", seq, err)
		}
		if len(again.kept) == 0 && after == len(s.kept) {
			continue
		}
		if diff := cmp.Diff(s.kept[after:], again.kept); diff != "" {
			t.Errorf("events after %d are not the same again (-first +again):\n%s", seq, diff)
		}
	}
}

// testForgetting: acknowledged events are gone, and with the last one the session.
func testForgetting(t *testing.T, in *instance, id string, s *story) {
	t.Helper()
	r := in.Recorder()
	last := s.kept[len(s.kept)-1].Seq
	infos, err := r.List(deadline(t))
	if err != nil || len(infos) != 1 || infos[0].SessionID != id || !infos[0].Ended || infos[0].LastSeq != last {
		t.Errorf("list of one ended session: %+v, %v", infos, err)
	}
	if err := r.Acknowledge(deadline(t), id, last-1); err != nil {
		t.Errorf("acknowledge: %v", err)
	}
	rest := follow(t, in, id, nil)
	if len(rest.kept) != 1 || rest.kept[0].Seq != last {
		t.Errorf("after acknowledging all but the end, these were left:\n%s", rest)
	}
	for range 2 {
		if err := r.Acknowledge(deadline(t), id, last); err != nil {
			t.Errorf("acknowledge the end: %v", err)
		}
	}
	wantError(t, r.Watch(deadline(t), id, 0, func(recorder.Event) error { return nil }), sdk.NotFound, 0)
	if infos, err := r.List(deadline(t)); err != nil || len(infos) != 0 {
		t.Errorf("list after the end was acknowledged: %+v, %v", infos, err)
	}
}

// split asks for a new segment while the first one is being written, then stops.
func (c RecorderCase) split(t *testing.T, in *instance) {
	c.SplitDuration, c.SplitSize = 0, 0
	request := c.request(t)
	begin(t, in, request)
	stop := newStopper(t, in, request.SessionID)
	asked, opened := false, 0
	ctx := deadline(t)
	s := follow(t, in, request.SessionID, func(e recorder.Event) {
		switch p := e.Payload.(type) {
		case recorder.SegmentOpened:
			opened++
		case recorder.Progress:
			if p.MediaDuration > 0 && !asked {
				asked = true
				if err := in.Recorder().Split(ctx, request.SessionID); err != nil {
					t.Errorf("split: %v", err)
				}
			}
		}
		if opened > 1 {
			stop.on(e)
		}
	})
	stop.wait(t)
	s.check(t, request, recorder.EndStopped)
	if n := len(s.segments()); n < 2 {
		t.Errorf("%d segments after a split, want at least 2", n)
	}
}

// endProcess ends the plugin while it records, as an upgrade of the machine would: the segment must be finished.
func (c RecorderCase) endProcess(t *testing.T, in *instance) {
	request := c.request(t)
	begin(t, in, request)
	ctx, cancel := context.WithCancel(deadline(t))
	defer cancel()
	_ = in.Recorder().Watch(ctx, request.SessionID, 0, func(e recorder.Event) error {
		if p, ok := e.Payload.(recorder.Progress); ok && p.MediaDuration > 0 {
			return errInterrupted
		}
		return nil
	})
	in.Stop()
	files := filesUnder(t, request.PathPrefix)
	if len(files) == 0 {
		t.Error("nothing is left of the session")
	}
	for _, f := range files {
		if strings.HasSuffix(f, ".part") {
			t.Errorf("%s was not finished", f)
		}
	}
}

func filesUnder(t *testing.T, prefix string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(prefix))
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), filepath.Base(prefix)+"_") {
			files = append(files, filepath.Join(filepath.Dir(prefix), e.Name()))
		}
	}
	return files
}
