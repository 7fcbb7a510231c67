package api

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lubod/lubod/db/dbtest"
	sim "github.com/lubod/lubod/sdk/simulator/bilibili"
)

// Attacks that no other test here is about. Those on the proxy are in proxy_test.go, those on logins in users_test.go, other
// sites and harmless answers in http_test.go, redirects of the login page in the tests of pages.

func TestAttackWithDeepJSON(t *testing.T) {
	h := newLoggedIn(t)
	for _, depth := range []int{1000, 100_000} {
		for _, body := range []string{
			strings.Repeat("[", depth) + strings.Repeat("]", depth),
			`{"url":"https://a.example/1","override":` + strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth) + "}",
			strings.Repeat("[", depth),
		} {
			if a := h.api(t, "POST", "/streamers", body); a.status != 400 && a.status != 413 {
				t.Errorf("%d levels: %d %.200s", depth, a.status, a.body)
			}
		}
	}
	if log := h.log.take(); strings.Contains(log, "level=ERROR") {
		t.Errorf("the log says %.1000s", log)
	}
}

func TestAttackByPathsOutOfTheDataDirectory(t *testing.T) {
	h := newLoggedIn(t)
	h.addAccount(t, "cookies.json", sim.AccountOptions{})
	if err := os.Mkdir(filepath.Join(h.dataDir, recordingsDir), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"../cookies.json", "/etc/passwd", "a/../../cookies.json", "./../x.json", "data/../../x.json", "/../x.json"} {
		template := func(field string) string {
			return fmt.Sprintf(`{"template_name":"t","title":"x","tag":"a","user_cookie":"cookies.json",%q:"%s"}`, field, path)
		}
		for field, a := range map[string]answer{
			"users.value":                 h.api(t, "POST", "/users", fmt.Sprintf(`{"key":"bilibili-cookies","value":"%s"}`, path)),
			"myinfo.user":                 h.api(t, "GET", "/myinfo?user="+url.QueryEscape(path), ""),
			"archive_pre.user":            h.api(t, "GET", "/archive_pre?user="+url.QueryEscape(path), ""),
			"upload_streamers.cover":      h.api(t, "POST", "/upload_streamers", template("cover")),
			"upload_streamers.user":       h.api(t, "POST", "/upload_streamers", strings.Replace(template("cover"), `"cookies.json"`, `"`+path+`"`, 1)),
			"uploads.files":               h.api(t, "POST", "/uploads", fmt.Sprintf(`{"files":["%s"],"params":{"template_name":"t","title":"x","tid":171,"tag":"a","user_cookie":"cookies.json"}}`, path)),
			"uploads.params.user_cookie":  h.api(t, "POST", "/uploads", fmt.Sprintf(`{"files":["x.flv"],"params":{"template_name":"t","title":"x","tid":171,"tag":"a","user_cookie":"%s"}}`, path)),
			"configuration.cookie file":   h.api(t, "PUT", "/configuration", fmt.Sprintf(`{"bili_cookie_file":"%s"}`, path)),
			"streamers.segment_processor": h.api(t, "POST", "/streamers", fmt.Sprintf(`{"url":"https://a.example/1","segment_processor":[{"mv":"%s"}],"filename_prefix":"%s"}`, path, path)),
		} {
			if a.status < 400 || a.status >= 500 || a.status == 429 {
				t.Errorf("%s takes %s: %d %s", field, path, a.status, a.body)
			}
		}
	}
}

func TestAttackByAFormOfAnotherSite(t *testing.T) {
	h := newLoggedIn(t)
	for name, headers := range map[string][]string{
		"origin of another site": {"Origin", "https://evil.example"},
		"origin that is hidden":  {"Origin", "null"},
		"said by the browser":    {"Sec-Fetch-Site", "cross-site"},
		"site beside this one":   {"Sec-Fetch-Site", "same-site"},
	} {
		for _, media := range []string{"application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", "application/json"} {
			a := h.api(t, "POST", "/streamers", streamerJSON, append([]string{"Content-Type", media}, headers...)...)
			if a.status != 403 {
				t.Errorf("%s as %s: %d %s", name, media, a.status, a.body)
			}
		}
	}
	// What a form can send is not read even where a browser is too old to say where it comes from.
	for _, media := range []string{"application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"} {
		h.api(t, "POST", "/streamers", streamerJSON, "Content-Type", media).must(t, 415)
	}
	equalJSON(t, h.api(t, "GET", "/streamers", "").must(t, 200).body, `[]`)
}

func TestAttackByGuessingTheSetupToken(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	guess := func(n int) answer {
		return h.api(t, "POST", "/users/register", `{"username":"evil","password":"password123"}`, "X-Forwarded-For", "198.51.100.7", "X-Setup-Token", fmt.Sprint(n))
	}
	for n := range perAddress.free {
		guess(n).must(t, 403)
	}
	if a := guess(-1).must(t, 429); a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	h.register(t, "admin", "password123") // from this machine, which the attacker has not locked out
	if a := guess(0); a.status < 400 {
		t.Errorf("a second user came in: %d %s", a.status, a.body)
	}
}

// A page lets the name of its own site lead to this machine, so that its browser takes the two for one site.
func TestAttackByRebinding(t *testing.T) {
	h := newLoggedIn(t)
	session := sessionCookie + "=" + h.sessionToken(t)
	for _, host := range []string{"evil.example", "evil.example:19159", "127.0.0.1.evil.example", "localhost.evil.example"} {
		for _, path := range []string{"/api/v1/streamers", "/api/v1/users/biliup", "/login", "/api/v1/openapi.yaml"} {
			h.call(t, "GET", path, "", "Host", host).refused(t, 403, "--hosts")
		}
	}
	for _, host := range []string{"localhost:19159", "127.0.0.1", "[::1]:19159", "LOCALHOST."} {
		h.api(t, "GET", "/streamers", "", "Host", host, "Cookie", session).must(t, 200)
	}
	named := newBrowser(t, serve(t, h.startWith(t, Deps{Hosts: []string{"lubod.lan"}})))
	named.api(t, "GET", "/streamers", "", "Host", "lubod.lan:19159", "Cookie", session).must(t, 200)
	named.api(t, "GET", "/streamers", "", "Host", "evil.example", "Cookie", session).must(t, 403)
}

func TestAttackBySlowHeaders(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	server := h.start(t)
	server.headerTimeout = 50 * time.Millisecond
	conn, err := net.Dial("tcp", strings.TrimPrefix(serve(t, server), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: "); err != nil {
		t.Fatal(err)
	}
	// The end of the connection is what is waited for; the deadline only ends a test that fails.
	if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(conn); err != nil || strings.Contains(string(rest), "200 OK") {
		t.Errorf("the connection stays open: %q, %v", rest, err)
	}
}

// crowd opens connections on which nothing, or no end of a head, is ever sent.
func crowd(t *testing.T, address string, n int, sent string) []net.Conn {
	t.Helper()
	all := make([]net.Conn, n)
	for i := range all {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_, err = io.WriteString(conn, sent)
		}
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		all[i] = conn
	}
	return all
}

// However many connections strangers hold, users are answered: on connections that they have, resting or not, and on new ones.
func TestAttackByManyConnections(t *testing.T) {
	for name, sent := range map[string]string{"silent": "", "slow heads": "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: "} {
		t.Run(name, func(t *testing.T) {
			h := newLoggedIn(t)
			address := strings.TrimPrefix(h.base, "http://")
			session := sessionCookie + "=" + h.sessionToken(t)
			ask := func(conn net.Conn) {
				t.Helper()
				if _, err := io.WriteString(conn, "GET /api/v1/tokens HTTP/1.1\r\nHost: localhost\r\nCookie: "+session+"\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second)) // only ends a test that fails
				response, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
				if response.StatusCode != http.StatusOK {
					t.Errorf("a user is answered %d", response.StatusCode)
				}
			}
			resting := crowd(t, address, 1, "")[0]
			ask(resting)
			stream, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = stream.Close() })
			if _, err := io.WriteString(stream, "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nCookie: "+session+"\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			events := bufio.NewReader(stream)
			if line, err := events.ReadString('\n'); err != nil || !strings.Contains(line, "200") {
				t.Fatalf("the stream begins with %q, %v", line, err)
			}
			crowd(t, address, maxConnections+100, sent)
			ask(crowd(t, address, 1, "")[0])
			ask(resting)
			h.api(t, "POST", "/tokens", `{"name":"x"}`).must(t, 200)
			if _, err := events.ReadByte(); err != nil {
				t.Errorf("the stream of a user was cut: %v", err)
			}
		})
	}
}

// A connection on which nobody known asks for anything is closed soon; one of a user rests longer.
func TestRestingConnectionsOfStrangersAreClosed(t *testing.T) {
	h := newLoggedIn(t)
	server := h.start(t)
	server.strangerIdle = 50 * time.Millisecond
	address := strings.TrimPrefix(serve(t, server), "http://")
	session := sessionCookie + "=" + h.sessionToken(t)
	for _, test := range []struct{ path, cookie string }{{"/healthz", ""}, {"/api/v1/tokens", ""}, {"/api/v1/tokens", session}} {
		conn := crowd(t, address, 1, "GET "+test.path+" HTTP/1.1\r\nHost: localhost\r\nCookie: "+test.cookie+"\r\n\r\n")[0]
		reader := bufio.NewReader(conn)
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if test.cookie == "" {
			_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second)) // only ends a test that fails
			if _, err := reader.ReadByte(); !errors.Is(err, io.EOF) {
				t.Errorf("%s of a stranger: %v, want it closed", test.path, err)
			}
			continue
		}
		_ = conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		if _, err := reader.ReadByte(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s of a user: %v, want it open", test.path, err)
		}
	}
}

// fakeConn is a connection from elsewhere.
type fakeConn struct {
	net.Conn
	remote net.Addr
	closed bool
}

func (c *fakeConn) RemoteAddr() net.Addr { return c.remote }
func (c *fakeConn) Close() error         { c.closed = true; return nil }

// One more connection takes the place of the one that is missed least; when all are missed, it is refused.
func TestWhichConnectionGoes(t *testing.T) {
	l := newConnections(nil, 4, 2, time.Minute)
	enter := func(address string, known, busy bool) (*fakeConn, *connection, bool) {
		raw := &fakeConn{remote: &net.TCPAddr{IP: net.ParseIP(address)}}
		c := &connection{Conn: raw, all: l, address: subscriber(raw.remote)}
		ok := l.enter(c)
		c.known, c.busy = known, busy
		return raw, c, ok
	}
	stream, first, _ := enter("127.0.0.1", true, true)
	resting, _, _ := enter("127.0.0.1", true, false)
	// Two of one subscriber, whatever its host: a third takes the place of the older one.
	older, _, _ := enter("2001:db8::1", false, false)
	newer, _, _ := enter("2001:db8::2", false, true)
	third, _, _ := enter("2001:db8::3", false, true)
	if !older.closed || newer.closed || third.closed {
		t.Error("the resting one of a subscriber with too many does not go")
	}
	// Full: strangers go first, the oldest of them first, then a resting user.
	users := make([]*fakeConn, 0, 3)
	for range 3 {
		user, _, ok := enter("127.0.0.1", true, true)
		if users = append(users, user); !ok {
			t.Error("a user is refused")
		}
	}
	if !newer.closed || !third.closed || !resting.closed || stream.closed {
		t.Errorf("closed: %v %v %v %v", newer.closed, third.closed, resting.closed, stream.closed)
	}
	if _, _, ok := enter("127.0.0.1", false, false); ok {
		t.Error("there was room where everything is in use")
	}
	_ = first.Close()
	_ = first.Close()
	if _, _, ok := enter("127.0.0.1", false, false); !ok {
		t.Error("a closed one left no room")
	}
	for _, user := range users {
		if user.closed {
			t.Error("what a user waits for was cut")
		}
	}
}
