package record

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
)

// idleLook is how long endExpired sleeps when no recording waits; another host may have left one.
const idleLook = time.Minute

// reviveWaiting gives the recordings of an earlier host a chance to be joined: nobody asked their rooms for a while.
// Recordings that claim to be live without any session wait from now on.
func (s *Service) reviveWaiting(ctx context.Context) error {
	return s.inTx(ctx, func(tx *change, q *db.Queries) error {
		err := q.ExtendWaiting(ctx, db.ExtendWaitingParams{HostID: s.HostID, Until: time.Now().Add(s.Revive)})
		if err != nil {
			return fmt.Errorf("extend waiting recordings: %w", err)
		}
		orphans, err := q.OrphanedRecordings(ctx, s.HostID)
		if err != nil {
			return fmt.Errorf("find recordings without session: %w", err)
		}
		for _, orphan := range orphans {
			if err := s.wait(ctx, tx, orphan.ID, orphan.StreamerID); err != nil {
				return err
			}
		}
		return nil
	})
}

// RoomChanged ends recordings that wait for a room which is gone or became another one. It does not block.
func (s *Service) RoomChanged() { s.wakeEnd() }

func (s *Service) wakeEnd() {
	select {
	case s.deadline <- struct{}{}:
	default:
	}
}

// endExpired ends waiting recordings when their time is over, until ctx ends.
func (s *Service) endExpired(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-s.deadline:
		}
		next, err := s.endDue(ctx)
		if err != nil && ctx.Err() == nil {
			s.Logger.Warn("recordings cannot be ended, trying again", "error", err)
			next = s.RetryAfter
		}
		timer.Reset(next)
	}
}

// endDue ends what is due, and tells when to look again.
func (s *Service) endDue(ctx context.Context) (time.Duration, error) {
	now := time.Now()
	err := s.inTx(ctx, func(tx *change, q *db.Queries) error {
		due, err := q.LockExpiredRecordings(ctx, now)
		if err != nil {
			return err
		}
		for _, recording := range due {
			if err := s.endRecording(ctx, tx, recording, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("end recordings: %w", err)
	}
	earliest, err := s.DB.NextResumeUntil(ctx)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return idleLook, nil
	case err != nil:
		return 0, fmt.Errorf("read next end: %w", err)
	}
	// A recording that is overdue is held by a session that may still join it: the session's end wakes this loop.
	return min(max(time.Until(earliest), s.RetryAfter), idleLook), nil
}

func (s *Service) endRecording(ctx context.Context, tx *change, recording db.Recording, at time.Time) error {
	if err := s.DB.WithTx(tx).EndRecording(ctx, db.EndRecordingParams{ID: recording.ID, EndedAt: at}); err != nil {
		return fmt.Errorf("end recording: %w", err)
	}
	tx.later(func() { s.about(recording.StreamerID).Info("recording ended", "recording", recording.ID) })
	return s.Publisher.RecordingEnded(ctx, tx, recording.ID)
}
