package recorder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/internal/serve"
)

// session is one call of Recorder.Record and what it told so far.
type session struct {
	request Request
	logger  *slog.Logger
	// ctx is the author's; cancelling it asks Record to finish.
	ctx    context.Context
	cancel context.CancelFunc
	// done is closed when Record has returned and Ended is in the queue.
	done      chan struct{}
	refreshed chan []Stream
	split     chan struct{}

	mu      sync.Mutex
	queue   *queue
	stopped bool
	arrived bool
	ended   bool
	// forgotten: the end was acknowledged; nobody can find the session any more.
	forgotten bool
	// progress is the newest Progress; number tells watchers whether they have seen it.
	progress       Event
	progressNumber uint64
	// changed is closed and replaced whenever watchers have something to look at.
	changed chan struct{}
}

var _ Session = (*session)(nil)

func newSession(life context.Context, request Request, logger *slog.Logger) *session {
	s := &session{
		request:   request,
		logger:    logger.With("session", request.SessionID),
		done:      make(chan struct{}),
		refreshed: make(chan []Stream, 1),
		split:     make(chan struct{}, 1),
		queue:     newQueue(maxDroppable),
		changed:   make(chan struct{}),
	}
	s.ctx, s.cancel = context.WithCancel(sdk.WithLogger(life, s.logger))
	return s
}

// run records to the end and reports it.
func (s *session) run(r Recorder) {
	defer close(s.done)
	defer s.cancel()
	err := s.record(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	end := s.endOf(err)
	s.ended = true
	s.queue.push(time.Now(), end)
	s.announce()
	level := slog.LevelInfo
	if !s.arrived {
		level = slog.LevelDebug // the host tells what is wrong with a room, once and not at each try
	}
	s.logger.Log(context.Background(), level, "session ended", "reason", end.Reason, "message", end.Message)
}

func (s *session) record(r Recorder) (err error) {
	defer serve.Recover(s.logger, &err)
	return r.Record(s.ctx, s.request, s)
}

// endOf says why the session ended. Called with the lock held.
func (s *session) endOf(err error) Ended {
	asked := s.stopped || s.ctx.Err() != nil
	switch {
	case asked && (err == nil || errors.Is(err, context.Canceled) || errors.Is(err, ErrOffline)):
		return Ended{Reason: EndStopped}
	case err == nil:
		return Ended{Reason: EndEOF}
	case errors.Is(err, ErrOffline):
		return Ended{Reason: EndOffline, Message: err.Error(), Err: typed(err)}
	}
	return Ended{Reason: EndFailed, Message: err.Error(), Err: typed(err)}
}

// typed is the error with a kind in the chain of err, with the text of the whole; nil when there is none.
func typed(err error) *sdk.Error {
	var found *sdk.Error
	if !errors.As(err, &found) {
		return nil
	}
	whole := *found
	whole.Message = err.Error()
	return &whole
}

// Emit implements Session.
func (s *session) Emit(payload Payload) {
	s.permit(payload)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		s.logger.Error("event after the end of its session: Record returned while something it started still runs",
			"event", fmt.Sprintf("%T", payload))
		return
	}
	switch p := payload.(type) {
	case nil, Ended:
		s.logger.Error("the end of a session is reported by returning from Record; event ignored")
		return
	case Progress:
		s.progress = Event{At: time.Now(), Payload: p}
		s.progressNumber++
	case Timeline:
		if p.At.IsZero() {
			p.At = time.Now()
		}
		s.queue.push(time.Now(), p)
	case MediaArrived:
		if s.arrived {
			return
		}
		s.arrived = true
		s.queue.push(time.Now(), p)
	default:
		s.queue.push(time.Now(), payload)
	}
	s.announce()
}

// permit gives a file the mode that was asked for, before anybody is told of it.
func (s *session) permit(payload Payload) {
	path := ""
	switch p := payload.(type) {
	case SegmentOpened:
		path = p.Path
	case SegmentClosed:
		path = p.Segment.Path
	}
	if path != "" && !strings.HasPrefix(path, s.request.PathPrefix+"_") {
		s.logger.Error("a file does not lie under the path prefix of its session; the host refuses it", "path", path, "prefix", s.request.PathPrefix)
		return
	}
	if path == "" || s.request.FileMode == 0 {
		return
	}
	if err := os.Chmod(path, s.request.FileMode); err != nil {
		s.logger.Warn("the permissions of a file cannot be set; it keeps those of the umask", "path", path, "mode", s.request.FileMode, "error", err)
	}
}

// Refreshed implements Session.
func (s *session) Refreshed() <-chan []Stream { return s.refreshed }

// SplitRequested implements Session.
func (s *session) SplitRequested() <-chan struct{} { return s.split }

// announce wakes all watchers. Called with the lock held.
func (s *session) announce() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// refresh replaces addresses that the author did not fetch yet.
func (s *session) refresh(streams []Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.refreshed:
	default:
	}
	s.refreshed <- streams // has room: the lock keeps other senders out
}

func (s *session) requestSplit() {
	select {
	case s.split <- struct{}{}:
	default: // one is waiting already; two splits at one keyframe are one
	}
}

// stop asks Record to finish and waits until it has, or ctx ends.
func (s *session) stop(ctx context.Context) error {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.cancel()
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("session %s is still finishing its segment: %w", s.request.SessionID, ctx.Err())
	}
}

// watch sends events after seq, old ones first, until the session's end was sent.
func (s *session) watch(ctx context.Context, seq int64, send func(Event) error) error {
	seen := s.currentProgress()
	for {
		v := s.look(seq, seen)
		for _, e := range v.events {
			if err := send(e); err != nil {
				return err
			}
			seq = e.Seq
			if _, last := e.Payload.(Ended); last {
				return nil
			}
		}
		if v.ended {
			// The end is behind us: seq was at or after it, or another watcher acknowledged it.
			if v.forgotten {
				return notFound(s.request.SessionID)
			}
			return nil
		}
		if v.progressNumber != seen {
			seen = v.progressNumber
			if err := send(v.progress); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-v.changed:
		}
	}
}

// view is what a watcher sees at one moment.
type view struct {
	events         []Event
	ended          bool
	forgotten      bool
	progress       Event
	progressNumber uint64
	changed        <-chan struct{}
}

func (s *session) look(seq int64, seen uint64) view {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := view{
		events:         s.queue.after(seq),
		ended:          s.ended,
		forgotten:      s.forgotten,
		progressNumber: seen,
		changed:        s.changed,
	}
	if !s.ended {
		v.progress, v.progressNumber = s.progress, s.progressNumber
	}
	return v
}

func (s *session) currentProgress() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.progressNumber
}

// acknowledge forgets events and reports whether that was the last of the session.
func (s *session) acknowledge(seq int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue.acknowledge(seq)
	if s.ended && seq >= s.queue.last {
		s.forgotten = true
		s.announce()
	}
	return s.forgotten
}

func (s *session) info() SessionInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	return SessionInfo{
		SessionID:  s.request.SessionID,
		PathPrefix: s.request.PathPrefix,
		LastSeq:    s.queue.last,
		Ended:      s.ended,
	}
}

func notFound(id string) error {
	return sdk.Errorf(sdk.NotFound, "there is no session %s: it never was, or its end was acknowledged", id)
}
