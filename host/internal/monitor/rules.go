package monitor

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/reason"
	"github.com/lubod/lubod/host/internal/window"
)

// rules say which broadcasts of a room are recorded. The zero value: all of them.
type rules struct {
	zone     *time.Location // of windows that name none
	allowed  window.Range
	keywords []string
}

// refusal is why a room is not recorded though nothing is wrong with it.
type refusal struct{ why reason.Reason }

func (r *refusal) Error() string { return r.why.Text(reason.English) }

// Unwrap lets reason.Of find it.
func (r *refusal) Unwrap() error { return r.why.Err() }

func refused(err error) bool {
	return errors.As(err, new(*refusal))
}

// follow takes over the rules of a streamer's row, whose times are those of a zone, and tells whether they are others than
// before.
func (s *scheduler) follow(room *watched, row db.Streamer, zone *time.Location, known bool) bool {
	sameRange := bytes.Equal(room.streamer.TimeRange, row.TimeRange) && room.rules.zone == zone
	sameWords := slices.Equal(room.rules.keywords, row.ExcludedKeywords)
	room.rules.keywords = row.ExcludedKeywords
	if known && sameRange {
		return !sameWords
	}
	allowed, err := window.Parse(row.TimeRange, zone)
	if err != nil {
		s.Logger.Error("a room's time range cannot be used; it is left out", "streamer", row.ID, "error", err)
	}
	room.rules.allowed, room.rules.zone = allowed, zone
	return true
}

// at tells whether a room may be recorded at all, and when that changes next; the zero time: never.
func (r rules) at(now time.Time) (change time.Time, closed error) {
	open, change := r.allowed.At(now)
	if open {
		return change, nil
	}
	return change, &refusal{reason.New(reason.RoomWindow, "until", shown(change, now, r.allowed.Zone()))}
}

// titled tells whether a broadcast of that title is to be left out.
func (r rules) titled(title string) error {
	for _, word := range r.keywords {
		if strings.Contains(title, word) {
			return &refusal{reason.New(reason.RoomKeyword, "word", word)}
		}
	}
	return nil
}

// shown is a moment as a person reads it who knows what time it is.
func shown(at, now time.Time, zone *time.Location) string {
	local := at.In(zone)
	form := "15:04"
	if local.Second() != 0 {
		form = "15:04:05"
	}
	if at.Sub(now) >= 24*time.Hour {
		form = "2006-01-02 " + form
	}
	if zone == time.Local {
		return local.Format(form)
	}
	return local.Format(form) + " (" + zone.String() + ")"
}

// idle tells whether a room that is due needs no poll: it is being recorded and no title can change that, or it may not
// be recorded now and its row says so already.
func (w *watched) idle(active bool, closed error) bool {
	if active {
		return closed == nil && len(w.rules.keywords) == 0
	}
	return closed != nil && same(w.trouble, reason.Of(closed)) && same(w.trouble, written(w.streamer))
}

// sooner is the first of two times; the zero time never comes.
func sooner(at, other time.Time) time.Time {
	if !other.IsZero() && other.Before(at) {
		return other
	}
	return at
}
