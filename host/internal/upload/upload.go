// Package upload carries committed segments to Bilibili: one durable job transfers a segment over a line, one durable job makes
// the archive of a recording and adds what does not fit at once, and one follows the archive until it is public. What is due is
// decided by the pipeline; the workers here do it, and tell the pipeline what came of it.
package upload

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/bilibili"
	"github.com/lubod/lubod/host/internal/jobs"
	"github.com/lubod/lubod/host/internal/pipeline"
	"github.com/lubod/lubod/host/internal/settings"
	"github.com/lubod/lubod/sdk/line"
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
	// View tells what became of an archive, and which parts it has.
	View(ctx context.Context, account *bilibili.Account, archive bilibili.Accepted) (bilibili.View, error)
	// Edit adds parts to an archive. It can be repeated: parts that are there are not added again.
	Edit(ctx context.Context, account *bilibili.Account, via bilibili.Via, archive bilibili.Accepted, add []bilibili.Part) error
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

// Options are what a Service needs.
type Options struct {
	DB       *db.DB
	HostID   string
	Pipeline *pipeline.Pipeline
	Jobs     *jobs.Client
	Accounts Accounts
	Lines    Lines
	Archives Archives
	Covers   Covers
	Pictures Pictures
	// DataDir is where the covers are that templates name.
	DataDir string
	Logger  *slog.Logger
	Pace    pipeline.Pace
}

// Service works transfers, submissions and the follow-up of archives off. Its workers run with the client of jobs.
type Service struct {
	Options
	slots   *slots
	ranking ranking
}

// New prepares the service and registers its workers.
func New(options Options) *Service {
	s := &Service{Options: options, slots: newSlots()}
	base, stop := context.WithCancel(context.Background())
	s.ranking.base, s.ranking.stop = base, stop //nolint:fatcontext // they live as long as the service
	jobs.Register(options.Jobs, s.transferJob)
	jobs.Register(options.Jobs, s.submitJob)
	jobs.Register(options.Jobs, s.followJob)
	return s
}

// ConfigurationChanged lets a raised upload_limit take effect at once.
func (s *Service) ConfigurationChanged() { s.slots.wake() }

// PublishingChanged lets work that waits for a template or an account look again at once.
func (s *Service) PublishingChanged() { s.Pipeline.PublishingChanged() }

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

// afterTrouble is the wait after the database did not keep something. One that refuses it does so again, and whatever led there
// would be done again in vain.
func (s *Service) afterTrouble(err error) time.Duration {
	if db.Permanent(err) {
		return s.Pace.RetryMax
	}
	return s.Pace.Retry
}

// saver keeps state from being lost while the database is away.
func (s *Service) saver() jobs.Saver {
	return jobs.Saver{Logger: s.Logger, Pause: s.Pace.Database, Linger: s.Pace.Linger}
}
