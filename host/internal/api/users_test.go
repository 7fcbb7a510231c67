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
	const body, uncommon = `{"username":"admin","password":"password123"}`, `{"username":"admin","password":"password456"}`
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
		"with the token as a header":          {[]string{"Host", "rec.example", "X-Setup-Token", "TOKEN"}, uncommon, 200},
		"with the token as a field":           {[]string{"Host", "rec.example"}, `{"username":"admin","password":"password456","setup_token":"TOKEN"}`, 200},
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
	second := `{"username":"second","password":"password456"}`
	h.api(t, "POST", "/users/register", second).refused(t, 401, "registration is closed")
	h.api(t, "POST", "/users/register", second, "X-Setup-Token", h.server.setupToken).must(t, 401)
	h.login(t, "admin", "password123")
	h.api(t, "POST", "/users/register", second).must(t, 200)
	h.api(t, "POST", "/users/register", second).refused(t, 409, `"second"`)
	h.login(t, "second", "password456")
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
		answered <- second.api(t, "POST", "/users/register", `{"username":"second","password":"password456"}`)
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
	for range perLogin.free {
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

// attempt tries a login from an address, through a proxy on this machine that says so.
func attempt(t *testing.T, b *browser, address, user, password string) answer {
	t.Helper()
	return b.api(t, "POST", "/users/login", fmt.Sprintf(`{"username":%q,"password":%q}`, user, password), "X-Forwarded-For", address)
}

// A stranger who guesses makes himself wait, and nobody else: not the owner at another address, nor another user behind his own.
func TestGuessesHoldOneUserFromOneAddress(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	h.register(t, "admin", "password123")
	h.login(t, "admin", "password123")
	h.register(t, "other", "password456")
	now := time.Now()
	h.server.attempts.now = func() time.Time { return now }
	stranger := newBrowser(t, h.base)
	for range 40 { // those that have to wait too
		attempt(t, stranger, "198.51.100.7", "admin", "guess")
	}
	attempt(t, stranger, "198.51.100.7", "admin", "password123").refused(t, 429, "too many attempts")
	attempt(t, newBrowser(t, h.base), "198.51.100.8", "admin", "password123").must(t, 200)
	attempt(t, newBrowser(t, h.base), "198.51.100.7", "other", "password456").must(t, 200)
	attempt(t, stranger, "198.51.100.7", "admin", "password123").must(t, 429)
}

// Who guesses all names from one address has to wait, too.
func TestGuessesOfManyUsersFromOneAddressHaveToWait(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	now := time.Now()
	h.server.attempts.now = func() time.Time { return now }
	for i := range perSubscriber.free {
		attempt(t, h.browser, "198.51.100.7", fmt.Sprint("user ", i), "guess").must(t, 401)
	}
	attempt(t, h.browser, "198.51.100.7", "one more", "guess").must(t, 429)
	attempt(t, h.browser, "198.51.100.8", "one more", "guess").must(t, 401)
}

// A browser that logged in before, and a session, are counted for themselves: strangers hold neither, from however many
// addresses they guess, and were it the same one. What they guess themselves holds them.
func TestStrangersDoNotHoldAKnownDevice(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	h.register(t, "admin", "password123")
	// The owner's browser keeps lubod_device.
	h.api(t, "POST", "/users/login", `{"username":"admin","password":"password123"}`, "Origin", h.base).must(t, 200)
	h.api(t, "GET", "/logout", "").must(t, 303)
	now := time.Now()
	h.server.attempts.now = func() time.Time { return now }
	stranger := newBrowser(t, h.base)
	const same = "198.51.100.1"
	for range perLogin.free + 1 {
		attempt(t, stranger, same, "admin", "guess")
	}
	for i := range perUser.free {
		attempt(t, stranger, fmt.Sprintf("198.51.%d.%d", 100+i/250, 2+i%250), "admin", "guess")
	}
	blocked := attempt(t, stranger, "203.0.113.9", "admin", "password123")
	blocked.refused(t, 429, "too many attempts")
	// A person on a new device waits as long as one guess takes.
	if wait, err := strconv.Atoi(blocked.header.Get("Retry-After")); err != nil || wait < 1 || time.Duration(wait)*time.Second > perUser.longest {
		t.Errorf("Retry-After %q", blocked.header.Get("Retry-After"))
	}
	attempt(t, h.browser, same, "admin", "password123").must(t, 200)
	h.api(t, "PUT", "/users/password", `{"current_password":"password123","new_password":"password456"}`, "X-Forwarded-For", same).must(t, 200)
	attempt(t, h.browser, same, "admin", "password456").must(t, 200)
	for range perLogin.free {
		attempt(t, h.browser, same, "admin", "guess").must(t, 401)
	}
	attempt(t, h.browser, "203.0.113.10", "admin", "password456").must(t, 429)
	now = now.Add(perUser.longest)
	attempt(t, stranger, "203.0.113.9", "admin", "password456").must(t, 200)
}

// The cookie of a device is a new one for each, opens nothing, is worth nothing for another user, and is hashed in the database.
func TestCookieOfADevice(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	h.register(t, "admin", "password123")
	login := h.api(t, "POST", "/users/login", `{"username":"admin","password":"password123"}`, "X-Forwarded-Proto", "https", "Cookie", deviceCookie+"="+strings.Repeat("A", deviceLength)).must(t, 200)
	cookies := login.header.Values("Set-Cookie")
	if len(cookies) != 2 {
		t.Fatalf("cookies %q", cookies)
	}
	device, err := http.ParseSetCookie(cookies[1])
	if err != nil || device.Name != deviceCookie || !device.HttpOnly || !device.Secure || device.SameSite != http.SameSiteLaxMode || device.MaxAge < 300*24*3600 || device.Value == strings.Repeat("A", deviceLength) {
		t.Fatalf("device cookie %q, %v", cookies[1], err)
	}
	script := newBrowser(t, h.base)
	script.api(t, "POST", "/users/login", `{"username":"admin","password":"password123"}`).must(t, 200)
	if got := script.api(t, "POST", "/users/login", `{"username":"admin","password":"password123"}`).header.Values("Set-Cookie"); len(got) != 1 {
		t.Errorf("a script gets the cookies %q, want that of its session", got)
	}
	stranger := newBrowser(t, h.base)
	stranger.api(t, "GET", "/streamers", "", "Cookie", deviceCookie+"="+device.Value).must(t, 401)
	stranger.api(t, "GET", "/streamers", "", "Cookie", sessionCookie+"="+device.Value).must(t, 401)
	for name, known := range map[string]bool{"admin": true, "other": false} {
		if got, err := h.server.knowsDevice(t.Context(), device.Value, name); err != nil || got != known {
			t.Errorf("known for %s: %v, %v", name, got, err)
		}
	}
	var stored string
	if err := h.db.Pool.QueryRow(t.Context(), "SELECT string_agg(encode(token_hash, 'escape'), ' ') FROM devices").Scan(&stored); err != nil || strings.Contains(stored, device.Value) {
		t.Errorf("the database holds %q, %v", stored, err)
	}
	for range maxDevices + 5 {
		newBrowser(t, h.base).api(t, "POST", "/users/login", `{"username":"admin","password":"password123"}`, "Origin", h.base).must(t, 200)
	}
	var kept int
	if err := h.db.Pool.QueryRow(t.Context(), "SELECT count(*) FROM devices").Scan(&kept); err != nil || kept != maxDevices {
		t.Errorf("%d devices are kept, %v", kept, err)
	}
}

func TestCommonPasswordsAreRefused(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	h.api(t, "POST", "/users/register", `{"username":"admin","password":"Password1"}`).refused(t, 400, "password: is one of the first")
	h.api(t, "POST", "/users/register", `{"username":"admin@home","password":"ADMIN@home"}`).refused(t, 400, "password: is one of the first")
	// What the description of the API shows works word for word on the machine itself, and nowhere else.
	const example = `{"username":"admin","password":"password123"}`
	h.api(t, "POST", "/users/register", example, "Host", "rec.example", "X-Setup-Token", h.server.setupToken).refused(t, 400, "password: is one of the first")
	h.log.take()
	h.api(t, "POST", "/users/register", example).must(t, 200)
	if log := h.log.take(); !strings.Contains(log, "level=WARN") || !strings.Contains(log, "change it") || strings.Contains(log, "password123") {
		t.Errorf("the log says %q", log)
	}
	h.login(t, "admin", "password123")
	h.api(t, "POST", "/users/register", `{"username":"second","password":"password123"}`).refused(t, 400, "password: is one of the first")
	for _, password := range []string{"QWERTYUIOP", "11111111"} {
		h.api(t, "PUT", "/users/password", fmt.Sprintf(`{"current_password":"password123","new_password":%q}`, password)).refused(t, 400, "new_password: is one of the first")
	}
}

func TestSessionsCanBeListedAndEnded(t *testing.T) {
	h := newLoggedIn(t)
	phone := newBrowser(t, h.base)
	phone.api(t, "POST", "/users/login", `{"username":"admin","password":"password123"}`, "User-Agent", "phone "+strings.Repeat("x", 300), "X-Forwarded-For", "198.51.100.7").must(t, 200)
	h.register(t, "second", "password456")
	other := newBrowser(t, h.base)
	other.login(t, "second", "password456")

	var sessions []Session
	h.api(t, "GET", "/sessions", "").must(t, 200).decode(t, &sessions)
	if len(sessions) != 2 || !sessions[0].Current || sessions[1].Current || !strings.HasPrefix(sessions[1].Client, "phone") || len(sessions[1].Client) != 200 || sessions[1].Address != "198.51.100.7" {
		t.Fatalf("sessions %+v", sessions)
	}
	other.api(t, "DELETE", fmt.Sprintf("/sessions/%d", sessions[1].ID), "").must(t, 404)
	phone.api(t, "GET", "/streamers", "").must(t, 200)
	h.api(t, "DELETE", fmt.Sprintf("/sessions/%d", sessions[1].ID), "").must(t, 200)
	phone.api(t, "GET", "/streamers", "").must(t, 401)
	h.api(t, "GET", "/sessions", "").must(t, 200).decode(t, &sessions)
	if len(sessions) != 1 {
		t.Errorf("sessions %+v", sessions)
	}
	token := h.newToken(t, `{"name":"w","scope":"write"}`).Token
	newBrowser(t, h.base).api(t, "GET", "/sessions", "", bearer(token)...).must(t, 403)
	newBrowser(t, h.base).api(t, "GET", "/api_users", "", bearer(token)...).must(t, 403)

	// One that began before sessions were listed is in the list once it is used; one that is used again says since when.
	if _, err := h.db.Pool.Exec(t.Context(), "UPDATE sessions SET user_id = NULL, last_used_at = now() - interval '1 hour'"); err != nil {
		t.Fatal(err)
	}
	h.api(t, "GET", "/sessions", "").must(t, 200).decode(t, &sessions)
	if len(sessions) != 1 || time.Since(sessions[0].LastUsedAt) > time.Minute {
		t.Errorf("sessions %+v", sessions)
	}
}

func TestUsersCanBeListedAndRemoved(t *testing.T) {
	h := newLoggedIn(t)
	h.api(t, "DELETE", "/api_users/1", "").refused(t, 409, "last user")
	h.api(t, "GET", "/streamers", "").must(t, 200)
	h.register(t, "second", "password456")
	other := newBrowser(t, h.base)
	other.api(t, "POST", "/users/login", `{"username":"second","password":"password456"}`, "Origin", h.base).must(t, 200) // a device, too
	var token NewToken
	other.api(t, "POST", "/tokens", `{"name":"x"}`).must(t, 200).decode(t, &token)
	var all []APIUser
	h.api(t, "GET", "/api_users", "").must(t, 200).decode(t, &all)
	if len(all) != 2 || all[0].Username != "admin" || !all[0].Current || all[1].Username != "second" || all[1].Current {
		t.Fatalf("users %+v", all)
	}
	h.api(t, "DELETE", fmt.Sprintf("/api_users/%d", all[1].ID), "").must(t, 200)
	h.api(t, "DELETE", fmt.Sprintf("/api_users/%d", all[1].ID), "").must(t, 404)
	other.api(t, "GET", "/streamers", "").must(t, 401)
	newBrowser(t, h.base).api(t, "GET", "/streamers", "", bearer(token.Token)...).must(t, 401)
	newBrowser(t, h.base).api(t, "POST", "/users/login", `{"username":"second","password":"password456"}`).must(t, 401)
	var left int
	if err := h.db.Pool.QueryRow(t.Context(), "SELECT (SELECT count(*) FROM devices) + (SELECT count(*) FROM sessions) + (SELECT count(*) FROM api_tokens)").Scan(&left); err != nil || left != 1 {
		t.Errorf("%d rows are left, %v; want the session of the first user", left, err)
	}
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
