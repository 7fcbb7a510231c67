package upload

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// TestSlotsBoundWhatRunsAtOnce looks whenever everybody waits, so that one transfer too many is seen each time.
func TestSlotsBoundWhatRunsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, most := newSlots(), 2
		var running atomic.Int32
		limit := func(context.Context) (int, error) { return most, nil }
		release := make(chan struct{})
		for range 6 {
			go func() {
				if err := s.acquire(t.Context(), limit); err != nil {
					t.Error(err)
					return
				}
				running.Add(1)
				<-release
				running.Add(-1)
				s.release()
			}()
		}
		expect := func(what string, want int) {
			t.Helper()
			synctest.Wait()
			if got := int(running.Load()); got != want {
				t.Errorf("%s: %d run, want %d", what, got, want)
			}
		}
		expect("with two slots", 2)
		release <- struct{}{}
		expect("after one was over, the next runs", 2)
		most = 3
		expect("a higher limit that nobody told of", 2)
		s.wake()
		expect("a higher limit", 3)
		most = 1
		release <- struct{}{}
		expect("a lower limit cuts none and begins none", 2)
		release <- struct{}{}
		expect("down to the lower limit", 1)
		release <- struct{}{}
		expect("the next one", 1)
		most = 10
		s.wake()
		expect("all that are left", 2)
		release <- struct{}{}
		release <- struct{}{}
		expect("none is left", 0)
		if s.used != 0 {
			t.Errorf("%d slots are held by nobody", s.used)
		}
	})
}

func TestWaitingForASlotEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSlots()
		broken := errors.New("the limit cannot be read")
		if err := s.acquire(t.Context(), func(context.Context) (int, error) { return 0, broken }); !errors.Is(err, broken) {
			t.Errorf("acquire: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.acquire(ctx, func(context.Context) (int, error) { return 0, nil }) }()
		synctest.Wait()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("acquire: %v", err)
		}
		if s.used != 0 {
			t.Errorf("%d slots are held", s.used)
		}
	})
}
