// Package host is the lubod daemon: it owns the REST API, the state in PostgreSQL and the scheduling, and runs
// extractors, recorders and lines as plugin processes around it.
package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/db/embedded"
	"github.com/lubod/lubod/host/internal/config"
	"github.com/lubod/lubod/host/internal/folders"
	"github.com/lubod/lubod/host/internal/logs"
	"github.com/lubod/lubod/host/internal/plugins"
	"github.com/lubod/lubod/host/internal/settings"
	"github.com/lubod/lubod/sdk/fetch"
)

// Config is what the daemon was started with.
type Config = config.Config

// Setting is one value of Config as a command line shows it.
type Setting = config.Setting

// Settings lists every setting of Config.
func Settings() []Setting { return config.Settings() }

// DatabaseURLVariable is the environment variable for the URL of the database.
const DatabaseURLVariable = config.DatabaseURLVariable

// HoldsPassword tells whether the URL of a database holds a password.
func HoldsPassword(url string) bool { return config.HoldsPassword(url) }

// LoadConfig makes a Config from flags and environment variables; the error names every setting that is wrong.
func LoadConfig(flag func(name string) (string, bool), getenv func(name string) string) (Config, error) {
	return config.Load(flag, getenv)
}

// Host is one daemon.
type Host struct {
	config  Config
	version string
	logger  *slog.Logger
	logs    *logs.Ring
	reload  chan chan error
}

// New prepares a host; nothing runs yet. Clients of the API can watch what it logs. Secrets are kept out of the log, wherever
// it goes: logs are copied into reports, and read by more people than may log in.
func New(config Config, version string, logger *slog.Logger) *Host {
	ring := logs.NewRing()
	return &Host{config: config, version: version, logger: slog.New(ring.Handler(logs.Masked(logger.Handler()))), logs: ring, reload: make(chan chan error)}
}

// Reload reads plugins.hcl again while Run is running. After an error nothing has changed.
func (h *Host) Reload(ctx context.Context) error {
	answer := make(chan error, 1)
	select {
	case h.reload <- answer:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run starts every part, in the order in which it reads here, calls ready with the address of the API, and stops them in
// reverse when ctx ends or a part fails. Recordings go on in their recorder processes; the next Run takes them up.
func (h *Host) Run(ctx context.Context, ready func(address string)) (err error) {
	if err := settings.CheckMachineZone(os.Getenv("TZ")); err != nil {
		h.logger.Warn("the time zone of the environment is not known", "problem", err)
	}
	parts := newStages(h.logger)
	defer func() {
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			err = nil // a stop during the start is no failure
		}
		err = errors.Join(err, parts.stop())
	}()

	if err := h.prepareDataDir(); err != nil {
		return err
	}
	lock, err := h.lockDataDir()
	if err != nil {
		return err
	}
	parts.onStop(ctx, "data directory", time.Second, func(context.Context) error { return lock.Release() })
	hostID, err := h.identity()
	if err != nil {
		return err
	}
	listening, err := (&net.ListenConfig{}).Listen(ctx, "tcp", h.config.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s (--listen): %w", h.config.Listen, err)
	}
	// The API closes it in order; this is for starts that do not get that far.
	parts.onStop(ctx, "listener", time.Second, func(context.Context) error { _ = listening.Close(); return nil })

	manager, err := h.startPlugins(ctx, parts)
	if err != nil {
		return err
	}
	database, err := h.startDatabase(ctx, parts, hostID)
	if err != nil {
		return err
	}
	if err := h.prepareRecordings(ctx, database); err != nil {
		return err
	}
	built, err := h.build(hostID, manager, database)
	if err != nil {
		return err
	}
	parts.onStop(ctx, "connections", time.Second, func(context.Context) error { built.close(); return nil })
	if following, err := built.start(ctx, parts); !following {
		return err
	}
	parts.start(ctx, "api", 2*time.Second, func(ctx context.Context) error { return built.api.Run(ctx, listening) })
	h.logger.Info("lubod is up", "address", "http://"+listening.Addr().String(), "version", h.version, "data_dir", h.config.DataDir)
	ready(listening.Addr().String())
	return parts.wait(ctx)
}

// prepareDataDir makes the data directory when there is none. Others may pass through it to the recordings, as far as the umask
// allows, and not see what is in it; accounts and the database are private below it.
func (h *Host) prepareDataDir() error {
	err := os.MkdirAll(filepath.Dir(h.config.DataDir), 0o777) //nolint:gosec // the umask decides
	if err == nil {
		err = os.Mkdir(h.config.DataDir, 0o711) //nolint:gosec // see above
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("the data directory %s (--data-dir) cannot be made: %w", h.config.DataDir, folders.Explain(err))
	}
	return nil
}

func (h *Host) lockDataDir() (*embedded.Lock, error) {
	lock, err := embedded.LockDir(h.config.DataDir)
	if _, used := errors.AsType[*embedded.InUseError](err); used {
		return nil, fmt.Errorf("another lubod runs on this data directory: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("the data directory %s (--data-dir) has to be a folder that lubod may write to: %w", h.config.DataDir, folders.Explain(err))
	}
	return lock, nil
}

// prepareRecordings makes the folder of recordings when there is none.
func (h *Host) prepareRecordings(ctx context.Context, database *db.DB) error {
	var stored []byte
	err := database.Outlast(ctx, "configuration", func(ctx context.Context) (err error) {
		stored, err = database.GetConfiguration(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	configuration, err := settings.Layered(stored)
	if err != nil {
		h.logger.Error("the configuration cannot be used; the defaults apply", "error", err)
	}
	root := h.recordingsDir()
	if _, err := folders.Make([]string{root}, root, configuration.Modes().Folder); err != nil {
		return fmt.Errorf("the folder for recordings, %s, cannot be used: %w", root, folders.Explain(err))
	}
	return nil
}

func (h *Host) recordingsDir() string { return filepath.Join(h.config.DataDir, "recordings") }

// identity is the number of this data directory among the hosts that may share one database.
func (h *Host) identity() (uuid.UUID, error) {
	path := filepath.Join(h.config.DataDir, "host-id")
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		id := uuid.New()
		if err := folders.WriteFile(path, []byte(id.String()+"\n")); err != nil {
			return uuid.UUID{}, fmt.Errorf("the data directory %s (--data-dir) cannot be written to: %w", h.config.DataDir, folders.Explain(err))
		}
		return id, nil
	}
	if err != nil {
		return uuid.UUID{}, fmt.Errorf("read host id: %w", err)
	}
	id, err := uuid.ParseBytes(bytes.TrimSpace(text))
	if err != nil {
		return uuid.UUID{}, fmt.Errorf("%s holds no UUID: %w; remove it only if no recording of this directory is unfinished", path, err)
	}
	return id, nil
}

// startDatabase opens the operator's database, or a private one, for this host alone.
func (h *Host) startDatabase(ctx context.Context, parts *stages, hostID uuid.UUID) (*db.DB, error) {
	url := h.config.DatabaseURL
	if url == "" {
		server, err := embedded.Start(ctx, embedded.Options{Dir: filepath.Join(h.config.DataDir, "postgres"), Logger: h.logger.With("part", "postgres")})
		if err != nil {
			return nil, err
		}
		parts.onStop(ctx, "postgres", 3*time.Second, server.Stop)
		url = server.URL()
	}
	database, err := db.Open(ctx, url, db.WithLogger(h.logger.With("part", "db")))
	if err != nil {
		return nil, err
	}
	parts.onStop(ctx, "database", time.Second, func(context.Context) error { database.Close(); return nil })
	machine, err := os.Hostname()
	if err != nil {
		machine = "unknown"
	}
	var lock *db.HolderLock
	err = database.Outlast(ctx, "lock", func(ctx context.Context) (err error) {
		lock, err = database.Hold(ctx, db.Holder{HostID: hostID, DataDir: h.config.DataDir, Machine: machine, PID: os.Getpid(), Since: time.Now()})
		return err
	})
	if err != nil {
		return nil, err
	}
	parts.start(ctx, "lock of the database", 2*time.Second, lock.Run)
	return database, database.Outlast(ctx, "tables", func(ctx context.Context) error {
		if err := database.Migrate(ctx); err != nil {
			return err
		}
		if err := lock.Announce(ctx); err != nil {
			return err
		}
		return h.followDataDir(ctx, database, hostID)
	})
}

// followDataDir comes before anything reads a path.
func (h *Host) followDataDir(ctx context.Context, database *db.DB, hostID uuid.UUID) error {
	from, changed, err := database.FollowDataDir(ctx, hostID, h.config.DataDir)
	if err == nil && from != "" {
		h.logger.Info("the data directory was moved; the paths of its files follow", "from", from, "to", h.config.DataDir, "changed", changed)
	}
	return err
}

// startPlugins brings the plugin manager up and describes every plugin, beside the start of the database.
func (h *Host) startPlugins(ctx context.Context, parts *stages) (*plugins.Manager, error) {
	file, err := config.ReadPlugins(h.config.PluginsFile)
	if err != nil {
		return nil, err
	}
	h.warnOfRoot(file)
	manager, err := plugins.New(plugins.Options{
		RunDir: filepath.Join(h.config.DataDir, "run"), LogDir: filepath.Join(h.config.DataDir, "logs"), Recordings: h.recordingsDir(), Logger: h.logger, Getenv: os.Getenv,
		Env:     []string{fetch.EnvAllowAddresses + "=" + h.config.AllowAddresses, fetch.EnvLocalSources + "=" + strconv.FormatBool(h.config.LocalSources)},
		Version: h.version,
	})
	if err != nil {
		return nil, err
	}
	parts.start(ctx, "plugins", 3*time.Second, manager.Run)
	parts.start(ctx, "reload", time.Second, func(ctx context.Context) error {
		if err := manager.Apply(ctx, file); err != nil {
			return err
		}
		h.warnOfConflicts(manager)
		return h.serveReloads(ctx, manager)
	})
	return manager, nil
}

func (h *Host) serveReloads(ctx context.Context, manager *plugins.Manager) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case answer := <-h.reload:
			file, err := config.ReadPlugins(h.config.PluginsFile)
			if err == nil {
				err = manager.Apply(ctx, file)
			}
			if err != nil {
				h.logger.Error("plugins.hcl was not taken over; what ran goes on", "error", err)
			} else {
				h.logger.Info("plugins.hcl was taken over")
				h.warnOfConflicts(manager)
			}
			answer <- err
		}
	}
}

// warnOfRoot says once what root gives away, and how not to.
func (h *Host) warnOfRoot(file config.Plugins) {
	if os.Geteuid() != 0 {
		return
	}
	var names []string
	for _, block := range file.Blocks {
		if block.User == nil {
			names = append(names, block.Name)
		}
	}
	if len(names) > 0 {
		h.logger.Warn(`lubod runs as root, and these plugins with it: run lubod as another user, or put user = "name" into their blocks of plugins.hcl`, "plugins", strings.Join(names, " "))
	}
}

// warnOfConflicts names options that cannot be set because two plugins declare them differently.
func (h *Host) warnOfConflicts(manager *plugins.Manager) {
	for plugin, conflict := range settings.NewCatalog(manager.Options()).Conflicts() {
		h.logger.Warn("an option of a plugin cannot be set", "plugin", plugin, "problem", conflict)
	}
}
