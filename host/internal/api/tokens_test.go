package api

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lubod/lubod/db/dbtest"
)

// newToken creates a token and returns its number and itself.
func (h *harness) newToken(t *testing.T, body string) NewToken {
	t.Helper()
	var made NewToken
	h.api(t, "POST", "/tokens", body).must(t, 200).decode(t, &made)
	return made
}

func bearer(secret string) []string { return []string{"Authorization", "Bearer " + secret} }

func TestATokenIsShownOnceAndHashed(t *testing.T) {
	h := newLoggedIn(t)
	made := h.newToken(t, `{"name":"backup"}`)
	if !strings.HasPrefix(made.Token, "lubod_") || len(made.Token) != tokenLength || made.Scope != TokenScopeRead {
		t.Errorf("made %+v", made)
	}
	if list := h.api(t, "GET", "/tokens", "").must(t, 200); strings.Contains(list.body, made.Token) || !strings.Contains(list.body, `"backup"`) {
		t.Errorf("the list is %s", list.body)
	}
	var stored []byte
	if err := h.db.Pool.QueryRow(t.Context(), "SELECT token_hash FROM api_tokens").Scan(&stored); err != nil {
		t.Fatal(err)
	}
	if len(stored) != 32 || strings.Contains(made.Token, string(stored)) {
		t.Errorf("stored is %x", stored)
	}
	newBrowser(t, h.base).api(t, "GET", "/streamers", "", bearer(made.Token)...).must(t, 200)
	if log := h.log.take(); strings.Contains(log, made.Token) {
		t.Error("the log holds the token")
	}
}

func TestScopesOfTokens(t *testing.T) {
	h := newLoggedIn(t)
	read := bearer(h.newToken(t, `{"name":"r","scope":"read"}`).Token)
	write := bearer(h.newToken(t, `{"name":"w","scope":"write"}`).Token)
	script := newBrowser(t, h.base)
	script.api(t, "GET", "/status", "", read...).must(t, 200)
	script.api(t, "GET", "/users/biliup", "", read...).must(t, 200)
	refused := script.api(t, "POST", "/streamers", streamerJSON, read...)
	refused.refused(t, 403, "scope read")
	if !strings.Contains(refused.body, codeTokenScope) {
		t.Errorf("the code is in %s", refused.body)
	}
	script.api(t, "PUT", "/configuration", `{"threads":1}`, read...).must(t, 403)
	script.api(t, "DELETE", "/streamers/1", "", read...).must(t, 403)
	script.api(t, "POST", "/streamers", streamerJSON, write...).must(t, 200)
	script.api(t, "DELETE", "/streamers/1", "", write...).must(t, 200)
}

func TestATokenDoesNotMakeMoreOfItself(t *testing.T) {
	h := newLoggedIn(t)
	made := h.newToken(t, `{"name":"w","scope":"write"}`)
	script := newBrowser(t, h.base)
	for _, call := range [][3]string{
		{"POST", "/tokens", `{"name":"x"}`},
		{"GET", "/tokens", ""},
		{"DELETE", fmt.Sprint("/tokens/", made.ID), ""},
		{"PUT", "/users/password", `{"current_password":"password123","new_password":"password456"}`},
		{"POST", "/users/register", `{"username":"x","password":"password123"}`},
		{"POST", "/users/login", `{"username":"admin","password":"password123"}`},
		{"GET", "/logout", ""},
	} {
		script.api(t, call[0], call[1], call[2], bearer(made.Token)...).refused(t, 403, "an API token cannot do this")
	}
	script.api(t, "GET", "/status", "", bearer(made.Token)...).must(t, 200)
}

func TestATokenEnds(t *testing.T) {
	h := newLoggedIn(t)
	script := newBrowser(t, h.base)
	revoked := h.newToken(t, `{"name":"revoked"}`)
	script.api(t, "GET", "/status", "", bearer(revoked.Token)...).must(t, 200)
	h.api(t, "DELETE", fmt.Sprint("/tokens/", revoked.ID), "").must(t, 200)
	gone := script.api(t, "GET", "/status", "", bearer(revoked.Token)...)
	gone.refused(t, 401, "not known")
	if gone.header.Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("WWW-Authenticate %q", gone.header.Get("WWW-Authenticate"))
	}
	h.api(t, "DELETE", fmt.Sprint("/tokens/", revoked.ID), "").must(t, 404)

	expiring := h.newToken(t, `{"name":"expiring","expires_in":60}`)
	if at, err := expiring.ExpiresAt.Get(); err != nil || time.Until(at) > time.Minute {
		t.Errorf("it expires at %v, %v", at, err)
	}
	script.api(t, "GET", "/status", "", bearer(expiring.Token)...).must(t, 200)
	if _, err := h.db.Pool.Exec(t.Context(), "UPDATE api_tokens SET expires_at = now()"); err != nil {
		t.Fatal(err)
	}
	script.api(t, "GET", "/status", "", bearer(expiring.Token)...).must(t, 401)

	orphan := h.newToken(t, `{"name":"orphan"}`)
	if _, err := h.db.Pool.Exec(t.Context(), "DELETE FROM users"); err != nil {
		t.Fatal(err)
	}
	script.api(t, "GET", "/status", "", bearer(orphan.Token)...).must(t, 401)
}

func TestTokensBelongToTheirUser(t *testing.T) {
	h := newLoggedIn(t)
	made := h.newToken(t, `{"name":"mine"}`)
	h.register(t, "second", "password456")
	other := newBrowser(t, h.base)
	other.login(t, "second", "password456")
	equalJSON(t, other.api(t, "GET", "/tokens", "").must(t, 200).body, `[]`)
	other.api(t, "DELETE", fmt.Sprint("/tokens/", made.ID), "").refused(t, 404, "token of yours")
	equalJSON(t, newBrowser(t, h.base).api(t, "GET", "/users/biliup", "", bearer(made.Token)...).must(t, 200).body, `{"username":"admin"}`)
}

func TestATokenAndACookieTogether(t *testing.T) {
	h := newLoggedIn(t)
	read := h.newToken(t, `{"name":"r"}`).Token
	write := h.newToken(t, `{"name":"w","scope":"write"}`).Token
	// The cookie of this browser may do everything; the token that is sent along decides.
	h.api(t, "POST", "/streamers", streamerJSON, bearer(read)...).must(t, 403)
	h.api(t, "GET", "/status", "", bearer("lubod_wrong")...).must(t, 401)
	h.api(t, "GET", "/users/biliup", "", bearer("lubod_wrong")...).must(t, 401)
	// Another site cannot send a token, but could hope that a wrong one lets its request past the check of its origin.
	foreign := []string{"Origin", "https://evil.example"}
	h.api(t, "POST", "/streamers", streamerJSON, append(bearer("lubod_wrong"), foreign...)...).must(t, 401)
	h.api(t, "POST", "/streamers", streamerJSON, append(bearer(""), foreign...)...).must(t, 401)
	h.api(t, "POST", "/users/login", `{"username":"admin","password":"password123"}`, append(bearer(write), foreign...)...).refused(t, 403, "another site")
	h.api(t, "POST", "/streamers", streamerJSON, append([]string{"Authorization", "Basic YTpi"}, foreign...)...).refused(t, 403, "another site")
	// A script that names an origin is no browser.
	newBrowser(t, h.base).api(t, "POST", "/streamers", streamerJSON, append(bearer(write), foreign...)...).must(t, 200)
	// A password of a proxy in front of this server says nothing about who logged in here.
	h.api(t, "GET", "/status", "", "Authorization", "Basic YTpi").must(t, 200)
	newBrowser(t, h.base).api(t, "GET", "/status", "", "Authorization", "Basic YTpi").must(t, 401)
}

func TestUnknownTokensHaveToWait(t *testing.T) {
	h := newLoggedIn(t)
	known := h.newToken(t, `{"name":"r"}`).Token
	script := newBrowser(t, h.base)
	for i := range perAddress.free {
		script.api(t, "GET", "/status", "", bearer(fmt.Sprintf("lubod_%043d", i))...).must(t, 401)
	}
	waiting := script.api(t, "GET", "/status", "", bearer(fmt.Sprintf("lubod_%043d", 99))...)
	waiting.refused(t, 429, "try again")
	if waiting.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	script.api(t, "GET", "/status", "", bearer(known)...).must(t, 200)
	h.api(t, "GET", "/status", "").must(t, 200)
}

func TestUseOfATokenIsNotedOncePerMinute(t *testing.T) {
	h := newLoggedIn(t)
	made := h.newToken(t, `{"name":"r"}`)
	lastUse := func() (at *time.Time) {
		t.Helper()
		if err := h.db.Pool.QueryRow(t.Context(), "SELECT last_used_at FROM api_tokens").Scan(&at); err != nil {
			t.Fatal(err)
		}
		return at
	}
	if at := lastUse(); at != nil {
		t.Errorf("used at %v before any use", at)
	}
	h.api(t, "GET", "/status", "", bearer(made.Token)...).must(t, 200)
	first := lastUse()
	h.api(t, "GET", "/status", "", bearer(made.Token)...).must(t, 200)
	if second := lastUse(); first == nil || !first.Equal(*second) {
		t.Errorf("used at %v, then %v", first, second)
	}
	if _, err := h.db.Pool.Exec(t.Context(), "UPDATE api_tokens SET last_used_at = last_used_at - interval '1 minute'"); err != nil {
		t.Fatal(err)
	}
	h.api(t, "GET", "/status", "", bearer(made.Token)...).must(t, 200)
	if third := lastUse(); !third.After(first.Add(-time.Second)) {
		t.Errorf("used at %v, a minute later %v", first, third)
	}
}

func TestTokensAreBounded(t *testing.T) {
	h := newLoggedIn(t)
	if _, err := h.db.Pool.Exec(t.Context(), `INSERT INTO api_tokens (user_id, name, token_hash, scope)
		SELECT u.id, 'x', sha256(n::text::bytea), 'read' FROM users u, generate_series(1, $1::int) n`, maxTokens); err != nil {
		t.Fatal(err)
	}
	h.api(t, "POST", "/tokens", `{"name":"x"}`).refused(t, 409, "delete one first")
	for body, words := range map[string]string{
		`{}`: "name: is missing", `{"name":" x"}`: "name: must be a text that neither", `{"name":"x","scope":"admin"}`: "scope: must be one of read, write",
		`{"name":"x","expires_in":0}`: "expires_in: must be from 1", `{"name":"x","expires_in":1e30}`: "expires_in: must be",
	} {
		h.api(t, "POST", "/tokens", body).refused(t, 400, words)
	}
}

func TestChangingAPassword(t *testing.T) {
	h := newLoggedIn(t)
	token := h.newToken(t, `{"name":"w"}`).Token
	before := h.sessionToken(t)
	phone := newBrowser(t, h.base)
	phone.login(t, "admin", "password123")

	for body, words := range map[string]string{
		`{"current_password":"password123","new_password":"password123"}`: "new_password: must differ",
		`{"current_password":"password123","new_password":"short"}`:       "new_password: must have at least 8 characters",
		`{"current_password":"password123"}`:                              "new_password: is missing",
		`{"new_password":"password456"}`:                                  "current_password: is missing",
	} {
		h.api(t, "PUT", "/users/password", body).refused(t, 400, words)
	}
	h.api(t, "PUT", "/users/password", `{"current_password":"wrong","new_password":"password456"}`).refused(t, 403, "current_password: is wrong")
	newBrowser(t, h.base).api(t, "PUT", "/users/password", `{"current_password":"password123","new_password":"password456"}`).must(t, 401)

	h.api(t, "PUT", "/users/password", `{"current_password":"password123","new_password":"password456"}`).must(t, 200)
	h.api(t, "GET", "/streamers", "").must(t, 200)
	if h.sessionToken(t) == before {
		t.Error("the session kept its token")
	}
	phone.api(t, "GET", "/streamers", "").must(t, 401)
	newBrowser(t, h.base).api(t, "GET", "/streamers", "", "Cookie", sessionCookie+"="+before).must(t, 401)
	newBrowser(t, h.base).api(t, "POST", "/users/login", `{"username":"admin","password":"password123"}`).must(t, 401)
	phone.login(t, "admin", "password456")
	newBrowser(t, h.base).api(t, "GET", "/streamers", "", bearer(token)...).must(t, 200)
	log := h.log.take()
	for _, secret := range []string{"password123", "password456", h.sessionToken(t)} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

func TestALoginDuringTheChangeOfAPasswordIsOver(t *testing.T) {
	h := newLoggedIn(t)
	// The password was checked before the change, the session begins after it.
	user, right, err := h.server.authenticate(t.Context(), "admin", "password123")
	if err != nil || !right {
		t.Fatal(right, err)
	}
	h.api(t, "PUT", "/users/password", `{"current_password":"password123","new_password":"password456"}`).must(t, 200)
	ctx, err := h.server.sessions.manager.Load(withCaller(context.WithoutCancel(t.Context()), &caller{}), "")
	if err != nil {
		t.Fatal(err)
	}
	setCookie, err := h.server.sessions.begin(ctx, user)
	if err != nil {
		t.Fatal(err)
	}
	cookie, _, _ := strings.Cut(setCookie, ";")
	newBrowser(t, h.base).api(t, "GET", "/streamers", "", "Cookie", cookie).must(t, 401)
}

func TestOnlyOneOfTwoChangesOfAPasswordCounts(t *testing.T) {
	h := newLoggedIn(t)
	answers := make(chan int, 2)
	for i := range 2 {
		go func() {
			answers <- h.api(t, "PUT", "/users/password", fmt.Sprintf(`{"current_password":"password123","new_password":"password45%d"}`, i)).status
		}()
	}
	first, second := <-answers, <-answers
	if (first == 200) == (second == 200) {
		t.Errorf("answers %d and %d", first, second)
	}
}

func TestGuessingACurrentPasswordHasToWait(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	h.register(t, "admin", "password123")
	h.login(t, "admin", "password123")
	for range perLogin.free {
		h.api(t, "PUT", "/users/password", `{"current_password":"guess","new_password":"password456"}`).must(t, 403)
	}
	h.api(t, "PUT", "/users/password", `{"current_password":"password123","new_password":"password456"}`).must(t, 429)
	newBrowser(t, h.base).login(t, "admin", "password123") // whoever has the session does not hold the owner
}

// Tokens stay when a password changes, unless it is asked for: the answer says how many.
func TestChangingAPasswordAsksAboutTokens(t *testing.T) {
	h := newLoggedIn(t)
	token := h.newToken(t, `{"name":"w"}`).Token
	change := func(from, to, more string, left int64) {
		t.Helper()
		var changed PasswordChanged
		h.api(t, "PUT", "/users/password", fmt.Sprintf(`{"current_password":%q,"new_password":%q%s}`, from, to, more)).must(t, 200).decode(t, &changed)
		if changed.Tokens != left || changed.Username != "admin" {
			t.Errorf("answered %+v, want %d tokens", changed, left)
		}
	}
	change("password123", "password456", "", 1)
	change("password456", "password457", `,"revoke_tokens":false`, 1)
	newBrowser(t, h.base).api(t, "GET", "/streamers", "", bearer(token)...).must(t, 200)
	change("password457", "password458", `,"revoke_tokens":true`, 0)
	newBrowser(t, h.base).api(t, "GET", "/streamers", "", bearer(token)...).must(t, 401)
	var sessions int
	if err := h.db.Pool.QueryRow(t.Context(), "SELECT count(*) FROM sessions").Scan(&sessions); err != nil || sessions != 1 {
		t.Errorf("%d sessions are left, %v", sessions, err)
	}
}
