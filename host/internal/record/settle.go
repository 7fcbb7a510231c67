package record

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/pipeline"
	"github.com/lubod/lubod/host/internal/reason"
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/recorder"
)

// A session is over when its recorder says so, or is gone; its files may not be: a folder was away when one was to get its
// name, or the process died. The end of such a session is committed at once, so that its room is recorded on, and says that
// files are left. They hold the recording until each is a segment, or nothing of it can be saved; this loop sees to that.

const (
	// settleTimeout bounds one try to finish the files of a session: they may be large, and are read whole.
	settleTimeout = 10 * time.Minute
	// maxSettlePause is the longest pause between two tries for files that hold a recording.
	maxSettlePause = time.Minute
	// slowSettle is the pause where only a person can change something, settleFor how long such files are looked at that hold
	// nothing up.
	slowSettle = time.Hour
	settleFor  = 7 * 24 * time.Hour
	// maxSettling bounds the sessions whose files are finished at once.
	maxSettling = 4
)

// leave notes, with the end of a session, what is left under its prefix.
func (s *Service) leave(ctx context.Context, tx *change, row *db.RecorderSession, left listing) error {
	why, err := s.leftIn(ctx, s.DB.WithTx(tx), *row, left)
	if err == nil && why.IsZero() && row.Unsettled != nil {
		tx.later(s.wakeSettling) // what was set aside is found there, or is gone
	}
	if err != nil || why.IsZero() {
		return err
	}
	if _, err := s.recording(ctx, tx, row); err != nil { // there is media, even if nobody told of it
		return err
	}
	tx.later(func() {
		s.about(row.StreamerID).Warn("a session left files that are no segments yet", "session", row.ID, "reason", why.Text(reason.English))
		s.wakeSettling()
	})
	return s.note(ctx, tx, *row, outcome{why: why, holds: true}, left.last())
}

// leftIn tells what is left under a session's prefix; the zero value: nothing.
func (s *Service) leftIn(ctx context.Context, q *db.Queries, row db.RecorderSession, left listing) (reason.Reason, error) {
	if left.err != nil && row.RecordingID != nil {
		return reason.New(reason.RecordingUnadopted).With("cause", left.err.Error()), nil
	}
	unknown, err := s.unknown(ctx, q, row, left)
	if err != nil || len(unknown) == 0 {
		return reason.Reason{}, err
	}
	return reason.New(reason.RecordingUnadopted, "files", names(unknown), "cause", names(unknown)+" is not finished yet"), nil
}

func (s *Service) unknown(ctx context.Context, q *db.Queries, row db.RecorderSession, left listing) ([]leftFile, error) {
	if row.RecordingID == nil || len(left.files) == 0 {
		return left.files, nil
	}
	known, err := q.SegmentsOfRecording(ctx, *row.RecordingID)
	if err != nil {
		return nil, fmt.Errorf("read segments: %w", err)
	}
	return left.unknown(known), nil
}

// note commits what became of the files of a session.
func (s *Service) note(ctx context.Context, tx *change, row db.RecorderSession, became outcome, last int32) error {
	q := s.DB.WithTx(tx)
	err := q.SettleSession(ctx, db.SettleSessionParams{ID: row.ID, Unsettled: became.why.JSON(), Holds: became.holds, LastIndex: last})
	if err != nil {
		return fmt.Errorf("note left files: %w", err)
	}
	if row.RecordingID == nil {
		return nil
	}
	if err := q.NoteRecording(ctx, *row.RecordingID); err != nil {
		return fmt.Errorf("note left files: %w", err)
	}
	return nil
}

// lose ends a session that no recorder knows any more.
func (s *Service) lose(ctx context.Context, followed *session) error {
	left := list(followed.prefix)
	err := s.inTx(ctx, func(tx *change, q *db.Queries) error {
		row, err := q.LockSession(ctx, followed.id)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil // it ended without any media
		}
		if err != nil {
			return fmt.Errorf("lock session: %w", err)
		}
		if row.EndedAt != nil {
			return nil
		}
		// No room is at fault when its recorder dies, so the reason is not EndFailed's: the room is simply asked again.
		ended := recorder.Ended{Reason: recorder.EndEOF, Message: "the recorder died"}
		if err := s.end(ctx, tx, row, ended, time.Now(), left); err != nil {
			return err
		}
		return s.noteNothing(ctx, tx, row, left)
	})
	if err == nil && (followed.fed.Load() || len(left.files) > 0) {
		followed.fed.Store(true)
		followed.end = &End{Fed: true}
	}
	return err
}

// noteNothing says so when a session that got media left no file at all.
func (s *Service) noteNothing(ctx context.Context, tx *change, row db.RecorderSession, left listing) error {
	if row.RecordingID == nil || row.Unsettled != nil || left.err != nil || len(left.files) > 0 || s.has(ctx, tx, row) {
		return nil //nolint:nilerr // what cannot be read is looked at later
	}
	return s.note(ctx, tx, row, outcome{why: reason.New(reason.RecordingNothing)}, 0)
}

// has tells whether a session has segments.
func (s *Service) has(ctx context.Context, tx *change, row db.RecorderSession) bool {
	known, err := s.DB.WithTx(tx).SegmentsOfRecording(ctx, *row.RecordingID)
	return err != nil || slices.ContainsFunc(known, func(segment db.SegmentsOfRecordingRow) bool { return segment.Index >= row.FirstIndex })
}

func (s *Service) wakeSettling() {
	select {
	case s.leftover <- struct{}{}:
	default:
	}
}

// turn is when a session's files are looked at next.
type turn struct {
	at    time.Time
	tries int
	busy  bool
}

// settleAll finishes left files until ctx ends.
func (s *Service) settleAll(ctx context.Context) {
	turns := make(map[uuid.UUID]*turn)
	done := make(chan settled, maxSettling)
	timer := time.NewTimer(0)
	defer timer.Stop()
	busy := 0
	for {
		select {
		case <-ctx.Done():
			for range busy {
				<-done
			}
			return
		case one := <-done:
			busy--
			s.schedule(turns, one)
		case <-timer.C:
		case <-s.leftover:
		}
		rows, err := s.DB.UnsettledSessions(ctx, db.UnsettledSessionsParams{HostID: s.HostID, Since: time.Now().Add(-settleFor)})
		if err != nil {
			if ctx.Err() == nil {
				s.Logger.Warn("left files cannot be looked for, trying again", "error", err)
			}
			timer.Reset(s.RetryAfter)
			continue
		}
		forgetOthers(turns, rows)
		next := idleLook
		for _, row := range rows {
			due := turns[row.ID]
			if due == nil {
				due = &turn{}
				turns[row.ID] = due
			}
			wait := time.Until(due.at)
			if !due.busy && wait <= 0 && busy < maxSettling {
				busy++
				due.busy = true
				s.running.Go(func() { done <- settled{row.ID, s.settle(ctx, row)} }) // never blocks: there is room for all
			} else if !due.busy {
				next = min(next, max(wait, s.RetryAfter))
			}
		}
		timer.Reset(next)
	}
}

func forgetOthers(turns map[uuid.UUID]*turn, rows []db.RecorderSession) {
	for id, one := range turns {
		if !one.busy && !slices.ContainsFunc(rows, func(row db.RecorderSession) bool { return row.ID == id }) {
			delete(turns, id)
		}
	}
}

type settled struct {
	id   uuid.UUID
	slow bool
}

func (s *Service) schedule(turns map[uuid.UUID]*turn, one settled) {
	due := turns[one.id]
	if due == nil {
		return
	}
	due.busy = false
	wait := pipeline.Backoff(s.RetryAfter, max(s.RetryAfter, maxSettlePause), due.tries)
	due.tries++
	if one.slow {
		wait = s.SlowSettle
	}
	due.at = time.Now().Add(wait)
}

// outcome is what became of the files of a session.
type outcome struct {
	segments []recorder.Segment
	why      reason.Reason // zero: nothing is left
	holds    bool          // the recording waits for what is left
	slow     bool          // only a person can change something
}

// settle takes over what it can of one session's files, and tells whether the next try has time.
func (s *Service) settle(ctx context.Context, row db.RecorderSession) (slow bool) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	logger := s.about(row.StreamerID).With("session", row.ID)
	became, err := s.gather(ctx, row)
	if err == nil {
		became, err = s.adopt(ctx, row, became)
	}
	if err != nil {
		if ctx.Err() == nil {
			logger.Warn("left files cannot be taken over yet, trying again", "error", err)
		}
		return db.Permanent(err)
	}
	switch before := reason.Parse(row.Unsettled); {
	case became.why.IsZero():
		logger.Info("the files that a session left are taken over", "segments", len(became.segments))
	case became.why.Code != before.Code || became.holds != row.Holds:
		logger.Error("files of a session are not taken over", "path_prefix", row.PathPrefix, "holds", became.holds, "code", became.why.Code,
			"reason", became.why.Text(reason.English))
	}
	return became.slow
}

// gather finishes what it can under a session's prefix.
func (s *Service) gather(ctx context.Context, row db.RecorderSession) (outcome, error) {
	found := list(row.PathPrefix)
	if found.err != nil {
		return held(reason.New(reason.RecordingUnadopted, "files", reason.Parse(row.Unsettled).Args["files"]).With("cause", found.err.Error())), nil //nolint:nilerr // it is the outcome
	}
	unknown, err := s.unknown(ctx, s.DB.Queries, row, found)
	switch {
	case err != nil:
		return outcome{}, err
	case len(unknown) == 0:
		return s.vanished(ctx, row)
	}
	segments, left, err := s.recovered(ctx, row)
	switch {
	case errors.Is(err, ErrUninstalled), sdk.KindOf(err) == sdk.Unsupported:
		return s.withoutRecorder(unknown, reason.New(reason.RecordingNoRecorder, "plugin", row.Plugin)), nil
	case err != nil:
		return held(reason.New(reason.RecordingUnadopted, "files", names(unknown)).With("cause", err.Error())), nil
	}
	became := outcome{segments: segments}
	for _, file := range left.Files {
		if file.Err != nil && file.Err.Kind != sdk.Corrupt {
			became = became.but(held(reason.New(reason.RecordingUnadopted, "files", filepath.Base(file.Path)).With("cause", left.Error())))
			return became, nil
		}
	}
	// What the recorder does not name it does not know; only what is finished is worth anything then.
	rest := list(row.PathPrefix)
	if rest.err != nil {
		return became.but(held(reason.New(reason.RecordingUnadopted).With("cause", rest.err.Error()))), nil //nolint:nilerr // it is the outcome
	}
	if unknown, err = s.unknown(ctx, s.DB.Queries, row, rest); err != nil {
		return outcome{}, err
	}
	unknown = slices.DeleteFunc(unknown, func(file leftFile) bool {
		return slices.ContainsFunc(segments, func(segment recorder.Segment) bool { return segment.Path == file.path })
	})
	others := s.withoutRecorder(unknown, reason.New(reason.RecordingUnreadable))
	became.segments = append(became.segments, others.segments...)
	return became.but(others), nil
}

func held(why reason.Reason) outcome { return outcome{why: why, holds: true} }

// but is an outcome with what another one says is left.
func (o outcome) but(left outcome) outcome {
	o.why, o.holds, o.slow = left.why, left.holds, left.slow
	return o
}

// recovered asks the recorder that wrote the files to finish them.
func (s *Service) recovered(ctx context.Context, row db.RecorderSession) ([]recorder.Segment, recorder.LeftError, error) {
	followed := sessionOf(row)
	process, err := s.recoverer(ctx, followed)
	if err != nil {
		return nil, recorder.LeftError{}, err
	}
	defer process.Release()
	segments, err := process.Recover(ctx, row.PathPrefix)
	var left *recorder.LeftError
	switch {
	case errors.As(err, &left):
		return segments, *left, nil
	case errors.Is(err, ErrGone):
		s.noteCrash(followed)
	}
	if err != nil {
		return nil, recorder.LeftError{}, fmt.Errorf("recover files: %w", err)
	}
	return segments, recorder.LeftError{}, nil
}

// withoutRecorder takes finished files as they are. Of the others nothing can be saved, which why says.
func (s *Service) withoutRecorder(files []leftFile, why reason.Reason) outcome {
	var became outcome
	var rest []leftFile
	for _, file := range files {
		segment, err := bare(file)
		switch {
		case !file.finished:
			rest = append(rest, file)
		case err != nil:
			return held(reason.New(reason.RecordingUnadopted, "files", names(files)).With("cause", err.Error()))
		default:
			became.segments = append(became.segments, segment)
		}
	}
	if len(rest) > 0 {
		became.why, became.slow = why.With("files", names(rest)), true
	}
	return became
}

// vanished is the outcome when nothing is left: all is well, unless there were files that became no segments.
func (s *Service) vanished(ctx context.Context, row db.RecorderSession) (outcome, error) {
	before := reason.Parse(row.Unsettled)
	if before.Code == reason.RecordingVanished || before.Code == reason.RecordingNothing || before.Code == reason.RecordingUntrusted {
		return outcome{why: before, slow: true}, nil
	}
	var known []db.SegmentsOfRecordingRow
	if row.RecordingID != nil {
		var err error
		if known, err = s.DB.SegmentsOfRecording(ctx, *row.RecordingID); err != nil {
			return outcome{}, fmt.Errorf("read segments: %w", err)
		}
	}
	var gone []string
	for name := range strings.SplitSeq(before.Args["files"], ", ") {
		if name != "" && !slices.ContainsFunc(known, func(row db.SegmentsOfRecordingRow) bool {
			return filepath.Base(row.Path) == strings.TrimSuffix(name, partSuffix)
		}) {
			gone = append(gone, name)
		}
	}
	if len(gone) == 0 {
		return outcome{}, nil
	}
	return outcome{why: reason.New(reason.RecordingVanished, "files", strings.Join(gone, ", ")), slow: true}, nil
}

// adopt commits an outcome. A segment that the database refuses for good does not keep the others from becoming rows.
func (s *Service) adopt(ctx context.Context, row db.RecorderSession, became outcome) (outcome, error) {
	committed := became
	err := s.inTx(ctx, func(tx *change, q *db.Queries) error {
		committed = became
		current, err := q.LockSession(ctx, row.ID)
		if err != nil {
			return fmt.Errorf("lock session: %w", err)
		}
		for _, told := range became.segments {
			segment, untrusted := trusted(current, told)
			if !untrusted.IsZero() {
				committed = committed.but(outcome{why: untrusted, slow: true})
				continue
			}
			err := s.insertApart(ctx, tx, &current, segment)
			switch {
			case db.Permanent(err):
				why := reason.New(reason.RecordingRefused, "files", filepath.Base(segment.Path)).With("cause", err.Error())
				committed = committed.but(outcome{why: why, holds: true, slow: true})
			case err != nil:
				return err
			}
		}
		tx.later(s.wakeEnd)
		return s.note(ctx, tx, current, committed, 0)
	})
	return committed, err
}

// insertApart inserts a segment so that its failure takes back nothing else.
func (s *Service) insertApart(ctx context.Context, tx *change, row *db.RecorderSession, segment recorder.Segment) error {
	inner, err := tx.Begin(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	apart := &change{Tx: inner}
	before := *row
	if err := s.insertSegment(ctx, apart, row, segment); err != nil {
		*row = before
		return errors.Join(err, inner.Rollback(ctx))
	}
	tx.lines = append(tx.lines, apart.lines...)
	return inner.Commit(ctx)
}
