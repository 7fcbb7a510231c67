package host

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/accounts"
	"github.com/lubod/lubod/host/internal/api"
	"github.com/lubod/lubod/host/internal/bilibili"
	"github.com/lubod/lubod/host/internal/biliup"
	"github.com/lubod/lubod/host/internal/events"
	"github.com/lubod/lubod/host/internal/health"
	"github.com/lubod/lubod/host/internal/hooks"
	"github.com/lubod/lubod/host/internal/jobs"
	"github.com/lubod/lubod/host/internal/monitor"
	"github.com/lubod/lubod/host/internal/outgoing"
	"github.com/lubod/lubod/host/internal/pipeline"
	"github.com/lubod/lubod/host/internal/plugins"
	"github.com/lubod/lubod/host/internal/record"
	"github.com/lubod/lubod/host/internal/upload"
	"github.com/lubod/lubod/sdk/fetch"
)

// services are the parts of a host that stand on its database and its plugins.
type services struct {
	client     *bilibili.Client
	outside    *outgoing.Client
	accounts   *accounts.Keeper
	jobs       *jobs.Client
	pipeline   *pipeline.Pipeline
	hooks      *hooks.Service
	uploads    *upload.Service
	recordings *record.Service
	watcher    *monitor.Monitor
	events     *events.Bus
	plugins    pluginStates
	health     *health.Board
	api        *api.Server
}

// build makes the services and joins them; nothing runs yet.
func (h *Host) build(hostID uuid.UUID, manager *plugins.Manager, database *db.DB) (*services, error) {
	allowed, err := fetch.ParseAllowed(h.config.AllowAddresses)
	if err != nil {
		return nil, err
	}
	s := &services{
		client: bilibili.New(bilibili.Options{MemberURL: h.config.MemberURL, APIURL: h.config.APIURL, PassportURL: h.config.PassportURL}),
		// Everything that goes to an address which a user chose goes through it.
		outside: outgoing.New(outgoing.Options{Allowed: allowed, UserAgent: "lubod/" + h.version, Referer: bilibili.Referer}),
		events:  events.New(events.Options{DB: database, Logger: h.logger.With("part", "events")}),
		plugins: pluginStates{database, hostID, catalog{manager, h}, h.logger.With("part", "plugins")},
	}
	if err := s.buildPipeline(h, hostID, manager, database); err != nil {
		s.close()
		return nil, err
	}
	s.health = s.healthBoard(h, hostID, manager, database)
	if err := s.buildAPI(h, manager, database); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// buildPipeline makes what brings a stream into files and files to Bilibili.
func (s *services) buildPipeline(h *Host, hostID uuid.UUID, manager *plugins.Manager, database *db.DB) (err error) {
	options := &roomOptions{logger: h.logger.With("part", "options")}
	resolver := extractors{manager, options, h.config.DataDir}
	recordingsDir := h.recordingsDir()
	s.accounts = accounts.New(accounts.Options{
		DB: database, HostID: hostID, Files: accounts.NewFiles(h.config.DataDir), Client: s.client,
		Changed: func() { s.uploads.PublishingChanged() }, Logger: h.logger.With("part", "accounts"),
	})
	pace, err := h.pace()
	if err != nil {
		return err
	}
	s.jobs, err = jobs.New(jobs.Options{DB: database, HostID: hostID.String(), Logger: h.logger.With("part", "jobs"), Sweep: pace.Sweep})
	if err != nil {
		return err
	}
	s.pipeline = pipeline.New(pipeline.Options{DB: database, Orders: s.jobs, Logger: h.logger.With("part", "pipeline"), Pace: pace})
	s.hooks = hooks.New(hooks.Options{
		DB: database, HostID: hostID.String(), Root: recordingsDir, MoveDirs: filepath.SplitList(h.config.HookDirs),
		AllowRun: h.config.AllowRunHooks, HTTP: s.outside, Pipeline: s.pipeline, Jobs: s.jobs, Logger: h.logger.With("part", "hooks"), Pace: pace,
	})
	s.uploads = upload.New(upload.Options{
		DB: database, HostID: hostID.String(), Pipeline: s.pipeline, Jobs: s.jobs, Accounts: s.accounts, Lines: lines{manager}, Archives: s.client,
		Covers: s.client, Pictures: pictures{s.outside}, DataDir: h.config.DataDir, Logger: h.logger.With("part", "upload"), Pace: pace,
	})
	s.recordings = record.New(record.Options{
		DB: database, HostID: hostID, Root: recordingsDir, Recorders: recorders{manager, options}, Extractors: resolver,
		Publisher: s.pipeline, Prepare: s.hooks.Prepare, Revive: pace.Revive,
		SessionFed:   func(streamerID int64) { s.watcher.SessionFed(streamerID) },
		SessionEnded: func(streamerID int64, end record.End) { s.watcher.SessionEnded(streamerID, monitor.SessionEnd(end)) },
		SlotFree:     func() { s.watcher.SlotFree() },
		Logger:       h.logger.With("part", "record"),
	})
	s.watcher = monitor.New(monitor.Options{
		DB: database, Extractors: resolver, Recorder: recordable{s.recordings}, Logger: h.logger.With("part", "monitor"),
	})
	return nil
}

func (s *services) buildAPI(h *Host, manager *plugins.Manager, database *db.DB) (err error) {
	s.api, err = api.New(api.Deps{
		DB: database, Rooms: rooms{s.watcher, s.recordings}, Uploads: s.uploads, Plugins: catalog{manager, h}, Hooks: s.hooks, Bilibili: s.client,
		Accounts: s.accounts, QRLogin: h.config.QRLogin, RunHooks: h.config.AllowRunHooks, Outgoing: s.outside, Around: h.aroundAPI(database),
		Hosts:  strings.FieldsFunc(h.config.Hosts, func(r rune) bool { return r == ',' }),
		Events: s.events, Health: s.health, Logs: h.logs, Logger: h.logger.With("part", "api"), DataDir: h.config.DataDir, Version: h.version,
	})
	return err
}

// pace are the waits of everything that is tried again.
func (h *Host) pace() (pipeline.Pace, error) {
	if h.config.TestPace == "" {
		return pipeline.DefaultPace(), nil
	}
	factor, err := strconv.ParseFloat(h.config.TestPace, 64)
	if err != nil {
		return pipeline.Pace{}, fmt.Errorf("LUBOD_TEST_PACE: %w", err)
	}
	return pipeline.DefaultPace().Scaled(factor), nil
}

// aroundAPI puts biliup's paths, and its page where there is one, around the API.
func (h *Host) aroundAPI(database *db.DB) func(http.Handler) http.Handler {
	if !h.config.BiliupPaths {
		return nil
	}
	return func(served http.Handler) http.Handler {
		return biliup.New(biliup.Options{
			API: served, SessionCookie: api.SessionCookie, Page: h.config.BiliupPage, UserExists: database.AnyUser, Recordings: h.recordingsDir(),
			UserOfPage: func(ctx context.Context, name string) (string, error) {
				meant, err := database.UserOfPage(ctx, name)
				if errors.Is(err, pgx.ErrNoRows) {
					return "", nil
				}
				return meant, err
			},
			Recorded: func(ctx context.Context, path string) (bool, error) {
				files, err := database.RecordedFiles(ctx, []string{path})
				return len(files) > 0, err
			},
			Logger: h.logger.With("part", "biliup"),
		})
	}
}

// start runs the services. following is false when ctx ended, or a part failed, before it was known what is being recorded:
// rooms are watched only then.
func (s *services) start(ctx context.Context, parts *stages) (following bool, err error) {
	parts.start(ctx, "events", 2*time.Second, s.events.Run)
	parts.start(ctx, "health", time.Second, s.health.Run)
	parts.start(ctx, "plugin states", time.Second, s.plugins.run)
	parts.start(ctx, "accounts", 2*time.Second, s.accounts.Run)
	parts.start(ctx, "pipeline", time.Second, s.pipeline.Run)
	parts.start(ctx, "upload", time.Second, s.uploads.Run)
	parts.start(ctx, "hooks", time.Second, s.hooks.Run)
	parts.start(ctx, "jobs", 4*time.Second, s.jobs.Run)
	known := make(chan struct{})
	parts.start(ctx, "record", 2*time.Second, func(ctx context.Context) error {
		return s.recordings.Run(ctx, func() { close(known) })
	})
	select {
	case <-known:
	case err := <-parts.failed:
		return false, err
	case <-ctx.Done():
		return false, nil
	}
	parts.start(ctx, "monitor", 2*time.Second, func(ctx context.Context) error {
		// Before it is known what is installed, no platform can be asked about many rooms at once.
		if err := s.plugins.catalog.WaitLoaded(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		return s.watcher.Run(ctx)
	})
	return true, nil
}

// close ends what holds connections, when nothing runs any more.
func (s *services) close() {
	s.outside.Close()
	s.client.Close()
}
