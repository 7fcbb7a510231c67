package embedded

import (
	"context"
	"errors"
	"time"
)

// Pauses between two tries to restart a server that died.
const (
	firstPause = time.Second
	longPause  = 30 * time.Second
)

// supervise starts the goroutine that keeps the server running until Stop. It takes lock over.
func supervise(c *cluster, running *process, lock *Lock) *Server {
	ctx, cancel := context.WithCancel(context.Background())
	force, forceStop := context.WithCancel(context.Background())
	s := &Server{cluster: c, done: make(chan struct{}), requestStop: cancel, force: forceStop}
	go func() {
		defer close(s.done)
		defer cancel()
		last := c.keepUp(ctx, running)
		if last != nil {
			c.logger.Info("stopping embedded PostgreSQL", "pid", last.pid)
			s.stopErr = c.shutdown(last, force.Done())
		}
		removeSocketDir(c.dir, c.socketDir)
		c.close()
		s.stopErr = errors.Join(s.stopErr, lock.Release())
		forceStop()
	}()
	return s
}

// keepUp restarts the server whenever it ends, until ctx does. It returns what runs then, or nil.
func (c *cluster) keepUp(ctx context.Context, running *process) *process {
	pause := firstPause
	for {
		if running != nil {
			began := time.Now()
			select {
			case <-ctx.Done():
				return running
			case <-running.exited:
			}
			if time.Since(began) > longPause {
				pause = firstPause
			}
			c.logger.Error("PostgreSQL ended by itself, starting it again", "pid", running.pid, "status", running.err,
				"log", serverLogTail(c.dir, running.logAt), "pause", pause)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, longPause)
		var err error
		if running, err = c.up(ctx); err == nil {
			c.logger.Info("PostgreSQL runs again", "pid", running.pid)
		} else if ctx.Err() == nil {
			c.logger.Error("start PostgreSQL again", "error", err, "next_try", pause)
		}
	}
}
