package db_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/lubod/lubod/db/dbtest"
)

// A server that is killed while a host starts is back in a moment: the start goes on. What the server answers is an answer.
func TestAStartOutlastsADatabaseThatGoesAway(t *testing.T) {
	database := dbtest.New(t)
	tries := 0
	err := database.Outlast(t.Context(), "tables", func(ctx context.Context) error {
		if tries++; tries == 1 {
			// The backend of this very connection is killed, as by the end of its server.
			_, err := database.Pool.Exec(ctx, "SELECT pg_terminate_backend(pg_backend_pid())")
			return fmt.Errorf("migrate: %w", err)
		}
		return database.Migrate(ctx)
	})
	if err != nil || tries != 2 {
		t.Errorf("after %d tries: %v", tries, err)
	}
	tries = 0
	err = database.Outlast(t.Context(), "tables", func(ctx context.Context) error {
		tries++
		_, err := database.Pool.Exec(ctx, "SELECT 1 FROM no_such_table")
		return err
	})
	if err == nil || tries != 1 {
		t.Errorf("an answer was asked for %d times: %v", tries, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = database.Outlast(ctx, "tables", func(context.Context) error { cancel(); return io.ErrUnexpectedEOF })
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a stop: %v", err)
	}
}
