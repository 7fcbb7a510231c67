package upload

import (
	"context"
	"sync"
)

// slots bounds how many transfers run at once. The limit is asked for again at each try, so a new one applies to the
// next transfer and cuts none.
type slots struct {
	mu      sync.Mutex
	used    int
	waiting int
	changed chan struct{}
}

func newSlots() *slots { return &slots{changed: make(chan struct{})} }

// acquire waits for a free slot. Every acquire that returned nil needs one release.
func (s *slots) acquire(ctx context.Context, limit func(context.Context) (int, error)) error {
	for {
		most, err := limit(ctx)
		if err != nil {
			return err
		}
		s.mu.Lock()
		if s.used < most {
			s.used++
			s.mu.Unlock()
			return nil
		}
		changed := s.changed
		s.waiting++
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-changed:
		}
		s.mu.Lock()
		s.waiting--
		s.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

func (s *slots) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used--
	s.signal()
}

func (s *slots) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signal()
}

func (s *slots) signal() {
	close(s.changed)
	s.changed = make(chan struct{})
}
