package host

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/lubod/lubod/db"
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
	catalog catalog
	logger  *slog.Logger
}

func (p pluginStates) run(ctx context.Context) error {
	if err := p.catalog.WaitLoaded(ctx); err != nil {
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
		case <-p.catalog.Changed():
		case <-retry.C:
		}
	}
}

func (p pluginStates) save(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	all := db.SavePluginStatesParams{HostID: p.hostID}
	for _, status := range p.catalog.Status() {
		all.Plugins = append(all.Plugins, status.Name)
		all.Kinds = append(all.Kinds, status.Kind)
		all.Versions = append(all.Versions, db.Text(status.Version))
		all.States = append(all.States, status.State)
		all.Errors = append(all.Errors, db.Text(status.Error))
	}
	return p.db.SavePluginStates(ctx, all)
}
