package record

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/sdk/recorder"
)

// maxTimeline bounds what is kept of one recording: one event each ten seconds for more than a day.
const maxTimeline = 10_000

// keepTimeline commits what a recorder told of a stretch of the broadcast. What came before any media belongs to no recording,
// and a kind of a newer recorder tells nothing.
func (s *Service) keepTimeline(ctx context.Context, tx *change, row db.RecorderSession, event recorder.Event, told recorder.Timeline) error {
	if row.RecordingID == nil || told.Kind == "" {
		return nil
	}
	at := told.At
	if at.IsZero() {
		at = event.At
	}
	args, err := json.Marshal(texts(told.Args))
	if err != nil {
		return fmt.Errorf("encode timeline: %w", err)
	}
	err = s.DB.WithTx(tx).InsertTimeline(ctx, db.InsertTimelineParams{
		RecordingID: *row.RecordingID, SessionID: row.ID, Seq: event.Seq, Kind: string(told.Kind), Cause: string(told.Cause), At: at,
		MediaMs: told.MediaTime.Milliseconds(), LengthMs: told.Length.Milliseconds(), Index: int32(told.Index), Code: db.Text(told.Code), Args: args,
		Most: maxTimeline,
	})
	if err != nil {
		return fmt.Errorf("insert timeline: %w", err)
	}
	tx.later(func() {
		s.about(row.StreamerID).Info("timeline", "session", row.ID, "kind", told.Kind, "cause", told.Cause, "length", told.Length, "code", told.Code)
	})
	return nil
}

// texts are arguments as a row takes them.
func texts(args map[string]string) map[string]string {
	kept := make(map[string]string, len(args))
	for name, value := range args {
		kept[db.Text(name)] = db.Text(value)
	}
	return kept
}
