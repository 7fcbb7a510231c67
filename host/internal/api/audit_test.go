package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	sim "github.com/lubod/lubod/sdk/simulator/bilibili"
)

// TestEveryWriteIsOneLineWithWhoDidIt sends each operation that changes something, by a session and by a token.
func TestEveryWriteIsOneLineWithWhoDidIt(t *testing.T) {
	h := newLoggedIn(t)
	missing := make(map[string]bool)
	for _, op := range h.server.operations {
		if op.route.Method != http.MethodGet {
			missing[op.route.Operation.OperationID] = true
		}
	}
	secret := h.newToken(t, `{"name":"script","scope":"write"}`).Token
	prepare := func(statement string) (id int64) {
		t.Helper()
		if err := h.db.Pool.QueryRow(t.Context(), statement).Scan(&id); err != nil {
			t.Fatal(err)
		}
		return id
	}
	writeVideo(t, h, "a.flv", "123", 1704873600)
	h.addAccount(t, "cookies.json", sim.AccountOptions{MID: 7})
	by := "by=admin"
	do := func(operation, method, path, body string, want ...string) answer {
		t.Helper()
		delete(missing, operation)
		h.log.take()
		var headers []string
		if by != "by=admin" {
			headers = []string{"Authorization", "Bearer " + secret}
		}
		answered := h.api(t, method, path, body, headers...)
		if answered.status >= 400 {
			t.Fatalf("%s %s: %d %s", method, path, answered.status, answered.body)
		}
		var lines []string
		for line := range strings.SplitSeq(h.log.take(), "\n") {
			if strings.Contains(line, "level=INFO") || strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") {
				lines = append(lines, line)
			}
		}
		if len(want) == 0 {
			if len(lines) != 0 {
				t.Errorf("%s changed nothing and logged %q", operation, lines)
			}
			return answered
		}
		if len(lines) != 1 {
			t.Errorf("%s logged %d lines: %q", operation, len(lines), lines)
			return answered
		}
		for _, word := range append(want, by, "level=INFO") {
			if !strings.Contains(lines[0], word) {
				t.Errorf("%s logged %q, without %q", operation, lines[0], word)
			}
		}
		return answered
	}
	do("createStreamer", "POST", "/streamers", `{"url":"https://a.example/1?sign=abc","override":{"threads":2}}`, `msg="streamer created"`, "streamer=1", "url=https://a.example/1 ")
	do("createStreamer", "POST", "/streamers", `{"url":"https://a.example/1?sign=abc"}`) // the same again
	by = `by="admin (token script)"`
	do("updateStreamer", "PUT", "/streamers", `{"id":1,"remark":"r","override":{"threads":3}}`, `msg="streamer changed"`, "streamer=1", `fields="[override remark]"`)
	do("updateStreamer", "PUT", "/streamers", `{"id":1,"remark":"r"}`)
	do("pauseStreamer", "POST", "/streamers/1/pause", "", `msg="streamer paused"`, "streamer=1")
	by = "by=admin"
	do("pauseStreamer", "POST", "/streamers/1/pause", "", `msg="streamer resumed"`)
	do("saveTemplate", "POST", "/upload_streamers", `{"template_name":"t","title":"{{title}}","tag":"a","copyright":1}`, `msg="template created"`, "template=t")
	do("saveTemplate", "POST", "/upload_streamers", `{"id":1,"title":"x"}`, `msg="template changed"`, "fields=[title]")
	do("addAccount", "POST", "/users", `{"key":"bilibili-cookies","value":"cookies.json"}`, `msg="account added"`, "file=cookies.json")
	do("deleteAccount", "DELETE", "/users/1", "", `msg="account deleted"`)
	do("updateConfiguration", "PUT", "/configuration", `{"threads":7,"delay":5}`, `msg="configuration changed"`, `keys="[delay threads]"`)
	do("reloadPlugins", "POST", "/plugins/reload", "", `msg="plugins.hcl read again"`)
	do("uploadVideos", "POST", "/uploads", order([]string{"a.flv"}), `msg="manual upload ordered"`, "files=1")
	recording := insertRecording(t, h.db, 1, "ended")
	failed, second := insertUpload(t, h.db, recording, "failed", "no"), insertUpload(t, h.db, recording, "failed", "no")
	do("retrySegment", "POST", fmt.Sprintf("/segments/%d/retry", failed), "", `msg="a person retries an upload"`, fmt.Sprintf("segment=%d", failed))
	do("retryRecording", "POST", fmt.Sprintf("/streamer_info/%d/retry", recording), "", `msg="a person retries a recording"`, "uploads=1")
	do("waiveSegment", "POST", fmt.Sprintf("/segments/%d/waive", second), "", `msg="a person gave a segment up"`)
	hook := prepare(fmt.Sprintf(`INSERT INTO hook_runs (recording_id, stage, steps, state) VALUES (%d, 'downloaded_processor', '["rm"]', 'held') RETURNING id`, recording))
	do("retryHook", "POST", fmt.Sprintf("/hooks/%d/retry", hook), "", `msg="hook retried"`, fmt.Sprintf("hook=%d", hook))
	do("deleteTemplate", "DELETE", "/upload_streamers/1", "", `msg="template deleted"`)
	do("deleteStreamer", "DELETE", "/streamers/1", "", `msg="streamer deleted"`)
	do("createToken", "POST", "/tokens", `{"name":"other"}`, `msg="API token created"`, "name=other")
	do("deleteToken", "DELETE", "/tokens/2", "", `msg="API token deleted"`)
	do("registerUser", "POST", "/users/register", `{"username":"second","password":"password456"}`, `msg="user registered"`, "username=second")
	do("deleteUser", "DELETE", "/api_users/2", "", `msg="user removed"`, "username=second")
	do("changePassword", "PUT", "/users/password", `{"current_password":"password123","new_password":"password456"}`, `msg="password changed"`)
	do("loginUser", "POST", "/users/login", `{"username":"admin","password":"password456"}`, `msg="logged in"`)
	newBrowser(t, h.base).login(t, "admin", "password456")
	do("deleteSession", "DELETE", fmt.Sprintf("/sessions/%d", prepare("SELECT max(id) FROM sessions")), "", `msg="session ended"`)
	var code QRCode
	h.api(t, "GET", "/qrcode", "").must(t, 200).decode(t, &code)
	if err := h.sim.ConfirmQR("", 7); err != nil {
		t.Fatal(err)
	}
	do("loginByQRCode", "POST", "/login_by_qrcode", fmt.Sprintf(`{"qrcode_key":%q}`, code.QrcodeKey), `msg="a Bilibili account logged in by QR code"`)
	do("logoutUser", "GET", "/logout", "", `msg="logged out"`)
	for operation := range missing {
		t.Errorf("nobody has tried what %s logs", operation)
	}
}

// TestMistakesOfClientsAreNoWarnings holds that whoever reads warnings reads about the server.
func TestMistakesOfClientsAreNoWarnings(t *testing.T) {
	h := newLoggedIn(t)
	h.log.take()
	stranger := newBrowser(t, h.base)
	stranger.api(t, "GET", "/streamers", "").must(t, 401)
	stranger.api(t, "POST", "/users/login", `{"username":"admin","password":"wrong"}`).must(t, 401)
	h.api(t, "PUT", "/users/password", `{"current_password":"wrong","new_password":"password456"}`).must(t, 403)
	h.api(t, "POST", "/streamers", `{"url":"https://nobody.example/1"}`).must(t, 400)
	h.api(t, "POST", "/streamers", `{"url":1}`).must(t, 400)
	h.api(t, "DELETE", "/streamers/99", "").must(t, 404)
	h.api(t, "GET", "/proxy?url=http://127.0.0.1:1/", "").must(t, 403)
	h.api(t, "GET", "/myinfo?user=cookies.json", "").must(t, 404)
	h.call(t, "GET", "/nothing", "").must(t, 404)
	if log := h.log.take(); strings.Contains(log, "level=WARN") || strings.Contains(log, "level=ERROR") {
		t.Errorf("the log holds a warning:\n%s", log)
	}
}
