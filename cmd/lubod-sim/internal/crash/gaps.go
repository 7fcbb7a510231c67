package crash

import (
	"slices"
	"strings"
	"time"

	"github.com/lubod/lubod/sdk/simulator/live"
)

// longGap is a time without frames that needs a reason. A reconnection waits for the next keyframe, half a second at most.
const longGap = 1500 * time.Millisecond

// gap is a time of a broadcast in which nobody fetched it.
type gap struct{ from, to time.Duration }

// gapsOf are the long gaps between the frames that were sent of a broadcast, and behind the last one.
func gapsOf(connections []live.Connection, length time.Duration) []gap {
	var at []time.Duration
	for _, connection := range connections {
		for _, tag := range connection.Tags {
			if !tag.Config && tag.Whole && tag.Track == live.Video {
				at = append(at, tag.Media)
			}
		}
	}
	slices.Sort(at)
	var gaps []gap
	last := time.Duration(0)
	for _, moment := range append(at, length) {
		if moment-last > longGap {
			gaps = append(gaps, gap{last, moment})
		}
		last = moment
	}
	return gaps
}

// judgeGaps wants a reason for each gap: a session of the room that ended then, with a reason in its row. What the source
// itself did not send has none there.
func (r *run) judgeGaps(found *rows) {
	for i, room := range r.rooms {
		connections := room.Connections()
		sourceFailed := slices.ContainsFunc(r.plan.Events, func(e Event) bool {
			return e.Room == i && slices.Contains([]Kind{CutSource, ResetSource, StallSource, LoseSource}, e.Kind)
		})
		if len(connections) == 0 || sourceFailed {
			continue
		}
		for _, gap := range gapsOf(connections, Broadcast) {
			if from := connections[0].Started; !found.explains(roomName(i), from.Add(gap.from), from.Add(gap.to)) {
				r.fail("room %d was not fetched from %.2f s to %.2f s of its broadcast, and no session says why", i+1, gap.from.Seconds(), gap.to.Seconds())
			}
		}
	}
}

// explains reports whether a session of a room ended within a time, more or less, and its row says why.
func (r *rows) explains(room string, from, to time.Time) bool {
	const slack = 3 * time.Second
	return slices.ContainsFunc(r.Sessions, func(s session) bool {
		if s.EndedAt == nil || s.EndReason == "" || !strings.Contains(s.PathPrefix, room) {
			return false
		}
		ended, err := time.Parse(time.RFC3339Nano, *s.EndedAt)
		return err == nil && ended.After(from.Add(-slack)) && ended.Before(to.Add(slack))
	})
}
