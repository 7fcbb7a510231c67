package api

import (
	"fmt"
	"io"
	"net"
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

func TestAttackByManyConnections(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	bounded := newBoundedListener(inner, 1, 2)
	accepted := make(chan net.Conn)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := bounded.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	for range 2 {
		conn, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	first := <-accepted
	if len(bounded.slots) != cap(bounded.slots) {
		t.Errorf("%d of %d slots are in use", len(bounded.slots), cap(bounded.slots))
	}
	select {
	case <-accepted:
		t.Error("a second connection was accepted")
	default:
	}
	_ = first.Close()
	_ = (<-accepted).Close() // has room now

	subscriber := &net.TCPAddr{IP: net.ParseIP("2001:db8::1")}
	neighbour := &net.TCPAddr{IP: net.ParseIP("2001:db8::2")} // of the same subscriber
	for _, remote := range []net.Addr{subscriber, neighbour} {
		if _, ok := bounded.enter(remote); !ok {
			t.Errorf("%s is refused", remote)
		}
	}
	if _, ok := bounded.enter(neighbour); ok {
		t.Error("one subscriber has more connections than are allowed")
	}
	if _, ok := bounded.enter(&net.TCPAddr{IP: net.ParseIP("192.0.2.1")}); !ok {
		t.Error("another subscriber is refused")
	}
	if err := bounded.Close(); err != nil {
		t.Error(err)
	}
	<-ended
}
