package jobs

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/db/dbtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(dbtest.Main(m)) }

// patience is how long a test waits for what must come.
const patience = time.Minute

// bench is a client on a database of its own, with a worker for each kind that counts how often it began and then holds on.
type bench struct {
	*Client
	t     *testing.T
	began chan string
}

func newBench(t *testing.T, database *db.DB, options Options, work func(ctx context.Context) Outcome) *bench {
	t.Helper()
	options.DB, options.HostID, options.Logger = database, uuid.NewString(), slog.New(slog.DiscardHandler)
	client, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{Client: client, t: t, began: make(chan string, 100)}
	register[Transfer](b, work)
	register[Submit](b, work)
	register[Follow](b, work)
	register[Hook](b, work)
	return b
}

func register[A Args](b *bench, work func(ctx context.Context) Outcome) {
	Register(b.Client, func(ctx context.Context, args A) Outcome {
		b.began <- args.Kind()
		return work(ctx)
	})
}

func holdOn(ctx context.Context) Outcome {
	<-ctx.Done()
	return Done()
}

func (b *bench) run() {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- b.Run(ctx) }()
	b.t.Cleanup(func() {
		cancel()
		if err := <-stopped; err != nil {
			b.t.Error(err)
		}
	})
}

func (b *bench) order(due ...Args) {
	b.t.Helper()
	err := b.DB.InTx(b.t.Context(), func(tx pgx.Tx, _ *db.Queries) error { return b.Order(b.t.Context(), tx, due...) })
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) exec(statement string, args ...any) {
	b.t.Helper()
	if _, err := b.DB.Pool.Exec(b.t.Context(), statement, args...); err != nil {
		b.t.Fatalf("%s: %v", statement, err)
	}
}

func (b *bench) count(from string, args ...any) (n int) {
	b.t.Helper()
	if err := b.DB.Pool.QueryRow(b.t.Context(), "SELECT count(*) FROM "+from, args...).Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// next waits for so many jobs to begin, and returns how many of each kind did.
func (b *bench) next(n int) map[string]int {
	b.t.Helper()
	kinds := make(map[string]int)
	for range n {
		select {
		case kind := <-b.began:
			kinds[kind]++
		case <-time.After(patience):
			b.t.Fatalf("only %v began", kinds)
		}
	}
	return kinds
}

func (b *bench) until(what string, condition func() bool) {
	b.t.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	late := time.After(patience)
	for !condition() {
		select {
		case <-look.C:
		case <-late:
			b.t.Fatal("never: " + what)
		}
	}
}

var everyKind = []Args{Transfer{SegmentID: 1}, Submit{SubmissionID: 1}, Follow{SubmissionID: 1}, Hook{RunID: 1}}

// Whoever leads looks for jobs that run for over an hour. Those of a worker that lives are left alone, of whatever kind.
func TestJobsThatRunForHoursAreNeitherStartedAgainNorDiscarded(t *testing.T) {
	t.Parallel()
	b := newBench(t, dbtest.New(t), Options{Poll: 20 * time.Millisecond}, holdOn)
	// Until the jobs are old, somebody else leads: who leads looks for stuck jobs at once, and then seldom.
	b.exec("INSERT INTO river_leader (leader_id, elected_at, expires_at) VALUES ('elsewhere', now(), now() + interval '1 hour')")
	b.order(everyKind...)
	b.run()
	b.next(len(everyKind))
	b.exec("UPDATE river_job SET attempted_at = now() - interval '2 hours'")
	// A job that nobody has a worker for shows when the look is over: it is discarded.
	b.exec(`INSERT INTO river_job (kind, args, queue, max_attempts, state, attempted_at, attempted_by)
		VALUES ('elsewhere', '{}', 'elsewhere', 3, 'running', now() - interval '2 hours', '{elsewhere}')`)
	b.exec("DELETE FROM river_leader")
	b.until("the look for stuck jobs", func() bool { return b.count("river_job WHERE kind = 'elsewhere' AND state = 'discarded'") == 1 })
	if n := b.count("river_job WHERE state = 'running' AND attempt = 1"); n != len(everyKind) {
		t.Errorf("%d jobs are still at their first try", n)
	}
	select {
	case kind := <-b.began:
		t.Errorf("%s was started a second time beside the first", kind)
	default:
	}
}

// A job that counts as running while nobody runs it runs again; one that is being worked on does not.
func TestLostJobsRunAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, dbtest.New(t), Options{Poll: 20 * time.Millisecond, Sweep: time.Second}, holdOn)
	b.order(everyKind...)
	b.run()
	b.next(len(everyKind))
	b.exec("UPDATE river_job SET attempted_at = now() - interval '2 hours'")
	b.exec(`INSERT INTO river_job (kind, args, queue, max_attempts, state, attempt, attempted_at, attempted_by)
		VALUES ('hook', '{"run_id": 2, "round": 0}', $1, 10000, 'running', 1, now() - interval '2 hours', ARRAY[$2]::text[])`, b.queue("hook"), b.HostID)
	if kinds := b.next(1); kinds["hook"] != 1 {
		t.Errorf("%v ran again", kinds)
	}
	select {
	case kind := <-b.began:
		t.Errorf("%s ran again while it runs", kind)
	case <-time.After(2500 * time.Millisecond): // some sweeps
	}
}

// What a host that was killed was at runs again at its next start, at once; what another host is at does not.
func TestJobsOfADeadHostRunAgainAtItsStart(t *testing.T) {
	t.Parallel()
	b := newBench(t, dbtest.New(t), Options{Poll: 20 * time.Millisecond}, holdOn)
	b.order(everyKind...)
	b.exec("UPDATE river_job SET state = 'running', attempt = 1, attempted_at = now(), attempted_by = ARRAY[$1]::text[]", b.HostID)
	b.exec("UPDATE river_job SET attempted_by = ARRAY[$1, 'elsewhere']::text[] WHERE kind = 'follow'", b.HostID)
	b.run()
	if kinds := b.next(len(everyKind) - 1); kinds["follow"] != 0 {
		t.Errorf("%v ran", kinds)
	}
}

// A stop ends what runs, and it runs again at the next start, whatever its worker said.
func TestAStopLetsJobsRunAgain(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	b := newBench(t, database, Options{Poll: 20 * time.Millisecond}, holdOn)
	b.order(everyKind...)
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- b.Run(ctx) }()
	b.next(len(everyKind))
	cancel()
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if n := b.count("river_job WHERE state IN ('available', 'scheduled')"); n != len(everyKind) {
		t.Errorf("%d jobs wait for the next start", n)
	}
}

func TestJobsRunAgainAfterTheirWait(t *testing.T) {
	t.Parallel()
	var tries sync.Map
	b := newBench(t, dbtest.New(t), Options{Poll: 20 * time.Millisecond}, func(ctx context.Context) Outcome {
		if _, again := tries.LoadOrStore("tried", true); again {
			return Done()
		}
		return Again(10 * time.Millisecond)
	})
	b.order(Hook{RunID: 1})
	b.run()
	b.next(2)
	b.until("the end", func() bool { return b.count("river_job WHERE state = 'completed'") == 1 })
}

// The same arguments are one job until it has ended; another round is another job.
func TestOrdersAreUnique(t *testing.T) {
	t.Parallel()
	b := newBench(t, dbtest.New(t), Options{}, holdOn)
	for range 2 {
		b.order(append([]Args{Transfer{SegmentID: 1, Round: 1}}, everyKind...)...)
	}
	if n := b.count("river_job"); n != len(everyKind)+1 {
		t.Errorf("%d jobs", n)
	}
	b.exec("UPDATE river_job SET state = 'completed', finalized_at = now()")
	b.order(everyKind...)
	if n := b.count("river_job WHERE state = 'available'"); n != len(everyKind) {
		t.Errorf("%d jobs after the end of the others", n)
	}
}

func TestJobsOfEarlierVersionsAreForgotten(t *testing.T) {
	t.Parallel()
	b := newBench(t, dbtest.New(t), Options{Poll: 20 * time.Millisecond}, holdOn)
	for _, queue := range formerQueues {
		b.exec(`INSERT INTO river_job (kind, args, queue, max_attempts, state) VALUES ('x', '{}', $1, 3, 'available')`, queue)
	}
	b.order(Hook{RunID: 1})
	b.run()
	b.next(1)
	if n := b.count("river_job WHERE kind = 'x'"); n != 0 {
		t.Errorf("%d are left", n)
	}
}

var errDisk = errors.New("disk")

// A refusal that another try cannot change comes back at once; a database that is away is waited for.
func TestSaverTellsRefusedFromAway(t *testing.T) {
	t.Parallel()
	saver := Saver{Logger: slog.New(slog.DiscardHandler), Pause: time.Millisecond, Linger: time.Millisecond}
	for name, test := range map[string]struct {
		err   error
		tries int
	}{
		"constraint":       {&pgconn.PgError{Code: "23514"}, 1},
		"value":            {&pgconn.PgError{Code: "22021"}, 1},
		"missing column":   {&pgconn.PgError{Code: "42703"}, 1},
		"no row":           {pgx.ErrNoRows, 1},
		"final":            {errDisk, 1},
		"away":             {&pgconn.ConnectError{}, 4},
		"shutting down":    {&pgconn.PgError{Code: "57P01"}, 4},
		"full":             {&pgconn.PgError{Code: "53100"}, 4},
		"deadlock":         {&pgconn.PgError{Code: "40P01"}, 4},
		"no more sessions": {&pgconn.PgError{Code: "53300"}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for kind, persist := range map[string]func(context.Context, string, func(context.Context) error, ...error) error{"persist": saver.Persist, "longer": saver.PersistLonger} {
				tries := 0
				err := persist(t.Context(), "x", func(context.Context) error {
					if tries++; tries == 4 {
						return nil
					}
					return test.err
				}, errDisk)
				if tries != test.tries || (test.tries == 1) != errors.Is(err, test.err) {
					t.Errorf("%s: %d tries, %v", kind, tries, err)
				}
			}
		})
	}
}

// A real refusal, of the real database.
func TestSaverReturnsARefusalOfTheDatabase(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	saver := Saver{Logger: slog.New(slog.DiscardHandler), Pause: time.Hour}
	err := saver.Persist(t.Context(), "x", func(ctx context.Context) error {
		_, err := database.Pool.Exec(ctx, "INSERT INTO uploads (segment_id, state) VALUES (1, 'nonsense')")
		return err
	})
	if !db.Permanent(err) {
		t.Errorf("error %v", err)
	}
}

// What was done already is worth saving while the host stops, for a while; what is only wanted is not.
func TestSaverEndsWithTheHost(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	saver := Saver{Logger: slog.New(slog.DiscardHandler), Pause: time.Millisecond, Linger: time.Hour}
	tries := 0
	if err := saver.Persist(ended, "x", func(context.Context) error { tries++; return errDisk }); err == nil || tries > 1 {
		t.Errorf("%d tries, %v", tries, err)
	}
	tries = 0
	if err := saver.PersistLonger(ended, "x", func(context.Context) error {
		if tries++; tries < 3 {
			return errDisk
		}
		return nil
	}); err != nil || tries != 3 {
		t.Errorf("%d tries, %v", tries, err)
	}
	saver.Linger = time.Millisecond
	if err := saver.PersistLonger(ended, "x", func(context.Context) error { return errDisk }); err == nil {
		t.Error("a host never stops")
	}
}
