package db_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
	"go.uber.org/goleak"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/db/dbtest"
	"github.com/lubod/lubod/db/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(dbtest.Main(m)) }

// logLines collects what is logged; waiting is closed at the first report of a database that is down.
type logLines struct {
	lines   strings.Builder
	text    slog.Handler
	waiting chan struct{}
}

func newLogLines() *logLines {
	l := &logLines{waiting: make(chan struct{})}
	l.text = slog.NewTextHandler(&l.lines, nil)
	return l
}

func (l *logLines) Enabled(context.Context, slog.Level) bool { return true }
func (l *logLines) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logLines) WithGroup(string) slog.Handler            { return l }
func (l *logLines) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "waiting for the database" {
		select {
		case <-l.waiting:
		default:
			close(l.waiting)
		}
	}
	return l.text.Handle(ctx, r)
}

func TestOpenWaitsForADatabaseThatIsDown(t *testing.T) {
	dir := t.TempDir()
	options := embedded.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler), DieWithHost: true,
		Settings: map[string]string{"fsync": "off"}}
	target, err := embedded.URL(dir)
	if err != nil {
		t.Fatal(err)
	}
	log := newLogLines()
	type opened struct {
		database *db.DB
		err      error
	}
	result := make(chan opened, 1)
	go func() {
		database, err := db.Open(t.Context(), target+"&password=hunter2", db.WithLogger(slog.New(log)))
		result <- opened{database, err}
	}()
	<-log.waiting
	server, err := embedded.Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	got := <-result
	if got.err != nil {
		t.Error(got.err)
	} else {
		got.database.Close()
	}
	if err := server.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	text := log.lines.String()
	if !strings.Contains(text, "lubod on socket "+filepath.Join(dir, "socket")) || strings.Contains(text, "hunter2") {
		t.Errorf("the log does not say what it waits for, or says too much:\n%s", text)
	}
}

func TestOpenGivesUp(t *testing.T) {
	listener := listen(t)
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := db.Open(t.Context(), "postgres://someone:hunter2@"+address+"/lubod", db.WithPatience(0))
	mustSay(t, err, "lubod on "+address+" is down, gave up after 0s", "refused")
}

func TestOpenIsCancelled(t *testing.T) {
	log := newLogLines()
	ctx, cancel := context.WithCancelCause(t.Context())
	wanted := errors.New("the host is ending")
	go func() {
		<-log.waiting
		cancel(wanted)
	}()
	_, err := db.Open(ctx, "postgres://someone:hunter2@127.0.0.1:1/lubod", db.WithLogger(slog.New(log)))
	if !errors.Is(err, wanted) {
		t.Errorf("got %v, want %v", err, wanted)
	}
}

func TestOpenFailsAtOnceWhereWaitingIsOfNoUse(t *testing.T) {
	t.Run("wrong password", func(t *testing.T) {
		address := refuseWith(t, &pgproto3.ErrorResponse{Severity: "FATAL", Code: "28P01",
			Message: `password authentication failed for user "someone"`})
		_, err := db.Open(t.Context(), "postgres://someone:hunter2@"+address+"/lubod?sslmode=disable")
		mustSay(t, err, "lubod on "+address, "password authentication failed", "check user and password")
	})
	t.Run("unknown database", func(t *testing.T) {
		u, err := url.Parse(dbtest.EmptyURL(t))
		if err != nil {
			t.Fatal(err)
		}
		u.Path = "/nowhere"
		_, err = db.Open(t.Context(), u.String())
		mustSay(t, err, "nowhere on socket", "does not exist", "create it")
	})
	t.Run("malformed URL", func(t *testing.T) {
		for _, malformed := range []string{"postgres://someone:hunter2@host:port/lubod", "host=x password=hunter2 port=y", "nonsense hunter2"} {
			_, err := db.Open(t.Context(), malformed)
			if err == nil {
				t.Fatalf("%s was accepted", malformed)
			}
			if malformed != "nonsense hunter2" {
				mustSay(t, err, "postgres://user:password@host:5432/database")
			}
		}
	})
	t.Run("too old", func(t *testing.T) {
		address := answerVersion(t, "90624", "9.6.24")
		_, err := db.Open(t.Context(), "postgres://someone:hunter2@"+address+
			"/lubod?sslmode=disable&default_query_exec_mode=simple_protocol")
		mustSay(t, err, "PostgreSQL 9.6.24 is too old, version 14 or newer is needed")
	})
}

func TestServerThatIsStartingIsWaitedFor(t *testing.T) {
	address := refuseWith(t, &pgproto3.ErrorResponse{Severity: "FATAL", Code: "57P03", Message: "the database system is starting up"})
	log := newLogLines()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-log.waiting
		cancel()
	}()
	_, err := db.Open(ctx, "postgres://someone:hunter2@"+address+"/lubod?sslmode=disable", db.WithLogger(slog.New(log)))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it waited until it was cancelled", err)
	}
}

// mustSay checks that an error tells a person all of what, and never the password.
func mustSay(t *testing.T, err error, what ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range what {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%q holds the password", err)
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// serve runs a database on loopback that talks to each client with talk and then hangs up.
func serve(t *testing.T, talk func(*pgproto3.Backend) error) (address string) {
	t.Helper()
	listener := listen(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(time.Minute))
			backend := pgproto3.NewBackend(conn, conn)
			if _, err = backend.ReceiveStartupMessage(); err == nil {
				err = talk(backend)
			}
			if err != nil {
				t.Log("fake server:", err)
			}
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return listener.Addr().String()
}

func refuseWith(t *testing.T, answer *pgproto3.ErrorResponse) (address string) {
	t.Helper()
	return serve(t, func(b *pgproto3.Backend) error {
		b.Send(answer)
		return b.Flush()
	})
}

func answerVersion(t *testing.T, number, version string) (address string) {
	t.Helper()
	return serve(t, func(b *pgproto3.Backend) error {
		b.Send(&pgproto3.AuthenticationOk{})
		b.Send(&pgproto3.ParameterStatus{Name: "standard_conforming_strings", Value: "on"})
		b.Send(&pgproto3.ParameterStatus{Name: "client_encoding", Value: "UTF8"})
		b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		if err := b.Flush(); err != nil {
			return err
		}
		if _, err := b.Receive(); err != nil {
			return err
		}
		b.Send(&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{
			{Name: []byte("number"), DataTypeOID: 23, DataTypeSize: 4},
			{Name: []byte("version"), DataTypeOID: 25, DataTypeSize: -1},
		}})
		b.Send(&pgproto3.DataRow{Values: [][]byte{[]byte(number), []byte(version)}})
		b.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})
		b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		return b.Flush()
	})
}

func TestStuckStatementsEnd(t *testing.T) {
	database := dbtest.New(t)
	for _, name := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
		var value string
		if err := database.Pool.QueryRow(t.Context(), "SELECT current_setting($1)", name).Scan(&value); err != nil {
			t.Fatal(err)
		}
		if value == "0" {
			t.Errorf("%s has no limit", name)
		}
	}
}

func TestConnectionStringOverrulesDefaults(t *testing.T) {
	database, err := db.Open(t.Context(), dbtest.EmptyURL(t)+"&pool_max_conns=3&statement_timeout=7s")
	if err != nil {
		t.Fatal(err)
	}
	defer database.Close()
	var value string
	if err := database.Pool.QueryRow(t.Context(), "SHOW statement_timeout").Scan(&value); err != nil {
		t.Fatal(err)
	}
	if value != "7s" || database.Pool.Config().MaxConns != 3 {
		t.Errorf("statement_timeout %s, %d connections; want 7s and 3", value, database.Pool.Config().MaxConns)
	}
}

func TestInTx(t *testing.T) {
	database := dbtest.New(t)
	insert := func(ctx context.Context, tx pgx.Tx, file string) error {
		_, err := tx.Exec(ctx, "INSERT INTO accounts (platform, file) VALUES ('bilibili', $1)", file)
		return err
	}
	failed := errors.New("failed")
	if err := database.InTx(t.Context(), func(tx pgx.Tx, _ *db.Queries) error { return insert(t.Context(), tx, "kept") }); err != nil {
		t.Fatal(err)
	}
	err := database.InTx(t.Context(), func(tx pgx.Tx, _ *db.Queries) error {
		return errors.Join(insert(t.Context(), tx, "undone"), failed)
	})
	if !errors.Is(err, failed) {
		t.Errorf("got %v, want %v", err, failed)
	}
	func() {
		defer func() { _ = recover() }()
		_ = database.InTx(t.Context(), func(tx pgx.Tx, _ *db.Queries) error {
			if err := insert(t.Context(), tx, "panicked"); err != nil {
				t.Error(err)
			}
			panic("in the middle")
		})
	}()
	rows, err := database.Pool.Query(t.Context(), "SELECT file FROM accounts")
	if err != nil {
		t.Fatal(err)
	}
	files, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(files) != 1 || files[0] != "kept" {
		t.Errorf("stored %v, %v, want what was committed", files, err)
	}
}
