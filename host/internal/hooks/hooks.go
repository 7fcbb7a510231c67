package hooks

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/jobs"
	"github.com/lubod/lubod/host/internal/outgoing"
	"github.com/lubod/lubod/host/internal/pipeline"
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
	HTTP     Sender
	Pipeline *pipeline.Pipeline
	Jobs     *jobs.Client
	Logger   *slog.Logger
	// Pace are the waiting times.
	Pace pipeline.Pace
}

// Service runs the hooks of recordings: each that becomes due is a row and a job, committed with what made it due.
//
// A step is committed when it is over. Whoever dies in the middle of one begins it again: what moves, rewrites or removes
// files knows from its row how far it came, commands and webhooks are run once more.
type Service struct {
	Options
	short func(folder string) bool // whether its disk runs short
}

// New prepares the service and registers its worker, which runs with the client of jobs.
func New(options Options) *Service {
	s := &Service{Options: options, short: diskShort}
	jobs.Register(options.Jobs, s.runJob)
	return s
}

// Retry lets a held run go on: with the step that failed, or with the one after it. The error is pipeline.ErrNotHeld or
// pgx.ErrNoRows where there is nothing to let go on.
func (s *Service) Retry(ctx context.Context, id int64, skip bool) (db.HookRun, error) {
	return s.Pipeline.RetryRun(ctx, id, skip)
}

// saver keeps state from being lost while the database is away.
func (s *Service) saver() jobs.Saver {
	return jobs.Saver{Logger: s.Logger, Pause: s.Pace.Database, Linger: s.Pace.Linger}
}
