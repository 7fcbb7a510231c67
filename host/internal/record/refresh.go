package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/extractor"
	"github.com/lubod/lubod/sdk/recorder"
)

// Extractors asks a room's platform for its streams. The settings are the global configuration and the room's override.
type Extractors interface {
	Resolve(ctx context.Context, purpose extractor.Purpose, url string, settings ...[]byte) (extractor.Status, error)
}

const (
	// refreshTries bounds the polls for one request: a recorder does not wait for long.
	refreshTries = 4
	// refreshTimeout bounds one poll.
	refreshTimeout = 15 * time.Second
	// refreshPause is the least time between two requests that are answered: a room whose addresses are refused again and
	// again must not make its platform ban this host.
	refreshPause = 5 * time.Second
)

// refreshRequests are a session's requests for new addresses. Several at once are one.
type refreshRequests chan string

func (r refreshRequests) note(event recorder.Event) {
	wanted, ok := event.Payload.(recorder.RefreshWanted)
	if !ok {
		return
	}
	select {
	case r <- wanted.Reason:
	default:
	}
}

// serveRefresh answers requests, one at a time, until ctx ends. A request that a dying host did not answer is lost: the recorder gives
// up then, the room is polled as after any end, and the next session joins the same recording.
func (s *Service) serveRefresh(ctx context.Context, process Process, followed *session, roomJSON []byte, requests refreshRequests) {
	logger := s.about(followed.streamer()).With("session", followed.id)
	for {
		select {
		case <-ctx.Done():
			return
		case reason := <-requests:
			logger.Info("the recorder wants new addresses", "reason", reason)
		}
		s.refresh(ctx, logger, process, followed, roomJSON)
		pause(ctx, s.RefreshPause)
	}
}

// refresh resolves the room again and hands the addresses over.
func (s *Service) refresh(ctx context.Context, logger *slog.Logger, process Process, followed *session, roomJSON []byte) {
	for try := range refreshTries {
		streams, err := s.resolveAgain(ctx, followed, roomJSON)
		if err == nil {
			err = process.Refresh(ctx, followed.id.String(), taken(process, streams))
		}
		switch {
		case err == nil:
			logger.Info("new addresses for the recorder", "streams", len(streams))
			return
		case ctx.Err() != nil, errors.Is(err, errNotLive), gone(err):
			return // the session ends by itself
		}
		logger.Warn("no new addresses for the recorder", "try", try+1, "error", err)
		var typed *sdk.Error
		if errors.As(err, &typed) && typed.Kind != sdk.Unavailable {
			return // the platform answered: asking again at once would not help
		}
		pause(ctx, s.RetryAfter<<try)
	}
}

// errNotLive means that there is nothing to hand over.
var errNotLive = errors.New("the room is not live")

func (s *Service) resolveAgain(ctx context.Context, followed *session, roomJSON []byte) ([]recorder.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	var known room
	if err := json.Unmarshal(roomJSON, &known); err != nil {
		return nil, fmt.Errorf("decode room: %w", err)
	}
	settings, err := s.DB.RoomConfiguration(ctx, followed.streamer())
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	status, err := s.Extractors.Resolve(ctx, extractor.PurposeRefresh, known.URL, settings.Global, settings.Override)
	switch {
	case err != nil:
		return nil, fmt.Errorf("resolve room: %w", err)
	case !status.Live() || len(status.Streams) == 0:
		return nil, errNotLive
	}
	return status.Streams, nil
}
