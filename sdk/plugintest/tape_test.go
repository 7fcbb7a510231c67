package plugintest_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/plugintest"
	"github.com/lubod/lubod/sdk/recorder"
)

// tapeRecorder records from nowhere: "tape:" plays a few blocks and ends, "tape:endless" does not end.
type tapeRecorder struct{ faults faults }

// faults are what the suite must find.
type faults struct{ leavesPart, announcesTooSoon, losesTail, wrongSize bool }

type tapeOptions struct{}

var tapeInfo = sdk.Info{Name: "tape", Version: "1"}

func newTape(context.Context, tapeOptions) (*tapeRecorder, error) { return &tapeRecorder{}, nil }

func tapeCases() []plugintest.RecorderCase {
	streams := func(url string) func(*testing.T) []recorder.Stream {
		return func(*testing.T) []recorder.Stream { return []recorder.Stream{{URL: url}} }
	}
	return []plugintest.RecorderCase{
		{Name: "ends by itself", Streams: streams("tape:"), SplitSize: 5 * blockSize, MinSegments: 4},
		{Name: "endless", Streams: streams("tape:endless"), Endless: true},
	}
}

const (
	blockSize = 16 << 10
	blocks    = 20
)

func (r *tapeRecorder) Record(ctx context.Context, req recorder.Request, s recorder.Session) error {
	if !strings.HasPrefix(req.Streams[0].URL, "tape:") {
		return recorder.ErrOffline
	}
	t := &tape{faults: r.faults, request: req, session: s, index: req.FirstIndex}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	s.Emit(recorder.MediaArrived{})
	for n := 1; n <= blocks || strings.HasSuffix(req.Streams[0].URL, "endless"); n++ {
		if err := t.write(); err != nil {
			return err
		}
		s.Emit(recorder.Progress{ReceivedBytes: int64(n) * blockSize, MediaDuration: time.Duration(n) * time.Millisecond})
		select {
		case <-ctx.Done():
			return t.close()
		case <-s.SplitRequested():
			if err := t.close(); err != nil {
				return err
			}
		case <-tick.C:
		}
	}
	if r.faults.losesTail {
		return nil
	}
	return t.close()
}

type tape struct {
	faults  faults
	request recorder.Request
	session recorder.Session
	index   int
	file    *os.File
	begun   time.Time
	size    int64
}

func (t *tape) write() error {
	if t.request.SplitSize > 0 && t.size >= t.request.SplitSize {
		if err := t.close(); err != nil {
			return err
		}
	}
	if t.file == nil {
		f, err := os.Create(fmt.Sprintf("%s_%03d.tape.part", t.request.PathPrefix, t.index))
		if err != nil {
			return err
		}
		t.file, t.size, t.begun = f, 0, time.Now()
		t.session.Emit(recorder.SegmentOpened{Index: t.index, Path: f.Name()})
	}
	n, err := t.file.Write(bytes.Repeat([]byte{byte(t.index)}, blockSize))
	t.size += int64(n)
	return err
}

func (t *tape) close() error {
	if t.file == nil {
		return nil
	}
	part := t.file.Name()
	seg := recorder.Segment{
		Index: t.index, Path: strings.TrimSuffix(part, ".part"), SizeBytes: t.size, Duration: time.Second,
		StartedAt: t.begun, EndedAt: time.Now(),
	}
	if t.faults.wrongSize {
		seg.SizeBytes++
	}
	if err := t.file.Close(); err != nil {
		return err
	}
	t.file = nil
	t.index++
	switch {
	case t.faults.leavesPart:
		content, err := os.ReadFile(part)
		if err != nil {
			return err
		}
		if err := os.WriteFile(seg.Path, content, 0o600); err != nil {
			return err
		}
	case !t.faults.announcesTooSoon:
		if err := os.Rename(part, seg.Path); err != nil {
			return err
		}
	}
	t.session.Emit(recorder.SegmentClosed{Segment: seg})
	return nil
}

// Recover implements recorder.Recoverer.
func (r *tapeRecorder) Recover(_ context.Context, prefix string) ([]recorder.Segment, error) {
	files, err := filepath.Glob(prefix + "_*")
	if err != nil {
		return nil, err
	}
	var segments []recorder.Segment
	for _, f := range files {
		final := strings.TrimSuffix(f, ".part")
		seg := recorder.Segment{Path: final, Duration: time.Second, Recovered: final != f}
		if _, err := fmt.Sscanf(strings.TrimPrefix(final, prefix), "_%03d", &seg.Index); err != nil {
			return nil, sdk.Errorf(sdk.Corrupt, "name of %s: %w", f, err)
		}
		if err := os.Rename(f, final); err != nil {
			return nil, err
		}
		info, err := os.Stat(final)
		if err != nil {
			return nil, err
		}
		seg.SizeBytes = info.Size()
		segments = append(segments, seg)
	}
	return segments, nil
}
