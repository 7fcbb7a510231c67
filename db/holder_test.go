package db_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/db/dbtest"
)

func holder(dir string, pid int) db.Holder {
	return db.Holder{HostID: uuid.New(), DataDir: dir, Machine: "north", PID: pid, Since: time.Now().Truncate(time.Microsecond)}
}

// hold takes the lock and announces it.
func hold(t *testing.T, database *db.DB, me db.Holder) *db.HolderLock {
	t.Helper()
	lock, err := database.Hold(t.Context(), me)
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Announce(t.Context()); err != nil {
		t.Fatal(err)
	}
	return lock
}

// run holds the lock on; the result of Run comes on the channel, and stop ends it.
func run(t *testing.T, lock *db.HolderLock) (ended <-chan error, stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- lock.Run(ctx) }()
	t.Cleanup(cancel)
	return result, cancel
}

func TestSecondHostIsRefusedByTheNameOfTheFirst(t *testing.T) {
	database := dbtest.New(t)
	me := holder("/srv/one", 4711)
	first := hold(t, database, me)
	_, err := database.Hold(t.Context(), holder("/srv/two", 4712))
	held, ok := errors.AsType[*db.HeldError](err)
	if !ok || held.By == nil || held.By.HostID != me.HostID || held.Copied {
		t.Fatalf("got %v", err)
	}
	mustSay(t, err, "/srv/one", "4711", "north", me.HostID.String(), me.Since.UTC().Format(time.RFC3339), "--database-url")

	first.Close(t.Context())
	second := hold(t, database, holder("/srv/two", 4712))
	second.Close(t.Context())
	if _, err := database.GetHolder(t.Context()); err == nil {
		t.Error("a host is named that has ended")
	}
}

// The same host after kill -9: the server still has its connection, for a moment.
func TestSameHostWaitsForItsOwnDeadConnection(t *testing.T) {
	database := dbtest.New(t)
	me := holder("/srv/one", 4711)
	killed := hold(t, database, me)
	log := newSignals("the database is still held; waiting")
	second, err := db.Open(t.Context(), database.Pool.Config().ConnString(), db.WithLogger(slog.New(log)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(second.Close)
	type result struct {
		lock *db.HolderLock
		err  error
	}
	got := make(chan result, 1)
	go func() {
		again := me
		again.PID++
		lock, err := second.Hold(t.Context(), again)
		got <- result{lock, err}
	}()
	<-log.seen
	if !strings.Contains(log.text, "at_most=30s") {
		t.Errorf("waits like for a stranger: %s", log.text)
	}
	killed.Close(t.Context())
	r := <-got
	if r.err != nil {
		t.Fatal(r.err)
	}
	r.lock.Close(t.Context())
}

// Of two data directories with one host-id, the copy has to be told.
func TestHostOfACopiedDataDirectoryIsRefused(t *testing.T) {
	database, err := db.Open(t.Context(), dbtest.URL(t), db.WithLogger(slog.New(slog.DiscardHandler)), db.WithPatience(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(database.Close)
	me := holder("/srv/one", 4711)
	first := hold(t, database, me)
	defer first.Close(t.Context())
	me.DataDir, me.PID = "/srv/copy", 4712
	_, err = database.Hold(t.Context(), me)
	mustSay(t, err, "/srv/one", "the same host-id", "remove the file host-id from the copy")
}

func TestHolderTakesItsLockAgainWhenTheConnectionBreaks(t *testing.T) {
	log := newSignals("other hosts are kept away from the database again")
	database, err := db.Open(t.Context(), dbtest.URL(t), db.WithLogger(slog.New(log)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(database.Close)
	lock := hold(t, database, holder("/srv/one", 4711))
	ended, stop := run(t, lock)
	before, err := database.GetHolder(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	terminate(t, database, before.Backend)
	<-log.seen
	after, err := database.GetHolder(t.Context())
	if err != nil || after.Backend == before.Backend || after.HostID != before.HostID || !after.Since.Equal(before.Since) {
		t.Errorf("before %+v, after %+v, %v", before, after, err)
	}
	_, err = database.Hold(t.Context(), holder("/srv/two", 1))
	mustSay(t, err, "/srv/one")
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	hold(t, database, holder("/srv/two", 1)).Close(t.Context())
}

func TestHolderStopsWhenAnotherHostWasFaster(t *testing.T) {
	database := dbtest.New(t)
	lock := hold(t, database, holder("/srv/one", 4711))
	row, err := database.GetHolder(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The connection breaks, and another host comes before this one looks.
	terminate(t, database, row.Backend)
	other := hold(t, database, holder("/srv/two", 4712))
	defer other.Close(t.Context())
	ended, _ := run(t, lock)
	held, ok := errors.AsType[*db.HeldError](<-ended)
	if !ok || held.By == nil || held.By.DataDir != "/srv/two" {
		t.Errorf("got %v", held)
	}
	if now, err := database.GetHolder(t.Context()); err != nil || now.DataDir != "/srv/two" {
		t.Errorf("the row of the other host became %+v, %v", now, err)
	}
}

// A row that another host left says nothing about who has the lock now.
func TestOldRowIsNotTakenForTheHolder(t *testing.T) {
	database := dbtest.New(t)
	old := hold(t, database, holder("/srv/old", 1))
	row, err := database.GetHolder(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	terminate(t, database, row.Backend)
	defer old.Close(t.Context())
	starting, err := database.Hold(t.Context(), holder("/srv/new", 2))
	if err != nil {
		t.Fatal(err)
	}
	defer starting.Close(t.Context())
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := database.Hold(ctx, holder("/srv/third", 3)); err == nil || strings.Contains(err.Error(), "/srv/old") {
		t.Errorf("got %v", err)
	}
}

func TestHoldingComesBeforeTheSchema(t *testing.T) {
	database, err := db.Open(t.Context(), dbtest.EmptyURL(t), db.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(database.Close)
	lock, err := database.Hold(t.Context(), holder("/srv/one", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close(t.Context())
	if err := lock.Announce(t.Context()); err == nil {
		t.Error("announced without a table")
	}
	if err := database.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := lock.Announce(t.Context()); err != nil {
		t.Error(err)
	}
}

func terminate(t *testing.T, database *db.DB, backend int32) {
	t.Helper()
	// The second argument waits until the process is gone.
	var gone bool
	if err := database.Pool.QueryRow(t.Context(), "SELECT pg_terminate_backend($1, 10000)", backend).Scan(&gone); err != nil || !gone {
		t.Fatalf("terminated %v, %v", gone, err)
	}
}

// signals closes seen at the first record with the message.
type signals struct {
	slog.Handler
	message string
	seen    chan struct{}
	text    string // the attributes; after seen
}

func newSignals(message string) *signals {
	return &signals{slog.DiscardHandler, message, make(chan struct{}), ""}
}

func (s *signals) Enabled(context.Context, slog.Level) bool { return true }
func (s *signals) WithAttrs([]slog.Attr) slog.Handler       { return s }
func (s *signals) WithGroup(string) slog.Handler            { return s }
func (s *signals) Handle(_ context.Context, r slog.Record) error {
	if r.Message == s.message {
		select {
		case <-s.seen:
		default:
			r.Attrs(func(a slog.Attr) bool { s.text += a.String() + " "; return true })
			close(s.seen)
		}
	}
	return nil
}
