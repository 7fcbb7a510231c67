package monitor

import (
	"context"
	"errors"
	"time"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/pipeline"
	"github.com/lubod/lubod/host/internal/reason"
	"github.com/lubod/lubod/sdk/extractor"
)

// prepare makes the question about a room that was taken out of the schedule. A room that needs none is put back.
func (r *round) prepare(room *watched, now time.Time) (q question, needed bool) {
	batch := room.batchState
	room.batchState = batchState{}
	told := room.fact
	room.fact = nil
	active := r.Recorder.Active(room.streamer.ID)
	change, closed := room.rules.at(now)
	if other := r.twin(room); other != nil && closed == nil && !active {
		closed = isTwin(*other)
	}
	if told == nil && room.idle(active, closed) {
		room.due = sooner(now.Add(room.interval), change)
		room.enter()
		room.waits = time.Time{}
		r.passOn(room, answer{})
		return question{}, false
	}
	if told == nil {
		room.asked = now
	}
	return question{
		fact: told, room: room, batchState: batch, streamer: room.streamer, rules: room.rules, active: active, closed: closed,
		global: r.global, trouble: room.trouble, home: room.home.name,
	}, true
}

// question is what the goroutine of one question knows: a copy, since the room itself belongs to Run.
type question struct {
	batchState
	fact     *fact    // is known without asking
	room     *watched // for Run only
	streamer db.Streamer
	rules    rules
	active   bool  // it is being recorded
	closed   error // why it may not be recorded now, whatever it sends
	global   []byte
	trouble  reason.Reason
	home     string // the extractor
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
	fact    *fact       // that was told, and nobody asked
	started bool        // a recording
	err     error
	trouble reason.Reason // what the streamer's row says now
	quiet   bool          // the log tells of all rooms of a batch at once
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
	r.takeNames()
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
	if question.fact != nil {
		err := question.fact.settled()
		return answer{room: question.room, fact: question.fact, err: err, trouble: r.note(ctx, question, false, err)}
	}
	started, err := r.settle(ctx, question)
	return answer{room: question.room, started: started, err: err, trouble: r.note(ctx, question, started, err)}
}

// settle finds out whether one room is to be recorded, and has it recorded or not.
func (r *round) settle(ctx context.Context, question question) (started bool, err error) {
	if question.closed != nil {
		return false, r.refuse(ctx, question, question.closed)
	}
	status, err := r.resolve(ctx, question)
	if err == nil {
		if twin := r.named(ctx, question, status); twin != nil && !question.active {
			return false, twin
		}
	}
	switch {
	case err != nil:
		return false, err
	case status.State == extractor.StateRestricted && !question.active:
		return false, reason.New(reason.RoomRestricted, "restriction", reason.WordRestriction+string(status.Restriction)).Err()
	case !status.Live():
		return false, nil
	}
	if reason := question.rules.titled(status.Title); reason != nil {
		return false, r.refuse(ctx, question, reason)
	}
	if question.active {
		return false, nil // and goes on
	}
	if len(status.Streams) == 0 { // a poll may leave them out
		if status, err = r.askPlatform(ctx, question, extractor.PurposeStart); err != nil || !status.Live() {
			return false, err
		}
	}
	if len(status.Streams) == 0 {
		return false, reason.New(reason.RoomNoStream).Err()
	}
	// A slow answer leaves the start its full time.
	starting, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	err = r.Recorder.Start(starting, question.streamer, status)
	return err == nil, notStarted(err)
}

// notStarted gives an error of the recorder a reason, unless it brings one.
func notStarted(err error) error {
	if err == nil || errors.As(err, new(*reason.Error)) {
		return err
	}
	if why := reason.Of(err); why.Code != reason.ErrorOther && why.Code != reason.ErrorUnavailable {
		return why.Wrap(err)
	}
	return reason.New(reason.RoomNotStarted).Wrap(err)
}

func (r *round) resolve(ctx context.Context, question question) (extractor.Status, error) {
	if question.told != nil && question.toldOf == question.streamer.URL {
		return *question.told, nil
	}
	return r.askPlatform(ctx, question, extractor.PurposePoll)
}

func (r *round) askPlatform(ctx context.Context, question question, purpose extractor.Purpose) (extractor.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return r.Extractors.Resolve(ctx, purpose, question.streamer.URL, question.global, question.streamer.Override)
}

// refuse ends what is being recorded of a room, and returns the reason.
func (r *round) refuse(ctx context.Context, question question, why error) error {
	if !question.active {
		return why
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if err := r.Recorder.Stop(ctx, question.streamer.ID); err != nil {
		return &refusal{reason.New(reason.RoomNotEnded, "why", why.Error(), "cause", err.Error())}
	}
	r.Logger.Info("recording is ended", "streamer", question.streamer.ID, "url", question.streamer.URL, "reason", why)
	return why
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
	room.trouble = given.trouble
	room.streamer.LastError, room.streamer.Reason = given.trouble.Text(reason.English), given.trouble.JSON()
	if !given.quiet {
		r.say(room, given, now)
	}
	if given.fact != nil {
		room.due = room.afterFact(*given.fact, given.err, now)
	} else {
		r.answered(room, given, now)
		room.due = room.afterAnswer(given.err, now)
	}
	// What changed since the question counts too: a recording that began meanwhile may be outside its window by now.
	change, _ := room.rules.at(room.asked)
	room.due = sooner(room.due, change)
	if room.again || room.fact != nil || given.fact != nil && room.called {
		room.again, room.due = false, now
	}
	room.enter()
}

// afterAnswer is when a room is due again that was asked.
func (w *watched) afterAnswer(err error, now time.Time) time.Time {
	switch {
	case err == nil, refused(err):
		w.failures = 0
	case !errors.Is(err, context.Canceled):
		wait := judge(pipeline.Poll, err, w.failures, w.interval).Wait
		w.failures++
		return now.Add(wait)
	}
	return w.next(now)
}

// next is when a room that was answered is due again: at its interval, however long the answer took, but not at once.
func (w *watched) next(now time.Time) time.Time {
	due := w.asked.Add(w.interval)
	if soonest := now.Add(min(shortest, w.interval)); due.Before(soonest) {
		return soonest
	}
	return due
}
