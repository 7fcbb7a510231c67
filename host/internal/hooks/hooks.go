package hooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/jobs"
	"github.com/lubod/lubod/host/internal/outgoing"
)

const (
	queue = "hook"
	// maxRuns bounds the hooks that run at once: each may be an ffmpeg.
	maxRuns = 4
	// stopTimeout bounds how long a stop waits for commands to end.
	stopTimeout = 3500 * time.Millisecond
)

// Sender makes requests to addresses that users chose.
type Sender interface {
	Do(ctx context.Context, request outgoing.Request) (*http.Response, error)
	// CheckURL says what keeps requests from ever going to a URL, without asking anybody.
	CheckURL(url string) error
}

// Options are what a Service needs.
type Options struct {
	DB     *db.DB
	HostID string
	// Root is the folder of the recordings, absolute.
	Root string
	// MoveDirs are other folders, absolute, into which files may be moved.
	MoveDirs []string
	// AllowRun lets hooks run commands, and move files anywhere.
	AllowRun bool
	// HTTP calls webhooks. It decides which addresses may be called.
	HTTP Sender
	// Upload orders the upload of a segment that its hook is done with, Ended is told that a hook was the last thing that
	// may have kept a recording from being submitted. Both in the transaction that commits it.
	Upload func(ctx context.Context, tx pgx.Tx, segmentID int64) error
	Ended  func(ctx context.Context, tx pgx.Tx, recordingID int64) error
	Logger *slog.Logger
	// Pace are the waiting times; the zero value means those meant for real life.
	Pace Pace
}

// Pace are the waiting times of this package.
type Pace struct {
	// Database between two tries to save something while the database is away.
	Database time.Duration
	// Retry is the wait after the first failure of a step; it doubles up to RetryMax.
	Retry, RetryMax time.Duration
	// Turn between two looks whether an earlier hook of the same recording is done, or an upload has read its file.
	Turn time.Duration
	// Sweep between two searches for lost jobs.
	Sweep time.Duration
	// Linger is how long a stop waits for what a step has done to be saved.
	Linger time.Duration
}

func defaultPace() Pace {
	return Pace{
		Database: time.Second, Retry: 5 * time.Second, RetryMax: 10 * time.Minute, Turn: 3 * time.Second, Sweep: time.Minute,
		Linger: 2 * time.Second,
	}
}

// Service runs the hooks of recordings: each that becomes due is a row and a job, committed with what made it due.
//
// A step is committed when it is over. Whoever dies in the middle of one begins it again: what moves, rewrites or removes
// files knows from its row how far it came, commands and webhooks are run once more.
type Service struct {
	Options
	client *river.Client[pgx.Tx]
	known  jobs.Known
}

type runArgs struct {
	RunID int64 `json:"run_id"`
	Round int32 `json:"round"`
}

func (runArgs) Kind() string { return "hook" }

// New prepares the service. SegmentClosed, BeforeSubmission, AfterPublication and Prepare work from now on.
func New(options Options) (*Service, error) {
	if options.Pace == (Pace{}) {
		options.Pace = defaultPace()
	}
	s := &Service{Options: options}
	workers := river.NewWorkers()
	river.AddWorker(workers, &runWorker{service: s})
	client, err := river.NewClient(riverpgxv5.New(options.DB.Pool), &river.Config{
		ID:         s.clientID(),
		Queues:     map[string]river.QueueConfig{queue: {MaxWorkers: maxRuns}},
		Workers:    workers,
		JobTimeout: -1, // every step has its own deadline
		Logger:     jobs.Quiet(options.Logger),
	})
	if err != nil {
		return nil, fmt.Errorf("prepare jobs of hooks: %w", err)
	}
	s.client = client
	return s, nil
}

// clientID tells the jobs that this service works on from those of the host's other services.
func (s *Service) clientID() string { return s.HostID + "/hooks" }

// Run works until ctx ends, then ends running commands; their steps are begun again by the next Run.
func (s *Service) Run(ctx context.Context) error {
	if err := s.recover(ctx); err != nil {
		return err
	}
	// The client gets a context of its own: its end would cut jobs before they could save anything.
	if err := s.client.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("start jobs of hooks: %w", err)
	}
	s.tendJobs(ctx)
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := s.client.StopAndCancel(stopCtx); err != nil {
		return fmt.Errorf("stop jobs of hooks: %w", err)
	}
	return nil
}

// recover takes up what a dead host left: its running jobs, and runs whose job is gone.
func (s *Service) recover(ctx context.Context) error {
	if err := s.DB.ReleaseJobs(ctx, s.clientID()); err != nil {
		return fmt.Errorf("release jobs of hooks: %w", err)
	}
	unfinished, err := s.DB.UnfinishedHookRuns(ctx)
	if err != nil {
		return fmt.Errorf("list unfinished hooks: %w", err)
	}
	for _, run := range unfinished {
		if _, err := s.client.Insert(ctx, runArgs{run.ID, run.Round}, jobs.Once(queue)); err != nil {
			return fmt.Errorf("order hook: %w", err)
		}
	}
	return nil
}

// tendJobs finds lost jobs now and then, until ctx ends.
func (s *Service) tendJobs(ctx context.Context) {
	sweep := time.NewTicker(s.Pace.Sweep)
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-sweep.C:
		}
		released, err := s.DB.ReleaseLostJobs(ctx, s.clientID(), s.known.List(s.Pace.Sweep), s.Pace.Sweep)
		switch {
		case err != nil && ctx.Err() == nil:
			s.Logger.Warn("waiting hooks cannot be looked after, trying again later", "error", err)
		case released > 0:
			s.Logger.Warn("hooks were lost while the database was away; running them again", "hooks", released)
		}
	}
}

// SegmentClosed orders what is to be done with a new segment, in the transaction that commits its row: its hook, or its
// upload when there is none.
func (s *Service) SegmentClosed(ctx context.Context, tx pgx.Tx, segmentID int64) error {
	segment, err := s.DB.WithTx(tx).GetSegment(ctx, segmentID)
	if err != nil {
		return fmt.Errorf("read segment: %w", err)
	}
	// What is too short to be published is too short to be worked on.
	if segment.Publish != "filtered" {
		due, err := s.order(ctx, tx, SegmentProcessor, segment.RecordingID, &segmentID)
		if err != nil || due {
			return err
		}
	}
	return s.uploadSegment(ctx, tx, segment)
}

func (s *Service) uploadSegment(ctx context.Context, tx pgx.Tx, segment db.Segment) error {
	if segment.Publish != "wanted" {
		return nil
	}
	return s.Upload(ctx, tx, segment.ID)
}

// BeforeSubmission tells whether all that has to be done before a recording is submitted is done. It orders the
// downloaded_processor when the last segment_processor is over. The recording has ended and is locked.
func (s *Service) BeforeSubmission(ctx context.Context, tx pgx.Tx, recordingID int64) (bool, error) {
	runs, err := s.DB.WithTx(tx).RecordingHookRuns(ctx, recordingID)
	if err != nil {
		return false, fmt.Errorf("read hooks: %w", err)
	}
	ordered := false
	for _, run := range runs {
		switch {
		case Stage(run.Stage) == Postprocessor:
		case run.State != "done":
			return false, nil
		case Stage(run.Stage) == DownloadedProcessor:
			ordered = true
		}
	}
	if ordered {
		return true, nil
	}
	due, err := s.order(ctx, tx, DownloadedProcessor, recordingID, nil)
	return !due, err
}

// AfterPublication orders the postprocessor of a recording that was accepted, or of which nothing is published. The
// recording is locked.
func (s *Service) AfterPublication(ctx context.Context, tx pgx.Tx, recordingID int64) error {
	_, err := s.order(ctx, tx, Postprocessor, recordingID, nil)
	return err
}

// order inserts a run and its job, and tells whether there is anything to do.
func (s *Service) order(ctx context.Context, tx pgx.Tx, stage Stage, recordingID int64, segmentID *int64) (bool, error) {
	q := s.DB.WithTx(tx)
	steps, err := s.steps(ctx, q, stage, recordingID)
	if err != nil || steps == nil {
		return false, err
	}
	if segmentID == nil {
		segments, err := q.RecordingSegments(ctx, recordingID)
		if err != nil || len(segments) == 0 {
			return false, err // nothing was recorded
		}
	}
	id, err := q.InsertHookRun(ctx, db.InsertHookRunParams{RecordingID: recordingID, SegmentID: segmentID, Stage: string(stage), Steps: steps})
	if errors.Is(err, pgx.ErrNoRows) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("insert hook: %w", err)
	}
	if _, err := s.client.InsertTx(ctx, tx, runArgs{RunID: id}, jobs.Once(queue)); err != nil {
		return false, fmt.Errorf("order hook: %w", err)
	}
	return true, nil
}

// steps are the steps of a stage as they are to be kept with a run; nil: there are none.
func (s *Service) steps(ctx context.Context, q *db.Queries, stage Stage, recordingID int64) ([]byte, error) {
	row, err := q.RecordingHooks(ctx, recordingID)
	if err != nil {
		return nil, fmt.Errorf("read hooks of the streamer: %w", err)
	}
	var raw []json.RawMessage
	given := map[Stage][]byte{SegmentProcessor: row.SegmentProcessor, DownloadedProcessor: row.DownloadedProcessor, Postprocessor: row.Postprocessor}[stage]
	if err := json.Unmarshal(given, &raw); err != nil {
		return nil, fmt.Errorf("decode %s: %w", stage, err)
	}
	if stage == SegmentProcessor && row.Format != "" {
		rewrap, err := json.Marshal(map[Action]string{Remux: row.Format})
		if err != nil {
			return nil, fmt.Errorf("encode format: %w", err)
		}
		raw = append([]json.RawMessage{rewrap}, raw...)
	}
	if len(raw) == 0 {
		return nil, nil
	}
	return json.Marshal(raw)
}

// ErrNotHeld means that a run does not wait for a person.
var ErrNotHeld = errors.New("the hook is not held")

// Retry lets a held run go on: with the step that failed, or with the one after it. The error is ErrNotHeld or
// pgx.ErrNoRows where there is nothing to let go on.
func (s *Service) Retry(ctx context.Context, id int64, skip bool) (db.HookRun, error) {
	var run db.HookRun
	err := s.DB.InTx(ctx, func(tx pgx.Tx, q *db.Queries) (err error) {
		if run, err = q.LockHookRun(ctx, id); err != nil {
			return err
		}
		if run.State != "held" {
			return ErrNotHeld
		}
		if run, err = q.RetryHookRun(ctx, db.RetryHookRunParams{ID: id, Skip: skip}); err != nil {
			return err
		}
		_, err = s.client.InsertTx(ctx, tx, runArgs{id, run.Round}, jobs.Once(queue))
		return err
	})
	return run, err
}

// saver keeps state from being lost while the database is away.
func (s *Service) saver() jobs.Saver {
	return jobs.Saver{Logger: s.Logger, Pause: s.Pace.Database, Linger: s.Pace.Linger}
}
