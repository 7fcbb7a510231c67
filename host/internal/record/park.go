package record

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/reason"
	"github.com/lubod/lubod/sdk/recorder"
)

// take commits an event, however long the database is away. One that the database refuses for good is set aside, so that those
// behind it are committed: the session's row says so, and its recording waits until the file is a segment all the same.
func (s *Service) take(ctx context.Context, logger *slog.Logger, followed *session, event recorder.Event) error {
	err := s.retry(ctx, logger, "recorder event", func(ctx context.Context) error { return s.commit(ctx, followed, event) })
	if !db.Permanent(err) {
		return err
	}
	why := reason.New(reason.RecordingRefused, "files", fileOf(event)).With("cause", err.Error())
	logger.Error("the database refuses an event of the recorder; it is set aside", "event", fmt.Sprintf("%T", event.Payload), "error", err)
	followed.parked = why.Wrap(err)
	return s.retry(ctx, logger, "set an event aside", func(ctx context.Context) error { return s.park(ctx, followed, event, why) })
}

func (s *Service) park(ctx context.Context, followed *session, event recorder.Event, why reason.Reason) error {
	return s.inTx(ctx, func(tx *change, q *db.Queries) error {
		row, err := q.LockSession(ctx, followed.id)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("lock session: %w", err)
		}
		if event.Seq <= row.LastSeq {
			return nil
		}
		if err := s.note(ctx, tx, row, outcome{why: why, holds: true}, indexIn(event)); err != nil {
			return err
		}
		if ended, last := event.Payload.(recorder.Ended); last {
			end := db.EndSessionParams{ID: row.ID, EndedAt: &event.At, EndReason: string(ended.Reason), EndMessage: db.Text(ended.Message)}
			if err := q.EndSession(ctx, end); err != nil {
				return fmt.Errorf("end session: %w", err)
			}
			tx.later(s.wakeSettling)
		}
		return q.AdvanceSession(ctx, db.AdvanceSessionParams{ID: row.ID, LastSeq: event.Seq, LastIndex: indexIn(event)})
	})
}

// fileOf is the file that an event is about; "" for none.
func fileOf(event recorder.Event) string {
	if closed, ok := event.Payload.(recorder.SegmentClosed); ok {
		return filepath.Base(closed.Segment.Path)
	}
	return ""
}
