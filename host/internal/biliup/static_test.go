package biliup

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestStaticServesRecordings(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"r/a b#1.flv": "0123456789", "主播/直播.mp4.part": "growing", "r/a.xml": "<i/>", "r/secret.json": "secret", "r/x.html": "<script>", "outside.flv": "x",
	} {
		path := filepath.Join(dir, "recordings", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "host.flv"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "host.flv"), filepath.Join(dir, "recordings", "link.flv")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, filepath.Join(dir, "recordings", "up")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "recordings", "pipe.flv"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "recordings", "dir.flv"), 0o700); err != nil {
		t.Fatal(err)
	}
	moved := t.TempDir()
	for _, name := range []string{"recorded.flv", "beside.flv"} {
		if err := os.WriteFile(filepath.Join(moved, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(dir, "host.flv"), filepath.Join(moved, "recorded link.flv")); err != nil {
		t.Fatal(err)
	}
	api := newStub(t)
	h := api.handler(t, filepath.Join(dir, "recordings"))
	for _, c := range []struct {
		path, headers  string
		status         int
		body, mimeType string
	}{
		{"/static/r/a%20b%231.flv", "", 200, "0123456789", "video/x-flv"},
		{"/static/r/a%20b%231.flv", "bytes=2-4", 206, "234", "video/x-flv"},
		{"/static/r/a%20b%231.flv", "bytes=20-", 416, "", ""},
		{"/static/%E4%B8%BB%E6%92%AD/%E7%9B%B4%E6%92%AD.mp4.part", "", 200, "growing", "video/mp4"},
		{"/static/r/a.xml", "", 200, "<i/>", "text/plain; charset=utf-8"},
		{"/static/r/secret.json", "", 404, "", ""},
		{"/static/r/x.html", "", 404, "", ""},
		{"/static/link.flv", "", 404, "", ""},
		{"/static/up/host.flv", "", 404, "", ""},
		{"/static/..%2fhost.flv", "", 404, "", ""},
		{"/static/%2e%2e/host.flv", "", 404, "", ""},
		{"/static/r/%2e%2e/%2e%2e/host.flv", "", 404, "", ""},
		{"/static/%2fetc/passwd.flv", "", 404, "", ""},
		{"/static//etc/x.flv", "", 404, "", ""},
		{"/static/" + moved + "/recorded.flv", "", 200, "recorded.flv", "video/x-flv"},
		{"/static/" + moved + "/../" + filepath.Base(moved) + "/recorded.flv", "", 404, "", ""},
		{"/static/" + moved + "/recorded%20link.flv", "", 404, "", ""},
		{"/static/" + moved + "/beside.flv", "", 404, "", ""},
		{"/static/" + dir + "/recordings/r/a.xml", "", 200, "<i/>", "text/plain; charset=utf-8"},
		{"/static/" + dir + "/recordings/../host.flv", "", 404, "", ""},
		{"/static/pipe.flv", "", 404, "", ""},
		{"/static/dir.flv", "", 404, "", ""},
		{"/static/a%00.flv", "", 404, "", ""},
		{"/static/", "", 404, "", ""},
		{"/static/ds_update.log", "", 404, "", ""},
	} {
		w := send(t, h, "GET", c.path, "", "Range", c.headers)
		if w.Code != c.status || c.body != "" && w.Body.String() != c.body || c.mimeType != "" && w.Header().Get("Content-Type") != c.mimeType || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s: %d %q %q", c.path, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
		if c.status == 200 && (w.Header().Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(w.Header().Get("Content-Security-Policy"), "sandbox")) {
			t.Errorf("%s: headers %v", c.path, w.Header())
		}
	}
	if w := send(t, h, "HEAD", "/static/r/a.xml", ""); w.Code != 200 || w.Body.Len() != 0 {
		t.Errorf("HEAD: %d %q", w.Code, w.Body)
	}
	api.answers["GET /api/v1/users/biliup"] = `404 {"error":"nobody is logged in","code":"not_logged_in"}`
	if w := send(t, h, "GET", "/static/r/a.xml", ""); w.Code != 401 || strings.Contains(w.Body.String(), "<i/>") {
		t.Errorf("without a login: %d %q", w.Code, w.Body)
	}
}
