package monitor

import (
	"errors"
	"time"

	"github.com/lubod/lubod/host/internal/pipeline"
	"github.com/lubod/lubod/host/internal/reason"
	"github.com/lubod/lubod/sdk"
)

// SessionEnd is how a recorder session of a room ended.
type SessionEnd struct {
	// Fed: media arrived.
	Fed bool
	// Offline: nothing could be opened.
	Offline bool
	// Unasked: nobody had said that the room is live, because its address is itself the stream.
	Unasked bool
	// Err is what it ended with; nil: the stream ended, somebody stopped it, or the recorder does not tell.
	Err error
}

// fact is what became known of a room without asking it: that its session gets media (no end), or how that ended.
type fact struct{ end *SessionEnd }

// SessionFed tells that media arrives: whatever was wrong with the room before is over.
func (m *Monitor) SessionFed(streamerID int64) { m.tell(streamerID, fact{}) }

// SessionEnded tells how a session ended. The room is polled again at once if it was fed, and may be live again.
func (m *Monitor) SessionEnded(streamerID int64, end SessionEnd) { m.tell(streamerID, fact{&end}) }

// tell keeps the newest fact about each room.
func (m *Monitor) tell(streamerID int64, known fact) {
	m.mu.Lock()
	m.facts[streamerID] = known
	m.mu.Unlock()
	m.signal()
}

// trouble is what keeps the room from being recorded, as far as the session shows; nil: nothing, or nothing is being sent.
func (e SessionEnd) trouble() error {
	why := reason.Of(e.Err)
	switch {
	case e.Offline && e.Unasked && absent(e.Err):
		return nil
	case e.Offline && !e.Unasked && why.Code != sdk.CodeProxy:
		return reason.New(reason.RoomRefused, "cause", cause(e.Err), "code", why.Code).Wrap(e.Err)
	case e.Err == nil && !e.Offline:
		return nil
	case e.Err == nil:
		return reason.New(reason.RoomRefused, "cause", cause(nil)).Err()
	case e.Fed && !local(why.Code):
		return reason.New(reason.RoomBroke, "cause", cause(e.Err), "code", why.Code).Wrap(e.Err)
	}
	return why.Wrap(e.Err)
}

func cause(err error) string {
	if err == nil {
		return "nothing is being sent"
	}
	return err.Error()
}

// absent tells whether err, with which nothing could be opened, only says that nobody sends there.
func absent(err error) bool {
	var typed *sdk.Error
	if !errors.As(err, &typed) {
		return true // a recorder that does not tell more
	}
	return typed.Kind == sdk.NotFound || typed.Code == sdk.CodeRefused
}

// local tells whether a code is about this machine, and so needs no other words around it.
func local(code string) bool {
	return code == sdk.CodeDiskFull || code == sdk.CodeDiskDenied || code == sdk.CodeDiskKept
}

// settled is the result that a fact gives.
func (f fact) settled() error {
	if f.end == nil {
		return nil
	}
	return f.end.trouble()
}

// afterFact is when a room is polled next, of which a fact became known.
func (w *watched) afterFact(known fact, err error, now time.Time) time.Time {
	switch {
	case known.end == nil:
		w.broken = 0
		return w.next(now)
	case known.end.Fed && sdk.KindOf(err) != sdk.RateLimited:
		w.broken = 0
		return w.soonest(now, false)
	case err == nil:
		w.broken = 0
		return w.next(now)
	}
	wait := judge(pipeline.Session, err, w.broken, w.interval).Wait
	w.broken++
	return later(w.polled.Add(wait), now)
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
