package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// stages are the running parts of a host, in the order of their start. They stop in reverse, so that each part can
// still use what it was built on.
type stages struct {
	logger  *slog.Logger
	started []*stage
	failed  chan error // the first part that ends by itself
}

type stage struct {
	name  string
	grace time.Duration
	stop  context.CancelFunc
	done  chan error
}

func newStages(logger *slog.Logger) *stages {
	return &stages{logger: logger, failed: make(chan error, 1)}
}

// start runs a part until it is stopped. Its context carries the values of ctx and none of its end: the order of the
// stop is decided here. grace is how long its stop may take.
func (s *stages) start(ctx context.Context, name string, grace time.Duration, run func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	started := &stage{name: name, grace: grace, stop: cancel, done: make(chan error, 1)}
	s.started = append(s.started, started)
	go func() {
		err := run(ctx)
		started.done <- err
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("ended by itself")
		}
		select {
		case s.failed <- fmt.Errorf("%s: %w", name, err):
		default:
		}
	}()
}

// onStop adds something that only has to be undone.
func (s *stages) onStop(ctx context.Context, name string, grace time.Duration, stop func(ctx context.Context) error) {
	s.start(ctx, name, grace, func(running context.Context) error {
		<-running.Done()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(running), grace)
		defer cancel()
		return stop(ctx)
	})
}

// wait returns when ctx ended (nil) or a part failed.
func (s *stages) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.failed:
		return err
	}
}

// stopBudget bounds the stop of a whole host: service managers and people wait about ten seconds.
const stopBudget = 9 * time.Second

// stop ends all parts, last one first. A part that misses its grace is named in the log and left behind.
func (s *stages) stop() error {
	var errs []error
	deadline := time.Now().Add(stopBudget)
	for i := len(s.started) - 1; i >= 0; i-- {
		part := s.started[i]
		began := time.Now()
		part.stop()
		timer := time.NewTimer(min(part.grace, time.Until(deadline)))
		select {
		case err := <-part.done:
			if err != nil && !errors.Is(err, context.Canceled) {
				errs = append(errs, fmt.Errorf("stop %s: %w", part.name, err))
			}
		case <-timer.C:
			s.logger.Error("a part of the host did not stop in time", "part", part.name, "grace", part.grace)
		}
		timer.Stop()
		s.logger.Debug("stopped", "part", part.name, "took", time.Since(began))
	}
	s.started = nil
	return errors.Join(errs...)
}
