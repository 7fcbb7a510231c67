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
	// mostTogether bounds the rooms of one batch.
	mostTogether = 500
	// batchTimeout bounds one batch, which an extractor may split into requests with pauses between them.
	batchTimeout = 2 * time.Minute
)

// batchState is what a batch left of the question about a room that is not simply offline.
type batchState struct {
	alone  bool              // the next question is about this room only
	told   *extractor.Status // the answer to it, when the batch told it,
	toldOf string            // of this URL
}

// withOthers joins a question with those about other rooms of its platform that are due soon: those that are offline are due
// together from then on.
func (r *round) withOthers(first question, now time.Time) []question {
	questions := []question{first}
	home := first.room.home
	if !home.batches || now.Before(home.single) || first.closed != nil || first.active || first.fact != nil || first.alone || first.room.calledOrWaits() {
		return questions
	}
	var others []*watched
	for _, room := range home.schedule {
		if r.joins(room, now) {
			others = append(others, room)
		}
	}
	// A batch takes an extractor a while. In the same order each time, the time between two questions about a room stays its
	// interval.
	slices.SortFunc(others, func(a, b *watched) int {
		return cmp.Or(a.due.Compare(b.due), cmp.Compare(a.streamer.ID, b.streamer.ID))
	})
	for _, room := range others[:min(len(others), mostTogether-1)] {
		room.leave()
		if question, needed := r.prepare(room, now); needed {
			questions = append(questions, question)
		}
	}
	return questions
}

// joins tells whether a room may be asked with others now: it is due soon, was not asked just now, and the answer that it
// is offline would do.
func (r *round) joins(room *watched, now time.Time) bool {
	latest := now
	if room.failures == 0 {
		latest = now.Add(room.interval / 3)
	}
	if room.due.After(latest) || room.soonest(now, false).After(now) || room.alone || room.fact != nil || room.calledOrWaits() {
		return false
	}
	_, closed := room.rules.at(now)
	return closed == nil && r.twin(room) == nil && !r.Recorder.Active(room.streamer.ID)
}

// askTogether puts many questions at once. What remains open is for questions about single rooms; only a platform that
// wants a rest is given it.
func (r *round) askTogether(ctx context.Context, questions []question) ([]answer, error) {
	rooms := make([]Room, len(questions))
	for i, question := range questions {
		rooms[i] = Room{question.streamer.URL, question.streamer.Override}
	}
	asking, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	told, err := r.Extractors.ResolveBatch(asking, questions[0].global, rooms)
	if err == nil && len(told) != len(rooms) {
		err = sdk.Errorf(sdk.Bug, "the extractor answered %d of %d rooms", len(told), len(rooms))
	}
	answers := make([]answer, len(questions))
	for i, question := range questions {
		answers[i].room, answers[i].quiet = question.room, true
		switch {
		case sdk.KindOf(err) == sdk.RateLimited:
			answers[i].err = err
			answers[i].trouble = r.note(ctx, question, false, err)
		case err != nil:
			answers[i].left = &batchState{}
		case !told[i].Known:
			answers[i].left = &batchState{alone: true}
		case told[i].Status.Live():
			answers[i].left = &batchState{alone: true, told: &told[i].Status, toldOf: rooms[i].URL}
		default:
			answers[i].err = r.named(ctx, question, told[i].Status)
			answers[i].quiet = answers[i].err == nil
			answers[i].trouble = r.note(ctx, question, false, answers[i].err)
		}
	}
	return answers, err
}

// takeBatch decides how the rooms of a platform are asked next. After a failed batch they are asked one by one for as long
// as an interval, longer when that goes on: then the next batch is tried with those whose turn did not come.
func (r *round) takeBatch(home *platform, interval time.Duration, failure error) {
	if failure == nil {
		home.failed = 0
		return
	}
	home.failed++
	rests := sdk.KindOf(failure) == sdk.RateLimited
	if !rests {
		home.single = time.Now().Add(pipeline.Backoff(interval, max(interval, maxPause), home.failed-1))
	}
	switch {
	case home.failed > 1:
	case rests:
		r.Logger.Warn("a platform wants a rest; its rooms are asked later", "extractor", home.name, "error", failure)
	default:
		r.Logger.Warn("rooms cannot be asked together and are asked one by one", "extractor", home.name, "error", failure)
	}
}
