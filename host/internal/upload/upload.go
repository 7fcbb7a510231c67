// Package upload carries committed segments to Bilibili: one durable job transfers a segment over a line, one durable
// job submits a recording once every segment of it is there. Jobs live in the same database as the rows that they are
// about and are inserted in the same transactions, so that a crash between two steps loses neither.
package upload

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/bilibili"
	"github.com/lubod/lubod/host/internal/jobs"
	"github.com/lubod/lubod/host/internal/settings"
	"github.com/lubod/lubod/sdk/line"
)

const (
	// Transfers that wait for their turn hold a worker, so submissions have workers of their own.
	transferQueue, submitQueue = "upload", "submit"
	// maxTransfers bounds the transfers that are looked at at once; upload_limit, which is never larger, those that run.
	maxTransfers = settings.MaxUploadLimit
	maxSubmits   = 4
	// stopTimeout bounds how long a stop waits for transfers to save where they are.
	stopTimeout = 3500 * time.Millisecond
)

// Lines gives access to the running line plugins.
type Lines interface {
	// Names lists the lines that can be used.
	Names(ctx context.Context) ([]string, error)
	// Lease pins the process that serves a line until Release.
	Lease(ctx context.Context, name string) (Lease, error)
}

// Lease is one pinned line plugin.
type Lease interface {
	line.Line
	line.Prober
	Plugin() string
	Release()
}

// Archives is Bilibili's side of submissions.
type Archives interface {
	Submit(ctx context.Context, account *bilibili.Account, archive bilibili.Archive) (bilibili.Accepted, error)
	Find(ctx context.Context, account *bilibili.Account, parts []string, since time.Time) (bilibili.Accepted, error)
}

// Accounts knows which logins Bilibili accepts.
type Accounts interface {
	// Account returns the login of a cookie file, checked and refreshed when that is due. bilibili.ErrNoAccount means that
	// a person has to act. An empty name means the account that is taken where none is named; accounts.ErrNoDefault: there
	// is none.
	Account(ctx context.Context, file string) (*bilibili.Account, error)
	// Rejected tells that a call was refused because of the login, so that it is checked before its next use.
	Rejected(ctx context.Context, account *bilibili.Account) error
}

// Hooks are what a streamer has done to its recordings before and after they are published. Both are told inside the
// transaction that makes it due, with the recording locked.
type Hooks interface {
	// BeforeSubmission tells whether nothing has to be done any more before an ended recording is submitted. When
	// something has, RecordingEnded is called again after it.
	BeforeSubmission(ctx context.Context, tx pgx.Tx, recordingID int64) (done bool, err error)
	// AfterPublication is told that a recording's archive was accepted, or that nothing of it is published.
	AfterPublication(ctx context.Context, tx pgx.Tx, recordingID int64) error
}

// Options are what a Service needs.
type Options struct {
	DB       *db.DB
	HostID   string
	Accounts Accounts
	Lines    Lines
	Archives Archives
	// Hooks may be nil: there are none.
	Hooks    Hooks
	Covers   Covers
	Pictures Pictures
	// DataDir is where the covers are that templates name.
	DataDir string
	Logger  *slog.Logger
	// Pace are the waiting times; the zero value means those meant for real life.
	Pace Pace
}

// Service owns the jobs. Use New, then Run; SegmentClosed and RecordingEnded work from New on.
type Service struct {
	Options
	client  *river.Client[pgx.Tx]
	slots   *slots
	ranking ranking
	hurry   chan struct{} // something that jobs wait for may have changed
	known   jobs.Known
}

type transferArgs struct {
	SegmentID int64 `json:"segment_id"`
}

func (transferArgs) Kind() string { return "transfer" }

type submitArgs struct {
	RecordingID int64 `json:"recording_id"`
}

func (submitArgs) Kind() string { return "submit" }

// New prepares the service.
func New(options Options) (*Service, error) {
	if options.Pace == (Pace{}) {
		options.Pace = defaultPace()
	}
	if options.Hooks == nil {
		options.Hooks = noHooks{}
	}
	s := &Service{Options: options, slots: newSlots(), hurry: make(chan struct{}, 1)}
	workers := river.NewWorkers()
	river.AddWorker(workers, &transferWorker{service: s})
	river.AddWorker(workers, &submitWorker{service: s})
	client, err := river.NewClient(riverpgxv5.New(options.DB.Pool), &river.Config{
		ID:         options.HostID,
		Queues:     map[string]river.QueueConfig{transferQueue: {MaxWorkers: maxTransfers}, submitQueue: {MaxWorkers: maxSubmits}},
		Workers:    workers,
		JobTimeout: -1, // a transfer takes as long as it takes; each call in it has its own deadline
		Logger:     jobs.Quiet(options.Logger),
	})
	if err != nil {
		return nil, fmt.Errorf("prepare jobs: %w", err)
	}
	s.client = client
	return s, nil
}

// Run works until ctx ends, then lets transfers save where they are.
func (s *Service) Run(ctx context.Context) error {
	if err := s.recover(ctx); err != nil {
		return err
	}
	// The client gets a context of its own: its end would cut jobs before they could save anything.
	if err := s.client.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("start jobs: %w", err)
	}
	s.tendJobs(ctx)
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := s.client.StopAndCancel(stopCtx); err != nil {
		return fmt.Errorf("stop jobs: %w", err)
	}
	return nil
}

// recover takes up what a dead host left: its running jobs, rows whose job is gone, and recordings that ended without
// their submission being ordered.
func (s *Service) recover(ctx context.Context) error {
	if err := s.DB.ReleaseJobs(ctx, s.HostID); err != nil {
		return fmt.Errorf("release jobs: %w", err)
	}
	unfinished, err := s.DB.UnfinishedUploads(ctx)
	if err != nil {
		return fmt.Errorf("list unfinished uploads: %w", err)
	}
	for _, segmentID := range unfinished {
		if _, err := s.client.Insert(ctx, transferArgs{segmentID}, jobs.Once(transferQueue)); err != nil {
			return fmt.Errorf("order transfer: %w", err)
		}
	}
	ended, err := s.DB.UnsubmittedRecordings(ctx)
	if err != nil {
		return fmt.Errorf("list recordings without submission: %w", err)
	}
	for _, recordingID := range ended {
		err := s.DB.InTx(ctx, func(tx pgx.Tx, q *db.Queries) error { return s.RecordingEnded(ctx, tx, recordingID) })
		if err != nil {
			return err
		}
	}
	return s.retryRefused(ctx)
}

// SegmentClosed orders the transfer of a segment in the transaction that commits its row.
func (s *Service) SegmentClosed(ctx context.Context, tx pgx.Tx, segmentID int64) error {
	if err := s.DB.WithTx(tx).InsertUpload(ctx, segmentID); err != nil {
		return fmt.Errorf("insert upload: %w", err)
	}
	if _, err := s.client.InsertTx(ctx, tx, transferArgs{segmentID}, jobs.Once(transferQueue)); err != nil {
		return fmt.Errorf("order transfer: %w", err)
	}
	return nil
}

type noHooks struct{}

func (noHooks) BeforeSubmission(context.Context, pgx.Tx, int64) (bool, error) { return true, nil }
func (noHooks) AfterPublication(context.Context, pgx.Tx, int64) error         { return nil }

// RecordingEnded orders the submission of a recording if it has ended, its hooks are done, and every segment of it is
// uploaded or given up. It is called by every transaction that can make this true; the lock on the recording lets exactly
// one see it.
func (s *Service) RecordingEnded(ctx context.Context, tx pgx.Tx, recordingID int64) error {
	q := s.DB.WithTx(tx)
	recording, err := q.LockRecording(ctx, recordingID)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // it was removed: there is nothing to publish
	}
	if err != nil {
		return fmt.Errorf("lock recording: %w", err)
	}
	if recording.State != "ended" {
		return nil
	}
	if done, err := s.Hooks.BeforeSubmission(ctx, tx, recordingID); err != nil || !done {
		return err
	}
	segments, err := q.RecordingSegments(ctx, recordingID)
	if err != nil {
		return fmt.Errorf("read segments: %w", err)
	}
	parts, waived := 0, 0
	for _, segment := range segments {
		switch {
		case segment.Publish == "waived":
			waived++
		case segment.Publish != "wanted":
		case segment.UploadState != "uploaded":
			return nil
		default:
			parts++
		}
	}
	switch {
	case parts == 0 && waived > 0:
		return nil // a person may take that back
	case parts == 0:
		return s.Hooks.AfterPublication(ctx, tx, recordingID)
	}
	if _, err := q.InsertSubmission(ctx, recordingID); err != nil {
		return fmt.Errorf("insert submission: %w", err)
	}
	if _, err := s.client.InsertTx(ctx, tx, submitArgs{recordingID}, jobs.Once(submitQueue)); err != nil {
		return fmt.Errorf("order submission: %w", err)
	}
	return nil
}

// ConfigurationChanged lets a raised upload_limit take effect at once.
func (s *Service) ConfigurationChanged() { s.slots.wake() }

// PublishingChanged lets jobs that wait for a template or an account look again at once, and what Bilibili refused with a
// template that was changed be submitted again.
func (s *Service) PublishingChanged() {
	select {
	case s.hurry <- struct{}{}:
	default:
	}
}

// tendJobs wakes waiting jobs on demand, and finds lost ones now and then, until ctx ends.
func (s *Service) tendJobs(ctx context.Context) {
	sweep := time.NewTicker(s.Pace.Sweep)
	defer sweep.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-s.hurry:
			// Those that wait for longer than an operator takes have other reasons, such as a pause that Bilibili asked for.
			err = errors.Join(s.DB.HurryJobs(ctx, s.Pace.Operator), s.retryRefused(ctx))
		case <-sweep.C:
			err = errors.Join(s.releaseLost(ctx), s.orderLostTransfers(ctx))
		}
		if err != nil && ctx.Err() == nil {
			s.Logger.Warn("waiting jobs cannot be looked after, trying again later", "error", err)
		}
	}
}

// releaseLost lets jobs run again that count as running here while nobody runs them.
func (s *Service) releaseLost(ctx context.Context) error {
	released, err := s.DB.ReleaseLostJobs(ctx, s.HostID, s.known.List(s.Pace.Sweep), s.Pace.Sweep)
	if released > 0 {
		s.Logger.Warn("jobs were lost while the database was away; running them again", "jobs", released)
	}
	return err
}

// configuration returns what applies to a room; a nil streamer (deleted) has the global one.
func (s *Service) configuration(ctx context.Context, streamerID *int64) (settings.Configuration, error) {
	row, err := s.DB.RoomConfiguration(ctx, streamerID)
	if err != nil {
		return settings.Configuration{}, fmt.Errorf("read configuration: %w", err)
	}
	return settings.Layered(row.Global, row.Override)
}

// about is the log for lines about one recording, which whoever watches its room alone gets. A nil streamer was deleted, or
// there never was one: a person ordered the files.
func (s *Service) about(recordingID int64, streamerID *int64) *slog.Logger {
	logger := s.Logger.With("recording", recordingID)
	if streamerID == nil {
		return logger
	}
	return logger.With("streamer", *streamerID)
}

// saver keeps state from being lost while the database is away.
func (s *Service) saver() jobs.Saver {
	return jobs.Saver{Logger: s.Logger, Pause: s.Pace.Database, Linger: s.Pace.Linger}
}
