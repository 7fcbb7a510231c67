package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/lubod/lubod/host/internal/events"
	"github.com/lubod/lubod/host/internal/reason"
)

// clientRetry is how soon a browser comes back after the end of its stream.
const clientRetry = 3 * time.Second

// StreamEvents answers what changes, as it happens.
func (s *Server) StreamEvents(ctx context.Context, request StreamEventsRequestObject) (StreamEventsResponseObject, error) {
	filter := events.Filter{}
	if request.Params.Types != nil {
		types, err := events.ParseTypes(*request.Params.Types)
		if err != nil {
			return nil, invalid("types", said(err, reason.APIRefused))
		}
		filter.Types = types
	}
	if request.Params.Streamer != nil {
		filter.StreamerID = *request.Params.Streamer
	}
	last := ""
	// The browser's own header knows better than the URL with which the stream was opened first.
	for _, given := range []*string{request.Params.LastEventID, request.Params.LastEventIDQuery} {
		if given != nil && last == "" {
			last = *given
		}
	}
	joining, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	subscription, err := s.events.Subscribe(joining, last)
	if err != nil {
		return nil, cannotSubscribe(err)
	}
	answer := eventStream{stream: streamOf(ctx), subscription: subscription, filter: filter}
	answer.resumed = last != ""
	return answer, nil
}

func cannotSubscribe(err error) error {
	p := unavailable(err, reason.New(reason.APIEventsAway))
	if errors.Is(err, events.ErrTooMany) {
		p = unavailable(nil, reason.New(reason.APIEventsFull))
	}
	p.retryAfter = joinTimeout
	return p
}

// eventStream is an answer in the form of server-sent events.
type eventStream struct {
	stream       *stream
	subscription *events.Subscription
	filter       events.Filter
	// resumed: the client was here before, and may have missed what is in no table.
	resumed bool
}

// VisitStreamEventsResponse writes events until one side ends.
func (e eventStream) VisitStreamEventsResponse(w http.ResponseWriter) error {
	defer e.subscription.Close()
	ctx, cancel := e.stream.context()
	defer cancel()
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	// nginx would keep events until it has a buffer full of them.
	header.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	out := &eventWriter{w: w, control: http.NewResponseController(w), filter: e.filter, missed: e.resumed}
	out.text.WriteString("retry: " + strconv.FormatInt(clientRetry.Milliseconds(), 10) + "\n\n")
	for {
		if err := out.flush(); err != nil {
			return nil // the client is gone
		}
		if err := e.next(ctx, out); err != nil {
			if ctx.Err() == nil {
				e.stream.server.log.Debug("a stream of events ends", "error", err)
			}
			return nil
		}
	}
}

var errNotAllowed = errors.New("the client is not logged in any more")

// next writes the next events, or a sign of life when there are none for a while.
func (e eventStream) next(ctx context.Context, out *eventWriter) error {
	waiting, cancel := context.WithTimeout(ctx, time.Until(out.nextCheck(e.stream.server.heartbeat)))
	defer cancel()
	batch, err := e.subscription.Next(waiting)
	switch {
	case err == nil:
		if err := out.add(batch); err != nil {
			return err
		}
	case ctx.Err() != nil || waiting.Err() == nil:
		return err //nolint:wrapcheck // says it all
	}
	if waiting.Err() == nil {
		return nil
	}
	if !e.stream.allowed() {
		return errNotAllowed
	}
	out.beat()
	if out.missed {
		out.missed = false
		return out.add(events.Batch{Position: out.position, Events: []events.Event{
			events.Passing(events.KindHealth, HealthChanged(e.stream.server.health.Checks())),
		}})
	}
	return nil
}

// eventWriter collects what is to be sent at once.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	filter  events.Filter
	text    strings.Builder
	// position is what was read, and told what the client knows of it: it would come back with that.
	position, told events.Position
	checked        time.Time
	// missed: the client is to be told what is in no table.
	missed bool
}

// nextCheck is when the client is to be looked at again, however much there is to send.
func (o *eventWriter) nextCheck(every time.Duration) time.Time {
	if o.checked.IsZero() {
		o.checked = time.Now()
	}
	return o.checked.Add(every)
}

func (o *eventWriter) add(batch events.Batch) error {
	for _, event := range batch.Events {
		if !o.filter.Takes(event) {
			continue
		}
		data, err := event.JSON()
		if err != nil {
			return err //nolint:wrapcheck // says it all
		}
		if !event.Position.IsZero() {
			o.text.WriteString("id: " + event.Position.String() + "\n")
			o.told = event.Position
		}
		_, _ = fmt.Fprintf(&o.text, "event: %s\ndata: %s\n\n", event.Kind, data)
	}
	o.position = batch.Position
	return nil
}

// beat shows that the stream lives. A client that filters learns from it how far it is, and does not come back with a
// position of last week.
func (o *eventWriter) beat() {
	o.checked = time.Now()
	o.text.WriteString(": still here\n")
	if !o.position.IsZero() && o.position != o.told {
		o.text.WriteString("id: " + o.position.String() + "\n")
		o.told = o.position
	}
	o.text.WriteString("\n")
}

func (o *eventWriter) flush() error {
	if o.text.Len() == 0 {
		return nil
	}
	_ = o.control.SetWriteDeadline(time.Now().Add(streamWriteTimeout)) // without it, the server's own limit holds
	_, err := o.w.Write([]byte(o.text.String()))
	o.text.Reset()
	return errors.Join(err, o.control.Flush())
}
