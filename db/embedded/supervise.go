package embedded

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// restartPause is the pause before a postmaster that ended by itself is started again.
const restartPause = time.Second

// supervise keeps a postmaster running until Stop: one that dies (killed for want of memory, say) is started again.
func supervise(c *cluster, r *running, lock *Lock) *Server {
	forced, force := context.WithCancel(context.Background())
	s := &Server{cluster: c, logger: c.logger, lock: lock, stop: make(chan struct{}, 1), done: make(chan struct{}), force: force}
	go func() {
		defer close(s.done)
		defer force()
		s.stopErr = errors.Join(s.run(forced, r), lock.Release())
	}()
	return s
}

func (s *Server) requestStop() {
	select {
	case s.stop <- struct{}{}:
	default:
	}
}

func (s *Server) run(forced context.Context, r *running) error {
	for {
		select {
		case <-s.stop:
			return s.shutDown(forced, r)
		case <-r.exited:
			s.logger.Error("PostgreSQL ended by itself; starting it again", "pid", r.pid, "error", r.err)
		}
		next, stopped := s.restart(forced)
		if stopped {
			return nil
		}
		r = next
	}
}

// restart brings the server up again, however often that takes.
func (s *Server) restart(forced context.Context) (next *running, stopped bool) {
	pause := time.NewTimer(restartPause)
	defer pause.Stop()
	for {
		select {
		case <-s.stop:
			return nil, true
		case <-pause.C:
		}
		r, err := s.cluster.up(forced)
		if err == nil {
			return r, false
		}
		s.logger.Error("PostgreSQL cannot be started, trying again", "error", err)
		pause.Reset(restartPause)
	}
}

// shutDown asks for a fast shutdown (sessions are ended, a checkpoint is written), and for an immediate one when forced.
// Source: https://www.postgresql.org/docs/current/server-shutdown.html
func (s *Server) shutDown(forced context.Context, r *running) error {
	terminate(r, syscall.SIGINT)
	select {
	case <-r.exited:
	case <-forced.Done():
		terminate(r, syscall.SIGQUIT)
		<-r.exited
		return nil
	}
	if r.err != nil {
		return fmt.Errorf("PostgreSQL: %w", r.err)
	}
	s.logger.Debug("PostgreSQL stopped", "pid", r.pid)
	return nil
}
