package hooks

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/sdk/extractor"
)

const (
	// prepareTimeout is how long a step of a preprocessor may take unless it says otherwise, maxPrepare how long all of
	// them together: what is sent meanwhile is not recorded.
	prepareTimeout = 5 * time.Second
	maxPrepare     = 15 * time.Second
)

// RefusedError means that a preprocessor does not let a room be recorded.
type RefusedError struct {
	Step  int // from 1
	Cause error
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s: step %d does not let this be recorded: %v", Preprocessor, e.Step, e.Cause)
}

func (e *RefusedError) Unwrap() error { return e.Cause }

// Prepare runs the preprocessor of a room that is live, before its recording begins. It is no job, since the recording
// waits for it: whoever dies meanwhile asks the room again, and runs it again. A step that fails is logged and recording
// begins all the same, unless its policy is another than to continue: then the error is a *RefusedError. A session that
// goes on with a recording, after the stream broke, is not prepared again.
func (s *Service) Prepare(ctx context.Context, streamer db.Streamer, status extractor.Status) error {
	logger := s.Logger.With("streamer", streamer.ID, "hook", Preprocessor)
	steps, err := Parse(Preprocessor, streamer.Preprocessor)
	if err != nil {
		logger.Error("the steps of a hook cannot be read; recording without them", "error", err)
		return nil
	}
	if len(steps) == 0 {
		return nil
	}
	if goesOn, err := s.DB.WaitingRecordingOf(ctx, db.WaitingRecordingOfParams{StreamerID: streamer.ID, URL: streamer.URL}); err != nil || goesOn {
		return err
	}
	all, cancel := context.WithTimeoutCause(ctx, maxPrepare, fmt.Errorf("the steps before a recording took longer than %v", maxPrepare))
	defer cancel()
	payload, key := payloadBefore(streamer, status, time.Now()), uuid.NewString()
	logger = logger.With("room", payload.streamer())
	for i, step := range steps {
		err := s.prepare(all, logger, step, payload, fmt.Sprintf("%s-%d", key, i+1))
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			logger.Info("step of a hook done", "step", i+1, "action", step.Action)
		case step.OnError != Continue:
			return &RefusedError{Step: i + 1, Cause: err}
		default:
			logger.Error("step of a hook failed; recording all the same", "step", i+1, "action", step.Action, "error", err)
		}
	}
	return nil
}

// prepare does one step, with the further attempts that it may have.
func (s *Service) prepare(ctx context.Context, logger *slog.Logger, step Step, payload Payload, key string) (err error) {
	for range step.Retries + 1 {
		if err = s.prepareOnce(ctx, logger, step, payload, key); err == nil || ctx.Err() != nil {
			break
		}
	}
	return err
}

func (s *Service) prepareOnce(ctx context.Context, logger *slog.Logger, step Step, payload Payload, key string) error {
	limit := step.Timeout
	if limit == 0 {
		limit = prepareTimeout
	}
	limited, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took longer than %v", limit))
	defer cancel()
	var err error
	switch step.Action {
	case Run:
		err = s.runCommand(limited, step.Value, payload, logger)
	case Webhook:
		err = s.callWebhook(limited, limit, step.Value, key, payload)
	default:
		err = fmt.Errorf("%s makes no sense before there is a file", step.Action)
	}
	if err != nil && limited.Err() != nil {
		return context.Cause(limited)
	}
	return err
}
