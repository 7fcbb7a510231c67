package host_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/lubod/lubod/db/embedded"
	"github.com/lubod/lubod/host/internal/hosttest"
)

// serveDatabase runs a PostgreSQL that belongs to no daemon.
func serveDatabase(t *testing.T) (server *embedded.Server, restart func()) {
	t.Helper()
	dir := t.TempDir()
	start := func() {
		var err error
		if server, err = embedded.Start(t.Context(), embedded.Options{Dir: dir}); err != nil {
			t.Fatal(err)
		}
	}
	start()
	t.Cleanup(func() { _ = server.Stop(context.Background()) })
	return server, func() {
		if err := server.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		start()
	}
}

// Two hosts on one database would record and publish everything twice.
func TestSecondHostOnOneDatabaseIsRefusedByName(t *testing.T) {
	t.Parallel()
	database, restart := serveDatabase(t)
	first := hosttest.New(t, hosttest.Options{DatabaseURL: database.URL()})
	prepare(t, first)
	second := hosttest.New(t, hosttest.Options{DatabaseURL: database.URL()})
	wantAll(t, refusedStart(t, second), "another lubod", first.DataDir, "--database-url")
	if first.Log().Count("lubod is up") != 1 {
		t.Error("the first one did not go on")
	}
	first.Client.Do(http.MethodGet, "/status", nil, http.StatusOK, nil)

	// A restart of the database lets the lock go; the running host has it again before another one can.
	restart()
	first.Log().Wait(1, "other hosts are kept away from the database again")
	wantAll(t, refusedStart(t, second), "another lubod", first.DataDir)

	// After kill -9 the same host comes up with nobody's help, and in time.
	first.Kill()
	first.Start()
	first.Client.Do(http.MethodGet, "/status", nil, http.StatusOK, nil)
	wantAll(t, refusedStart(t, second), "another lubod", first.DataDir)

	first.Stop()
	second.Start()
	second.Stop()
}
