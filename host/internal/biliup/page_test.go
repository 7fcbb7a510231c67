package biliup

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// exported makes a folder like the one that biliup's page is exported to.
func exported(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	page := filepath.Join(dir, "out")
	for name, content := range map[string]string{
		"out/index.html": "home", "out/streamers.html": "streamers", "out/sub/index.html": "sub", "out/login.html": "theirs", "out/api/v1/status": "theirs",
		"out/streamers.txt": "flight", "out/logo.png": "png", "out/x.unknown": "?", "out/_next/static/chunks/app/(app)/a.js": "js", "secret.txt": "secret",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink("../secret.txt", filepath.Join(page, "link.txt")), syscall.Mkfifo(filepath.Join(page, "pipe"), 0o600)); err != nil {
		t.Fatal(err)
	}
	return page
}

func TestPageIsServedBesideTheAPI(t *testing.T) {
	api := newStub(t)
	for _, path := range []string{"/login", "/login.html", "/api/v1/status", "/nothing", "/link.txt", "/pipe", "/_next", "/%2e%2e/secret.txt", "/sub/../../secret.txt", "//secret.txt", "/assets/page.css"} {
		api.answers["GET "+path] = `"the API"`
	}
	h := api.handler(t, "")
	h.page = exported(t)
	for _, c := range []struct{ path, body, mediaType, cache string }{
		{"/", "home", "text/html; charset=utf-8", "no-cache"},
		{"/streamers", "streamers", "text/html; charset=utf-8", "no-cache"},
		{"/streamers/", "streamers", "text/html; charset=utf-8", "no-cache"},
		{"/streamers.html", "streamers", "text/html; charset=utf-8", "no-cache"},
		{"/streamers.txt?_rsc=1", "flight", "text/plain; charset=utf-8", "no-cache"},
		{"/sub", "sub", "text/html; charset=utf-8", "no-cache"},
		{"/logo.png", "png", "image/png", "no-cache"},
		{"/x.unknown", "?", "application/octet-stream", "no-cache"},
		{"/_next/static/chunks/app/%28app%29/a.js", "js", "text/javascript; charset=utf-8", "private, max-age=31536000, immutable"},
		{"/login", `"the API"`, "application/json", ""},
		{"/login.html", `"the API"`, "application/json", ""},
		{"/api/v1/status", `"the API"`, "application/json", ""},
		{"/nothing", `"the API"`, "application/json", ""},
		{"/_next", `"the API"`, "application/json", ""},
		{"/link.txt", `"the API"`, "application/json", ""},
		{"/pipe", `"the API"`, "application/json", ""},
		{"/%2e%2e/secret.txt", `"the API"`, "application/json", ""},
		{"/sub/../../secret.txt", `"the API"`, "application/json", ""},
	} {
		w := send(t, h, "GET", c.path, "")
		header := w.Header()
		if w.Body.String() != c.body || header.Get("Content-Type") != c.mediaType || header.Get("Cache-Control") != c.cache {
			t.Errorf("%s: %d %q as %q, cache %q", c.path, w.Code, w.Body, header.Get("Content-Type"), header.Get("Cache-Control"))
		}
		if c.cache != "" && (header.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(header.Get("Content-Security-Policy"), "frame-ancestors 'none'")) {
			t.Errorf("%s: headers %v", c.path, header)
		}
	}
	if w := send(t, h, "HEAD", "/streamers", ""); w.Code != 200 || w.Body.Len() != 0 || w.Header().Get("Content-Length") != "9" {
		t.Errorf("HEAD: %d %q %v", w.Code, w.Body, w.Header())
	}
	if w := send(t, h, "POST", "/streamers", "{}"); w.Code != 404 {
		t.Errorf("POST: %d %s", w.Code, w.Body)
	}
	h.page = ""
	if w := send(t, h, "GET", "/streamers", ""); w.Code != 404 {
		t.Errorf("without a page: %d %s", w.Code, w.Body)
	}
}

func TestPageSendsStrangersToOurLogin(t *testing.T) {
	api := newStub(t)
	h := api.handler(t, "")
	h.page = exported(t)
	delete(api.answers, "GET /api/v1/users/biliup")
	if w := send(t, h, "GET", "/streamers?a=1&b=2", ""); w.Code != 303 || w.Header().Get("Location") != "/login?next=%2Fstreamers%3Fa%3D1%26b%3D2" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if w := send(t, h, "GET", "/logo.png", ""); w.Code != 200 {
		t.Errorf("a picture: %d", w.Code)
	}
	api.answers["GET /api/v1/users/biliup"] = `503 {"error":"the database is away","code":"unavailable"}`
	if w := send(t, h, "GET", "/", ""); w.Code != 503 {
		t.Errorf("without a database: %d %s", w.Code, w.Body)
	}
}

func TestSessionGoesByBiliupsNameToo(t *testing.T) {
	api := newStub(t)
	h := api.handler(t, "")
	api.answers["POST /api/v1/users/login"] = `{"username":"biliup"}`
	api.answers["GET /api/v1/logout"] = "{}"
	for _, request := range []struct{ method, path, body string }{{"POST", "/v1/users/login", `{"username":"biliup","password":"p"}`}, {"GET", "/v1/logout", ""}} {
		w := send(t, h, request.method, request.path, request.body)
		if got := strings.Join(w.Header().Values("Set-Cookie"), " "); got != "lubod_session=x biliup.sid=x" {
			t.Errorf("%s sets %q", request.path, got)
		}
	}
	for sent, want := range map[string]string{
		"biliup.sid=a": "a", "lubod_session=b; biliup.sid=a": "b", "lubod_session=b": "b", "other=c": "",
	} {
		for _, path := range []string{"/v1/videos", "/bili/proxy?url=x", "/v1/ws/logs", "/v1/logout", "/static/a.flv"} {
			send(t, h, "GET", path, "", "Cookie", sent)
			got := ""
			if cookie, err := api.last.Cookie("lubod_session"); err == nil {
				got = cookie.Value
			}
			if got != want {
				t.Errorf("%s with %q reaches the API with %q, want %q", path, sent, got, want)
			}
		}
		send(t, h, "GET", "/api/v1/streamers", "", "Cookie", sent)
		if api.last.Header.Get("Cookie") != sent {
			t.Errorf("the API's own path got %q for %q", api.last.Header.Get("Cookie"), sent)
		}
	}
}

func TestLoginOfThePageIsThatOfTheUser(t *testing.T) {
	api := newStub(t)
	h := api.handler(t, "")
	h.userOfPage = func(context.Context, string) (string, error) { return "admin", nil }
	api.answers["POST /api/v1/users/login"] = `{"username":"admin"}`
	for sent, want := range map[string]string{"biliup": "admin", "other": "other"} {
		send(t, h, "POST", "/v1/users/login", `{"username":"`+sent+`","password":"p"}`)
		if last := api.asked[len(api.asked)-1]; !strings.Contains(last, `"username":"`+want+`"`) {
			t.Errorf("a login as %s asks %s", sent, last)
		}
	}
	api.answers["POST /api/v1/users/register"] = `{"username":"biliup"}`
	send(t, h, "POST", "/v1/users/register", `{"username":"biliup","password":"p"}`)
	if first := api.asked[len(api.asked)-2]; !strings.Contains(first, `"username":"biliup"`) {
		t.Errorf("a registration asks %s", first)
	}
	h.userOfPage = func(context.Context, string) (string, error) { return "", errors.New("password=secret") }
	if w := send(t, h, "POST", "/v1/users/login", `{"username":"biliup","password":"p"}`); w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("without a database: %d %s", w.Code, w.Body)
	}
}

func TestLogsCanBeSaved(t *testing.T) {
	api := newStub(t)
	api.answers["GET /api/v1/logs?file=download.log"] = `lines`
	h := api.handler(t, t.TempDir())
	w := send(t, h, "GET", "/static/download.log", "")
	if w.Code != 200 || w.Body.String() != "lines" || w.Header().Get("Content-Disposition") != `attachment; filename="download.log"` || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
		t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
	}
	api.answers["GET /api/v1/logs?file=ds_update.log"] = `401 {"error":"log in first","code":"unauthenticated"}`
	if w := send(t, h, "GET", "/static/ds_update.log", ""); w.Code != 401 {
		t.Errorf("a stranger: %d %s", w.Code, w.Body)
	}
	if w := send(t, h, "GET", "/static/other.log", ""); w.Code != 404 {
		t.Errorf("another file: %d %s", w.Code, w.Body)
	}
}
