package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
)

// SessionCookie is the name of the cookie that a login sets.
const SessionCookie = "lubod_session"

const (
	sessionCookie   = SessionCookie
	sessionLifetime = 30 * 24 * time.Hour
	sessionUser     = "user"
	// sessionPassword is the version of the password that the session began with.
	sessionPassword = "password"
)

// caller is who sent a request, and how.
type caller struct {
	// userID is 0 when nobody is logged in.
	userID   int64
	username string
	// tokenName is that of the API token that the request came with.
	tokenName string
	// passwordVersion is the one that the session began with.
	passwordVersion int64
	// sessionID is the number of the session; 0 without one.
	sessionID int64
	// sessionStale is a session whose use is to be noted.
	sessionStale bool
	// beginning is the user whose session begins by this request; nil: none does.
	beginning *int64
	// device is what the browser says which one it is; browser: it is one, as far as it shows.
	device  string
	browser bool
	// client is what the browser calls itself.
	client string
	// address is what attempts are counted for.
	address string
	// local is a request that certainly comes from this machine.
	local bool
	// secure is a request that came over TLS, here or at a proxy.
	secure bool
}

type callerKey struct{}

func withCaller(ctx context.Context, who *caller) context.Context {
	return context.WithValue(ctx, callerKey{}, who)
}

func callerOf(ctx context.Context) *caller {
	if who, ok := ctx.Value(callerKey{}).(*caller); ok {
		return who
	}
	return &caller{}
}

func newCaller(r *http.Request) *caller {
	peer := peerAddress(r)
	forwarded := r.Header.Values("X-Forwarded-For")
	address := peer
	if peer.IsLoopback() && len(forwarded) > 0 {
		// The last entry is what the proxy on this machine saw; those before it are the client's claim.
		last := forwarded[len(forwarded)-1]
		if parsed, err := netip.ParseAddr(strings.TrimSpace(last[strings.LastIndex(last, ",")+1:])); err == nil {
			address = parsed.Unmap()
		}
	}
	device := ""
	if cookie, err := r.Cookie(deviceCookie); err == nil {
		device = cookie.Value
	}
	return &caller{
		browser: device != "" || r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "",
		device:  device, client: strings.ToValidUTF8(fmt.Sprintf("%.200s", r.UserAgent()), ""),
		address: throttleAddress(address),
		// A page that points its own name at 127.0.0.1 can make a browser send requests here; the Host header tells.
		local: peer.IsLoopback() && !isProxied(r) && isLoopbackHost(r.Host),
		// Believing this header is harmless: it can only make the sender's own cookie stricter.
		secure: r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https"),
	}
}

// isProxied tells whether something on this machine passed a request on that may come from elsewhere: a proxy says so, or
// the page that sent it is one of another machine.
func isProxied(r *http.Request) bool {
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Forwarded-") || slices.Contains([]string{"Forwarded", "Via", "X-Real-Ip", "X-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip"}, name) {
			return true
		}
	}
	origin, err := url.Parse(r.Header.Get("Origin"))
	return err != nil || (origin.Host != "" && !isLoopbackHost(origin.Host))
}

func peerAddress(r *http.Request) netip.Addr {
	addrPort, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return addrPort.Addr().Unmap()
}

// throttleAddress is one key for one subscriber: an IPv6 one owns at least a /64.
func throttleAddress(address netip.Addr) string {
	if address.Is6() {
		if prefix, err := address.WithZone("").Prefix(64); err == nil {
			return prefix.String()
		}
	}
	return address.String()
}

func isLoopbackHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}

// sessions keeps who is logged in. Tokens are hashed in the database: reading it does not let anybody in.
type sessions struct {
	db      *db.DB
	manager *scs.SessionManager
}

func newSessions(database *db.DB) *sessions {
	// Not scs.New: it would start a goroutine for a store in memory that nothing uses.
	return &sessions{db: database, manager: &scs.SessionManager{
		Store: sessionStore{database}, Codec: scs.GobCodec{}, Lifetime: sessionLifetime, HashTokenInStore: true,
	}}
}

// load fills in who is logged in by the request's cookie and returns the context for its handler.
func (s *sessions) load(r *http.Request, who *caller) (context.Context, error) {
	token := ""
	if cookie, err := r.Cookie(sessionCookie); err == nil {
		token = cookie.Value
	}
	ctx, err := s.manager.Load(withCaller(r.Context(), who), token)
	if err != nil {
		return nil, err
	}
	id := s.manager.GetInt64(ctx, sessionUser)
	if id == 0 {
		return ctx, nil
	}
	user, err := s.db.UserByID(ctx, id)
	switch {
	case errors.Is(err, pgx.ErrNoRows): // removed since
	case err != nil:
		return nil, err
	case s.manager.GetInt64(ctx, sessionPassword) != user.PasswordVersion: // the password was changed elsewhere
	default:
		who.userID, who.username, who.passwordVersion = user.ID, user.Username, user.PasswordVersion
		s.noteUse(ctx, who)
	}
	return ctx, nil
}

// noteUse keeps when and from where a session was used last. Knowing it is not worth an error.
func (s *sessions) noteUse(ctx context.Context, who *caller) {
	if !who.sessionStale {
		return
	}
	_ = s.db.NoteUserSession(ctx, db.NoteUserSessionParams{ID: who.sessionID, UserID: &who.userID, Address: who.address, Client: who.client})
}

// begin logs a user in and returns the value of Set-Cookie. The token is a new one: one that was known before the login
// must not become worth anything by it. user is as it was when the password was checked: when that was changed since,
// the session is over before it begins.
func (s *sessions) begin(ctx context.Context, user db.User) (string, error) {
	if err := s.manager.RenewToken(ctx); err != nil {
		return "", err
	}
	callerOf(ctx).beginning = &user.ID
	s.manager.Put(ctx, sessionUser, user.ID)
	s.manager.Put(ctx, sessionPassword, user.PasswordVersion)
	token, expiry, err := s.manager.Commit(ctx)
	if err != nil {
		return "", err
	}
	return cookie(ctx, token, expiry), nil
}

// end logs out and returns the value of Set-Cookie.
func (s *sessions) end(ctx context.Context) (string, error) {
	if s.manager.Token(ctx) != "" {
		if err := s.manager.Destroy(ctx); err != nil {
			return "", err
		}
	}
	return cookie(ctx, "", time.Unix(1, 0)), nil
}

func cookie(ctx context.Context, token string, expiry time.Time) string {
	return newCookie(ctx, sessionCookie, token, expiry)
}

func newCookie(ctx context.Context, name, value string, expiry time.Time) string {
	c := http.Cookie{ //nolint:gosec // Secure follows how the caller came: on a home server that is mostly plain HTTP
		Name: name, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: callerOf(ctx).secure, Expires: expiry, MaxAge: int(time.Until(expiry).Seconds()),
	}
	if value == "" {
		c.MaxAge = -1
	}
	return c.String()
}

// ListSessions answers the sessions of the caller.
func (s *Server) ListSessions(ctx context.Context, _ ListSessionsRequestObject) (ListSessionsResponseObject, error) {
	who := callerOf(ctx)
	rows, err := s.db.ListUserSessions(ctx, &who.userID)
	if err != nil {
		return nil, err
	}
	sessions := make([]Session, 0, len(rows))
	for _, row := range rows {
		sessions = append(sessions, session(who, row))
	}
	return ListSessions200JSONResponse(sessions), nil
}

// DeleteSession ends a session of the caller.
func (s *Server) DeleteSession(ctx context.Context, request DeleteSessionRequestObject) (DeleteSessionResponseObject, error) {
	who := callerOf(ctx)
	row, err := s.db.DeleteSessionOfUser(ctx, db.DeleteSessionOfUserParams{ID: request.ID, UserID: &who.userID})
	if err != nil {
		return nil, orNotFound(err, "session", request.ID)
	}
	s.wrote(ctx, "session ended", "id", row.ID)
	return DeleteSession200JSONResponse(session(who, db.ListUserSessionsRow(row))), nil
}

func session(who *caller, row db.ListUserSessionsRow) Session {
	return Session{
		ID: row.ID, Current: row.ID == who.sessionID, CreatedAt: row.CreatedAt.UTC().Truncate(time.Second), LastUsedAt: row.LastUsedAt.UTC().Truncate(time.Second),
		ExpiresAt: row.Expiry.UTC().Truncate(time.Second), Address: row.Address, Client: row.Client,
	}
}

// sessionStore keeps scs' sessions through our pool; unlike the stores that scs offers it stops when the request does.
type sessionStore struct{ db *db.DB }

var _ scs.CtxStore = sessionStore{}

func (s sessionStore) FindCtx(ctx context.Context, token string) ([]byte, bool, error) {
	row, err := s.db.FindUserSession(ctx, token)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, false, nil
	}
	who := callerOf(ctx)
	who.sessionID, who.sessionStale = row.ID, row.Stale
	return row.Data, err == nil, err
}

func (s sessionStore) CommitCtx(ctx context.Context, token string, data []byte, expiry time.Time) error {
	who := callerOf(ctx)
	return s.db.SaveUserSession(ctx, db.SaveUserSessionParams{
		Token: token, Data: data, Expiry: expiry, UserID: who.beginning, Address: who.address, Client: who.client,
	})
}

func (s sessionStore) DeleteCtx(ctx context.Context, token string) error {
	return s.db.DeleteUserSession(ctx, token)
}

// The methods without a context are part of the interface; scs does not call them on a store that has the others.
func (s sessionStore) Find(token string) ([]byte, bool, error) {
	return s.FindCtx(context.Background(), token)
}

func (s sessionStore) Commit(token string, data []byte, expiry time.Time) error {
	return s.CommitCtx(context.Background(), token, data, expiry)
}

func (s sessionStore) Delete(token string) error { return s.DeleteCtx(context.Background(), token) }
