package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/db/dbtest"
)

// patience only decides how long a broken test takes to fail.
const patience = time.Minute

// run starts a bus that ends with the test, or before by the function that it returns.
func run(t *testing.T, database *db.DB, options Options) (*Bus, func()) {
	t.Helper()
	options.DB, options.Logger = database, slog.New(slog.DiscardHandler)
	bus := New(options)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- bus.Run(ctx) }()
	stop := func() {
		if cancel(); ended == nil {
			return
		}
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		ended = nil
	}
	t.Cleanup(stop)
	return bus, stop
}

func subscribe(t *testing.T, bus *Bus, position string) *Subscription {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := bus.Subscribe(ctx, position)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// read returns the next n events.
func read(t *testing.T, s *Subscription, n int) []Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var events []Event
	for len(events) < n {
		batch, err := s.Next(ctx)
		if err != nil {
			t.Fatalf("after %d of %d events: %v", len(events), n, err)
		}
		events = append(events, batch.Events...)
	}
	return events
}

// one reads exactly one event of a kind.
func one(t *testing.T, s *Subscription, kind string) Event {
	t.Helper()
	events := read(t, s, 1)
	if len(events) != 1 || events[0].Kind != kind {
		t.Fatalf("got %s, want one %s", texts(t, events), kind)
	}
	return events[0]
}

func texts(t *testing.T, events []Event) []string {
	t.Helper()
	var all []string
	for _, e := range events {
		all = append(all, e.Position.String()+" "+e.Kind+" "+string(e.Data))
	}
	return all
}

func exec(t *testing.T, database *db.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := database.Pool.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// TestEveryCommittedEventOnceInOneOrder lets transactions of random length begin, roll back and commit side by side, at
// two hosts' buses with subscribers that come and go.
func TestEveryCommittedEventOnceInOneOrder(t *testing.T) {
	database := dbtest.New(t)
	first, _ := run(t, database, Options{})
	second, _ := run(t, database, Options{})
	a, b := subscribe(t, first, ""), subscribe(t, second, "")
	start := one(t, a, KindReady).Position
	one(t, b, KindReady)

	const writers, transactions = 8, 60
	committed := make([][]string, writers)
	var group errgroup.Group
	for w := range writers {
		group.Go(func() error {
			random := rand.New(rand.NewPCG(1, uint64(w)))
			for n := range transactions {
				var wrote []string
				err := pgx.BeginFunc(t.Context(), database.Pool, func(tx pgx.Tx) error { return writeSome(t.Context(), tx, random, fmt.Sprintf("%d.%d", w, n), &wrote) })
				if err == nil {
					committed[w] = append(committed[w], wrote...)
				} else if !errors.Is(err, errRollback) {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	want := slices.Sorted(slices.Values(slices.Concat(committed...)))
	if len(want) == 0 {
		t.Fatal("nothing was committed")
	}
	// They read only now: whoever was let go meanwhile comes back.
	seen, elsewhere := readOn(t, first, a, len(want)), readOn(t, second, b, len(want))
	if diff := cmp.Diff(texts(t, seen), texts(t, elsewhere)); diff != "" {
		t.Errorf("two hosts tell another order:\n%s", diff)
	}
	if diff := cmp.Diff(want, slices.Sorted(slices.Values(names(t, seen)))); diff != "" {
		t.Errorf("events are missing or twice (-committed +seen):\n%s", diff)
	}
	if !slices.IsSortedFunc(seen, func(x, y Event) int {
		if y.Position.after(x.Position) {
			return -1
		}
		return 1
	}) {
		t.Error("positions are not in order")
	}
	// The rest after any position, at another host.
	random := rand.New(rand.NewPCG(2, 2))
	for range 20 {
		at := random.IntN(len(seen))
		rest := subscribe(t, second, seen[at].Position.String())
		if at == len(seen)-1 {
			continue
		}
		if diff := cmp.Diff(texts(t, seen[at+1:]), texts(t, read(t, rest, len(seen)-at-1))); diff != "" {
			t.Fatalf("resumed after %d of %d:\n%s", at+1, len(seen), diff)
		}
		rest.Close()
	}
	all := subscribe(t, second, start.String())
	if diff := cmp.Diff(texts(t, seen), texts(t, read(t, all, len(seen)))); diff != "" {
		t.Errorf("resumed at the beginning:\n%s", diff)
	}
}

// readOn is read for a subscriber that comes back when it was too slow.
func readOn(t *testing.T, bus *Bus, s *Subscription, n int) []Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var events []Event
	for len(events) < n {
		batch, err := s.Next(ctx)
		if errors.Is(err, ErrTooSlow) {
			s = subscribe(t, bus, s.position.String())
			continue
		}
		if err != nil {
			t.Fatalf("after %d of %d events: %v", len(events), n, err)
		}
		events = append(events, batch.Events...)
	}
	return events
}

var errRollback = errors.New("rolled back on purpose")

func writeSome(ctx context.Context, tx pgx.Tx, random *rand.Rand, name string, wrote *[]string) error {
	for i := range 1 + random.IntN(4) {
		one := fmt.Sprintf("%s.%d", name, i)
		inner := func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "INSERT INTO templates (template_name) VALUES ($1)", one); err != nil {
				return err
			}
			if random.IntN(6) == 0 {
				return errRollback
			}
			_, err := tx.Exec(ctx, "SELECT pg_sleep($1)", random.Float64()*0.004)
			return err
		}
		switch err := pgx.BeginFunc(ctx, tx, inner); {
		case err == nil:
			*wrote = append(*wrote, one)
		case !errors.Is(err, errRollback):
			return err
		}
	}
	if random.IntN(5) == 0 {
		return errRollback
	}
	return nil
}

func names(t *testing.T, events []Event) []string {
	t.Helper()
	var all []string
	for _, e := range events {
		var data struct {
			Name string `json:"template_name"`
		}
		if err := json.Unmarshal(e.Data, &data); err != nil {
			t.Fatal(err)
		}
		all = append(all, data.Name)
	}
	return all
}

func insert(t *testing.T, database *db.DB, name string) {
	t.Helper()
	exec(t, database, fmt.Sprintf("INSERT INTO templates (template_name) VALUES ('%s')", name))
}

// TestAnEarlierTransactionThatCommitsLate is the order that ids would get wrong.
func TestAnEarlierTransactionThatCommitsLate(t *testing.T) {
	database := dbtest.New(t)
	bus, _ := run(t, database, Options{})
	s := subscribe(t, bus, "")
	one(t, s, KindReady)
	early, err := database.Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := early.Exec(t.Context(), "INSERT INTO templates (template_name) VALUES ('early')"); err != nil {
		t.Fatal(err)
	}
	insert(t, database, "late")
	if rows, err := database.EventsAfter(t.Context(), db.EventsAfterParams{MaxRows: 10}); err != nil || len(rows) > 0 {
		t.Fatalf("%v, %v: told before the one that comes first", rows, err)
	}
	if err := early.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"early", "late"}, names(t, read(t, s, 2))); diff != "" {
		t.Error(diff)
	}
}

func TestTheListenerConnectionBreaks(t *testing.T) {
	database := dbtest.New(t)
	bus, _ := run(t, database, Options{})
	s := subscribe(t, bus, "")
	one(t, s, KindReady)
	for i := range 3 {
		name := fmt.Sprint("t", i)
		killListener(t, database)
		insert(t, database, name)
		if got := names(t, []Event{one(t, s, "template.created")}); got[0] != name {
			t.Errorf("got %s, want %s", got[0], name)
		}
	}
}

// killListener waits for the connection when it is about to come back.
func killListener(t *testing.T, database *db.DB) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		var killed int
		err := database.Pool.QueryRow(t.Context(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = $1`, listenerName).Scan(&killed)
		if err != nil {
			t.Fatal(err)
		}
		if killed > 0 {
			return
		}
	}
	t.Fatal("nobody listens")
}

func TestResumeAfterARestart(t *testing.T) {
	database := dbtest.New(t)
	bus, stop := run(t, database, Options{})
	s := subscribe(t, bus, "")
	one(t, s, KindReady)
	insert(t, database, "a")
	last := one(t, s, "template.created").Position.String()
	stop()
	if _, err := s.Next(t.Context()); !errors.Is(err, ErrStopped) {
		t.Errorf("the subscriber ended with %v", err)
	}
	if _, err := bus.Subscribe(t.Context(), ""); !errors.Is(err, ErrStopped) {
		t.Errorf("a bus that has stopped was subscribed to: %v", err)
	}
	insert(t, database, "b")
	bus, _ = run(t, database, Options{})
	resumed := subscribe(t, bus, last)
	insert(t, database, "c")
	if diff := cmp.Diff([]string{"b", "c"}, names(t, read(t, resumed, 2))); diff != "" {
		t.Error(diff)
	}
}

func TestASlowSubscriberIsLetGo(t *testing.T) {
	database := dbtest.New(t)
	bus, _ := run(t, database, Options{})
	slow, quick := subscribe(t, bus, ""), subscribe(t, bus, "")
	one(t, quick, KindReady)
	// One more than what is too much: while the quick one reads that, the other has been let go of.
	for i := range queueLength + 2 {
		insert(t, database, fmt.Sprint(i))
		one(t, quick, "template.created")
	}
	seen := names(t, read(t, slow, queueLength+1)[1:])
	if _, err := slow.Next(t.Context()); !errors.Is(err, ErrTooSlow) {
		t.Fatalf("the end is %v", err)
	}
	resumed := subscribe(t, bus, slow.position.String())
	seen = append(seen, names(t, read(t, resumed, 2))...)
	if len(seen) != queueLength+2 || seen[queueLength] != fmt.Sprint(queueLength) {
		t.Errorf("saw %v", seen)
	}
}

func TestTooManySubscribers(t *testing.T) {
	bus, _ := run(t, dbtest.New(t), Options{MaxSubscribers: 2})
	subscribe(t, bus, "")
	s := subscribe(t, bus, "")
	if _, err := bus.Subscribe(t.Context(), ""); !errors.Is(err, ErrTooMany) {
		t.Errorf("a third one was let in: %v", err)
	}
	s.Close()
	subscribe(t, bus, "")
}

func TestWhoWasAwayTooLongReadsEverythingAgain(t *testing.T) {
	database := dbtest.New(t)
	bus, _ := run(t, database, Options{MaxEvents: 3})
	s := subscribe(t, bus, "")
	positions := []string{one(t, s, KindReady).Position.String()}
	for i := range 6 {
		insert(t, database, fmt.Sprint(i))
		positions = append(positions, one(t, s, "template.created").Position.String())
	}
	if err := bus.Clean(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, position := range positions {
		resumed := subscribe(t, bus, position)
		if i < 3 {
			one(t, resumed, KindReset)
			insert(t, database, fmt.Sprint("after", i))
			one(t, resumed, "template.created") // and then what is new
			continue
		}
		if got := names(t, read(t, resumed, 9-i)); got[len(got)-1] != "after2" {
			t.Errorf("after position %d: %v", i, got)
		}
	}
	foreign := Position{bus.at().epoch + 1, 1, 1}
	future := bus.at()
	future.xid += 1 << 40
	for _, position := range []string{"nonsense", "1-2", "-1-2-3", foreign.String(), future.String()} {
		one(t, subscribe(t, bus, position), KindReset)
	}
}

func TestOldEventsAreRemoved(t *testing.T) {
	database := dbtest.New(t)
	bus, _ := run(t, database, Options{MaxAge: time.Hour, CleanInterval: time.Millisecond})
	s := subscribe(t, bus, "")
	one(t, s, KindReady)
	insert(t, database, "old")
	last := one(t, s, "template.created").Position
	exec(t, database, "UPDATE events SET created_at = now() - interval '2 hours'")
	for deadline := time.Now().Add(patience); ; {
		var left int
		if err := database.Pool.QueryRow(t.Context(), "SELECT count(*) FROM events").Scan(&left); err != nil || time.Now().After(deadline) {
			t.Fatalf("%d events are left: %v", left, err)
		}
		if left == 0 {
			break
		}
	}
	// Whoever had seen the last one misses nothing.
	resumed := subscribe(t, bus, last.String())
	insert(t, database, "new")
	one(t, resumed, "template.created")
}

// TestADatabaseFromABackup has events of transactions that this server has not reached yet.
func TestADatabaseFromABackup(t *testing.T) {
	database := dbtest.New(t)
	insert(t, database, "before")
	exec(t, database, "UPDATE events SET xid = '4611686018427387904'")
	bus, _ := run(t, database, Options{})
	s := subscribe(t, bus, "")
	one(t, s, KindReady)
	insert(t, database, "after")
	if got := names(t, []Event{one(t, s, "template.created")}); got[0] != "after" {
		t.Errorf("got %s", got[0])
	}
}

func TestABusThatMissedEventsSaysSo(t *testing.T) {
	database := dbtest.New(t)
	bus, _ := run(t, database, Options{})
	s := subscribe(t, bus, "")
	one(t, s, KindReady)
	// As if other hosts had written and removed while this one had no database.
	exec(t, database, `BEGIN; SELECT write_event('mark', NULL, '{}'); UPDATE event_log SET removed_xid = pg_current_xact_id(), removed_id = 1000; COMMIT`)
	one(t, s, KindReset)
	insert(t, database, "new")
	one(t, s, "template.created")
}
