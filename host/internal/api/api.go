// Package api is the HTTP interface of the host. Its contract is openapi.yaml, written by hand; the server types in
// openapi.gen.go are generated from it, and every request is checked against it before a handler runs.
//
// Handlers read and write PostgreSQL only. What they changed is announced to the running parts after the commit, through
// the small interfaces below; those look at the database again and so need no order and no payload.
package api

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/accounts"
	"github.com/lubod/lubod/host/internal/bilibili"
	"github.com/lubod/lubod/host/internal/events"
	"github.com/lubod/lubod/host/internal/folders"
	"github.com/lubod/lubod/host/internal/health"
	"github.com/lubod/lubod/host/internal/logs"
	"github.com/lubod/lubod/host/internal/outgoing"
	"github.com/lubod/lubod/host/internal/pages"
	"github.com/lubod/lubod/host/internal/settings"
	"github.com/lubod/lubod/host/internal/upload"
	"github.com/lubod/lubod/host/internal/users"
)

//go:embed openapi.yaml
var contract []byte

// Rooms watches and records streamers.
type Rooms interface {
	// Changed tells that a streamer was created, changed, paused, resumed or deleted. It must not block.
	Changed(streamerID int64)
	// ConfigurationChanged tells that settings for all rooms changed. It must not block.
	ConfigurationChanged()
	// StopRecording ends what is being recorded of a streamer, if anything, and returns when that is under way: no new
	// media is written for it. What was recorded is kept. The streamer's row is in its new state already, so that
	// nothing starts it again.
	StopRecording(ctx context.Context, streamerID int64, reason string) error
}

// Uploads transfers and submits what was recorded.
type Uploads interface {
	// ConfigurationChanged tells that lines, threads or limits may be others. It must not block.
	ConfigurationChanged()
	// Order makes durable jobs that publish files which are there already: all of it or nothing.
	Order(ctx context.Context, order upload.Order) error
	// RetrySegment begins a failed upload anew, and takes back what WaiveSegment did. pgx.ErrNoRows: no such segment;
	// *upload.ConflictError: not as things are.
	RetrySegment(ctx context.Context, segmentID int64) error
	// RetryRecording begins anew whatever failed of a recording.
	RetryRecording(ctx context.Context, recordingID int64) (upload.Retried, error)
	// WaiveSegment lets a recording be submitted without one of its segments.
	WaiveSegment(ctx context.Context, segmentID int64) error
	// PublishingChanged tells that templates, accounts or a streamer's template changed: what waits for one of them may
	// go on. It must not block.
	PublishingChanged()
}

// Plugins is what the API needs of the plugin manager.
type Plugins interface {
	// AcceptsURL returns nil when an extractor takes the URL; the error lists what is taken.
	AcceptsURL(ctx context.Context, url string) error
	// RoomOf names the extractor that takes a URL, and the room as it stands in there; empty: nobody can tell.
	RoomOf(url string) (platform, room string)
	// WaitLoaded returns once it is known what is installed.
	WaitLoaded(ctx context.Context) error
	// Options are those that can be set while plugins run, as far as it is known at the moment.
	Options() *settings.Catalog
	// Status is in the order of plugins.hcl.
	Status() []PluginStatus
	// Reload reads plugins.hcl again. After an error nothing has changed, and its text says what to correct.
	Reload(ctx context.Context) error
}

// PluginStatus is one plugin of plugins.hcl and how it is.
type PluginStatus struct {
	Name, Kind, Version string
	// State is one of the contract's PluginState.
	State string
	// Error says why a plugin does not work; empty when it does.
	Error string
	// Match and Lines are what an extractor takes and what a line plugin serves.
	Match, Lines        []string
	Processes, Restarts int
}

// Deps are what a Server needs.
type Deps struct {
	DB      *db.DB
	Rooms   Rooms
	Uploads Uploads
	Plugins Plugins
	Hooks   Hooks
	// Bilibili is asked about accounts.
	Bilibili *bilibili.Client
	// Accounts knows the logins in the cookie files of DataDir.
	Accounts *accounts.Keeper
	// QRLogin says who may log an account in by QR code: QRLoginPublic (also when empty), QRLoginUsers or QRLoginOff.
	QRLogin string
	// RunHooks lets streamers have hooks that run commands on this machine.
	RunHooks bool
	// Around, when not nil, is put around the API: other paths that lead to it.
	Around func(api http.Handler) http.Handler
	// Outgoing fetches what the proxy is asked for.
	Outgoing *outgoing.Client
	// Events and Logs are what clients watch.
	Events *events.Bus
	Logs   *logs.Ring
	// Health knows what is not well.
	Health Healths
	Logger *slog.Logger
	// DataDir is where cookie files are.
	DataDir string
	Version string
	// TrustedOrigins may send requests from a browser besides this server's own origin, as scheme://host:port.
	TrustedOrigins []string
	// Hosts are the names by which the server may be called besides its addresses and localhost. Without any, a server on
	// a loopback address has no other name, and one on other addresses has every name.
	Hosts []string
}

const (
	// requestTimeout is how long a handler may take: longer than every call that it makes.
	requestTimeout = 25 * time.Second
	// reloadTimeout leaves new plugins the time to start.
	reloadTimeout = 2 * time.Minute
	headerTimeout = 10 * time.Second
	readTimeout   = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 64 << 10
	maxBodyBytes  = 1 << 20
	shutdownGrace = 1500 * time.Millisecond
	cleanInterval = time.Hour
)

// Server answers the API. Create it with New, then call Run.
type Server struct {
	db      *db.DB
	rooms   Rooms
	uploads Uploads
	plugins Plugins
	hooks   Hooks
	// bilibili is asked about accounts.
	bilibili *bilibili.Client
	log      *slog.Logger
	accounts *accounts.Keeper
	answers  *answers
	qrLogin  string
	qrKeys   *qrKeys
	runHooks bool
	events   *events.Bus
	logs     *logs.Ring
	health   Healths
	dataDir  string
	version  string
	outgoing *outgoing.Client
	// proxying holds a place for each URL that is being fetched.
	proxying chan struct{}

	spec       *openapi3.T
	operations map[string]*operation
	origins    *http.CrossOriginProtection
	sessions   *sessions
	passwords  *users.Passwords
	attempts   *throttle
	setupToken string
	pages      *pages.Pages
	echo       *echo.Echo
	// handler is echo, or what was put around it.
	handler http.Handler
	// hostNames are those that were given; hosts what follows from them and the listener.
	hostNames []string
	hosts     hostNames
	// headerTimeout is how long the head of a request may take to arrive.
	headerTimeout time.Duration
	// readTimeout is how long a request may take to arrive.
	readTimeout time.Duration
	// strangerIdle is how long a connection of nobody known may rest.
	strangerIdle time.Duration
	// watchFiles is how long files that are to be published, and changed just now, are looked at.
	watchFiles time.Duration
	// writersOf tells of those that this does not have to be done for.
	writersOf func(path string) folders.Writers
	// heartbeat is how often a stream shows that it lives and looks whether its client may still read it.
	heartbeat  time.Duration
	logClients *clients
	// stopping ends when the server stops: requests that wait for something then answer what they know.
	stopping     context.Context
	announceStop context.CancelFunc
}

var _ StrictServerInterface = (*Server)(nil)

// New prepares a server; nothing runs yet.
func New(deps Deps) (*Server, error) {
	dataDir, err := filepath.Abs(deps.DataDir)
	if err != nil {
		return nil, fmt.Errorf("find data directory: %w", err)
	}
	loaded := theContract()
	if loaded.err != nil {
		return nil, loaded.err
	}
	drawn, err := pages.New(loaded.spec)
	if err != nil {
		return nil, err
	}
	origins := http.NewCrossOriginProtection()
	for _, origin := range deps.TrustedOrigins {
		if err := origins.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("trusted origin %q: %w", origin, err)
		}
	}
	s := &Server{
		db: deps.DB, rooms: deps.Rooms, uploads: deps.Uploads, plugins: deps.Plugins, hooks: deps.Hooks, bilibili: deps.Bilibili, accounts: deps.Accounts,
		answers: newAnswers(time.Now),
		qrLogin: deps.QRLogin, qrKeys: newQRKeys(time.Now), runHooks: deps.RunHooks, log: deps.Logger, dataDir: dataDir, version: deps.Version,
		outgoing: deps.Outgoing, proxying: make(chan struct{}, proxySlots),
		spec: loaded.spec, operations: loaded.operations, origins: origins, sessions: newSessions(deps.DB), passwords: users.NewPasswords(),
		attempts: newThrottle(time.Now), setupToken: newSetupToken(),
		readTimeout: readTimeout, headerTimeout: headerTimeout, strangerIdle: strangerIdle, watchFiles: watchFiles, writersOf: folders.WritersOf, pages: drawn, hostNames: deps.Hosts, hosts: newHostNames(deps.Hosts, false),
		events: deps.Events, logs: deps.Logs, health: deps.Health, heartbeat: heartbeatInterval, logClients: newClients(maxLogClients),
	}
	if s.events == nil {
		s.events = events.New(events.Options{DB: deps.DB, Logger: deps.Logger})
	}
	if s.health == nil {
		s.health = health.New(health.Options{})
	}
	if s.logs == nil {
		s.logs = logs.NewRing()
	}
	s.stopping, s.announceStop = context.WithCancel(context.Background())
	s.echo = s.routes()
	s.handler = s.answerHead(s.echo)
	if deps.Around != nil {
		s.handler = deps.Around(s.handler)
	}
	return s, nil
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// answerHead makes HEAD a GET without the body, which net/http leaves out: programs that look whether a server is there ask
// so. It does neither begin a stream nor end a session.
func (s *Server) answerHead(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if op := s.operations["GET "+r.URL.Path]; r.Method == http.MethodHead && (op == nil || !op.streaming && !op.endsSession) {
			r = r.WithContext(r.Context()) // net/http goes by the method of its own one
			r.Method = http.MethodGet
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) routes() *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.answerError
	e.Binder = bodyBinder{}
	e.Use(s.observe, s.contain, secureHeaders, s.speak, s.refuseUnknownHost, s.limit, s.refuseForeignOrigin, s.identify, s.check, s.stream)
	RegisterHandlers(e, NewStrictHandler(s, nil))
	s.registerPages(e)
	return e
}

// Run serves on listener until ctx ends, then gives requests that are under way a moment to finish. It closes
// the listener. While there is no user, it first logs the set-up token.
func (s *Server) Run(ctx context.Context, listener net.Listener) error {
	if err := s.announceSetup(ctx, listener.Addr()); err != nil {
		_ = listener.Close()
		return err
	}
	s.hosts = newHostNames(s.hostNames, isLocalListener(listener.Addr()))
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: s.headerTimeout,
		ReadTimeout:       s.readTimeout,
		WriteTimeout:      reloadTimeout + 30*time.Second,
		IdleTimeout:       idleTimeout,
		ConnState:         watchState,
		ConnContext:       withConnection,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	cleaned := make(chan struct{})
	cleanCtx, stopCleaning := context.WithCancel(ctx)
	go func() {
		defer close(cleaned)
		s.cleanSessions(cleanCtx)
	}()
	served := make(chan error, 1)
	go func() {
		served <- server.Serve(newConnections(listener, maxConnections, maxConnectionsEach, s.strangerIdle))
	}()
	defer func() {
		stopCleaning()
		<-cleaned
	}()

	select {
	case err := <-served:
		return fmt.Errorf("serve HTTP on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	s.announceStop()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		s.log.Warn("some HTTP requests were cut", "error", err)
		_ = server.Close()
	}
	s.logClients.close(grace)
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve HTTP on %s: %w", listener.Addr(), err)
	}
	return nil
}

// announceSetup tells how the first user is made. Only while there is none: the token is worth nothing afterwards.
func (s *Server) announceSetup(ctx context.Context, addr net.Addr) error {
	exists := false
	err := s.db.Outlast(ctx, "users", func(ctx context.Context) (err error) {
		exists, err = s.db.AnyUser(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("look for users: %w", err)
	}
	if !exists {
		s.log.Warn("no user exists yet: register the first one from this machine, or from elsewhere with the set-up token",
			"setup_token", s.setupToken, "register_at", "POST /api/v1/users/register", "listen", addr.String())
	}
	return nil
}

func (s *Server) cleanSessions(ctx context.Context) {
	ticker := time.NewTicker(cleanInterval)
	defer ticker.Stop()
	for {
		if n, err := s.db.DeleteExpiredUserSessions(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("expired sessions could not be removed", "error", err)
		} else if n > 0 {
			s.log.Debug("expired sessions removed", "sessions", n)
		}
		if _, err := s.db.DeleteOldDevices(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("devices that nobody uses any more could not be removed", "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
