package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lubod/lubod/db/dbtest"
	sim "github.com/lubod/lubod/sdk/simulator/bilibili"
)

const (
	// generatedRequests find what is common; LUBOD_TEST_REQUESTS=20000 finds the rest.
	generatedRequests = 4_000
	generatedWorkers  = 8
	// streamPatience is how long an answer that never ends is read.
	streamPatience = 100 * time.Millisecond
)

// TestGeneratedRequests sends valid, nearly valid and hostile requests made from the contract to a listening server. No
// answer may be a server's mistake, each has to match the contract, and nothing may be left open. LUBOD_TEST_SEED, as
// printed by a run that failed, sends the same requests again.
func TestGeneratedRequests(t *testing.T) {
	dbtest.URL(t) // starts the PostgreSQL that all tests share, before anything is counted
	seed := generatedSeed(t)
	goroutines, sockets := goleak.IgnoreCurrent(), openSockets(t)
	t.Run("send", func(t *testing.T) { sendGenerated(t, seed) })
	if err := goleak.Find(goroutines); err != nil {
		t.Errorf("goroutines are left: %v", err)
	}
	if left := openSockets(t); left > sockets {
		t.Errorf("%d sockets are open, %d were before", left, sockets)
	}
}

func generatedSeed(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("LUBOD_TEST_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("LUBOD_TEST_SEED=%d", seed)
	return seed
}

func generatedCount(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv("LUBOD_TEST_REQUESTS")
	if text == "" {
		return generatedRequests
	}
	count, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return count
}

func openSockets(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc")
	}
	sockets := 0
	for _, entry := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil && strings.HasPrefix(target, "socket:") {
			sockets++
		}
	}
	return sockets
}

func sendGenerated(t *testing.T, seed uint64) {
	database := dbtest.New(t)
	t.Cleanup(func() { // after the server has stopped
		if n := database.Pool.Stat().AcquiredConns(); n != 0 {
			t.Errorf("%d connections to the database are in use", n)
		}
	})
	h := newHarness(t, database)
	// Guesses do not have to wait here: every other one would be all that is tested.
	var clock atomic.Int64
	h.server.attempts.now = func() time.Time { return time.Unix(clock.Add(2*int64(throttleMemory/time.Second)), 0) }
	flood, requests := newFlood(t, h, seed), generatedCount(t)
	var next atomic.Uint64
	var workers sync.WaitGroup
	for range generatedWorkers {
		workers.Go(func() {
			for number := next.Add(1); number <= requests && !t.Failed(); number = next.Add(1) {
				flood.send(t, number)
			}
		})
	}
	workers.Wait()
	for _, line := range strings.Split(h.log.take(), "; time=") {
		if strings.Contains(line, "panic") || strings.Contains(line, "level=ERROR") {
			t.Errorf("the log says %.2000s", line)
		}
	}
	flood.report(t)
}

// flood is everything that the workers share.
type flood struct {
	h          *harness
	seed       uint64
	client     *http.Client
	contract   *contractTransport
	operations []*operation
	vocabulary *vocabulary

	admin, read, write string
	// spare are sessions that a request may end.
	spare chan string

	mu       sync.Mutex
	statuses map[string]map[int]int
}

func newFlood(t *testing.T, h *harness, seed uint64) *flood {
	t.Helper()
	f := &flood{h: h, seed: seed, vocabulary: newVocabulary(h.base), statuses: make(map[string]map[int]int), spare: make(chan string, 16)}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = generatedWorkers
	t.Cleanup(transport.CloseIdleConnections)
	f.client = &http.Client{
		Transport: transport, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	f.contract = newContractTransport(t, transport)
	for _, key := range slices.Sorted(mapKeys(h.server.operations)) {
		f.operations = append(f.operations, h.server.operations[key])
	}

	h.register(t, "admin", "password123")
	h.login(t, "admin", "password123")
	h.register(t, "second", "password456")
	f.admin = h.sessionToken(t)
	// Of another user: no request of the first one can revoke it.
	other := newBrowser(t, h.base)
	other.login(t, "second", "password456")
	for scope, secret := range map[TokenScope]*string{TokenScopeRead: &f.read, TokenScopeWrite: &f.write} {
		var token NewToken
		other.api(t, "POST", "/tokens", fmt.Sprintf(`{"name":"x","scope":%q}`, scope)).must(t, 200).decode(t, &token)
		*secret = token.Token
	}
	f.fill(t)
	f.tidy(t)
	return f
}

// fill makes something that requests can be about.
func (f *flood) fill(t *testing.T) {
	t.Helper()
	f.h.addAccount(t, "cookies.json", sim.AccountOptions{})
	f.h.api(t, "POST", "/users", `{"key":"bilibili-cookies","value":"cookies.json"}`).must(t, 200)
	f.h.api(t, "POST", "/streamers", `{"url":"https://a.example/1","template_name":"t"}`).must(t, 200)
	f.h.api(t, "POST", "/upload_streamers", `{"template_name":"t","title":"{{title}}","tag":"a","user_cookie":"cookies.json"}`).must(t, 200)
	dir := filepath.Join(f.h.dataDir, "recordings")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"recording.mp4", "recording_20250110_120000.mp4", "recording_20250110_130000.mp4"} {
		path, old := filepath.Join(dir, name), time.Now().Add(-time.Hour)
		if err := errors.Join(os.WriteFile(path, []byte("media"), 0o600), os.Chtimes(path, old, old)); err != nil { // old: nobody writes it any more
			t.Fatal(err)
		}
	}
	for _, table := range []string{"streamers", "templates", "accounts", "users", "api_tokens", "sessions"} {
		// What is put back has the numbers below.
		if _, err := f.h.db.Pool.Exec(t.Context(), "SELECT setval(pg_get_serial_sequence($1, 'id'), 100)", table); err != nil {
			t.Fatal(err)
		}
	}
	for _, statement := range []string{
		`INSERT INTO recordings (streamer_id, host_id, url, remark, template_name, title, streamer_name, state, started_at, ended_at)
		 SELECT 1, gen_random_uuid(), 'https://a.example/1', '', 't', 'title ' || n, 'name', 'ended', now(), now() FROM generate_series(1, 6) n`,
		`INSERT INTO segments (recording_id, index, path, size_bytes, duration_ms, started_at, ended_at, publish)
		 SELECT id, 1, '/nowhere/' || id || '.flv', 1000, 1000, now(), now(), 'wanted' FROM recordings`,
		`INSERT INTO uploads (segment_id, state, error) SELECT id, CASE WHEN id % 2 = 0 THEN 'failed' ELSE 'uploaded' END, 'lost' FROM segments`,
		`INSERT INTO submissions (recording_id, state, error) SELECT id, CASE WHEN id % 3 = 0 THEN 'failed' ELSE 'waiting' END, 'why' FROM recordings`,
		// The users who send the requests are not removed by one of them.
		`CREATE FUNCTION keep_user() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`,
		`CREATE TRIGGER keep_first_users BEFORE DELETE ON users FOR EACH ROW WHEN (OLD.id < 3) EXECUTE FUNCTION keep_user()`,
		`INSERT INTO hook_runs (recording_id, stage, steps) SELECT id, 'postprocessor', '[{"webhook":"https://hooks.example/"}]' FROM recordings`,
	} {
		if _, err := f.h.db.Pool.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

// tidy keeps the lists short, since to check long answers again and again is what takes long here, and puts back what
// requests are about: rooms and templates that were deleted, the password of the second user, sessions that may end.
func (f *flood) tidy(t *testing.T) {
	for _, statement := range []string{
		"DELETE FROM streamers WHERE id > 100", "DELETE FROM templates WHERE id > 100", "DELETE FROM accounts WHERE id > 100",
		"DELETE FROM users WHERE id > 100", "DELETE FROM api_tokens WHERE id > 100",
		`INSERT INTO streamers (id, url) OVERRIDING SYSTEM VALUE SELECT n, 'https://room.example/' || n FROM generate_series(1, 6) n ON CONFLICT DO NOTHING`,
		`INSERT INTO templates (id, template_name) OVERRIDING SYSTEM VALUE SELECT n, 'template ' || n FROM generate_series(1, 6) n ON CONFLICT DO NOTHING`,
		`INSERT INTO accounts (id, platform, file) OVERRIDING SYSTEM VALUE SELECT n, 'bilibili-cookies', n || '.json' FROM generate_series(1, 6) n ON CONFLICT DO NOTHING`,
		`UPDATE hook_runs SET state = 'held', error = 'why'`,
		`INSERT INTO api_tokens (id, user_id, name, token_hash, scope) OVERRIDING SYSTEM VALUE SELECT n, 1, 'x', sha256(n::text::bytea), 'read' FROM generate_series(1, 6) n ON CONFLICT DO NOTHING`,
		`INSERT INTO users (id, username, password_hash) OVERRIDING SYSTEM VALUE SELECT n, 'user ' || n, '' FROM generate_series(3, 6) n ON CONFLICT DO NOTHING`,
		`INSERT INTO sessions (id, user_id, token, data, expiry) OVERRIDING SYSTEM VALUE SELECT n, 2, n, '', now() + interval '1 hour' FROM generate_series(3, 6) n ON CONFLICT DO NOTHING`,
		`UPDATE users SET password_version = 0, password_hash = (SELECT password_hash FROM users WHERE id = 1) WHERE id = 2`,
	} {
		if _, err := f.h.db.Pool.Exec(t.Context(), statement); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
	}
	for len(f.spare) < cap(f.spare) && f.addSpare(t) {
	}
}

// addSpare logs the second user in; not when another request has just changed the password.
func (f *flood) addSpare(t *testing.T) bool {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.h.base+"/api/v1/users/login", strings.NewReader(`{"username":"second","password":"password123"}`))
	if err != nil {
		t.Error(err)
		return false
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := f.client.Do(request)
	if err != nil {
		t.Error(err)
		return false
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, response.Body)
	for _, cookie := range response.Cookies() {
		select {
		case f.spare <- cookie.Value:
			return true
		default:
		}
	}
	return false
}

// send makes request number, sends it, and holds the answer against everything that has to be true.
func (f *flood) send(t *testing.T, number uint64) {
	if number%250 == 0 {
		f.tidy(t)
	}
	g := f.vocabulary.generator(f.seed, number)
	op := pick(g, f.operations)
	request := g.request(op)
	if op.route.Operation.OperationID == "deleteUser" && (strings.HasSuffix(request.URL.Path, "/1") || strings.HasSuffix(request.URL.Path, "/2")) {
		request.URL.Path = request.URL.Path[:len(request.URL.Path)-1] + "3" // not those who send the requests
	}
	f.identify(g, op, request)
	timeout := time.Minute
	if endless(op) {
		timeout = streamPatience
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	response, err := f.client.Do(request.WithContext(ctx))
	if endless(op) && errors.Is(err, context.DeadlineExceeded) {
		return // it is open and silent
	}
	if tooLargeHead(request) && (err != nil || response.StatusCode == http.StatusRequestHeaderFieldsTooLarge) {
		// Go's server refuses it before any handler, with 431 and no JSON, and closes while the client may still be sending.
		if err == nil {
			_ = response.Body.Close()
		}
		return
	}
	if err != nil {
		if closedEarly(err) && request.ContentLength > maxBodyBytes {
			return // refused before all of it was sent
		}
		t.Errorf("request %d of LUBOD_TEST_SEED=%d, %s: %v", number, f.seed, describeRequest(request), err)
		return
	}
	defer func() { _ = response.Body.Close() }()
	if err := f.check(op, request, response); err != nil {
		t.Errorf("request %d of LUBOD_TEST_SEED=%d, %s: %v", number, f.seed, describeRequest(request), err)
	}
	f.note(op, response.StatusCode)
}

// endless tells the operations whose answer goes on for as long as the caller likes; their beginning is what is checked.
func endless(op *operation) bool {
	if op.route.Operation.Responses.Status(http.StatusSwitchingProtocols) != nil {
		return true
	}
	ok := op.route.Operation.Responses.Status(http.StatusOK)
	return ok != nil && ok.Value.Content["text/event-stream"] != nil
}

func (f *flood) check(op *operation, request *http.Request, response *http.Response) error {
	if response.StatusCode >= 500 && response.StatusCode != http.StatusServiceUnavailable {
		body, _ := io.ReadAll(io.LimitReader(response.Body, 1000))
		return fmt.Errorf("answered %d %s", response.StatusCode, body)
	}
	if response.StatusCode == http.StatusSwitchingProtocols || (endless(op) && response.StatusCode == http.StatusOK) {
		return nil
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if err := f.contract.check(request, response, body); err != nil {
		return fmt.Errorf("answered %d %.1000s\nwhich is not in the contract: %w", response.StatusCode, body, err)
	}
	for header, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"} {
		if got := response.Header.Get(header); got != want {
			return fmt.Errorf("answered %d with %s: %q", response.StatusCode, header, got)
		}
	}
	return nil
}

// identify says who asks: mostly somebody who may.
func (f *flood) identify(g generator, op *operation, request *http.Request) {
	cookie, token := "", ""
	switch n := g.IntN(100); {
	case op.route.Operation.OperationID == "loginUser" && n < 80: // would end the session that it is called with
	case op.route.Operation.OperationID == "logoutUser", op.route.Operation.OperationID == "changePassword", op.route.Operation.OperationID == "loginUser", op.route.Operation.OperationID == "deleteSession":
		// These end the session that they are called with, which the other requests need.
		select {
		case cookie = <-f.spare:
		default:
			cookie = "gone"
		}
	case n < 65:
		cookie = f.admin
	case n < 80:
		token = f.write
	case n < 88:
		token = f.read
	case n < 92:
		cookie, token = f.admin, f.read
	case n < 95:
		token = pick(g, []string{"lubod_", "", "x", f.read + "x", strings.Repeat("a", 5000), "lubod_" + strings.Repeat("A", 43)})
	case n < 97:
		cookie = pick(g, []string{"x", strings.Repeat("a", 5000), "%00"})
	}
	if cookie != "" {
		request.Header.Set("Cookie", sessionCookie+"="+cookie)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
}

// tooLargeHead tells a request whose first line and headers are more than the server takes. It may take some more.
func tooLargeHead(request *http.Request) bool {
	head := len(request.URL.RequestURI())
	for name, values := range request.Header {
		for _, value := range values {
			head += len(name) + len(value)
		}
	}
	return head > maxHeader
}

// closedEarly tells that the server closed the connection while the body was still being sent.
func closedEarly(err error) bool {
	var network *net.OpError
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe)
}

func describeRequest(request *http.Request) string {
	body := ""
	if request.GetBody != nil {
		if reader, err := request.GetBody(); err == nil {
			raw, _ := io.ReadAll(io.LimitReader(reader, 2000))
			body = string(raw)
		}
	}
	headers := request.Header.Clone()
	return fmt.Sprintf("%s %.500s %.500v %.1000q", request.Method, request.URL, headers, body)
}

func (f *flood) note(op *operation, status int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := op.route.Operation.OperationID
	if f.statuses[id] == nil {
		f.statuses[id] = make(map[int]int)
	}
	f.statuses[id][status]++
}

// report makes sure that handlers were reached: a flood that is refused at the door proves little.
func (f *flood) report(t *testing.T) {
	for _, op := range f.operations {
		id := op.route.Operation.OperationID
		t.Logf("%-20s %v", id, f.statuses[id])
		right := 0
		for status, n := range f.statuses[id] {
			if status < 400 {
				right += n
			}
		}
		if right == 0 && !endless(op) && !slices.Contains(unreachable(), id) && !t.Failed() {
			t.Errorf("no request for %s was a right one", id)
		}
	}
}

// unreachable are operations that no generated request can get right.
func unreachable() []string {
	return []string{
		"loginByQRCode", // needs a key that this server issued, and a confirmation
		"getProxy",      // reaches public addresses only
		"retryHook",     // needs a hook that has failed
		"getMyInfo",     // needs a login that no other request has removed meanwhile
	}
}
