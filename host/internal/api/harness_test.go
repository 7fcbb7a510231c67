package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/alexedwards/argon2id"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/google/uuid"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/db/dbtest"
	"github.com/lubod/lubod/host/internal/accounts"
	"github.com/lubod/lubod/host/internal/bilibili"
	"github.com/lubod/lubod/host/internal/events"
	"github.com/lubod/lubod/host/internal/hooks"
	"github.com/lubod/lubod/host/internal/jobs"
	"github.com/lubod/lubod/host/internal/outgoing"
	"github.com/lubod/lubod/host/internal/pipeline"
	"github.com/lubod/lubod/host/internal/settings"
	"github.com/lubod/lubod/host/internal/upload"
	sim "github.com/lubod/lubod/sdk/simulator/bilibili"
)

// fakeRooms, fakeUploads and fakePlugins are the running parts; each function can be replaced by a test.
type fakeRooms struct {
	changed       func(id int64)
	configuration func()
	stop          func(ctx context.Context, id int64, reason string) error
}

func (f *fakeRooms) Changed(id int64)      { f.changed(id) }
func (f *fakeRooms) ConfigurationChanged() { f.configuration() }
func (f *fakeRooms) StopRecording(ctx context.Context, id int64, reason string) error {
	return f.stop(ctx, id, reason)
}

// What is ordered and retried goes to the real service, whose jobs nobody runs.
type fakeUploads struct {
	*upload.Service
	configuration, publishing func()
}

func (f *fakeUploads) ConfigurationChanged() { f.configuration() }
func (f *fakeUploads) PublishingChanged()    { f.publishing() }

type fakePlugins struct {
	accepts func(ctx context.Context, url string) error
	status  func() []PluginStatus
	reload  func(ctx context.Context) error
	options func() *settings.Catalog
}

func (f *fakePlugins) WaitLoaded(context.Context) error { return nil }
func (f *fakePlugins) Options() *settings.Catalog       { return f.options() }

func (f *fakePlugins) RoomOf(url string) (platform, room string) {
	_, room, _ = strings.Cut(url, "?room=")
	return "extractor-x", room
}

func (f *fakePlugins) AcceptsURL(ctx context.Context, url string) error { return f.accepts(ctx, url) }
func (f *fakePlugins) Status() []PluginStatus                           { return f.status() }
func (f *fakePlugins) Reload(ctx context.Context) error                 { return f.reload(ctx) }

// harness is one server on a database of its own, a browser that is logged in, and the notes of what was announced.
type harness struct {
	*browser
	db      *db.DB
	server  *Server
	rooms   *fakeRooms
	uploads *fakeUploads
	plugins *fakePlugins
	// sim is the Bilibili that the server talks to.
	sim      *sim.Server
	upstream *bilibili.Client
	accounts *accounts.Keeper
	pipeline *pipeline.Pipeline
	bus      *events.Bus
	health   *fakeHealth
	notes    *notes
	log      *notes
	dataDir  string
}

// notes collects lines from several goroutines.
type notes struct {
	mu    sync.Mutex
	lines []string
}

func (n *notes) add(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, fmt.Sprintf(format, args...))
}

func (n *notes) Write(p []byte) (int, error) { n.add("%s", p); return len(p), nil }

// take returns the lines so far and forgets them.
func (n *notes) take() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := strings.Join(n.lines, "; ")
	n.lines = nil
	return all
}

// newHarness starts a server where nobody is registered.
func newHarness(t testing.TB, database *db.DB) *harness {
	t.Helper()
	h := &harness{db: database, notes: &notes{}, log: &notes{}, dataDir: t.TempDir()}
	h.rooms = &fakeRooms{
		changed:       func(id int64) { h.notes.add("room %d changed", id) },
		configuration: func() { h.notes.add("rooms: configuration changed") },
		stop: func(_ context.Context, id int64, reason string) error {
			h.notes.add("stop %d: %s", id, reason)
			return nil
		},
	}
	h.sim = sim.New(t, sim.Options{})
	h.upstream = bilibili.New(bilibili.Options{MemberURL: h.sim.URL(), APIURL: h.sim.URL(), PassportURL: h.sim.URL()})
	t.Cleanup(h.upstream.Close)
	h.accounts = accounts.New(accounts.Options{
		DB: database, HostID: uuid.New(), Files: accounts.NewFiles(h.dataDir), Client: h.upstream,
		Logger: slog.New(slog.NewTextHandler(h.log, nil)),
	})
	logger := slog.New(slog.NewTextHandler(h.log, nil))
	queue, err := jobs.New(jobs.Options{DB: database, HostID: uuid.NewString(), Logger: logger}) // ordered, never run
	if err != nil {
		t.Fatal(err)
	}
	h.pipeline = pipeline.New(pipeline.Options{DB: database, Orders: queue, Logger: logger, Pace: pipeline.DefaultPace()})
	service := upload.New(upload.Options{DB: database, HostID: queue.HostID, Jobs: queue, Pipeline: h.pipeline, Accounts: h.accounts, Logger: logger})
	h.uploads = &fakeUploads{
		Service:       service,
		configuration: func() { h.notes.add("uploads: configuration changed") },
		publishing:    func() { h.notes.add("publishing changed") },
	}
	h.plugins = &fakePlugins{
		accepts: func(_ context.Context, url string) error {
			if strings.Contains(url, "nobody.example") {
				return fmt.Errorf(`no extractor takes it; extractor-direct takes ^https?://.+\.flv`)
			}
			return nil
		},
		status:  func() []PluginStatus { return nil },
		reload:  func(context.Context) error { return nil },
		options: func() *settings.Catalog { return settings.NewCatalog(nil, nil) },
	}
	h.bus, h.health = runBus(t, database), &fakeHealth{}
	h.server = h.start(t)
	h.browser = newBrowser(t, serve(t, h.server))
	return h
}

// runBus runs a bus until the test ends.
func runBus(t testing.TB, database *db.DB) *events.Bus {
	t.Helper()
	bus := events.New(events.Options{DB: database, Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- bus.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("bus: %v", err)
		}
	})
	return bus
}

// start makes another server on the same database and data directory, as after a restart.
func (h *harness) start(t testing.TB) *Server {
	t.Helper()
	return h.startWith(t, Deps{})
}

// startWith makes a server with other options.
func (h *harness) startWith(t testing.TB, options Deps) *Server {
	t.Helper()
	if options.Outgoing == nil {
		// No test may ask a name server; the addresses of tests are refused as on any machine.
		options.Outgoing = outgoing.New(outgoing.Options{Resolver: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("there is no name server in tests")
		}}})
		t.Cleanup(options.Outgoing.Close)
	}
	if options.Events == nil {
		options.Events = h.bus
	}
	// Ordered, never run. Each server has workers of its own.
	queue, err := jobs.New(jobs.Options{DB: h.db, HostID: uuid.NewString(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	steps := hooks.New(hooks.Options{
		DB: h.db, HostID: "test", Jobs: queue, Pipeline: h.pipeline, Root: filepath.Join(h.dataDir, recordingsDir), AllowRun: options.RunHooks, HTTP: options.Outgoing,
		Logger: slog.New(slog.DiscardHandler),
	})
	server, err := New(Deps{
		Hooks: steps, Events: options.Events, Health: h.health, Logs: options.Logs,
		QRLogin: options.QRLogin, RunHooks: options.RunHooks, Outgoing: options.Outgoing, Accounts: h.accounts,
		Hosts: append([]string{"rec.example"}, options.Hosts...),
		DB:    h.db, Rooms: h.rooms, Uploads: h.uploads, Plugins: h.plugins, Bilibili: h.upstream, DataDir: h.dataDir, Version: "0.0.1-test",
		Logger: slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	// Being slow is what the hash is for; not here.
	*server.passwords.Params = argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32}
	return server
}

// newLoggedIn is a harness whose browser is logged in as admin.
func newLoggedIn(t testing.TB) *harness {
	t.Helper()
	h := newHarness(t, dbtest.New(t))
	h.register(t, "admin", "password123")
	h.login(t, "admin", "password123")
	return h
}

// serve runs a server on a port of its own until the test ends.
func serve(t testing.TB, server *Server) string {
	t.Helper()
	base, _ := serveUntil(t, server)
	return base
}

// serveUntil is serve, and stop ends the server before.
func serveUntil(t testing.TB, server *Server) (base string, stop func()) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, listener) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return "http://" + listener.Addr().String(), stop
}

// browser is an HTTP client with cookies whose every answer is held against the contract.
type browser struct {
	base   string
	client *http.Client
}

func newBrowser(t testing.TB, base string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{base: base, client: &http.Client{
		Jar: jar, Transport: newContractTransport(t, transport),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// answer is a response that was read.
type answer struct {
	status int
	header http.Header
	body   string
}

// decode returns the body as JSON.
func (a answer) decode(t testing.TB, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), into); err != nil {
		t.Fatalf("decode %s: %v", a.body, err)
	}
}

// must checks the status.
func (a answer) must(t testing.TB, status int) answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	return a
}

// refused checks the status of an error answer and that its sentence holds each of the words.
func (a answer) refused(t testing.TB, status int, words ...string) {
	t.Helper()
	a.must(t, status)
	var e Error
	a.decode(t, &e)
	for _, word := range words {
		if !strings.Contains(e.Error, word) {
			t.Errorf("error %q does not say %q", e.Error, word)
		}
	}
}

// call sends a request; body is JSON text, or empty for none. Headers come in pairs.
func (b *browser) call(t testing.TB, method, path, body string, headers ...string) answer {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, b.base+path, reader)
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			request.Host = headers[i+1]
			continue
		}
		request.Header.Set(headers[i], headers[i+1])
	}
	return b.send(t, request)
}

func (b *browser) send(t testing.TB, request *http.Request) answer {
	t.Helper()
	response, err := b.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if streams(response) {
		// It has no end; watchEvents and watchLogs read what comes.
		return answer{status: response.StatusCode, header: response.Header}
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{status: response.StatusCode, header: response.Header, body: string(body)}
}

func (b *browser) api(t testing.TB, method, path, body string, headers ...string) answer {
	t.Helper()
	return b.call(t, method, "/api/v1"+path, body, headers...)
}

func (b *browser) register(t testing.TB, name, password string) {
	t.Helper()
	b.api(t, "POST", "/users/register", fmt.Sprintf(`{"username":%q,"password":%q}`, name, password)).must(t, 200)
}

func (b *browser) login(t testing.TB, name, password string) answer {
	t.Helper()
	return b.api(t, "POST", "/users/login", fmt.Sprintf(`{"username":%q,"password":%q}`, name, password)).must(t, 200)
}

// addAccount makes an account at Bilibili and puts its cookie file into the data directory.
func (h *harness) addAccount(t testing.TB, file string, options sim.AccountOptions) sim.Account {
	t.Helper()
	account := h.sim.AddAccount(options)
	raw, err := json.Marshal(account.CookieFile())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.dataDir, file), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return account
}

func (b *browser) sessionToken(t testing.TB) string {
	t.Helper()
	base, err := url.Parse(b.base)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range b.client.Jar.Cookies(base) {
		if c.Name == sessionCookie {
			return c.Value
		}
	}
	return ""
}

// pagePath is what answers with pages, outside of the contract.
var pagePath = regexp.MustCompile(`^/(login|assets/[a-z.]+)?$`)

// contractTransport fails the test when an answer is not what openapi.yaml promises.
type contractTransport struct {
	t      testing.TB
	next   http.RoundTripper
	router routers.Router
}

func newContractTransport(t testing.TB, next http.RoundTripper) *contractTransport {
	t.Helper()
	spec := theContract().spec
	router, err := gorillamux.NewRouter(spec)
	if err != nil {
		t.Fatal(err)
	}
	return &contractTransport{t: t, next: next, router: router}
}

func (c *contractTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := c.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	if streams(response) {
		return response, nil // watchEvents and watchLogs check what comes
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	if err := c.check(request, response, body); err != nil {
		c.t.Errorf("%s %s answered %d %s\nwhich is not in the contract: %v", request.Method, request.URL.Path, response.StatusCode, body, err)
	}
	return response, nil
}

func streams(response *http.Response) bool {
	return response.StatusCode == http.StatusSwitchingProtocols || response.Header.Get("Content-Type") == "text/event-stream"
}

func (c *contractTransport) check(request *http.Request, response *http.Response, body []byte) error {
	if request.Method == http.MethodHead {
		return nil // that of a GET, and no body to look at
	}
	route, params, err := c.router.FindRoute(request)
	if err != nil {
		if pagePath.MatchString(request.URL.Path) && response.StatusCode < 400 {
			return nil
		}
		// No such operation: an error answer all the same.
		var e Error
		decoder := json.NewDecoder(bytes.NewReader(body))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&e); err != nil || e.Error == "" || e.Code == "" || response.StatusCode < 400 {
			return fmt.Errorf("not an error answer: %v", err)
		}
		return nil
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: request, PathParams: params, Route: route},
		Status:                 response.StatusCode, Header: response.Header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	input.SetBodyBytes(body)
	return openapi3filter.ValidateResponse(context.Background(), input)
}
