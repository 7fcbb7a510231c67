package monitor

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/reason"
)

// note writes into the streamer's row what keeps the room from being recorded, when that changed. This is the only place
// that does. It returns what the row says now.
func (s *scheduler) note(ctx context.Context, poll poll, started bool, cause error) reason.Reason {
	switch {
	case poll.fact == nil && poll.active && !refused(cause):
		return poll.trouble // it is recorded, whatever its platform answers
	case started && !passes(poll.trouble):
		return poll.trouble // until media arrives: it is not known before that the trouble is over
	case errors.Is(cause, ErrNoSlot) && !passes(poll.trouble):
		return poll.trouble // it is what the room waits with
	}
	trouble := reason.Of(cause)
	if ctx.Err() != nil || same(trouble, poll.trouble) && same(trouble, written(poll.streamer)) {
		return poll.trouble
	}
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	err := s.DB.SetStreamerError(ctx, db.SetStreamerErrorParams{
		ID: poll.streamer.ID, LastError: trouble.Text(reason.English), Reason: trouble.JSON(),
	})
	if err != nil {
		s.complain(ctx, err)
		return poll.trouble // the next result tries again
	}
	return trouble
}

// passes tells whether a trouble is over as soon as a recording is begun.
func passes(trouble reason.Reason) bool {
	switch trouble.Code {
	case "", reason.RoomWindow, reason.RoomKeyword, reason.RoomNotEnded, reason.RoomNoSlot, reason.RoomNoStream, reason.RoomNotStarted,
		reason.RoomNoRecorder, reason.RoomNoSuchRecorder, reason.RoomRestricted, reason.RoomTwin, reason.PluginDown:
		return true
	}
	return false
}

func same(a, b reason.Reason) bool { return a.Code == b.Code && maps.Equal(a.Args, b.Args) }

// written is the trouble that a row tells of.
func written(streamer db.Streamer) reason.Reason {
	known := reason.Parse(streamer.Reason)
	switch streamer.LastError {
	case known.Text(reason.English):
		return known
	case "":
		return reason.Reason{}
	}
	return reason.New(reason.ErrorOther, "text", streamer.LastError)
}

// repeatAfter is how long the log is silent about a trouble that it told of.
const repeatAfter = time.Hour

// sayings are what the log was told of a room: each trouble once, and then once an hour how often it was met.
type sayings struct {
	said map[string]*saying
	warn bool // a warning is not followed by "over" yet
}

type saying struct {
	at    time.Time // the last time
	since time.Time
	times int
}

// say logs what a result changed, once the row says so.
func (s *scheduler) say(room *watched, given result, now time.Time) {
	cause := given.err
	why := room.trouble
	if why.IsZero() {
		if room.warn {
			room.warn = false
			maps.DeleteFunc(room.said, func(_ string, one *saying) bool { return now.Sub(one.at) >= repeatAfter })
			s.Logger.Info("the trouble with a room is over", "streamer", room.streamer.ID, "url", room.streamer.URL)
		}
		return
	}
	if cause == nil || reason.Of(cause).Code != why.Code {
		return // the row could not be written, or tells of something that is not settled yet
	}
	known := room.said[why.Code]
	if known == nil {
		known = &saying{since: now}
		if room.said == nil {
			room.said = make(map[string]*saying)
		}
		room.said[why.Code] = known
	}
	known.times++
	if !known.at.IsZero() && now.Sub(known.at) < repeatAfter {
		return
	}
	attributes := []any{"streamer", room.streamer.ID, "url", room.streamer.URL, "code", why.Code, "reason", why.Text(reason.English)}
	if known.times > 1 {
		attributes = append(attributes, "times", known.times, "since", known.since)
	}
	known.at = now
	switch {
	case refused(cause):
		s.Logger.Info("room is not recorded", attributes...)
		return
	case given.fact != nil:
		s.Logger.Warn("room cannot be recorded", attributes...)
	default:
		s.Logger.Warn("room cannot be watched", attributes...)
	}
	room.warn = true
}
