package api

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/hooks"
	"github.com/lubod/lubod/host/internal/pipeline"
	"github.com/lubod/lubod/host/internal/reason"
)

// Hooks runs the hooks of recordings.
type Hooks interface {
	// Check refuses steps that would always fail on this server, with a *hooks.StepError.
	Check(steps []hooks.Step) error
	// Retry lets a held hook go on, with the step that failed or the one after it. The error is pipeline.ErrNotHeld when it
	// is not held.
	Retry(ctx context.Context, id int64, skip bool) (db.HookRun, error)
}

// RetryHook lets a held hook go on.
func (s *Server) RetryHook(ctx context.Context, request RetryHookRequestObject) (RetryHookResponseObject, error) {
	skip := request.Params.Skip != nil && *request.Params.Skip
	run, err := s.hooks.Retry(ctx, request.ID, skip)
	if errors.Is(err, pipeline.ErrNotHeld) {
		return nil, conflict("", reason.New(reason.APIHookNotHeld, "id", strconv.FormatInt(request.ID, 10)))
	}
	if err != nil {
		return nil, orNotFound(err, "hook", request.ID)
	}
	s.wrote(ctx, "hook retried", "hook", run.ID, "recording", run.RecordingID, "skipped", skip)
	recording, err := s.db.GetRecording(ctx, run.RecordingID)
	if err != nil {
		return nil, err
	}
	return RetryHook200JSONResponse(hookRun(languageOf(ctx), run, recording.StreamerID)), nil
}

func (s *Server) statusHooks(ctx context.Context) ([]HookRun, error) {
	rows, err := s.db.OpenHookRuns(ctx)
	if err != nil {
		return nil, err
	}
	runs := make([]HookRun, 0, len(rows))
	for _, row := range rows {
		runs = append(runs, hookRun(languageOf(ctx), row.HookRun, row.StreamerID))
	}
	return runs, nil
}

// hookRun leaves out what the steps are: commands and the URLs of webhooks often hold secrets.
func hookRun(in reason.Language, run db.HookRun, streamerID *int64) HookRun {
	var steps []json.RawMessage
	_ = json.Unmarshal(run.Steps, &steps) // a list, or hooks would hold it
	why := tell(in, because(run.Reason, run.Error))
	return HookRun{
		ID: run.ID, Hook: HookStage(run.Stage), State: HookState(run.State), StreamerID: orNull(streamerID), StreamerInfoID: run.RecordingID,
		SegmentID: orNull(run.SegmentID), Step: run.NextStep + 1, Steps: int32(len(steps)), Attempts: run.Attempts,
		Error: why.text, ReasonCode: why.code, ReasonArgs: why.args, Action: why.action,
		DueAt: run.DueAt.UTC(), UpdatedAt: run.UpdatedAt.UTC(),
	}
}
