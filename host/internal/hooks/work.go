package hooks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/jobs"
	"github.com/lubod/lubod/host/internal/pipeline"
	"github.com/lubod/lubod/host/internal/reason"
)

// runJob goes through the steps of a run that are left.
func (s *Service) runJob(ctx context.Context, job jobs.Hook) jobs.Outcome {
	claim, end := s.Jobs.Claims.Begin()
	defer end()
	err := s.saver().Persist(ctx, "hook", func(ctx context.Context) error {
		return s.Pipeline.ClaimRun(ctx, job, claim, s.Jobs.Claims.Living(claim))
	}, pipeline.ErrLost)
	switch {
	case errors.Is(err, pipeline.ErrBusy):
		return jobs.Again(s.Pace.Database)
	case errors.Is(err, pipeline.ErrLost):
		return jobs.Done()
	case err != nil:
		return jobs.Again(s.Pace.RetryMax)
	}
	defer s.release(ctx, job.RunID, claim)
	for {
		var turn db.HookRunTurnRow
		err := s.saver().Persist(ctx, "hook", func(ctx context.Context) (err error) {
			turn, err = s.DB.HookRunTurn(ctx, job.RunID)
			return err
		})
		state := pipeline.RunState(turn.HookRun.State)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return jobs.Done() // the recording is gone
		case err != nil:
			return jobs.Again(s.Pace.Retry)
		case state == pipeline.RunDone || state == pipeline.RunHeld || turn.HookRun.Round != job.Round:
			return jobs.Done()
		case turn.Behind:
			return jobs.Again(s.Pace.Turn)
		case turn.WaitSeconds > 0:
			return jobs.Again(time.Duration(turn.WaitSeconds * float64(time.Second)))
		}
		if err := s.step(ctx, held{turn.HookRun, claim}, s.about(turn)); err != nil {
			return jobs.Again(s.Pace.Retry)
		}
	}
}

// held is a run with the claim that holds it.
type held struct {
	db.HookRun
	claim uuid.UUID
}

func (s *Service) release(ctx context.Context, id int64, claim uuid.UUID) {
	longer, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Pace.Linger)
	defer cancel()
	// A claim that stays is that of a dead worker, which anybody may take.
	_ = s.DB.ReleaseHookRun(longer, db.ReleaseHookRunParams{ID: id, Claim: claim})
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

// waiting is a step that waits for the outside world, perhaps for hours. It is told when that has come, and looks for itself seldom.
type waiting struct{ why reason.Reason }

func (w *waiting) Error() string { return w.why.Text(reason.English) }

// waitingTurns is how many turns a step that waits sleeps before it looks for itself.
const waitingTurns = 600

// hopelessError is a failure that another attempt cannot mend.
type hopelessError struct{ text string }

func (e *hopelessError) Error() string { return e.text }

// step does one step of a run and commits what became of it. An error means that the host stops.
func (s *Service) step(ctx context.Context, run held, logger *slog.Logger) error {
	steps, err := Parse(Stage(run.Stage), run.Steps)
	if err != nil {
		// A newer lubod wrote it, or a person did: nobody knows what was meant, so nothing goes on.
		return s.settle(ctx, run, logger, nil, Step{OnError: Hold}, &hopelessError{"the steps of this hook cannot be read: " + err.Error()})
	}
	if int(run.NextStep) >= len(steps) {
		return s.pass(ctx, run, true, pipeline.Setback{}) // the last one was skipped
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
func (s *Service) try(ctx context.Context, run held, logger *slog.Logger, step Step) error {
	var facts facts
	err := s.saver().Persist(ctx, "hook", func(ctx context.Context) (err error) {
		facts, err = s.facts(ctx, run.HookRun)
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
	a := attempt{Service: s, run: run.HookRun, step: step, facts: facts, logger: logger.With("room", facts.payload.streamer())}
	if step.Action == Move || step.Action == Remux {
		if err := a.settled(limited); err != nil {
			return err
		}
	}
	if step.Action == Remove {
		if err := a.removable(limited); err != nil {
			return err
		}
	}
	err = s.saver().Persist(ctx, "hook", func(ctx context.Context) error { return s.Pipeline.StepStarted(ctx, run.HookRun, run.claim) }, pipeline.ErrLost)
	if err != nil {
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
func (s *Service) settle(ctx context.Context, run held, logger *slog.Logger, steps []Step, step Step, cause error) error {
	last := int(run.NextStep)+1 >= len(steps)
	var hopeless *hopelessError
	var waits *waiting
	var err error
	say := func() {}
	switch {
	case cause == nil:
		err = s.pass(ctx, run, last, pipeline.Setback{})
		say = func() { logger.Info("step of a hook done", "attempts", run.Attempts+1) }
	case errors.Is(cause, pipeline.ErrLost):
		return cause
	case errors.Is(cause, errNotYet):
		err = s.postpone(ctx, run, false, s.Pace.Turn, pipeline.Setback{})
	case errors.As(cause, &waits):
		text := waits.Error()
		err = s.postpone(ctx, run, false, waitingTurns*s.Pace.Turn, pipeline.Setback{Text: text, Reason: waits.why.JSON()})
		if run.Error != text {
			say = func() { logger.Info("step of a hook waits", "reason", text) }
		}
	case !errors.As(cause, &hopeless) && int(run.Attempts) < step.Retries:
		wait := pipeline.Backoff(s.Pace.Retry, maxRetryWait, int(run.Attempts))
		err = s.postpone(ctx, run, true, wait, failed(run, step, cause))
		say = func() { logger.Warn("step of a hook failed, trying again", "error", cause, "next_try_in", wait) }
	case step.OnError == Hold:
		err = s.saver().PersistLonger(ctx, "held hook", func(ctx context.Context) error {
			return s.Pipeline.StepHeld(ctx, run.HookRun, run.claim, failed(run, step, cause))
		})
		say = func() {
			logger.Error("step of a hook failed; nothing goes on until a person retries it", "error", cause, "retry", fmt.Sprintf("POST /api/v1/hooks/%d/retry", run.ID))
		}
	case step.OnError == Stop:
		err = s.pass(ctx, run, true, failed(run, step, cause))
		say = func() { logger.Error("step of a hook failed; the steps after it are left out", "error", cause) }
	default:
		err = s.pass(ctx, run, last, failed(run, step, cause))
		say = func() { logger.Error("step of a hook failed; going on", "error", cause) }
	}
	if err == nil {
		say()
	}
	return err
}

// maxRetryWait is the longest wait between two attempts at a step.
const maxRetryWait = 10 * time.Minute

// failed is a failure as its row keeps it, for a person to read.
func failed(run held, step Step, cause error) pipeline.Setback {
	why := reason.New(reason.HookFailed, "stage", run.Stage, "step", strconv.Itoa(int(run.NextStep)+1), "action", string(step.Action), "cause", cause.Error())
	return pipeline.Setback{Text: db.Text(why.Text(reason.English)), Reason: why.JSON()}
}

func (s *Service) postpone(ctx context.Context, run held, counted bool, wait time.Duration, failure pipeline.Setback) error {
	return s.saver().PersistLonger(ctx, "failed step", func(ctx context.Context) error {
		return s.Pipeline.StepPostponed(ctx, run.HookRun, run.claim, counted, wait, failure)
	})
}

// pass commits that a step is over, and with the last one what the run stood in the way of.
func (s *Service) pass(ctx context.Context, run held, last bool, failure pipeline.Setback) error {
	return s.saver().PersistLonger(ctx, "step of a hook", func(ctx context.Context) error {
		return s.Pipeline.StepPassed(ctx, run.HookRun, run.claim, last, failure)
	})
}
