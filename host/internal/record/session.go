package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/pipeline"
	"github.com/lubod/lubod/host/internal/reason"
	"github.com/lubod/lubod/host/internal/settings"
	"github.com/lubod/lubod/host/internal/window"
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/recorder"
)

// run owns a session until its end is committed or base ends.
func (s *Service) run(base context.Context, followed *session) {
	if !s.follow(base, followed) {
		return // the host is stopping; the next one watches on
	}
	s.forget(followed)
	s.wakeEnd()
	if followed.end != nil && followed.streamerID != 0 {
		s.SessionEnded(followed.streamerID, *followed.end)
	}
}

// errEnded stops a watch after the session's last event is committed.
var errEnded = errors.New("session ended")

// follow commits a session's events until its end, whatever dies meanwhile: the database, the connection, the recorder.
// It answers false when ctx ended first.
func (s *Service) follow(ctx context.Context, followed *session) bool {
	logger := s.about(followed.streamer()).With("session", followed.id)
	for ctx.Err() == nil {
		err := s.watch(ctx, followed)
		switch {
		case errors.Is(err, errEnded):
			s.suspects.cleared(followed.streamerID)
			return true
		case gone(err):
			if errors.Is(err, ErrGone) {
				s.noteCrash(followed)
			}
			logger.Warn("the recorder lost a session; finishing its files", "error", err)
			if s.retry(ctx, logger, "lost session", func(ctx context.Context) error { return s.lose(ctx, followed) }) == nil {
				return true
			}
		case db.Permanent(err):
			logger.Error("recorder session cannot be committed; it is tried again in a while", "error", err)
			pause(ctx, max(s.RetryAfter, maxSettlePause))
		case ctx.Err() == nil:
			logger.Warn("recorder session cannot be watched, trying again", "error", err)
			pause(ctx, s.RetryAfter)
		}
	}
	return false
}

// gone tells whether err means that a session does not exist any more.
func gone(err error) bool {
	var typed *sdk.Error
	return errors.Is(err, ErrGone) || errors.As(err, &typed) && typed.Kind == sdk.NotFound
}

// watch follows the session on its process from the last committed event on.
func (s *Service) watch(ctx context.Context, followed *session) error {
	process, err := s.Recorders.Instance(ctx, followed.plugin, followed.instance)
	if err != nil {
		return err
	}
	defer process.Release()
	row, err := s.DB.GetSession(ctx, followed.id)
	switch {
	case errors.Is(err, pgx.ErrNoRows): // it ended without any media, or its row was never committed
		return errEnded
	case err != nil:
		return fmt.Errorf("read session: %w", err)
	case row.EndedAt != nil:
		return errEnded
	}
	if err := s.stopUnwanted(ctx, process, followed); err != nil {
		return err
	}
	logger := s.about(followed.streamer()).With("session", followed.id)
	ctx, cancel := context.WithCancel(ctx)
	wanted := make(refreshRequests, 1)
	var granting sync.WaitGroup
	granting.Go(func() { s.serveRefresh(ctx, process, followed, row.Room, wanted) })
	defer granting.Wait()
	defer cancel()
	return process.Watch(ctx, followed.id.String(), row.LastSeq, func(event recorder.Event) error {
		if event.Seq == 0 {
			return nil
		}
		if err := s.take(ctx, logger, followed, event); err != nil {
			return err
		}
		if brings(event) {
			s.fed(followed)
		}
		// Only now may the recorder forget it. A lost acknowledgement costs nothing: known events are skipped.
		if err := process.Acknowledge(ctx, followed.id.String(), event.Seq); err != nil && ctx.Err() == nil {
			logger.Debug("event not acknowledged", "error", err)
		}
		wanted.note(event)
		if ended, last := event.Payload.(recorder.Ended); last {
			followed.ending(ended, row.Room)
			return errEnded
		}
		return nil
	})
}

// fed notes that media arrives, once.
func (s *Service) fed(followed *session) {
	if !followed.fed.Swap(true) && followed.streamerID != 0 {
		s.SessionFed(followed.streamerID)
	}
}

// stopTimeout bounds one order to end a session: a recorder answers it when the last file is closed.
const stopTimeout = 15 * time.Second

// stopUnwanted ends a session whose streamer was paused, deleted or given another URL while nobody could tell the
// recorder: the host was down, or the recorder could not be reached.
func (s *Service) stopUnwanted(ctx context.Context, process Process, followed *session) error {
	wanted, err := s.DB.SessionWanted(ctx, followed.id)
	if err != nil {
		return fmt.Errorf("read streamer: %w", err)
	}
	if wanted {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	if err := process.Stop(ctx, followed.id.String()); err != nil {
		return fmt.Errorf("stop session of a room that is not to be recorded any more: %w", err)
	}
	return nil
}

// brings tells whether an event proves that media arrived.
func brings(event recorder.Event) bool {
	switch event.Payload.(type) {
	case recorder.MediaArrived, recorder.SegmentClosed:
		return true
	}
	return false
}

// commit makes one event durable.
func (s *Service) commit(ctx context.Context, followed *session, event recorder.Event) error {
	var left listing
	if _, last := event.Payload.(recorder.Ended); last {
		left = list(followed.prefix)
	}
	return s.inTx(ctx, func(tx *change, q *db.Queries) error {
		row, err := q.LockSession(ctx, followed.id)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil // the end is committed already, only the answer to that was lost
		}
		if err != nil {
			return fmt.Errorf("lock session: %w", err)
		}
		if event.Seq <= row.LastSeq || row.EndedAt != nil {
			return nil
		}
		if err := s.apply(ctx, tx, row, event, left); err != nil {
			return err
		}
		return q.AdvanceSession(ctx, db.AdvanceSessionParams{ID: row.ID, LastSeq: event.Seq, LastIndex: indexIn(event)})
	})
}

func (s *Service) apply(ctx context.Context, tx *change, row db.RecorderSession, event recorder.Event, left listing) error {
	logger := s.about(row.StreamerID).With("session", row.ID)
	switch payload := event.Payload.(type) {
	case recorder.MediaArrived:
		_, err := s.recording(ctx, tx, &row)
		return err
	case recorder.SegmentOpened:
		tx.later(func() { logger.Info("segment opened", "path", payload.Path) })
	case recorder.SegmentClosed:
		segment, why := trusted(row, payload.Segment)
		if !why.IsZero() {
			return s.refuse(ctx, tx, &row, segment, why)
		}
		return s.insertSegment(ctx, tx, &row, segment)
	case recorder.Timeline:
		return s.keepTimeline(ctx, tx, row, event, payload)
	case recorder.Note:
		tx.later(func() { logger.Info("recorder notes", "code", payload.Code, "text", payload.Text) })
	case recorder.Ended:
		level := slog.LevelInfo
		if row.RecordingID == nil {
			level = slog.LevelDebug // what is wrong with a room is told once, and not at each try
		}
		tx.later(func() { logger.Log(ctx, level, "session ended", "reason", payload.Reason, "message", payload.Message) })
		return s.end(ctx, tx, row, payload, event.At, left)
	}
	return nil
}

// recording returns the recording that a session feeds. The first media decides: it joins the recording that waits for
// this room to come back, or opens a new one.
func (s *Service) recording(ctx context.Context, tx *change, row *db.RecorderSession) (int64, error) {
	if row.RecordingID != nil {
		return *row.RecordingID, nil
	}
	q := s.DB.WithTx(tx)
	var known room
	if err := json.Unmarshal(row.Room, &known); err != nil {
		return 0, fmt.Errorf("decode room: %w", err)
	}
	id, err := s.join(ctx, tx, *row, known)
	if err != nil {
		return 0, err
	}
	if id == 0 {
		inserted, err := q.InsertRecording(ctx, db.InsertRecordingParams{
			StreamerID: row.StreamerID, HostID: s.HostID, URL: known.URL, Remark: known.Remark, TemplateName: known.TemplateName,
			Title: known.Title, StreamerName: known.Streamer, CoverURL: known.CoverURL, Category: known.Category, StartedAt: known.StartedAt,
			BroadcastID: known.BroadcastID,
		})
		if err != nil {
			return 0, fmt.Errorf("insert recording: %w", err)
		}
		id = inserted.ID
		tx.later(func() { s.about(row.StreamerID).Info("recording begins", "recording", id, "url", known.URL) })
	}
	row.RecordingID = &id
	return id, q.LinkSession(ctx, db.LinkSessionParams{ID: row.ID, RecordingID: &id})
}

// join resumes the room's waiting recording; 0 when there is none. One that belongs to another URL ends here.
func (s *Service) join(ctx context.Context, tx *change, row db.RecorderSession, known room) (int64, error) {
	if row.StreamerID == nil {
		return 0, nil
	}
	q := s.DB.WithTx(tx)
	waiting, err := q.LockOpenRecording(ctx, *row.StreamerID)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("find waiting recording: %w", err)
	}
	if waiting.URL != known.URL {
		return 0, s.endRecording(ctx, tx, waiting, time.Now())
	}
	tx.later(func() { s.about(row.StreamerID).Info("recording goes on", "recording", waiting.ID) })
	return waiting.ID, q.ResumeRecording(ctx, db.ResumeRecordingParams{ID: waiting.ID, HostID: s.HostID, BroadcastID: known.BroadcastID})
}

// insertSegment commits a closed file, and in the same transaction orders what is to be done with it.
func (s *Service) insertSegment(ctx context.Context, tx *change, row *db.RecorderSession, segment recorder.Segment) error {
	q := s.DB.WithTx(tx)
	recordingID, err := s.recording(ctx, tx, row)
	if err != nil {
		return err
	}
	recording, err := q.LockRecording(ctx, recordingID)
	if err != nil {
		return fmt.Errorf("lock recording: %w", err)
	}
	publish, why, err := s.publish(ctx, q, recording, segment)
	if err != nil {
		return err
	}
	id, err := q.InsertSegment(ctx, db.InsertSegmentParams{
		RecordingID: recordingID, Index: int32(segment.Index), Path: segment.Path, SizeBytes: segment.SizeBytes,
		DurationMs: segment.Duration.Milliseconds(), StartedAt: segment.StartedAt, EndedAt: segment.EndedAt, Publish: string(publish),
		Reason: why.Text(reason.English), ReasonData: why.JSON(),
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // known already
	}
	if err != nil {
		return fmt.Errorf("insert segment: %w", err)
	}
	tx.later(func() {
		s.about(recording.StreamerID).Info("segment closed", "segment", id, "recording", recordingID, "path", segment.Path,
			"size_bytes", segment.SizeBytes, "duration", segment.Duration, "publish", publish, "recovered", segment.Recovered)
	})
	return s.Publisher.SegmentClosed(ctx, tx, id)
}

// refuse leaves a file alone that is not what a recorder may tell of. The rest of the session is recorded on.
func (s *Service) refuse(ctx context.Context, tx *change, row *db.RecorderSession, segment recorder.Segment, why reason.Reason) error {
	tx.later(func() {
		s.about(row.StreamerID).Error("a file that a recorder told of is refused", "session", row.ID, "plugin", row.Plugin, "path", segment.Path,
			"code", why.Code, "reason", why.Text(reason.English))
	})
	return s.note(ctx, tx, *row, outcome{why: why}, int32(segment.Index))
}

// publish decides whether a segment becomes part of the submission. What becomes of a piece below filtering_threshold is decided
// when the recording has ended: a bad connection may make a whole broadcast of such pieces.
func (s *Service) publish(ctx context.Context, q *db.Queries, recording db.Recording, segment recorder.Segment) (publish pipeline.Publish, why reason.Reason, err error) {
	switch {
	case recording.Publish != nil:
		return pipeline.Never, reason.New(reason.SegmentNever), nil
	case recording.TemplateName == nil:
		return pipeline.Never, reason.New(reason.SegmentNoTemplate), nil
	}
	configuration, err := s.configuration(ctx, q, recording.StreamerID)
	if err != nil {
		return "", why, err
	}
	if segment.SizeBytes < configuration.FilteringBytes() {
		mb := strconv.FormatFloat(configuration.FilteringThreshold, 'g', -1, 64)
		return pipeline.Undecided, reason.New(reason.PieceUndecided, "mb", mb), nil
	}
	return pipeline.Wanted, why, nil
}

// configuration returns what applies to a room; a nil streamer (deleted) has the global one. Settings that cannot be used
// are left out: whatever they say, what is on disk must become a row.
func (s *Service) configuration(ctx context.Context, q *db.Queries, streamerID *int64) (settings.Configuration, error) {
	row, err := q.RoomConfiguration(ctx, streamerID)
	if err != nil {
		return settings.Configuration{}, fmt.Errorf("read configuration: %w", err)
	}
	return s.layered(row, streamerID), nil
}

func (s *Service) layered(row db.RoomConfigurationRow, streamerID *int64) settings.Configuration {
	configuration, err := settings.Layered(row.Global, row.Override)
	if err != nil {
		s.about(streamerID).Error("the configuration cannot be used; the defaults apply", "error", err)
		return settings.DefaultConfiguration()
	}
	return configuration
}

// indexIn is the number of the segment that an event is about; 0: none.
func indexIn(event recorder.Event) int32 {
	switch payload := event.Payload.(type) {
	case recorder.SegmentOpened:
		return int32(payload.Index)
	case recorder.SegmentClosed:
		return int32(payload.Segment.Index)
	}
	return 0
}

// end commits the end of a session. Its recording waits for the room to come back, and until every file that is left under
// the session's prefix is a segment.
func (s *Service) end(ctx context.Context, tx *change, row db.RecorderSession, ended recorder.Ended, at time.Time, left listing) error {
	q := s.DB.WithTx(tx)
	if err := s.leave(ctx, tx, &row, left); err != nil {
		return err
	}
	if row.RecordingID == nil {
		return q.DeleteSession(ctx, row.ID) // nothing was sent: there was no recording
	}
	err := q.EndSession(ctx, db.EndSessionParams{ID: row.ID, EndedAt: &at, EndReason: string(ended.Reason), EndMessage: db.Text(ended.Message)})
	if err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return s.wait(ctx, tx, *row.RecordingID, row.StreamerID)
}

// wait keeps a recording open for as long as the room's delay says, and not beyond the end of its time window: outside it
// nothing can come back.
func (s *Service) wait(ctx context.Context, tx *change, recordingID int64, streamerID *int64) error {
	q := s.DB.WithTx(tx)
	row, err := q.RoomConfiguration(ctx, streamerID)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	now := time.Now()
	configuration := s.layered(row, streamerID)
	until := now.Add(configuration.DelayDuration())
	if closes := s.closes(row.TimeRange, configuration.Zone(), now, streamerID); closes.Before(until) {
		until = closes
	}
	return q.WaitRecording(ctx, db.WaitRecordingParams{ID: recordingID, ResumeUntil: until})
}

// closes is when a room's time window ends, at the earliest now; the distant future without one.
func (s *Service) closes(timeRange []byte, zone *time.Location, now time.Time, streamerID *int64) time.Time {
	allowed, err := window.Parse(timeRange, zone)
	if err != nil {
		s.about(streamerID).Error("the time range cannot be used; it is left out", "error", err)
	}
	open, until := allowed.At(now)
	switch {
	case !open:
		return now
	case until.IsZero():
		return now.AddDate(1, 0, 0)
	}
	return until
}

// retry repeats a step until it succeeds or ctx ends: what is on disk must become a row, however long the database or
// a plugin is away. What the database refuses for good is not repeated.
func (s *Service) retry(ctx context.Context, logger *slog.Logger, what string, step func(ctx context.Context) error) error {
	for {
		err := step(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if db.Permanent(err) {
			return err
		}
		logger.Warn("cannot go on, trying again", "what", what, "error", err)
		pause(ctx, s.RetryAfter)
	}
}

func pause(ctx context.Context, length time.Duration) {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
