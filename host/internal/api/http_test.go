package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/db/dbtest"
)

// TestOnlyTheseAnswerWithoutASession holds the list of what is open to everybody; a new entry is a decision.
// wrongBodies are wrong in all ways in which a body can be.
func wrongBodies() map[string]string {
	return map[string]string{
		"another object": `{"x":1}`, "no object": `[]`, "no JSON": `{"a":`, "nothing": "", "too large": `"` + strings.Repeat("x", maxBodyBytes) + `"`, "no text": "\xff", "a key twice": `{"a":1,"a":2}`,
	}
}

// Who is not logged in does not learn what is wrong with a request, whatever that is, at any operation of the contract.
func TestOnlyTheseAnswerWithoutASession(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	public := map[string]bool{
		"GET /healthz": true, "GET /api/v1/openapi.yaml": true, "GET /api/v1/docs": true, "GET /api/v1/logout": true, "GET /api/v1/users/biliup": true,
		"POST /api/v1/users/login": true, "POST /api/v1/users/register": true,
		"GET /api/v1/qrcode": true, "POST /api/v1/login_by_qrcode": true,
	}
	operations := 0
	for path, item := range h.server.spec.Paths.Map() {
		for method := range item.Operations() {
			operations++
			if public[method+" "+path] {
				continue
			}
			for what, body := range wrongBodies() {
				if a := h.call(t, method, strings.ReplaceAll(path, "{id}", "no number")+"?page=no+number", body); a.status != 401 || !strings.Contains(a.body, "log in") {
					t.Errorf("%s %s with %s answered %d %.200s, want 401", method, path, what, a.status, a.body)
				}
			}
			h.call(t, method, strings.ReplaceAll(path, "{id}", "1"), "x", "Content-Type", "text/plain").refused(t, 401, "log in")
		}
	}
	const pages = 3
	if routes := len(h.server.echo.Routes()); routes != operations+pages {
		t.Errorf("%d routes for %d operations of the contract: one is outside of its checks", routes, operations)
	}
}

// What is public at times only is held to the same when it is not.
func TestPublicOperationsThatAreClosed(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	h.register(t, "admin", "password123")
	closed := newBrowser(t, serve(t, h.startWith(t, Deps{QRLogin: QRLoginUsers})))
	for what, body := range wrongBodies() {
		for _, path := range []string{"/users/register", "/login_by_qrcode"} {
			if a := closed.api(t, "POST", path, body); a.status != 401 {
				t.Errorf("%s with %s answered %d %.200s, want 401", path, what, a.status, a.body)
			}
		}
	}
}

func TestPathsAndMethodsThatDoNotExist(t *testing.T) {
	h := newLoggedIn(t)
	for _, path := range []string{"/api/v1", "/api/v1/", "/api/v1/streamers/", "/api/v1/nothing", "/api/v2/streamers", "/api/v1/streamers/1/../../users", "/api/v1//streamers"} {
		h.call(t, "GET", path, "").refused(t, 404, "there is nothing at")
	}
	wrong := h.api(t, "PATCH", "/streamers", "")
	wrong.refused(t, 405, "PATCH does not work here", "GET", "POST", "PUT")
	h.api(t, "DELETE", "/streamers/1%2F2", "").refused(t, 400, "id:")
	h.api(t, "DELETE", "/streamers/9007199254740993", "").refused(t, 400, "id: must be from 1")
	h.api(t, "DELETE", "/streamers/1.0", "").refused(t, 400, "id:")
}

func TestBodiesOfTheWrongKind(t *testing.T) {
	h := newLoggedIn(t)
	h.api(t, "POST", "/streamers", streamerJSON, "Content-Type", "text/plain").refused(t, 415, "application/json")
	h.api(t, "POST", "/streamers", "url=https://a.example", "Content-Type", "application/x-www-form-urlencoded").refused(t, 415, "application/json")
	h.api(t, "POST", "/streamers", streamerJSON, "Content-Type", "application/json; charset=utf-8").must(t, 200)
	h.api(t, "POST", "/streamers", "", "Content-Type", "application/json").refused(t, 400, "the body is missing")
	h.api(t, "POST", "/streamers", `{"url":"`+strings.Repeat("a", maxBodyBytes)+`"}`).refused(t, 413, "larger than 1048576 bytes")
}

func TestOtherSitesCannotChangeAnything(t *testing.T) {
	h := newLoggedIn(t)
	for name, headers := range map[string][]string{
		"another site":         {"Origin", "https://evil.example"},
		"another port":         {"Origin", "http://127.0.0.1:1"},
		"an opaque origin":     {"Origin", "null"},
		"a site, says browser": {"Sec-Fetch-Site", "cross-site"},
		"a sibling site":       {"Sec-Fetch-Site", "same-site"},
	} {
		t.Run(name, func(t *testing.T) {
			h.api(t, "POST", "/streamers", streamerJSON, headers...).refused(t, 403, "another site")
			h.api(t, "PUT", "/configuration", `{"threads":1}`, headers...).must(t, 403)
			h.api(t, "DELETE", "/streamers/1", "", headers...).must(t, 403)
			h.api(t, "POST", "/users/login", `{"username":"admin","password":"password123"}`, headers...).must(t, 403)
			h.api(t, "POST", "/plugins/reload", "", headers...).must(t, 403)
			h.api(t, "GET", "/logout", "", headers...).must(t, 403) // a link, or a picture that is none
		})
	}
	h.api(t, "POST", "/streamers", streamerJSON, "Origin", h.base).must(t, 200)
	h.api(t, "POST", "/streamers/1/pause", "", "Sec-Fetch-Site", "same-origin", "Origin", "https://behind-a-proxy.example").must(t, 200)
	if answer := h.api(t, "GET", "/streamers", "", "Origin", "https://evil.example").must(t, 200); answer.header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("another site may read answers")
	}
}

func TestTrustedOriginsAreLetIn(t *testing.T) {
	database := dbtest.New(t)
	h := newHarness(t, database)
	h.register(t, "admin", "password123")
	server, err := New(Deps{DB: database, Rooms: h.rooms, Uploads: h.uploads, Plugins: h.plugins, Logger: h.server.log, DataDir: h.dataDir, TrustedOrigins: []string{"http://localhost:3000"}})
	if err != nil {
		t.Fatal(err)
	}
	page := newBrowser(t, serve(t, server))
	page.api(t, "POST", "/users/login", `{"username":"admin","password":"password123"}`, "Origin", "http://localhost:3000", "Sec-Fetch-Site", "same-site").must(t, 200)
	if _, err := New(Deps{DB: database, Logger: h.server.log, TrustedOrigins: []string{"localhost"}}); err == nil {
		t.Error("an origin without a scheme was taken")
	}
}

func TestAnswersAreHarmlessToABrowser(t *testing.T) {
	h := newLoggedIn(t)
	for _, a := range []answer{h.api(t, "GET", "/streamers", ""), h.api(t, "GET", "/nothing", ""), h.api(t, "POST", "/streamers", "{")} {
		for header, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'"} {
			if got := a.header.Get(header); got != want {
				t.Errorf("%s is %q, want %q", header, got, want)
			}
		}
		if got := a.header.Get("Content-Type"); got != "application/json" {
			t.Errorf("Content-Type is %q", got)
		}
	}
}

func TestAPanicStaysInItsRequest(t *testing.T) {
	h := newLoggedIn(t)
	h.plugins.accepts = func(context.Context, string) error { panic("secret details") }
	failed := h.api(t, "POST", "/streamers", streamerJSON)
	failed.refused(t, 500, "incident")
	if strings.Contains(failed.body, "secret details") {
		t.Errorf("the answer tells %s", failed.body)
	}
	if log := h.log.take(); !strings.Contains(log, "secret details") || !strings.Contains(log, "incident") {
		t.Error("the log does not tell what happened")
	}
	h.api(t, "GET", "/streamers", "").must(t, 200)
}

func TestDatabaseThatIsAway(t *testing.T) {
	pool, err := pgxpool.New(t.Context(), "host="+t.TempDir()+" user=nobody dbname=nothing connect_timeout=2")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	server, err := New(Deps{DB: &db.DB{Queries: db.New(pool), Pool: pool}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	listening := httptest.NewServer(server)
	defer listening.Close()
	h := newBrowser(t, listening.URL)
	h.call(t, "GET", "/healthz", "").refused(t, 503, "database")
	away := h.api(t, "GET", "/streamers", "", "Cookie", sessionCookie+"=some-token")
	away.refused(t, 503, "recordings go on")
	if away.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	h.api(t, "POST", "/users/login", `{"username":"admin","password":"password123"}`).must(t, 503)
	h.api(t, "GET", "/logout", "").must(t, 303)
	// The session is not over then, and nobody must believe so.
	h.api(t, "GET", "/logout", "", "Cookie", sessionCookie+"=some-token").must(t, 503)
}

func TestWhichDatabaseErrorsPass(t *testing.T) {
	for _, tc := range []struct {
		err  error
		away bool
	}{
		{context.DeadlineExceeded, true},
		{fmt.Errorf("read: %w", io.ErrUnexpectedEOF), true},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, true},
		{&pgconn.PgError{Code: "57P01"}, true}, // the server is being stopped
		{&pgconn.PgError{Code: "57014"}, true}, // statement timeout
		{&pgconn.PgError{Code: "53300"}, true}, // too many connections
		{&pgconn.PgError{Code: "23505"}, false},
		{&pgconn.PgError{Code: "42703"}, false},
		{errors.New("something else"), false},
		{&fs.PathError{Op: "open", Path: "/data", Err: syscall.ENOSPC}, false}, // the disk, not the database
		{&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, true},
	} {
		if got := databaseIsAway(tc.err); got != tc.away {
			t.Errorf("%v: away is %v", tc.err, got)
		}
	}
}

func TestHealthNeedsNoSession(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	equalJSON(t, h.call(t, "GET", "/healthz", "").must(t, 200).body, `{"status":"ok"}`)
}

func TestRunEndsWhileClientsAreConnected(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.server.Run(ctx, listener) }()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", response, err)
	}
	_ = response.Body.Close()
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestABodyThatDoesNotArriveInTime(t *testing.T) {
	h := newLoggedIn(t)
	server := h.start(t)
	server.readTimeout = 50 * time.Millisecond
	conn, err := net.Dial("tcp", strings.TrimPrefix(serve(t, server), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := fmt.Fprintf(conn, "POST /api/v1/streamers HTTP/1.1\r\nHost: localhost\r\nCookie: %s=%s\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", sessionCookie, h.sessionToken(t)); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusRequestTimeout {
		t.Errorf("status %d", response.StatusCode)
	}
}

func TestRunSaysWhatIsWrongWithItsListener(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	if err := h.server.Run(t.Context(), listener); err == nil || !strings.Contains(err.Error(), listener.Addr().String()) {
		t.Errorf("Run: %v", err)
	}
}

func TestARequestEndsWithItsTime(t *testing.T) {
	h := newLoggedIn(t)
	h.plugins.accepts = func(ctx context.Context, _ string) error {
		deadline, ok := ctx.Deadline()
		if !ok || time.Until(deadline) > requestTimeout {
			t.Errorf("the handler may take until %v", deadline)
		}
		return nil
	}
	h.plugins.reload = func(ctx context.Context) error {
		if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) < requestTimeout {
			t.Errorf("a reload may only take until %v", deadline)
		}
		return nil
	}
	h.api(t, "POST", "/streamers", streamerJSON).must(t, 200)
	h.api(t, "POST", "/plugins/reload", "").must(t, 200)
}

func TestHeadIsAGetWithoutItsBody(t *testing.T) {
	h := newLoggedIn(t)
	for path, status := range map[string]int{
		"/healthz": 200, "/login": 200, "/api/v1/streamers": 200, "/api/v1/upload_streamers/7": 404, "/api/v1/nothing": 404,
		"/api/v1/events": 405, "/api/v1/logout": 405,
	} {
		if a := h.call(t, "HEAD", path, ""); a.status != status || a.body != "" {
			t.Errorf("%s: %d %q, want %d and no body", path, a.status, a.body, status)
		}
	}
	h.api(t, "GET", "/streamers", "").must(t, 200) // still logged in
}
