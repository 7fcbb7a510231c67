package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/jobs"
)

// ClaimRun gives a hook run to a worker. ErrLost: it is not its turn, ErrBusy: not yet.
func (p *Pipeline) ClaimRun(ctx context.Context, job jobs.Hook, claim uuid.UUID, living []uuid.UUID) error {
	holder, err := p.DB.ClaimHookRun(ctx, db.ClaimHookRunParams{
		ID: job.RunID, Round: job.Round, Claim: claim, Living: living, Open: texts(RunPending, RunRunning),
	})
	return claimed(claim, holder, err)
}

// StepStarted is told that the next step of a run begins.
func (p *Pipeline) StepStarted(ctx context.Context, run db.HookRun, claim uuid.UUID) error {
	return held(p.DB.StartHookStep(ctx, db.StartHookStepParams{ID: run.ID, Claim: claim, State: string(RunRunning), Before: before(runStates, RunRunning)}))
}

// StepPassed is told that a step is over, and with the last one lets go on what the run stood in the way of. A text keeps what
// failed, if anything.
func (p *Pipeline) StepPassed(ctx context.Context, run db.HookRun, claim uuid.UUID, last bool, failed Setback) error {
	return p.DB.InTx(ctx, func(tx pgx.Tx, q *db.Queries) error {
		if _, err := p.Lock(ctx, tx, run.RecordingID); err != nil {
			return err
		}
		state := RunPending
		if last {
			state = RunDone
		}
		_, err := q.PassHookStep(ctx, db.PassHookStepParams{
			ID: run.ID, Step: run.NextStep, Claim: claim, State: string(state), Error: failed.Text, Reason: failed.Reason, Before: before(runStates, state),
		})
		if errors.Is(err, pgx.ErrNoRows) {
			return nil // committed already, only the answer to that was lost
		}
		if err != nil || !last {
			return err
		}
		return p.Advance(ctx, tx, run.RecordingID)
	})
}

// StepPostponed is told that a step is tried again, or looked at again, after a wait.
func (p *Pipeline) StepPostponed(ctx context.Context, run db.HookRun, claim uuid.UUID, counted bool, wait time.Duration, failed Setback) error {
	_, err := p.DB.PostponeHookStep(ctx, db.PostponeHookStepParams{
		ID: run.ID, Step: run.NextStep, Claim: claim, State: string(RunPending), Counted: counted, Error: failed.Text, Reason: failed.Reason,
		WaitSeconds: wait.Seconds(), Round: run.Round, Before: before(runStates, RunPending),
	})
	return err
}

// StepHeld is told that nothing goes on until a person has looked at a step that failed.
func (p *Pipeline) StepHeld(ctx context.Context, run db.HookRun, claim uuid.UUID, failed Setback) error {
	_, err := p.DB.HoldHookRun(ctx, db.HoldHookRunParams{
		ID: run.ID, Step: run.NextStep, Claim: claim, State: string(RunHeld), Error: failed.Text, Reason: failed.Reason, Before: before(runStates, RunHeld),
	})
	return err
}

// ErrNotHeld means that a run does not wait for a person.
var ErrNotHeld = errors.New("the hook is not held")

// RetryRun lets a held run go on: with the step that failed, or with the one after it. The error is ErrNotHeld or pgx.ErrNoRows
// where there is nothing to let go on.
func (p *Pipeline) RetryRun(ctx context.Context, id int64, skip bool) (db.HookRun, error) {
	run, err := p.DB.GetHookRun(ctx, id)
	if err != nil {
		return run, err
	}
	err = p.DB.InTx(ctx, func(tx pgx.Tx, q *db.Queries) (err error) {
		if _, err := p.Lock(ctx, tx, run.RecordingID); err != nil {
			return err
		}
		run, err = q.RetryHookRun(ctx, db.RetryHookRunParams{ID: id, Skip: skip, State: string(RunPending), Before: texts(RunHeld)})
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrNotHeld
		}
		if err != nil {
			return err
		}
		return p.Orders.Order(ctx, tx, jobs.Hook{RunID: id, Round: run.Round})
	})
	return run, err
}
