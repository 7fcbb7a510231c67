package monitor

import (
	"container/heap"
	"context"
	"time"

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

// withOthers joins a question with those about other rooms of its platform that are due soon. Rooms that are asked together
// once are due together from then on.
func (r *round) withOthers(first question, now time.Time) []question {
	questions := []question{first}
	if first.closed != nil || first.active || first.alone || first.room.calledOrWaits() {
		return questions
	}
	platform := r.Extractors.Batches(first.streamer.URL)
	if platform == "" {
		return questions
	}
	var others []*watched
	for _, room := range r.schedule {
		if len(others) == mostTogether-1 {
			break
		}
		if r.joins(room, now) && r.Extractors.Batches(room.streamer.URL) == platform {
			others = append(others, room)
		}
	}
	for _, room := range others {
		heap.Remove(&r.schedule, room.place)
		if question, needed := r.prepare(room, now); needed {
			questions = append(questions, question)
		}
	}
	return questions
}

// joins tells whether a room may be asked with others now: it is due soon, and the answer that it is offline would do.
func (r *round) joins(room *watched, now time.Time) bool {
	latest := now
	if room.failures == 0 {
		latest = now.Add(room.interval / 3)
	}
	if room.due.After(latest) || room.alone || room.calledOrWaits() {
		return false
	}
	_, closed := room.rules.at(now)
	return closed == nil && !r.Recorder.Active(room.streamer.ID)
}

// askTogether puts many questions at once. Those that remain open are asked one by one, also when the batch failed; only
// a platform that asks for a rest is given it.
func (r *round) askTogether(ctx context.Context, questions []question) []answer {
	rooms := make([]Room, len(questions))
	for i, question := range questions {
		rooms[i] = Room{question.streamer.URL, question.streamer.Override}
	}
	asking, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	told, err := r.Extractors.ResolveBatch(asking, questions[0].global, rooms)
	answers := make([]answer, len(questions))
	for i, question := range questions {
		answers[i].room = question.room
		switch {
		case sdk.KindOf(err) == sdk.RateLimited:
			answers[i].err = err
			answers[i].trouble = r.note(ctx, question, err)
		case err != nil || len(told) != len(questions) || !told[i].Known:
			answers[i].left = &batchState{alone: true}
		case told[i].Status.Live:
			answers[i].left = &batchState{alone: true, told: &told[i].Status, toldOf: rooms[i].URL}
		default:
			answers[i].trouble = r.note(ctx, question, nil)
		}
	}
	r.noteBatch(ctx, r.Extractors.Batches(rooms[0].URL), err)
	return answers
}

// noteBatch logs that rooms of a platform cannot be asked together, once.
func (r *round) noteBatch(ctx context.Context, platform string, err error) {
	if err == nil {
		r.unbatched.Delete(platform)
		return
	}
	if _, logged := r.unbatched.LoadOrStore(platform, true); !logged && ctx.Err() == nil {
		r.Logger.Warn("rooms cannot be asked together and are asked one by one", "extractor", platform, "error", err)
	}
}
