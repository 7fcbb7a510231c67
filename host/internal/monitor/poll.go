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

// prepare makes the poll about a room that was taken out of the schedule. A room that needs none is put back.
func (s *scheduler) prepare(room *watched, now time.Time) (q poll, needed bool) {
	batch := room.batchState
	room.batchState = batchState{}
	known := room.fact
	room.fact = nil
	active := s.Recorder.Active(room.streamer.ID)
	change, closed := room.rules.at(now)
	if other := s.twin(room); other != nil && closed == nil && !active {
		closed = isTwin(*other)
	}
	if known == nil && room.idle(active, closed) {
		room.due = sooner(now.Add(room.interval), change)
		room.enter()
		room.waits = time.Time{}
		s.passOn(room, result{})
		return poll{}, false
	}
	if known == nil {
		room.polled = now
	}
	return poll{
		fact: known, room: room, batchState: batch, streamer: room.streamer, rules: room.rules, active: active, closed: closed,
		global: s.global, trouble: room.trouble, extractor: room.platform.name,
	}, true
}

// poll is what the goroutine of one poll knows: a copy, since the room itself belongs to Run.
type poll struct {
	batchState
	fact      *fact    // is known without asking
	room      *watched // for Run only
	streamer  db.Streamer
	rules     rules
	active    bool  // it is being recorded
	closed    error // why it may not be recorded now, whatever it sends
	global    []byte
	trouble   reason.Reason
	extractor string // the extractor
}

// outcome is what came of one poll about some rooms of a platform.
type outcome struct {
	platform *platform
	results  []result
	// batched tells that it was a batch, and failure why that could not tell.
	batched bool
	failure error
}

type result struct {
	room    *watched
	left    *batchState // the room's poll remains open
	fact    *fact       // that was told: nobody polled
	started bool        // a recording
	err     error
	trouble reason.Reason // what the streamer's row says now
	quiet   bool          // the log tells of all rooms of a batch at once
}

// start asks about one room, or about several at once.
func (s *scheduler) start(ctx context.Context, polls []poll) {
	p := polls[0].room.platform
	s.busy++
	p.busy++
	s.polling.Go(func() {
		outcome := outcome{platform: p, batched: len(polls) > 1}
		if outcome.batched {
			outcome.results, outcome.failure = s.pollBatch(ctx, polls)
		} else {
			outcome.results = []result{s.poll(ctx, polls[0])}
		}
		s.outcomes <- outcome // never blocks: there is room for all under way
	})
}

func (s *scheduler) takeOutcome(outcome outcome) {
	s.takeNames()
	s.busy--
	outcome.platform.busy--
	if outcome.batched {
		s.takeBatch(outcome.platform, outcome.results[0].room.interval, outcome.failure)
	}
	for _, result := range outcome.results {
		s.take(result)
	}
}

// poll runs one poll.
func (s *scheduler) poll(ctx context.Context, poll poll) result {
	if poll.fact != nil {
		err := poll.fact.settled()
		return result{room: poll.room, fact: poll.fact, err: err, trouble: s.note(ctx, poll, false, err)}
	}
	started, err := s.settle(ctx, poll)
	return result{room: poll.room, started: started, err: err, trouble: s.note(ctx, poll, started, err)}
}

// settle finds out whether one room is to be recorded, and has it recorded or not.
func (s *scheduler) settle(ctx context.Context, poll poll) (started bool, err error) {
	if poll.closed != nil {
		return false, s.refuse(ctx, poll, poll.closed)
	}
	status, err := s.resolve(ctx, poll)
	if err == nil {
		if twin := s.named(ctx, poll, status); twin != nil && !poll.active {
			return false, twin
		}
	}
	switch {
	case err != nil:
		return false, err
	case status.State == extractor.StateRestricted && !poll.active:
		return false, reason.New(reason.RoomRestricted, "restriction", reason.WordRestriction+string(status.Restriction)).Err()
	case !status.Live():
		return false, nil
	}
	if reason := poll.rules.titled(status.Title); reason != nil {
		return false, s.refuse(ctx, poll, reason)
	}
	if poll.active {
		return false, nil // and goes on
	}
	if len(status.Streams) == 0 { // a poll may leave them out
		if status, err = s.askPlatform(ctx, poll, extractor.PurposeStart); err != nil || !status.Live() {
			return false, err
		}
	}
	if len(status.Streams) == 0 {
		return false, reason.New(reason.RoomNoStream).Err()
	}
	// A slow answer leaves the start its full time.
	starting, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	err = s.Recorder.Start(starting, poll.streamer, status)
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

func (s *scheduler) resolve(ctx context.Context, poll poll) (extractor.Status, error) {
	if poll.known != nil && poll.knownOf == poll.streamer.URL {
		return *poll.known, nil
	}
	return s.askPlatform(ctx, poll, extractor.PurposePoll)
}

func (s *scheduler) askPlatform(ctx context.Context, poll poll, purpose extractor.Purpose) (extractor.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	return s.Extractors.Resolve(ctx, purpose, poll.streamer.URL, poll.global, poll.streamer.Override)
}

// refuse ends what is being recorded of a room, and returns the reason.
func (s *scheduler) refuse(ctx context.Context, poll poll, why error) error {
	if !poll.active {
		return why
	}
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	if err := s.Recorder.Stop(ctx, poll.streamer.ID); err != nil {
		return &refusal{reason.New(reason.RoomNotEnded, "why", why.Error(), "cause", err.Error())}
	}
	s.Logger.Info("recording is ended", "streamer", poll.streamer.ID, "url", poll.streamer.URL, "reason", why)
	return why
}

// take puts a polled room back into the schedule.
func (s *scheduler) take(given result) {
	room := given.room
	if room.gone {
		s.passOn(room, given)
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
		s.say(room, given, now)
	}
	if given.fact != nil {
		room.due = room.afterFact(*given.fact, given.err, now)
	} else {
		s.noteWait(room, given, now)
		room.due = room.afterResult(given.err, now)
	}
	if given.notUpYet() {
		room.due = sooner(room.due, room.early(now))
	}
	// What changed since the poll counts too: a recording that began meanwhile may be outside its window by now.
	change, _ := room.rules.at(room.polled)
	room.due = sooner(room.due, change)
	if room.again || room.fact != nil || given.fact != nil && room.called {
		room.again, room.due = false, now
	}
	room.enter()
}

// afterResult is when a room is due again that was polled.
func (w *watched) afterResult(err error, now time.Time) time.Time {
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

// next is when a room that was answered is due again: at its interval, however long the result took, but not at once.
func (w *watched) next(now time.Time) time.Time {
	due := w.polled.Add(w.interval)
	if soonest := now.Add(min(shortest, w.interval)); due.Before(soonest) {
		return soonest
	}
	return due
}
