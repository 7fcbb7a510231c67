package monitor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/sdk/extractor"
)

// prepare makes the question about a room that was taken out of the schedule. A room that needs none is put back.
func (r *round) prepare(room *watched, now time.Time) (q question, needed bool) {
	batch := room.batchState
	room.batchState = batchState{}
	active := r.Recorder.Active(room.streamer.ID)
	change, closed := room.rules.at(now)
	if room.idle(active, closed) {
		room.due = sooner(now.Add(room.interval), change)
		room.enter()
		room.waits = time.Time{}
		r.passOn(room, answer{})
		return question{}, false
	}
	room.asked = now
	return question{
		room: room, batchState: batch, streamer: room.streamer, rules: room.rules, active: active, closed: closed,
		global: r.global, trouble: room.trouble,
	}, true
}

// question is what the goroutine of one question knows: a copy, since the room itself belongs to Run.
type question struct {
	batchState
	room     *watched // for Run only
	streamer db.Streamer
	rules    rules
	active   bool  // it is being recorded
	closed   error // why it may not be recorded now, whatever it sends
	global   []byte
	trouble  string
	quiet    bool // the log tells of all rooms of a batch at once
}

// reply is what came of one question about some rooms of a platform.
type reply struct {
	home    *platform
	answers []answer
	// batched tells that it was a batch, and failure why that could not tell.
	batched bool
	failure error
}

type answer struct {
	room    *watched
	left    *batchState // the room's question remains open
	started bool        // a recording
	err     error
	trouble string // what the streamer's row says now
}

// start asks about one room, or about several at once.
func (r *round) start(ctx context.Context, questions []question) {
	home := questions[0].room.home
	r.busy++
	home.busy++
	r.asking.Go(func() {
		reply := reply{home: home, batched: len(questions) > 1}
		if reply.batched {
			reply.answers, reply.failure = r.askTogether(ctx, questions)
		} else {
			reply.answers = []answer{r.ask(ctx, questions[0])}
		}
		r.replies <- reply // never blocks: there is room for all under way
	})
}

func (r *round) takeReply(reply reply) {
	r.busy--
	reply.home.busy--
	if reply.batched {
		r.takeBatch(reply.home, reply.answers[0].room.interval, reply.failure)
	}
	for _, answer := range reply.answers {
		r.take(answer)
	}
}

// ask puts one question.
func (r *round) ask(ctx context.Context, question question) answer {
	started, err := r.settle(ctx, question)
	return answer{room: question.room, started: started, err: err, trouble: r.note(ctx, question, err)}
}

// settle finds out whether one room is to be recorded, and has it recorded or not.
func (r *round) settle(ctx context.Context, question question) (started bool, err error) {
	if question.closed != nil {
		return false, r.refuse(ctx, question, question.closed)
	}
	status, err := r.resolve(ctx, question)
	if err != nil {
		return false, err
	}
	if !status.Live {
		return false, nil
	}
	if reason := question.rules.titled(status.Title); reason != nil {
		return false, r.refuse(ctx, question, reason)
	}
	if question.active {
		return false, nil // and goes on
	}
	if len(status.Streams) == 0 {
		return false, errors.New("the room is live and the extractor offers no stream")
	}
	// A slow answer leaves the start its full time.
	starting, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	err = r.Recorder.Start(starting, question.streamer, status)
	if err != nil && !errors.Is(err, ErrNoSlot) {
		err = fmt.Errorf("record: %w", err)
	}
	return err == nil, err
}

func (r *round) resolve(ctx context.Context, question question) (extractor.Status, error) {
	if question.told != nil && question.toldOf == question.streamer.URL {
		return *question.told, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return r.Extractors.Resolve(ctx, question.streamer.URL, question.global, question.streamer.Override)
}

// refuse ends what is being recorded of a room, and returns the reason.
func (r *round) refuse(ctx context.Context, question question, reason error) error {
	if !question.active {
		return reason
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if err := r.Recorder.Stop(ctx, question.streamer.ID); err != nil {
		return fmt.Errorf("%w: its recording could not be ended yet: %w", reason, err)
	}
	r.Logger.Info("recording is ended", "streamer", question.streamer.ID, "url", question.streamer.URL, "reason", reason)
	return reason
}

// note writes into the streamer's row what keeps the room from being recorded, when that changed.
func (r *round) note(ctx context.Context, question question, cause error) string {
	if question.active && !refused(cause) {
		return question.trouble // it is recorded, whatever its platform answers
	}
	trouble := ""
	if cause != nil {
		trouble = db.Text(cause.Error())
	}
	if ctx.Err() != nil || trouble == question.trouble && trouble == question.streamer.LastError {
		return question.trouble
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	err := r.DB.SetStreamerError(ctx, db.SetStreamerErrorParams{ID: question.streamer.ID, LastError: trouble})
	if err != nil {
		r.complain(ctx, err)
		return question.trouble // the next answer tries again
	}
	switch {
	case trouble == "" || trouble == question.trouble || question.quiet:
	case refused(cause):
		r.Logger.Info("room is not recorded", "streamer", question.streamer.ID, "url", question.streamer.URL, "reason", cause)
	default:
		r.Logger.Warn("room cannot be watched", "streamer", question.streamer.ID, "url", question.streamer.URL, "error", cause)
	}
	return trouble
}

// take puts an asked room back into the schedule.
func (r *round) take(given answer) {
	room := given.room
	if room.gone {
		r.passOn(room, given)
		return
	}
	now := time.Now()
	if given.left != nil {
		room.batchState, room.due = *given.left, now
		room.enter()
		return
	}
	r.answered(room, given, now)
	room.due, room.trouble = room.next(now), given.trouble
	room.streamer.LastError = given.trouble
	switch {
	case given.err == nil, refused(given.err):
		room.failures = 0
	case !errors.Is(given.err, context.Canceled):
		room.failures++
		room.due = now.Add(nextTry(given.err, room.interval, room.failures))
	}
	// What changed since the question counts too: a recording that began meanwhile may be outside its window by now.
	change, _ := room.rules.at(room.asked)
	room.due = sooner(room.due, change)
	if room.again {
		room.again, room.due = false, now
	}
	room.enter()
}

// next is when a room that was answered is due again: at its interval, however long the answer took, but not at once.
func (w *watched) next(now time.Time) time.Time {
	due := w.asked.Add(w.interval)
	if soonest := now.Add(min(shortest, w.interval)); due.Before(soonest) {
		return soonest
	}
	return due
}
