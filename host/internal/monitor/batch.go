package monitor

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/lubod/lubod/host/internal/pipeline"
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/extractor"
)

const (
	// maxBatch bounds the rooms of one batch.
	maxBatch = 500
	// batchTimeout bounds one batch, which an extractor may split into requests with pauses between them.
	batchTimeout = 2 * time.Minute
)

// batchState is what a batch left of the poll about a room that is not simply offline.
type batchState struct {
	alone   bool              // the next poll is about this room only
	known   *extractor.Status // its result, when the batch told it,
	knownOf string            // of this URL
}

// withOthers joins a poll with those about other rooms of its platform that are due soon: those that are offline are due
// together from then on.
func (s *scheduler) withOthers(first poll, now time.Time) []poll {
	polls := []poll{first}
	p := first.room.platform
	if !p.batches || now.Before(p.single) || first.closed != nil || first.active || first.fact != nil || first.alone || first.room.calledOrWaits() {
		return polls
	}
	var others []*watched
	for _, room := range p.schedule {
		if s.joins(room, now) {
			others = append(others, room)
		}
	}
	// A batch takes an extractor a while. In the same order each time, the time between two polls about a room stays its
	// interval.
	slices.SortFunc(others, func(a, b *watched) int {
		return cmp.Or(a.due.Compare(b.due), cmp.Compare(a.streamer.ID, b.streamer.ID))
	})
	for _, room := range others[:min(len(others), maxBatch-1)] {
		room.leave()
		if poll, needed := s.prepare(room, now); needed {
			polls = append(polls, poll)
		}
	}
	return polls
}

// joins tells whether a room may be polled with others now: it is due soon, was not polled just now, and the result that it
// is offline would do.
func (s *scheduler) joins(room *watched, now time.Time) bool {
	latest := now
	if room.failures == 0 {
		latest = now.Add(room.interval / 3)
	}
	if room.due.After(latest) || room.soonest(now, false).After(now) || room.alone || room.fact != nil || room.calledOrWaits() {
		return false
	}
	_, closed := room.rules.at(now)
	return closed == nil && s.twin(room) == nil && !s.Recorder.Active(room.streamer.ID)
}

// pollBatch runs many polls as one. What remains open is for polls about single rooms; only a platform that
// is rate limited is left alone.
func (s *scheduler) pollBatch(ctx context.Context, polls []poll) ([]result, error) {
	rooms := make([]Room, len(polls))
	for i, poll := range polls {
		rooms[i] = Room{poll.streamer.URL, poll.streamer.Override}
	}
	polling, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	known, err := s.Extractors.ResolveBatch(polling, polls[0].global, rooms)
	if err == nil && len(known) != len(rooms) {
		err = sdk.Errorf(sdk.Bug, "the extractor answered %d of %d rooms", len(known), len(rooms))
	}
	results := make([]result, len(polls))
	for i, poll := range polls {
		results[i].room, results[i].quiet = poll.room, true
		switch {
		case sdk.KindOf(err) == sdk.RateLimited:
			results[i].err = err
			results[i].trouble = s.note(ctx, poll, false, err)
		case err != nil:
			results[i].left = &batchState{}
		case !known[i].Known:
			results[i].left = &batchState{alone: true}
		case known[i].Status.Live():
			results[i].left = &batchState{alone: true, known: &known[i].Status, knownOf: rooms[i].URL}
		default:
			results[i].err = s.named(ctx, poll, known[i].Status)
			results[i].quiet = results[i].err == nil
			results[i].trouble = s.note(ctx, poll, false, results[i].err)
		}
	}
	return results, err
}

// takeBatch decides how the rooms of a platform are polled next. After a failed batch they are polled one by one for as long
// as an interval, longer when that goes on: then the next batch is tried with those whose turn did not come.
func (s *scheduler) takeBatch(p *platform, interval time.Duration, failure error) {
	if failure == nil {
		p.failed = 0
		return
	}
	p.failed++
	rests := sdk.KindOf(failure) == sdk.RateLimited
	if !rests {
		p.single = time.Now().Add(pipeline.Backoff(interval, max(interval, maxPause), p.failed-1))
	}
	switch {
	case p.failed > 1:
	case rests:
		s.Logger.Warn("the platform is rate limited; its rooms are polled later", "extractor", p.name, "error", failure)
	default:
		s.Logger.Warn("rooms cannot be polled in batches and are polled one by one", "extractor", p.name, "error", failure)
	}
}
