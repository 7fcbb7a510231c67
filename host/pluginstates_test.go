package host

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/db/dbtest"
	"github.com/lubod/lubod/host/internal/plugins"
)

// A plugins.hcl without any plugin takes all of them away.
func TestNoPluginIsLeft(t *testing.T) {
	database := dbtest.New(t)
	dir := t.TempDir()
	manager, err := plugins.New(plugins.Options{RunDir: dir + "/run", LogDir: dir + "/logs", Logger: slog.New(slog.DiscardHandler), Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(manager.Close)
	states := pluginStates{database, uuid.New(), catalog{manager, nil}, slog.New(slog.DiscardHandler)}
	err = database.SavePluginStates(t.Context(), db.SavePluginStatesParams{
		HostID: states.hostID, Plugins: []string{"a", "b"}, Kinds: []string{"line", "line"}, Versions: []string{"1", "1"}, States: []string{"ready", "ready"}, Errors: []string{"", ""},
	})
	if err != nil {
		t.Fatal(err)
	}
	other := db.SavePluginStatesParams{HostID: uuid.New(), Plugins: []string{"a"}, Kinds: []string{"line"}, Versions: []string{"1"}, States: []string{"ready"}, Errors: []string{""}}
	if err := database.SavePluginStates(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if err := states.save(t.Context()); err != nil {
		t.Fatal(err)
	}
	rows, err := database.Pool.Query(t.Context(), "SELECT data ->> 'plugin' FROM events WHERE kind = 'plugin.removed' ORDER BY 1")
	if err != nil {
		t.Fatal(err)
	}
	var removed []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		removed = append(removed, name)
	}
	if rows.Err() != nil || !slices.Equal(removed, []string{"a", "b"}) {
		t.Errorf("removed: %s, %v", strings.Join(removed, " "), rows.Err())
	}
}
