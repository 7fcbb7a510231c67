package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/jobs"
	"github.com/lubod/lubod/host/internal/reason"
	"github.com/lubod/lubod/host/internal/settings"
)

// Orders orders jobs in the transaction that makes them due.
type Orders interface {
	Order(ctx context.Context, tx pgx.Tx, due ...jobs.Args) error
}

// Options are what a Pipeline needs.
type Options struct {
	DB     *db.DB
	Orders Orders
	Logger *slog.Logger
	Pace   Pace
}

// Pipeline turns facts into the next jobs.
//
// Locks are taken in one order everywhere: a session, its recording, then the recording's segments with their uploads and hook
// runs, then its submissions. Every fact about a recording begins with the lock on the recording (Lock), so that facts of one
// recording come one after the other, and exactly one of them sees that nothing is missing any more.
type Pipeline struct {
	Options
	hurry chan struct{} // something that work waits for may have changed
}

// New makes a pipeline. Its facts can be told at once; Run looks after work that waits or was lost.
func New(options Options) *Pipeline {
	return &Pipeline{Options: options, hurry: make(chan struct{}, 1)}
}

// Lock is the first thing in a transaction about a recording. pgx.ErrNoRows: it was removed.
func (p *Pipeline) Lock(ctx context.Context, tx pgx.Tx, recordingID int64) (db.Recording, error) {
	recording, err := p.DB.WithTx(tx).LockRecording(ctx, recordingID)
	if err != nil {
		return recording, fmt.Errorf("lock recording: %w", err)
	}
	return recording, nil
}

// SegmentClosed is told that a file has a row. Its recording is locked.
func (p *Pipeline) SegmentClosed(ctx context.Context, tx pgx.Tx, segmentID int64) error {
	recordingID, err := p.DB.WithTx(tx).RecordingOfSegment(ctx, segmentID)
	if err != nil {
		return fmt.Errorf("read segment: %w", err)
	}
	return p.Advance(ctx, tx, recordingID)
}

// RecordingEnded is told that nothing joins a recording any more. It is locked.
func (p *Pipeline) RecordingEnded(ctx context.Context, tx pgx.Tx, recordingID int64) error {
	return p.Advance(ctx, tx, recordingID)
}

// Advance orders what a recording needs next, after any fact about it.
func (p *Pipeline) Advance(ctx context.Context, tx pgx.Tx, recordingID int64) error {
	recording, err := p.Lock(ctx, tx, recordingID)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // it was removed: there is nothing to do for it
	}
	if err != nil {
		return err
	}
	q := p.DB.WithTx(tx)
	steps, err := stepsOf(ctx, q, recordingID)
	if err != nil {
		return err
	}
	known, err := p.look(ctx, q, recording, steps)
	if err != nil {
		return err
	}
	return p.carryOut(ctx, tx, recording, steps, next(known))
}

// look reads what the decision needs.
func (p *Pipeline) look(ctx context.Context, q *db.Queries, recording db.Recording, steps map[Stage][]byte) (snapshot, error) {
	known := snapshot{Ended: RecordingState(recording.State) == RecordingEnded, Steps: make(map[Stage]bool)}
	for stage, list := range steps {
		known.Steps[stage] = list != nil
	}
	if err := p.threshold(ctx, q, recording, &known); err != nil {
		return known, err
	}
	segments, err := q.RecordingSegments(ctx, recording.ID)
	if err != nil {
		return known, fmt.Errorf("read segments: %w", err)
	}
	for _, row := range segments {
		known.Segments = append(known.Segments, segment{
			ID: row.ID, Size: row.SizeBytes, Publish: Publish(row.Publish), Ready: row.ReadyAt != nil, Hook: RunState(row.HookState),
			Upload: UploadState(row.UploadState), Remote: row.RemoteName,
		})
	}
	runs, err := q.RecordingHookRuns(ctx, recording.ID)
	if err != nil {
		return known, fmt.Errorf("read hooks: %w", err)
	}
	for _, run := range runs {
		switch Stage(run.Stage) {
		case DownloadedProcessor:
			known.Downloaded = RunState(run.State)
		case Postprocessor:
			known.Post = RunState(run.State)
		}
	}
	submissions, err := q.RecordingSubmissions(ctx, recording.ID)
	if err != nil {
		return known, fmt.Errorf("read submissions: %w", err)
	}
	for _, row := range submissions {
		known.Submissions = append(known.Submissions, submission{ID: row.ID, Number: row.Number, State: SubmissionState(row.State), Parts: row.Parts, Full: row.IsFull})
	}
	return known, nil
}

// threshold reads filtering_threshold. Settings that cannot be used are left out: whatever they say, what was recorded goes on.
func (p *Pipeline) threshold(ctx context.Context, q *db.Queries, recording db.Recording, known *snapshot) error {
	row, err := q.RoomConfiguration(ctx, recording.StreamerID)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	configuration, err := settings.Layered(row.Global, row.Override)
	if err != nil {
		p.Logger.Error("the configuration cannot be used; the defaults apply", "recording", recording.ID, "error", err)
		configuration = settings.DefaultConfiguration()
	}
	known.Threshold, known.ThresholdMB = configuration.FilteringBytes(), configuration.FilteringThreshold
	return nil
}

func (p *Pipeline) carryOut(ctx context.Context, tx pgx.Tx, recording db.Recording, steps map[Stage][]byte, due plan) error {
	q := p.DB.WithTx(tx)
	var ordered []jobs.Args
	for _, piece := range due.Decided {
		if err := decided(ctx, q, piece, Undecided, Filtered); err != nil {
			return err
		}
	}
	for _, segmentID := range due.SegmentHooks {
		run, err := insertRun(ctx, q, recording.ID, &segmentID, SegmentProcessor, steps)
		if err != nil {
			return err
		}
		ordered = append(ordered, run...)
	}
	if len(due.Ready) > 0 {
		if err := q.SetSegmentsReady(ctx, due.Ready); err != nil {
			return fmt.Errorf("note segments that are ready: %w", err)
		}
	}
	for _, segmentID := range due.Uploads {
		round, err := q.InsertUpload(ctx, segmentID)
		if errors.Is(err, pgx.ErrNoRows) {
			continue
		}
		if err != nil {
			return fmt.Errorf("insert upload: %w", err)
		}
		ordered = append(ordered, jobs.Transfer{SegmentID: segmentID, Round: round})
	}
	if due.Hook != "" {
		run, err := insertRun(ctx, q, recording.ID, nil, due.Hook, steps)
		if err != nil {
			return err
		}
		ordered = append(ordered, run...)
	}
	submission, err := p.submissionJob(ctx, q, recording.ID, due)
	if err != nil {
		return err
	}
	return p.Orders.Order(ctx, tx, append(ordered, submission...)...)
}

// decided keeps what becomes of a segment.
func decided(ctx context.Context, q *db.Queries, d decision, from ...Publish) error {
	text, data := "", []byte(nil)
	if d.Reason.Code != "" {
		text, data = d.Reason.Text(reason.English), d.Reason.JSON()
	}
	err := held(q.SetSegmentPublish(ctx, db.SetSegmentPublishParams{ID: d.Segment, Publish: string(d.Publish), Reason: text, ReasonData: data, Before: texts(from...)}))
	if err != nil {
		return fmt.Errorf("decide about segment %d: %w", d.Segment, err)
	}
	return nil
}

func (p *Pipeline) submissionJob(ctx context.Context, q *db.Queries, recordingID int64, due plan) ([]jobs.Args, error) {
	switch {
	case due.Submit > 0:
		row, err := q.InsertSubmission(ctx, db.InsertSubmissionParams{RecordingID: recordingID, Number: due.Submit, State: string(SubmissionWaiting)})
		if errors.Is(err, pgx.ErrNoRows) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("insert submission: %w", err)
		}
		return []jobs.Args{jobs.Submit{SubmissionID: row.ID, Round: row.Round}}, nil
	case due.Append > 0:
		round, err := q.AppendToSubmission(ctx, db.AppendToSubmissionParams{
			ID: due.Append, State: string(SubmissionAppending), Before: texts(SubmissionAccepted),
		})
		if errors.Is(err, pgx.ErrNoRows) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("order parts to be added: %w", err)
		}
		return []jobs.Args{jobs.Submit{SubmissionID: due.Append, Round: round}}, nil
	}
	return nil, nil
}

// insertRun makes a run of a hook; none when it was due before.
func insertRun(ctx context.Context, q *db.Queries, recordingID int64, segmentID *int64, stage Stage, steps map[Stage][]byte) ([]jobs.Args, error) {
	id, err := q.InsertHookRun(ctx, db.InsertHookRunParams{RecordingID: recordingID, SegmentID: segmentID, Stage: string(stage), Steps: steps[stage]})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("insert hook: %w", err)
	}
	return []jobs.Args{jobs.Hook{RunID: id}}, nil
}

// stepsOf are the steps of a recording's stages in the form in which a run keeps them; a stage without steps has none.
func stepsOf(ctx context.Context, q *db.Queries, recordingID int64) (map[Stage][]byte, error) {
	row, err := q.RecordingHooks(ctx, recordingID)
	if err != nil {
		return nil, fmt.Errorf("read hooks of the streamer: %w", err)
	}
	steps := make(map[Stage][]byte)
	for stage, given := range map[Stage][]byte{SegmentProcessor: row.SegmentProcessor, DownloadedProcessor: row.DownloadedProcessor, Postprocessor: row.Postprocessor} {
		var list []json.RawMessage
		if err := json.Unmarshal(given, &list); err != nil {
			return nil, fmt.Errorf("decode %s: %w", stage, err)
		}
		if stage == SegmentProcessor && row.Format != "" {
			rewrap, err := json.Marshal(map[string]string{"remux": row.Format})
			if err != nil {
				return nil, fmt.Errorf("encode format: %w", err)
			}
			list = append([]json.RawMessage{rewrap}, list...)
		}
		if len(list) > 0 {
			if steps[stage], err = json.Marshal(list); err != nil {
				return nil, fmt.Errorf("encode %s: %w", stage, err)
			}
		}
	}
	return steps, nil
}
