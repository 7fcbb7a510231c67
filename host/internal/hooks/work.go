package hooks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/lubod/lubod/db"
)

// runWorker works one run off.
type runWorker struct {
	river.WorkerDefaults[runArgs]
	service *Service
}

// Work goes through the steps that are left. It never answers with an error: what to do next is in the row, where a
// person sees it.
func (w *runWorker) Work(ctx context.Context, job *river.Job[runArgs]) error {
	s := w.service
	defer s.known.Begin(job.ID)()
	for {
		var turn db.HookRunTurnRow
		err := s.saver().Persist(ctx, "hook", func(ctx context.Context) (err error) {
			turn, err = s.DB.HookRunTurn(ctx, job.Args.RunID)
			return err
		})
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return nil // the recording is gone
		case err != nil:
			return river.JobSnooze(0) // the host stops
		case turn.HookRun.State == "done" || turn.HookRun.State == "held" || turn.HookRun.Round != job.Args.Round:
			return nil
		case turn.Behind:
			return river.JobSnooze(s.Pace.Turn)
		case turn.WaitSeconds > 0:
			return river.JobSnooze(time.Duration(turn.WaitSeconds * float64(time.Second)))
		}
		if err := s.step(ctx, turn.HookRun, s.about(turn)); err != nil {
			return river.JobSnooze(0)
		}
	}
}

// about is the log for lines about the next step of a run, which whoever watches its room alone gets. A nil streamer was
// deleted, or there never was one.
func (s *Service) about(turn db.HookRunTurnRow) *slog.Logger {
	logger := s.Logger.With("recording", turn.HookRun.RecordingID, "hook", turn.HookRun.Stage, "step", turn.HookRun.NextStep+1)
	if turn.StreamerID == nil {
		return logger
	}
	return logger.With("streamer", *turn.StreamerID)
}

// errNotYet means that a step has to wait, and that nothing is wrong with it.
var errNotYet = errors.New("an upload may still read a file of this recording")

// hopelessError is a failure that another attempt cannot mend.
type hopelessError struct{ text string }

func (e *hopelessError) Error() string { return e.text }

// step does one step of a run and commits what became of it. An error means that the host stops.
func (s *Service) step(ctx context.Context, run db.HookRun, logger *slog.Logger) error {
	steps, err := Parse(Stage(run.Stage), run.Steps)
	if err != nil {
		// A newer lubod wrote it, or a person did: nobody knows what was meant, so nothing goes on.
		return s.settle(ctx, run, logger, nil, Step{OnError: Hold}, &hopelessError{"the steps of this hook cannot be read: " + err.Error()})
	}
	if int(run.NextStep) >= len(steps) {
		return s.pass(ctx, run, true, "") // the last one was skipped
	}
	step := steps[run.NextStep]
	logger = logger.With("action", step.Action)
	err = s.try(ctx, run, logger, step)
	if err != nil && ctx.Err() != nil {
		return ctx.Err() // the host stops: that is no failure of the step
	}
	return s.settle(ctx, run, logger, steps, step, err)
}

// try makes one attempt at a step. It counts as running from when it may begin: one that waits for an upload, perhaps for
// hours, would otherwise begin and end every few seconds to those who watch.
func (s *Service) try(ctx context.Context, run db.HookRun, logger *slog.Logger, step Step) error {
	var facts facts
	err := s.saver().Persist(ctx, "hook", func(ctx context.Context) (err error) {
		facts, err = s.facts(ctx, run)
		return err
	})
	if err != nil {
		return err
	}
	limit := step.Timeout
	if limit == 0 {
		limit = step.Action.timeout()
	}
	limited, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took longer than %v", limit))
	defer cancel()
	a := attempt{Service: s, run: run, step: step, facts: facts, logger: logger.With("room", facts.payload.streamer())}
	if step.Action == Move || step.Action == Remux {
		if err := a.settled(limited); err != nil {
			return err
		}
	}
	if err := s.saver().Persist(ctx, "hook", func(ctx context.Context) error { return s.DB.StartHookStep(ctx, run.ID) }); err != nil {
		return err
	}
	switch step.Action {
	case Run:
		err = a.command(limited)
	case Webhook:
		err = a.call(limited, limit)
	case Move:
		err = a.move(limited)
	case Remux:
		err = a.remux(limited)
	case Remove:
		err = a.remove(limited)
	default:
		err = &hopelessError{fmt.Sprintf("this version does not know the step %q", step.Action)}
	}
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return context.Cause(limited)
	}
	return err
}

// timeout is how long an attempt may take unless its step says otherwise.
func (a Action) timeout() time.Duration {
	switch a {
	case Webhook:
		return 10 * time.Second
	case Run:
		return 10 * time.Minute
	}
	return time.Hour
}

// settle commits what became of an attempt, and then says so.
func (s *Service) settle(ctx context.Context, run db.HookRun, logger *slog.Logger, steps []Step, step Step, cause error) error {
	last := int(run.NextStep)+1 >= len(steps)
	var hopeless *hopelessError
	var err error
	say := func() {}
	switch {
	case cause == nil:
		err = s.pass(ctx, run, last, "")
		say = func() { logger.Info("step of a hook done", "attempts", run.Attempts+1) }
	case errors.Is(cause, errNotYet):
		err = s.postpone(ctx, run, "", s.Pace.Turn)
	case !errors.As(cause, &hopeless) && int(run.Attempts) < step.Retries:
		wait := s.Pace.backoff(int(run.Attempts))
		err = s.postpone(ctx, run, told(run, step, cause), wait)
		say = func() { logger.Warn("step of a hook failed, trying again", "error", cause, "next_try_in", wait) }
	case step.OnError == Hold:
		err = s.hold(ctx, run, told(run, step, cause))
		say = func() {
			logger.Error("step of a hook failed; nothing goes on until a person retries it", "error", cause, "retry", fmt.Sprintf("POST /api/v1/hooks/%d/retry", run.ID))
		}
	case step.OnError == Stop:
		err = s.pass(ctx, run, true, told(run, step, cause))
		say = func() { logger.Error("step of a hook failed; the steps after it are left out", "error", cause) }
	default:
		err = s.pass(ctx, run, last, told(run, step, cause))
		say = func() { logger.Error("step of a hook failed; going on", "error", cause) }
	}
	if err == nil {
		say()
	}
	return err
}

func (s *Service) hold(ctx context.Context, run db.HookRun, reason string) error {
	return s.saver().PersistLonger(ctx, "held hook", func(ctx context.Context) error {
		return s.DB.HoldHookRun(ctx, db.HoldHookRunParams{ID: run.ID, Step: run.NextStep, Error: reason})
	})
}

// told is a failure as a person reads it in the row.
func told(run db.HookRun, step Step, cause error) string {
	return db.Text(fmt.Sprintf("%s: step %d (%s): %v", run.Stage, run.NextStep+1, step.Action, cause))
}

func (p Pace) backoff(failures int) time.Duration {
	wait := p.Retry
	for range min(failures, 20) {
		wait = min(2*wait, p.RetryMax)
	}
	return wait
}

func (s *Service) postpone(ctx context.Context, run db.HookRun, reason string, wait time.Duration) error {
	return s.saver().PersistLonger(ctx, "failed step", func(ctx context.Context) error {
		return s.DB.PostponeHookStep(ctx, db.PostponeHookStepParams{
			ID: run.ID, Step: run.NextStep, Error: reason, Counted: reason != "", WaitSeconds: wait.Seconds(),
		})
	})
}

// pass commits that a step is over, and with the last one what the run stood in the way of.
func (s *Service) pass(ctx context.Context, run db.HookRun, last bool, reason string) error {
	return s.saver().PersistLonger(ctx, "step of a hook", func(ctx context.Context) error {
		return s.DB.InTx(ctx, func(tx pgx.Tx, q *db.Queries) error {
			_, err := q.PassHookStep(ctx, db.PassHookStepParams{ID: run.ID, Step: run.NextStep, Last: last, Error: reason})
			if errors.Is(err, pgx.ErrNoRows) {
				return nil // committed already, only the answer to that was lost
			}
			if err != nil || !last {
				return err
			}
			return s.finished(ctx, tx, q, run)
		})
	})
}

// finished lets go on what a run stood in the way of.
func (s *Service) finished(ctx context.Context, tx pgx.Tx, q *db.Queries, run db.HookRun) error {
	if run.SegmentID != nil {
		segment, err := q.GetSegment(ctx, *run.SegmentID)
		if err != nil {
			return err
		}
		if err := s.uploadSegment(ctx, tx, segment); err != nil {
			return err
		}
	}
	if Stage(run.Stage) == Postprocessor {
		return nil
	}
	return s.Ended(ctx, tx, run.RecordingID)
}
