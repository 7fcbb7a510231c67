package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/db/dbtest"
)

func TestRegisterLoginLogoutAsInTheGuide(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	h.api(t, "GET", "/users/biliup", "").refused(t, 404, "nobody is logged in")
	h.api(t, "GET", "/streamers", "").refused(t, 401, "log in")

	h.register(t, "admin", "password123")
	h.api(t, "GET", "/users/biliup", "").must(t, 404)
	login := h.api(t, "POST", "/users/login", `{"username":"admin","password":"password123","next":"/dashboard","remember":true}`).must(t, 200)
	var in LoggedIn
	login.decode(t, &in)
	if in.Next == nil || *in.Next != "/dashboard" || in.Username != "admin" {
		t.Errorf("login answered %s", login.body)
	}
	set := login.header.Get("Set-Cookie")
	for _, attribute := range []string{"HttpOnly", "SameSite=Lax", "Path=/", "Max-Age="} {
		if !strings.Contains(set, attribute) {
			t.Errorf("cookie %q has no %s", set, attribute)
		}
	}
	if strings.Contains(set, "Secure") {
		t.Errorf("cookie %q is Secure without TLS: the browser would not send it back", set)
	}
	h.api(t, "GET", "/users/biliup", "").must(t, 200)
	h.api(t, "GET", "/streamers", "").must(t, 200)

	token := h.sessionToken(t)
	out := h.api(t, "GET", "/logout", "").must(t, 303)
	if out.header.Get("Location") != "/login" {
		t.Errorf("logout leads to %q", out.header.Get("Location"))
	}
	h.api(t, "GET", "/users/biliup", "").must(t, 404)
	h.api(t, "GET", "/streamers", "", "Cookie", sessionCookie+"="+token).must(t, 401)
	h.api(t, "GET", "/logout", "", "Sec-Fetch-Site", "none").must(t, 303) // typed by a person
}

func TestLoginBehindTLSSetsASecureCookie(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	h.register(t, "admin", "password123")
	login := h.api(t, "POST", "/users/login", `{"username":"admin","password":"password123"}`, "X-Forwarded-Proto", "https").must(t, 200)
	if !strings.Contains(login.header.Get("Set-Cookie"), "Secure") {
		t.Errorf("cookie %q is not Secure", login.header.Get("Set-Cookie"))
	}
}

func TestLoginRenewsTheTokenThatItCameWith(t *testing.T) {
	h := newLoggedIn(t)
	before := h.sessionToken(t)
	h.login(t, "admin", "password123")
	if after := h.sessionToken(t); after == before || after == "" {
		t.Fatalf("token %q after %q", after, before)
	}
	stranger := newBrowser(t, h.base)
	stranger.api(t, "GET", "/streamers", "", "Cookie", sessionCookie+"="+before).must(t, 401)
}

func TestAForeignTokenDoesNotBecomeASession(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	h.register(t, "admin", "password123")
	planted := "chosen-by-an-attacker"
	h.api(t, "POST", "/users/login", `{"username":"admin","password":"password123"}`, "Cookie", sessionCookie+"="+planted).must(t, 200)
	newBrowser(t, h.base).api(t, "GET", "/streamers", "", "Cookie", sessionCookie+"="+planted).must(t, 401)
}

func TestSessionsSurviveARestartAndAreHashed(t *testing.T) {
	h := newLoggedIn(t)
	token := h.sessionToken(t)
	base := serve(t, h.start(t))
	newBrowser(t, base).api(t, "GET", "/streamers", "", "Cookie", sessionCookie+"="+token).must(t, 200)
	var stored string
	if err := h.db.Pool.QueryRow(t.Context(), "SELECT token FROM sessions").Scan(&stored); err != nil {
		t.Fatal(err)
	}
	if stored == token {
		t.Error("the token is in the database as it is in the cookie")
	}
}

func TestSessionEndsWithItsUser(t *testing.T) {
	h := newLoggedIn(t)
	if _, err := h.db.Pool.Exec(t.Context(), "DELETE FROM users"); err != nil {
		t.Fatal(err)
	}
	h.api(t, "GET", "/streamers", "").must(t, 401)
}

func TestExpiredSessionsAreOverAndRemoved(t *testing.T) {
	h := newLoggedIn(t)
	if _, err := h.db.Pool.Exec(t.Context(), "UPDATE sessions SET expiry = now() - interval '1 second'"); err != nil {
		t.Fatal(err)
	}
	h.api(t, "GET", "/streamers", "").must(t, 401)
	if _, err := h.db.DeleteExpiredUserSessions(t.Context()); err != nil {
		t.Fatal(err)
	}
	var left int
	if err := h.db.Pool.QueryRow(t.Context(), "SELECT count(*) FROM sessions").Scan(&left); err != nil || left != 0 {
		t.Errorf("%d sessions are left, %v", left, err)
	}
}

func TestFirstUserNeedsThisMachineOrTheSetupToken(t *testing.T) {
	const body = `{"username":"admin","password":"password123"}`
	for name, tc := range map[string]struct {
		headers []string
		body    string
		status  int
	}{
		"from this machine":                   {nil, body, 200},
		"by the name localhost":               {[]string{"Host", "localhost:19159"}, body, 200},
		"through a proxy on this machine":     {[]string{"X-Forwarded-For", "203.0.113.7"}, body, 403},
		"through a proxy that hides":          {[]string{"Forwarded", "for=203.0.113.7"}, body, 403},
		"by a name that leads to loopback":    {[]string{"Host", "evil.example:19159"}, body, 403},
		"with the token as a header":          {[]string{"Host", "rec.example", "X-Setup-Token", "TOKEN"}, body, 200},
		"with the token as a field":           {[]string{"Host", "rec.example"}, `{"username":"admin","password":"password123","setup_token":"TOKEN"}`, 200},
		"with another token":                  {[]string{"Host", "rec.example", "X-Setup-Token", "guess"}, body, 403},
		"with the token from a foreign page":  {[]string{"Origin", "https://evil.example", "X-Setup-Token", "TOKEN"}, body, 403},
		"with an empty token":                 {[]string{"Host", "rec.example", "X-Setup-Token", ""}, body, 403},
		"with a password that is too short":   {nil, `{"username":"admin","password":"short"}`, 400},
		"with a name that is only a space":    {nil, `{"username":" ","password":"password123"}`, 400},
		"with a name that ends with a space":  {nil, `{"username":"admin ","password":"password123"}`, 400},
		"with a password that is not a text":  {nil, `{"username":"admin","password":12345678}`, 400},
		"with a field that nobody knows":      {nil, `{"username":"admin","password":"password123","remember":true}`, 200},
		"with a setup token that is null":     {nil, `{"username":"admin","password":"password123","setup_token":null}`, 200},
		"with a name that PostgreSQL refuses": {nil, `{"username":"a\u0000b","password":"password123"}`, 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, dbtest.New(t))
			for i := range tc.headers {
				tc.headers[i] = strings.ReplaceAll(tc.headers[i], "TOKEN", h.server.setupToken)
			}
			h.api(t, "POST", "/users/register", strings.ReplaceAll(tc.body, "TOKEN", h.server.setupToken), tc.headers...).must(t, tc.status)
		})
	}
}

func TestRegistrationClosesWithTheFirstUser(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	h.register(t, "admin", "password123")
	second := `{"username":"second","password":"password123"}`
	h.api(t, "POST", "/users/register", second).refused(t, 401, "registration is closed")
	h.api(t, "POST", "/users/register", second, "X-Setup-Token", h.server.setupToken).must(t, 401)
	h.login(t, "admin", "password123")
	h.api(t, "POST", "/users/register", second).must(t, 200)
	h.api(t, "POST", "/users/register", second).refused(t, 409, `"second"`)
	h.login(t, "second", "password123")
}

// TestTheFirstUserIsOneHoweverCloseTwoAre lets a registration begin while another one is not committed yet: both have seen that
// there is nobody.
func TestTheFirstUserIsOneHoweverCloseTwoAre(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	locking := make(lockWatch, 1)
	config := h.db.Pool.Config()
	config.ConnConfig.Tracer = locking
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	first, err := h.db.Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	queries := db.New(first)
	if err := queries.LockUsers(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := queries.InsertUser(t.Context(), db.InsertUserParams{Username: "first", PasswordHash: "x"}); err != nil {
		t.Fatal(err)
	}
	h.db = &db.DB{Queries: db.New(pool), Pool: pool}
	second := newBrowser(t, serve(t, h.start(t)))
	answered := make(chan answer, 1)
	go func() {
		answered <- second.api(t, "POST", "/users/register", `{"username":"second","password":"password123"}`)
	}()
	select {
	case <-locking:
	case a := <-answered:
		t.Errorf("registered beside another first user: %d %s", a.status, a.body)
		answered <- a
	}
	if err := first.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	(<-answered).refused(t, 401, "registration is closed")
}

// lockWatch hears when somebody waits for the table of the users.
type lockWatch chan struct{}

func (w lockWatch) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if strings.Contains(data.SQL, "LOCK TABLE users") || strings.Contains(data.SQL, "INSERT INTO users") { // the latter waits too
		select {
		case w <- struct{}{}:
		default:
		}
	}
	return ctx
}

func (w lockWatch) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func TestOnlyOneOfManyBecomesTheFirstUser(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	var group sync.WaitGroup
	statuses := make([]int, 8)
	for i := range statuses {
		group.Go(func() {
			statuses[i] = h.api(t, "POST", "/users/register", fmt.Sprintf(`{"username":"user%d","password":"password123"}`, i)).status
		})
	}
	group.Wait()
	registered := 0
	for _, status := range statuses {
		if status == 200 {
			registered++
		} else if status != 401 {
			t.Errorf("status %d", status)
		}
	}
	if registered != 1 {
		t.Errorf("%d users became the first one", registered)
	}
}

func TestSetupTokenIsLoggedOnlyWhileThereIsNoUser(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	h.register(t, "admin", "password123")
	if !strings.Contains(h.log.take(), h.server.setupToken) {
		t.Error("the log does not hold the set-up token")
	}
	again := h.start(t)
	newBrowser(t, serve(t, again)).call(t, "GET", "/healthz", "").must(t, 200)
	if strings.Contains(h.log.take(), again.setupToken) {
		t.Error("the log holds a set-up token that is worth nothing")
	}
}

func TestPasswordsAndTokensStayOutOfTheLog(t *testing.T) {
	h := newLoggedIn(t)
	h.api(t, "POST", "/users/login", `{"username":"admin","password":"wrong-secret-1"}`).must(t, 401)
	h.api(t, "POST", "/users/login", `{"username":"admin","password":["wrong-secret-2"]}`).must(t, 400)
	token := h.sessionToken(t)
	log := h.log.take()
	for _, secret := range []string{"password123", "wrong-secret", token} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

func TestNextLeadsOnlyToThisServer(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	h.register(t, "admin", "password123")
	for _, next := range []string{"https://evil.example", "//evil.example", `/\\evil.example`, "javascript:alert(1)", `/\tx`, "dashboard"} {
		h.api(t, "POST", "/users/login", fmt.Sprintf(`{"username":"admin","password":"password123","next":"%s"}`, next)).refused(t, 400, "next:")
	}
	h.api(t, "POST", "/users/login", `{"username":"admin","password":"password123","next":null}`).must(t, 200)
}

func TestGuessingHasToWait(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	h.register(t, "admin", "password123")
	now := time.Now()
	h.server.attempts.now = func() time.Time { return now }
	for range perAddress.free {
		h.api(t, "POST", "/users/login", `{"username":"admin","password":"guess"}`).must(t, 401)
	}
	blocked := h.api(t, "POST", "/users/login", `{"username":"admin","password":"password123"}`)
	blocked.refused(t, 429, "try again in 1 s")
	if blocked.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After %q", blocked.header.Get("Retry-After"))
	}
	now = now.Add(2 * time.Second)
	h.login(t, "admin", "password123")
	h.api(t, "POST", "/users/login", `{"username":"admin","password":"guess"}`).must(t, 401)
}

// TestGuessingOneUserFromManyAddressesHasToWait is an attacker who owns many addresses.
func TestGuessingOneUserFromManyAddressesHasToWait(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	h.register(t, "admin", "password123")
	h.login(t, "admin", "password123")
	h.api(t, "POST", "/users/register", `{"username":"other","password":"password123"}`).must(t, 200)
	now := time.Now()
	h.server.attempts.now = func() time.Time { return now }
	addresses := 0
	from := func() []string { // a proxy on this machine says where a request comes from
		addresses++
		return []string{"X-Forwarded-For", fmt.Sprintf("198.51.100.%d", addresses)}
	}
	attempt := func(b *browser, user, password string) answer {
		t.Helper()
		return b.api(t, "POST", "/users/login", fmt.Sprintf(`{"username":%q,"password":%q}`, user, password), from()...)
	}
	attacker := newBrowser(t, h.base)
	for range perUser.free {
		attempt(attacker, "admin", "guess").must(t, 401)
	}
	blocked := attempt(attacker, "admin", "password123")
	blocked.refused(t, 429, "too many attempts")
	// A person must not be locked out for long, nor others at all.
	if wait, err := strconv.Atoi(blocked.header.Get("Retry-After")); err != nil || wait < 1 || time.Duration(wait)*time.Second > perUser.longest {
		t.Errorf("Retry-After %q", blocked.header.Get("Retry-After"))
	}
	attempt(attacker, "other", "password123").must(t, 200)
	change := `{"current_password":"password123","new_password":"password456"}`
	h.api(t, "PUT", "/users/password", change, from()...).refused(t, 429, "too many attempts")
	now = now.Add(perUser.longest)
	attempt(attacker, "admin", "password123").must(t, 200)
	h.api(t, "PUT", "/users/password", change, from()...).must(t, 200)
}

func TestManyGuessesAtOnceAreAllCounted(t *testing.T) {
	throttle := newThrottle(time.Now)
	key := attemptKey{"address 192.0.2.1", perAddress}
	var allowed, group = make(chan struct{}, 100), sync.WaitGroup{}
	for range 100 {
		group.Go(func() {
			if throttle.attempt(key) == 0 {
				allowed <- struct{}{}
			}
		})
	}
	group.Wait()
	if len(allowed) != perAddress.free {
		t.Errorf("%d of 100 guesses were let through, want %d", len(allowed), perAddress.free)
	}
}

func TestThrottle(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	throttle := newThrottle(func() time.Time { return now })
	user, address := attemptKey{"user admin", perUser}, attemptKey{"address 192.0.2.1", perAddress}

	// Another address is not held back, until the user name itself is.
	for range perAddress.free {
		if wait := throttle.attempt(address, user); wait != 0 {
			t.Fatalf("waits %s for a free attempt", wait)
		}
	}
	if throttle.attempt(address, user) == 0 {
		t.Error("the address does not have to wait")
	}
	if wait := throttle.attempt(attemptKey{"address 192.0.2.2", perAddress}, user); wait != 0 {
		t.Errorf("another address waits %s", wait)
	}
	// Waits double up to the longest.
	for range 40 {
		now = now.Add(perAddress.longest)
		throttle.attempt(address)
	}
	if wait := throttle.attempt(address); wait != perAddress.longest {
		t.Errorf("waits %s, want the longest %s", wait, perAddress.longest)
	}
	// All is forgiven after a while, and by a right attempt at once.
	now = now.Add(throttleMemory + time.Second)
	for range 2 {
		if wait := throttle.attempt(address); wait != 0 {
			t.Errorf("still held back for %s after an hour", wait)
		}
	}
	throttle.undo(address)
	throttle.undo(address)
	if count := throttle.entries[address.key].Value.(*failures).count; count != 0 {
		t.Errorf("%d failures are left of none", count)
	}
	throttle.forget(address, user)
	if len(throttle.entries) != 1 || throttle.recent.Len() != 1 {
		t.Errorf("%d entries are left", len(throttle.entries))
	}
}

func TestThrottleForgetsTheOldestWhenItIsFull(t *testing.T) {
	throttle := newThrottle(time.Now)
	hot := attemptKey{"user admin", allowance{free: 1, longest: time.Minute}}
	throttle.attempt(hot)
	for i := range 3 * throttleEntries {
		throttle.attempt(attemptKey{fmt.Sprint("address ", i), perAddress})
		if i%1000 == 0 && throttle.attempt(hot) == 0 {
			throttle.attempt(hot)
		}
	}
	if len(throttle.entries) != throttleEntries || throttle.recent.Len() != throttleEntries {
		t.Errorf("%d entries, %d in order, want %d", len(throttle.entries), throttle.recent.Len(), throttleEntries)
	}
}

func TestAddressOfACaller(t *testing.T) {
	for name, tc := range map[string]struct {
		remote, forwarded, want string
	}{
		"direct":                          {"203.0.113.7:1", "", "203.0.113.7"},
		"direct with a claim":             {"203.0.113.7:1", "198.51.100.1", "203.0.113.7"},
		"local proxy":                     {"127.0.0.1:1", "198.51.100.1", "198.51.100.1"},
		"local proxy, client claims more": {"127.0.0.1:1", "10.0.0.1, 198.51.100.1", "198.51.100.1"},
		"local proxy, no address":         {"127.0.0.1:1", "unknown", "127.0.0.1"},
		"IPv6 subscriber":                 {"[2001:db8:1:2:3:4:5:6]:1", "", "2001:db8:1:2::/64"},
		"IPv4 in IPv6":                    {"[::ffff:203.0.113.7]:1", "", "203.0.113.7"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: tc.remote, Header: http.Header{}}
			if tc.forwarded != "" {
				r.Header.Set("X-Forwarded-For", tc.forwarded)
			}
			if got := newCaller(r.WithContext(context.Background())).address; got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}
