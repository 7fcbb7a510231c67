package host

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/plugins"
)

const (
	saveTimeout = 10 * time.Second
	saveRetry   = 5 * time.Second
)

// pluginStates writes where the plugins stand into the database, which makes each change an event. States that pass
// while it writes are not told: the newest one is.
type pluginStates struct {
	db      *db.DB
	hostID  uuid.UUID
	manager *plugins.Manager
	logger  *slog.Logger
}

func (p pluginStates) run(ctx context.Context) error {
	if err := p.manager.WaitLoaded(ctx); err != nil {
		<-ctx.Done() // the host is stopping
		return nil
	}
	retry := time.NewTimer(saveRetry)
	defer retry.Stop()
	for {
		retry.Stop()
		if err := p.save(ctx); err != nil && ctx.Err() == nil {
			p.logger.Warn("states of plugins cannot be written, trying again", "error", err, "retry_in", saveRetry)
			retry.Reset(saveRetry)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.manager.Changed():
		case <-retry.C:
		}
	}
}

func (p pluginStates) save(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	all := db.SavePluginStatesParams{HostID: p.hostID}
	for _, status := range p.manager.Status() {
		trouble := status.LastError
		if trouble == "" && status.Process != nil {
			trouble = status.Process.Unhealthy
		}
		all.Plugins = append(all.Plugins, status.Plugin)
		all.Kinds = append(all.Kinds, string(status.Kind))
		all.Versions = append(all.Versions, db.Text(status.Version))
		all.States = append(all.States, string(status.State))
		all.Errors = append(all.Errors, db.Text(trouble))
	}
	return p.db.SavePluginStates(ctx, all)
}
