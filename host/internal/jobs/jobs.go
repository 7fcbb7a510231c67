// Package jobs is the host's one client of the job library: every kind of durable job, its arguments and its queue. Workers are
// registered here; nobody else talks to the library.
//
// One client matters: a client that leads ends for good what it has no worker for.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/settings"
)

// stopTimeout bounds how long a stop waits for jobs to save where they are.
const stopTimeout = 3500 * time.Millisecond

// fetchCooldown is the least time between two looks into a queue: how long an ordered job may have to wait.
const fetchCooldown = 50 * time.Millisecond

// orderBatch is how many jobs are ordered at once.
const orderBatch = 500

// limits are how many jobs of each kind are worked on at once. Jobs that wait for their turn hold a worker, so each kind has a
// queue of its own.
var limits = map[string]int{Transfer{}.Kind(): settings.MaxUploadLimit, Submit{}.Kind(): 4, Follow{}.Kind(): 2, Hook{}.Kind(): 4}

// formerQueues are those of versions before this one, which had no host in their names.
var formerQueues = []string{"upload", "submit", "hook"}

// Options are what a Client needs.
type Options struct {
	DB     *db.DB
	HostID string
	Logger *slog.Logger
	// Poll is how often the queues are looked at besides being told of new jobs; 0: one second.
	Poll time.Duration
	// Sweep is how often jobs are looked for that were lost while the database was away; 0: a minute.
	Sweep time.Duration
}

// Client orders jobs and works them off. Register all workers before Run.
type Client struct {
	Options
	river   *river.Client[pgx.Tx]
	workers *river.Workers
	known   known
	// Claims are those of the workers that live in this process.
	Claims Claims
}

// New makes a client; jobs can be ordered at once.
func New(options Options) (*Client, error) {
	if options.Poll == 0 {
		options.Poll = river.FetchPollIntervalDefault
	}
	if options.Sweep == 0 {
		options.Sweep = time.Minute
	}
	c := &Client{Options: options, workers: river.NewWorkers()}
	queues := make(map[string]river.QueueConfig)
	for kind, most := range limits {
		queues[c.queue(kind)] = river.QueueConfig{MaxWorkers: most}
	}
	client, err := river.NewClient(riverpgxv5.New(options.DB.Pool), &river.Config{
		ID: options.HostID, Queues: queues, Workers: c.workers, FetchPollInterval: options.Poll,
		FetchCooldown:       min(fetchCooldown, max(options.Poll, time.Millisecond)),
		SkipUnknownJobCheck: true, // workers are registered later
		JobTimeout:          -1,   // a transfer takes as long as it takes; each call in it has its own deadline
		Logger:              quiet(options.Logger),
	})
	if err != nil {
		return nil, fmt.Errorf("prepare jobs: %w", err)
	}
	c.river = client
	return c, nil
}

// queue is where this host's jobs of a kind wait: files, and so the work on them, are of one host.
func (c *Client) queue(kind string) string { return kind + "-" + c.HostID }

// Outcome is what is next for a job.
type Outcome struct {
	again bool
	wait  time.Duration
}

// Done ends a job.
func Done() Outcome { return Outcome{} }

// Again lets a job run again after a wait.
func Again(wait time.Duration) Outcome { return Outcome{again: true, wait: wait} }

// Next tells whether the job runs again, and after which wait.
func (o Outcome) Next() (wait time.Duration, again bool) { return o.wait, o.again }

// Register says who works on the jobs of a kind. What to do next is in the row that a job is about, where a person sees it; so a
// worker never answers with an error. When ctx has ended, the host stops: the job runs again at the next start.
func Register[A Args](c *Client, work func(ctx context.Context, args A) Outcome) {
	river.AddWorker(c.workers, &worker[A]{client: c, work: work})
}

type worker[A Args] struct {
	river.WorkerDefaults[A]
	client *Client
	work   func(ctx context.Context, args A) Outcome
}

// Work does one try.
func (w *worker[A]) Work(ctx context.Context, job *river.Job[A]) error {
	defer w.client.known.begin(job.ID)()
	next := w.work(ctx, job.Args)
	switch {
	case ctx.Err() != nil:
		return river.JobSnooze(0)
	case next.again:
		return river.JobSnooze(next.wait)
	}
	return nil
}

// Order orders jobs in a transaction. What is ordered already stays as it is.
func (c *Client) Order(ctx context.Context, tx pgx.Tx, due ...Args) error {
	for len(due) > 0 {
		batch := due[:min(len(due), orderBatch)]
		due = due[len(batch):]
		params := make([]river.InsertManyParams, 0, len(batch))
		for _, args := range batch {
			params = append(params, river.InsertManyParams{Args: args, InsertOpts: c.once(args.Kind())})
		}
		if _, err := c.river.InsertManyTx(ctx, tx, params); err != nil {
			return fmt.Errorf("order jobs: %w", err)
		}
	}
	return nil
}

// once makes a job unique by what it is about. A job is retried for as long as it takes: the limits on tries are kept with the
// row that it is about, where a person sees them.
func (c *Client) once(kind string) *river.InsertOpts {
	return &river.InsertOpts{Queue: c.queue(kind), MaxAttempts: 10_000, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: unfinished}}
}

var unfinished = []rivertype.JobState{
	rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled,
}

// Run works until ctx ends, then lets jobs save where they are. What a dead host of this data directory was at runs again at
// once: nobody else holds it.
func (c *Client) Run(ctx context.Context) error {
	if err := c.DB.Outlast(ctx, "jobs", c.begin); err != nil {
		return err
	}
	c.tend(ctx)
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := c.river.StopAndCancel(stopCtx); err != nil {
		return fmt.Errorf("stop jobs: %w", err)
	}
	return nil
}

// begin takes over what this host left and starts to work.
func (c *Client) begin(ctx context.Context) error {
	if err := c.DB.ReleaseJobs(ctx, c.HostID); err != nil {
		return fmt.Errorf("release jobs: %w", err)
	}
	if err := c.dropFormer(ctx); err != nil {
		return err
	}
	// The client gets a context of its own: its end would cut jobs before they could save anything.
	if err := c.river.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("start jobs: %w", err)
	}
	return nil
}

// dropFormer forgets jobs of versions before this one; the rows that they were about are looked after by the pipeline.
func (c *Client) dropFormer(ctx context.Context) error {
	former := river.NewJobDeleteManyParams().Queues(formerQueues...).First(10_000)
	for {
		dropped, err := c.river.JobDeleteMany(ctx, former)
		if err != nil {
			return fmt.Errorf("drop jobs of an earlier version: %w", err)
		}
		if len(dropped.Jobs) == 0 {
			return nil
		}
	}
}

// tend finds jobs now and then that count as running here while nobody runs them, until ctx ends.
func (c *Client) tend(ctx context.Context) {
	sweep := time.NewTicker(c.Sweep)
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-sweep.C:
		}
		released, err := c.DB.ReleaseLostJobs(ctx, c.HostID, c.known.list(c.Sweep), c.Sweep)
		switch {
		case err != nil && !errors.Is(err, context.Canceled):
			c.Logger.Warn("lost jobs cannot be looked for, trying again later", "error", err)
		case released > 0:
			c.Logger.Warn("jobs were lost while the database was away; running them again", "jobs", released)
		}
	}
}
