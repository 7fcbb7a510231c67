package api

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
)

func testDatabase(t *testing.T) *db.DB {
	t.Helper()
	ctx := context.Background()
	dir := os.Getenv("API_PG")
	name := "t" + uuid.NewString()[:8]
	admin, err := pgx.Connect(ctx, "host="+dir+" user=postgres dbname=postgres")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	_ = admin.Close(ctx)
	database, err := db.Open(ctx, fmt.Sprintf("host=%s user=postgres dbname=%s", dir, name), db.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	if err := database.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(database.Close)
	return database
}
