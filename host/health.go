package host

import (
	"context"
	"path/filepath"

	"github.com/google/uuid"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/accounts"
	"github.com/lubod/lubod/host/internal/api"
	"github.com/lubod/lubod/host/internal/events"
	"github.com/lubod/lubod/host/internal/health"
	"github.com/lubod/lubod/host/internal/plugins"
)

// healthBoard joins what is looked at with those whose health it is.
func (s *services) healthBoard(h *Host, hostID uuid.UUID, manager *plugins.Manager, database *db.DB) *health.Board {
	folders := append([]string{filepath.Join(h.config.DataDir, "recordings"), h.config.DataDir}, filepath.SplitList(h.config.HookDirs)...)
	return health.New(health.Options{
		Logger: h.logger.With("part", "health"),
		Changed: func(worst health.Level, checks []health.Check) {
			s.events.Tell(events.KindHealth, api.HealthChanged(worst, checks))
		},
		Probes: []health.Probe{
			health.Disk(func() []string { return folders }),
			health.NewDatabase(database, hostID).Probe(),
			health.Plugins(func() []health.Plugin { return pluginsOf(catalog{manager, h}) }),
			health.Accounts(func(ctx context.Context) ([]health.Account, error) { return accountsOf(ctx, database, s.accounts) }),
		},
	})
}

func pluginsOf(all catalog) []health.Plugin {
	var list []health.Plugin
	for _, status := range all.Status() {
		list = append(list, health.Plugin{Name: status.Name, State: status.State, Error: status.Error})
	}
	return list
}

// accountsOf are the logins that something publishes with.
func accountsOf(ctx context.Context, database *db.DB, keeper *accounts.Keeper) ([]health.Account, error) {
	files, err := database.HealthAccounts(ctx)
	if err != nil {
		return nil, err
	}
	states, err := keeper.States(ctx, files...)
	if err != nil {
		return nil, err
	}
	list := make([]health.Account, 0, len(files))
	for i, state := range states {
		list = append(list, health.Account{File: files[i], Error: state.Error, Warning: state.Warning})
	}
	return list, nil
}
