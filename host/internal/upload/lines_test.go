package upload

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lubod/lubod/sdk/line"
)

// A measurement that hangs holds up no transfer; its result serves later ones.
func TestAMeasurementThatHangsHoldsUpNoTransfer(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.configure(map[string]any{"lines": "AUTO", "upload_limit": 8})
	probing, answer := make(chan struct{}, 1), make(chan struct{})
	var probes atomic.Int32
	h.lines.probe = func(ctx context.Context) ([]line.ProbeResult, error) {
		probes.Add(1)
		probing <- struct{}{}
		select {
		case <-answer:
			return []line.ProbeResult{{Line: "ws"}, {Line: "qn"}, {Line: "bda2"}}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	s := h.service()
	recording := h.recording("recording")
	begin := time.Now()
	for i := range 3 {
		h.transfer(t.Context(), s, h.closed(s, recording, i+1))
	}
	took := time.Since(begin)
	<-probing
	begun := h.begun()
	if len(begun) != 3 || begun[0].Line != "bda2" || begun[2].Line != "bda2" {
		t.Errorf("sent over %+v", begun)
	}
	if took > probeTimeout/2 {
		t.Errorf("three transfers took %v beside a measurement that hangs", took)
	}
	close(answer)
	h.until("the measurement counts", func() bool {
		best, _ := s.ranked([]string{"bda2", "qn", "ws"})
		return best[0] == "ws"
	})
	h.transfer(t.Context(), s, h.closed(s, recording, 4))
	if begun := h.begun(); begun[3].Line != "ws" || probes.Load() != 1 {
		t.Errorf("sent over %s after %d measurements", begun[3].Line, probes.Load())
	}
}

// A stop ends a measurement that hangs, and waits for it. What comes after the stop begins none.
func TestAStopJoinsTheMeasurement(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	probing := make(chan struct{})
	var ended atomic.Bool
	h.lines.probe = func(ctx context.Context) ([]line.ProbeResult, error) {
		close(probing)
		<-ctx.Done()
		ended.Store(true)
		return nil, ctx.Err()
	}
	s := h.service()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	if best, err := s.rankLines(t.Context(), []string{"bda2", "ws"}); err != nil || best[0] != "bda2" {
		t.Errorf("%v, %v", best, err)
	}
	<-probing
	stop()
	<-done
	if !ended.Load() {
		t.Error("the measurement outlives the service")
	}
	if best, measured := s.ranked([]string{"bda2", "qn"}); measured != nil || best[0] != "bda2" {
		t.Errorf("after the stop a measurement begins: %v", best)
	}
}

// Lines that cannot be measured are used in their order, and left alone for a while.
func TestLinesThatCannotBeMeasuredAreUsed(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.configure(map[string]any{"lines": "AUTO"})
	var probes atomic.Int32
	h.lines.probe = func(context.Context) ([]line.ProbeResult, error) {
		probes.Add(1)
		return nil, errors.New("no network")
	}
	s := h.service()
	recording := h.recording("recording")
	send := func(index int) {
		h.transfer(t.Context(), s, h.closed(s, recording, index))
		h.until("the measurement ended", func() bool {
			s.ranking.mu.Lock()
			defer s.ranking.mu.Unlock()
			return s.ranking.measured == nil
		})
	}
	send(1)
	asked := probes.Load() // each line is asked for, since none tells which plugin serves it
	send(2)
	if begun := h.begun(); len(begun) != 2 || begun[1].Line != "bda2" || asked == 0 || probes.Load() != asked {
		t.Errorf("sent over %+v, asked %d times, %d at first", begun, probes.Load(), asked)
	}
	s.ranking.mu.Lock()
	s.ranking.ended = s.ranking.ended.Add(-rankingPause)
	s.ranking.mu.Unlock()
	if send(3); probes.Load() != 2*asked {
		t.Errorf("asked %d times, want %d", probes.Load(), 2*asked)
	}
}
