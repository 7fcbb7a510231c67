package api

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	sim "github.com/lubod/lubod/sdk/simulator/bilibili"
)

func TestMyInfoOfACookieFile(t *testing.T) {
	h := newLoggedIn(t)
	h.addAccount(t, "cookies.json", sim.AccountOptions{MID: 7, Name: "主播"})
	for _, user := range []string{"cookies.json", "data/cookies.json", filepath.Join(h.dataDir, "cookies.json")} {
		var info struct {
			Mid               int64
			Uname, Name, Face string
			Level             int
		}
		h.api(t, "GET", "/myinfo?user="+user, "").must(t, 200).decode(t, &info)
		if info.Mid != 7 || info.Uname != "主播" || info.Name != "主播" || info.Face == "" || info.Level == 0 {
			t.Errorf("%s: answered %+v", user, info)
		}
	}
	h.sim.RequireNoViolations(t)
}

func TestMyInfoOfFilesThatCannotBeUsed(t *testing.T) {
	h := newLoggedIn(t)
	outside := filepath.Join(t.TempDir(), "outside.json")
	for file, content := range map[string]string{filepath.Join(h.dataDir, "broken.json"): "SECRET", outside: `{"cookie_info":{"cookies":[{"name":"SESSDATA","value":"SECRET"}]}}`} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside, filepath.Join(h.dataDir, "link.json")); err != nil {
		t.Fatal(err)
	}
	h.api(t, "GET", "/myinfo", "").refused(t, 400, "user: is missing")
	h.api(t, "GET", "/myinfo?user=", "").must(t, 400)
	h.api(t, "GET", "/myinfo?user=missing.json", "").refused(t, 404, "user: there is no file missing.json")
	for _, user := range []string{"broken.json", "link.json"} {
		if a := h.api(t, "GET", "/myinfo?user="+user, ""); a.status != 422 || strings.Contains(a.body, "SECRET") {
			t.Errorf("%s: answered %d %s", user, a.status, a.body)
		}
	}
	for _, user := range []string{"../x.json", "/etc/passwd", "data/../../x.json", "a%00.json", ".", "..%2f..%2fetc%2fpasswd"} {
		h.api(t, "GET", "/myinfo?user="+user, "").refused(t, 400, "user: must be a file inside the data directory")
	}
	if requests := h.sim.Requests(); len(requests) > 0 {
		t.Errorf("Bilibili was asked %v", requests)
	}
}

func TestMyInfoWhenBilibiliRefuses(t *testing.T) {
	h := newLoggedIn(t)
	h.addAccount(t, "cookies.json", sim.AccountOptions{MID: 7})
	h.sim.AddFault(sim.Code(-799).On(sim.CallMyInfo).Always())
	h.api(t, "GET", "/myinfo?user=cookies.json", "").refused(t, 503, "Bilibili refused with code -799")
	h.sim.ClearFaults()
	for _, fault := range []sim.Fault{sim.HTML(sim.CallMyInfo, 502), sim.Reset(sim.CallMyInfo)} {
		h.sim.AddFault(fault.Always()) // a cut connection is tried again
		h.api(t, "GET", "/myinfo?user=cookies.json", "").refused(t, 503, "Bilibili does not answer")
		h.sim.ClearFaults()
	}
	h.sim.Revoke(7)
	a := h.api(t, "GET", "/myinfo?user=cookies.json", "")
	a.refused(t, 422, "cookies.json is no longer valid", "log in again")
	if !strings.Contains(a.body, `"account_unusable"`) {
		t.Errorf("answered %s", a.body)
	}
}

func TestArchivePreUsesTheFirstAccountThatWorks(t *testing.T) {
	h := newLoggedIn(t)
	h.api(t, "GET", "/archive_pre", "").refused(t, 422, "there is no Bilibili account", "/api/v1/qrcode")
	h.api(t, "POST", "/users", `{"key":"bilibili-cookies","value":"missing.json"}`).must(t, 200)
	h.api(t, "GET", "/archive_pre", "").must(t, 422)
	h.addAccount(t, "cookies.json", sim.AccountOptions{})
	h.api(t, "POST", "/users", `{"key":"bilibili-cookies","value":"cookies.json"}`).must(t, 200)
	for _, query := range []string{"", "?user=cookies.json"} {
		var pre struct {
			Typelist []struct{ Children []struct{ ID int } }
		}
		h.api(t, "GET", "/archive_pre"+query, "").must(t, 200).decode(t, &pre)
		if len(pre.Typelist) == 0 || len(pre.Typelist[0].Children) == 0 {
			t.Errorf("answered %+v", pre)
		}
	}
	h.api(t, "GET", "/archive_pre?user=missing.json", "").must(t, 404)
	h.sim.RequireNoViolations(t)
}
