// Package window decides when a room may be recorded: at certain times of the day, on certain days of the week, as a
// clock on a wall in some time zone shows them.
package window

import (
	"bytes"
	"slices"
	"time"
)

// Range is when a room may be recorded. The zero value is always.
type Range struct{ windows []daily }

// daily is a time that comes again each day, or on some days of the week. An end that is not after the start is on the
// next day.
type daily struct {
	start, end clock
	zone       *time.Location
	// days says on which days of the week (time.Sunday first) it begins.
	days [7]bool
}

// clock is a time of the day in seconds since midnight, as a clock on a wall shows it.
type clock int

const day clock = 24 * 60 * 60

// Always tells whether nothing is ever outside.
func (r Range) Always() bool { return len(r.windows) == 0 }

// horizon is how many days of one window are looked at: each begins at least once a week.
const horizon = 9

// At tells whether the range is open at now, and until when that stays so; the zero time is for ever.
func (r Range) At(now time.Time) (open bool, until time.Time) {
	if r.Always() {
		return true, time.Time{}
	}
	spans := r.spans(now)
	for _, s := range spans {
		switch {
		case now.Before(s.from):
			return false, s.from
		case now.Before(s.to):
			// The last spans end beyond what was looked at: who is in one of them comes back and asks again.
			return true, s.to
		}
	}
	return false, time.Time{}
}

// Zone is where the range's times are told: the time zone of its first window.
func (r Range) Zone() *time.Location {
	if r.Always() {
		return time.UTC
	}
	return r.windows[0].zone
}

// span is one occurrence of a window, or several that touch: from inclusive, to exclusive.
type span struct{ from, to time.Time }

// spans lists what is open from a while before now to days after it, in order and without overlaps.
func (r Range) spans(now time.Time) []span {
	var all []span
	for _, w := range r.windows {
		year, month, date := now.In(w.zone).Date()
		// Noon by UTC: adding days to it never meets a change of clocks.
		today := time.Date(year, month, date, 12, 0, 0, 0, time.UTC)
		// A window that began two days ago can reach into today: it is at most a day long, and clock changes at most another.
		for offset := -2; offset < horizon; offset++ {
			if begins := today.AddDate(0, 0, offset); w.days[begins.Weekday()] {
				all = append(all, w.on(begins))
			}
		}
	}
	slices.SortFunc(all, func(a, b span) int { return a.from.Compare(b.from) })
	merged := all[:0]
	for _, s := range all {
		if last := len(merged) - 1; last >= 0 && !s.from.After(merged[last].to) {
			if s.to.After(merged[last].to) {
				merged[last].to = s.to
			}
			continue
		}
		merged = append(merged, s)
	}
	return merged
}

// on is the occurrence that begins on a day. Where clocks are changed, a time of the day can be missing or come twice: then
// the window is the longer one, for what was not recorded is lost and what was recorded in vain is not.
func (w daily) on(begins time.Time) span {
	ends := begins
	if w.end <= w.start {
		ends = begins.AddDate(0, 0, 1)
	}
	first, _ := instants(begins, w.start, w.zone)
	_, last := instants(ends, w.end, w.zone)
	return span{first, last}
}

// instants returns the first and the last instant at which a clock in a zone shows a time on a date. They differ in the
// hour that comes twice, and for a time that is skipped: then they are what the clocks before and after the change mean
// by it.
func instants(date time.Time, at clock, zone *time.Location) (first, last time.Time) {
	year, month, dayOfMonth := date.Date()
	shown := time.Date(year, month, dayOfMonth, 0, 0, int(at), 0, time.UTC)
	// No zone is further from UTC than this, so the offsets before and after the instant in question are among these.
	const furthest = 15 * time.Hour
	one, other := shown.Add(-offset(shown.Add(-furthest), zone)), shown.Add(-offset(shown.Add(furthest), zone))
	oneShows, otherShows := shows(one, shown, zone), shows(other, shown, zone)
	switch {
	case oneShows && !otherShows:
		return one, one
	case otherShows && !oneShows:
		return other, other
	case other.Before(one):
		return other, one
	}
	return one, other
}

func offset(at time.Time, zone *time.Location) time.Duration {
	_, seconds := at.In(zone).Zone()
	return time.Duration(seconds) * time.Second
}

func shows(at, shown time.Time, zone *time.Location) bool {
	return at.Add(offset(at, zone)).Equal(shown)
}

// Set is whether raw sets a range at all: nothing, null and an empty text or list do not.
func Set(raw []byte) bool {
	raw = bytes.TrimSpace(raw)
	return len(raw) > 0 && string(raw) != "null" && string(raw) != `""` && string(raw) != "[]"
}
