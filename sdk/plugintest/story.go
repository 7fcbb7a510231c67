package plugintest

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/lubod/lubod/sdk/recorder"
)

// story is what a watcher was told about one session.
type story struct {
	// kept are the numbered events.
	kept []recorder.Event
	// progress are the transient ones.
	progress []recorder.Progress
}

func (s *story) add(e recorder.Event) {
	if p, ok := e.Payload.(recorder.Progress); ok {
		s.progress = append(s.progress, p)
		return
	}
	s.kept = append(s.kept, e)
}

func (s *story) String() string {
	var b strings.Builder
	for _, e := range s.kept {
		fmt.Fprintf(&b, "%4d %T %+v\n", e.Seq, e.Payload, e.Payload)
	}
	return b.String()
}

func (s *story) segments() []recorder.Segment {
	var out []recorder.Segment
	for _, e := range s.kept {
		if c, ok := e.Payload.(recorder.SegmentClosed); ok {
			out = append(out, c.Segment)
		}
	}
	return out
}

// check holds a story against the contract: numbers, order, files.
func (s *story) check(t *testing.T, request recorder.Request, want recorder.EndReason) {
	t.Helper()
	if len(s.kept) == 0 {
		t.Fatal("the session told nothing, not even its end")
	}
	end, ok := s.kept[len(s.kept)-1].Payload.(recorder.Ended)
	if !ok {
		t.Fatalf("the last event is not the end:\n%s", s)
	}
	if end.Reason != want {
		t.Errorf("session ended with %s (%s), want %s", end.Reason, end.Message, want)
	}
	o := order{t: t, story: s, index: request.FirstIndex, prefix: request.PathPrefix}
	for i, e := range s.kept {
		if e.Seq != int64(i)+1 || e.At.IsZero() {
			t.Errorf("event %d has number %d and time %v", i+1, e.Seq, e.At)
		}
		o.next(e)
	}
	if o.open != "" {
		t.Errorf("segment %s was never closed:\n%s", o.open, s)
	}
	for _, f := range filesUnder(t, request.PathPrefix) {
		if strings.HasSuffix(f, ".part") {
			t.Errorf("%s is left behind", f)
		}
	}
	for _, p := range s.progress {
		if p.ReceivedBytes < 0 || p.MediaDuration < 0 {
			t.Errorf("progress is negative: %+v", p)
		}
	}
}

// order follows the events of one session.
type order struct {
	t       *testing.T
	story   *story
	prefix  string
	index   int
	open    string
	arrived bool
}

func (o *order) next(e recorder.Event) {
	o.t.Helper()
	switch p := e.Payload.(type) {
	case recorder.MediaArrived:
		o.arrived = true
	case recorder.SegmentOpened:
		if !o.arrived {
			o.t.Errorf("a segment opened before media arrived:\n%s", o.story)
		}
		if o.open != "" {
			o.t.Errorf("%s opened while %s is open", p.Path, o.open)
		}
		if p.Index != o.index || !strings.HasPrefix(p.Path, o.name()) || !strings.HasSuffix(p.Path, ".part") {
			o.t.Errorf("opened %+v, want index %d and a path like %s.<extension>.part", p, o.index, o.name())
		}
		o.open = p.Path
	case recorder.SegmentClosed:
		if p.Segment.Index != o.index || p.Segment.Path+".part" != o.open {
			o.t.Errorf("closed %+v, but %q with index %d was open", p.Segment, o.open, o.index)
		}
		o.open = ""
		o.index++
		checkFile(o.t, p.Segment)
		if p.Segment.StartedAt.IsZero() || p.Segment.EndedAt.Before(p.Segment.StartedAt) || p.Segment.Duration < 0 {
			o.t.Errorf("times of segment %+v do not fit", p.Segment)
		}
	}
}

func (o *order) name() string { return fmt.Sprintf("%s_%03d", o.prefix, o.index) }

// checkFile: an announced file is there, under its final name and with its size.
func checkFile(t *testing.T, s recorder.Segment) {
	t.Helper()
	info, err := os.Stat(s.Path)
	switch {
	case err != nil:
		t.Errorf("announced segment: %v", err)
	case info.Size() != s.SizeBytes || s.SizeBytes <= 0:
		t.Errorf("%s has %d bytes, announced were %d", s.Path, info.Size(), s.SizeBytes)
	}
}
