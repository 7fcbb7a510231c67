package events

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
)

const (
	// cleanerLock is the key of the advisory lock under which one host at a time removes events.
	cleanerLock = 0x6c7562657674 // "lubevt"
	// removeAtOnce keeps the transactions of the removal short.
	removeAtOnce = 1000
)

// keepClean removes old events from time to time until ctx ends.
func (b *Bus) keepClean(ctx context.Context) {
	for sleep(ctx, b.CleanInterval) {
		if err := b.Clean(ctx); err != nil && ctx.Err() == nil {
			b.Logger.Warn("old events could not be removed", "error", err)
		}
	}
}

// Clean removes the events that are too old or too many, unless another host is about it.
func (b *Bus) Clean(ctx context.Context) error {
	last, err := b.lastToRemove(ctx)
	if err != nil || last.IsZero() {
		return err
	}
	for {
		removed, err := b.removeSome(ctx, last)
		if err != nil || !removed {
			return err
		}
	}
}

func (b *Bus) lastToRemove(ctx context.Context) (Position, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	rows, err := b.DB.EventsToRemove(ctx, db.EventsToRemoveParams{MaxAgeSeconds: b.MaxAge.Seconds(), MaxEvents: int32(b.MaxEvents)})
	if err != nil {
		return Position{}, fmt.Errorf("look for old events: %w", err)
	}
	var last Position
	for _, row := range rows {
		if position := (Position{0, row.Xid, row.ID}); position.after(last) {
			last = position
		}
	}
	return last, nil
}

// removeSome tells whether there was anything to remove.
func (b *Bus) removeSome(ctx context.Context, last Position) (removed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err = b.DB.InTx(ctx, func(_ pgx.Tx, queries *db.Queries) error {
		mine, err := queries.TryEventCleaner(ctx, cleanerLock)
		if err != nil || !mine {
			return err
		}
		rows, err := queries.RemoveEvents(ctx, db.RemoveEventsParams{Xid: last.xid, ID: last.id, MaxRows: removeAtOnce})
		removed = rows > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("remove old events: %w", err)
	}
	return removed, nil
}
