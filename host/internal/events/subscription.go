package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// queueLength is how many batches may wait for a subscriber. They are shared: a slow one costs pointers.
const queueLength = 64

var (
	// ErrTooMany is the answer to one subscriber too many.
	ErrTooMany = errors.New("too many clients read events")
	// ErrTooSlow ends a subscriber that does not keep up. It can come back with its last position.
	ErrTooSlow = errors.New("events were read too slowly")
	// ErrStopped ends subscribers when the bus does.
	ErrStopped = errors.New("the server stops")
)

// Batch is some events in their order.
type Batch struct {
	Events []Event
	// Position is where a subscriber is after them: who comes back with it gets the rest.
	Position Position
	// passing is a batch that is in no table, and has no place among the others.
	passing bool
}

// Subscription is one reader of events. It belongs to one goroutine.
type Subscription struct {
	bus *Bus
	// queue is closed when the bus lets go of the subscription; failure says why.
	queue   chan Batch
	failure error
	// first is what Next returns before anything else.
	first *Batch
	// position is where the subscriber is, and live where the queue begins. While resuming, the database is read from the
	// one to the other.
	position, live Position
	resuming       bool
}

// Subscribe begins to read after a position. With none, the first event is KindReady; when it cannot be resumed, KindReset. The
// caller closes the subscription.
func (b *Bus) Subscribe(ctx context.Context, lastPosition string) (*Subscription, error) {
	select {
	case <-b.ready:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the events to be read: %w", ctx.Err())
	}
	s := &Subscription{bus: b, queue: make(chan Batch, queueLength)}
	if err := b.add(s); err != nil {
		return nil, err
	}
	if lastPosition == "" {
		s.beginWith(KindReady)
		return s, nil
	}
	// What is not a position, or one of another epoch, is one that cannot be resumed.
	if position, err := ParsePosition(lastPosition); err == nil && position.epoch == s.live.epoch {
		s.position, s.resuming = position, true
	} else {
		s.beginWith(KindReset)
	}
	return s, nil
}

func (b *Bus) add(s *Subscription) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		return ErrStopped
	}
	if len(b.subscribers) >= b.MaxSubscribers {
		return ErrTooMany
	}
	b.subscribers[s] = struct{}{}
	s.live = b.position
	return nil
}

// beginWith makes the subscriber begin where the bus is.
func (s *Subscription) beginWith(kind string) {
	s.position = s.live
	s.first = &Batch{Events: []Event{bare(kind, s.live)}, Position: s.live}
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	delete(s.bus.subscribers, s)
}

// Next waits for more events. An error is the end, unless it is that of ctx.
func (s *Subscription) Next(ctx context.Context) (Batch, error) {
	if s.first != nil {
		batch := *s.first
		s.first = nil
		return batch, nil
	}
	if s.resuming {
		batch, err := s.missed(ctx)
		if err != nil || len(batch.Events) > 0 {
			return batch, err
		}
	}
	for {
		select {
		case batch, ok := <-s.queue:
			if !ok {
				return Batch{}, s.failure
			}
			if batch.passing {
				// Where the subscriber is does not change: it may be ahead of this bus.
				return Batch{Events: batch.Events, Position: s.position}, nil
			}
			if batch = s.unknown(batch); len(batch.Events) > 0 {
				s.position, s.live = batch.Position, batch.Position
				return batch, nil
			}
		case <-ctx.Done():
			return Batch{}, ctx.Err() //nolint:wrapcheck // the caller's own
		}
	}
}

// missed reads what the subscriber has not seen yet and the bus has handed on already.
func (s *Subscription) missed(ctx context.Context) (Batch, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	page, err := readAfter(ctx, s.bus.DB.Queries, s.position)
	if errors.Is(err, errGap) {
		s.position, s.resuming = s.live, false
		return Batch{Events: []Event{bare(KindReset, s.live)}, Position: s.live}, nil
	}
	if err != nil {
		return Batch{}, err
	}
	// It may have read more than the bus had handed on; the queue brings that again, and unknown drops it.
	s.position = page.Position
	s.resuming = len(page.Events) > 0 && s.live.after(s.position)
	return page.Batch, nil
}

// unknown is the part of a batch that the subscriber has not had yet: it may have been ahead of this bus at another host.
func (s *Subscription) unknown(batch Batch) Batch {
	for i, event := range batch.Events {
		if event.Kind == KindReset || event.Position.epoch != s.position.epoch || event.Position.after(s.position) {
			return Batch{Events: batch.Events[i:], Position: batch.Position}
		}
	}
	return Batch{}
}

// hand gives a batch to every subscriber. One whose queue is full is let go: it comes back with its last position.
func (b *Bus) hand(batch Batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !batch.passing {
		b.position = batch.Position
	}
	for s := range b.subscribers {
		select {
		case s.queue <- batch:
		default:
			b.end(s, ErrTooSlow)
		}
	}
}

// Tell hands on what is in no table: only those who watch at this moment hear of it.
func (b *Bus) Tell(kind string, data json.RawMessage) {
	b.hand(Batch{Events: []Event{Passing(kind, data)}, passing: true})
}

// Passing is an event without a position.
func Passing(kind string, data json.RawMessage) Event {
	return Event{Kind: kind, Time: time.Now(), Data: data}
}

// end lets go of a subscription. The lock is held.
func (b *Bus) end(s *Subscription, why error) {
	delete(b.subscribers, s)
	s.failure = why
	close(s.queue)
}

func (b *Bus) endAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	for s := range b.subscribers {
		b.end(s, ErrStopped)
	}
}
