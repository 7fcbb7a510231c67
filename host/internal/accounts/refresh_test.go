package accounts

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lubod/lubod/db"
	sim "github.com/lubod/lubod/sdk/simulator/bilibili"
)

func TestALoginIsRefreshedWhenBilibiliAsksForIt(t *testing.T) {
	for _, platform := range []string{"BiliTV", "Android"} {
		t.Run(platform, func(t *testing.T) {
			h := newKeeperHarness(t)
			h.write("7.json", h.sim.AddAccount(sim.AccountOptions{MID: 7, Platform: platform}))
			before := h.must("7.json")
			h.sim.Advance(151 * 24 * time.Hour)
			h.due()
			after := h.must("7.json")
			if after.Fingerprint == before.Fingerprint || after.Platform != platform || !h.works("7.json") {
				t.Errorf("the file holds %+v", after)
			}
			if info, err := os.Stat(filepath.Join(h.dir, "7.json")); err != nil || info.Mode() != 0o600 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			if account, _ := h.sim.Account(7); account.Refreshes != 1 {
				t.Errorf("%d refreshes", account.Refreshes)
			}
			h.must("7.json")
			if left, _ := filepath.Glob(filepath.Join(h.dir, ".*")); len(left) != 1 {
				t.Errorf("left behind: %v", left)
			}
			h.sim.RequireNoViolations(t)
		})
	}
}

func TestARefreshKeepsWhatOthersPutIntoTheFile(t *testing.T) {
	h := newKeeperHarness(t)
	login, err := json.Marshal(h.must("7.json").Cookies)
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]any
	if err := json.Unmarshal([]byte(h.read("7.json")), &file); err != nil {
		t.Fatal(err)
	}
	file["note"] = map[string]any{"big": json.Number("12345678901234567890"), "cookies": json.RawMessage(login)}
	file["access_token"], file["refresh_token"] = "old", "old" // some tools write them here too
	info := file["cookie_info"].(map[string]any)
	info["extra"] = true
	info["cookies"] = append(info["cookies"].([]any), map[string]any{"name": "buvid3", "value": "mine"})
	raw, err := json.Marshal(map[string]any{"code": 0, "data": file})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.dir, "7.json"), raw, 0o644); err != nil {
		t.Fatal(err)
	}
	h.sim.RequireRefresh(7)
	after := h.must("7.json")
	if after.Cookies["buvid3"] != "mine" || !h.works("7.json") {
		t.Errorf("cookies %v", after.Cookies)
	}
	text := h.read("7.json")
	for _, want := range []string{`"code": 0`, `12345678901234567890`, `"extra": true`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is gone", want)
		}
	}
	if strings.Contains(text, `"old"`) {
		t.Error("a void token is still in the file")
	}
	h.sim.RequireNoViolations(t)
}

func TestALinkedFileIsRefreshedWhereItIs(t *testing.T) {
	h := newKeeperHarness(t)
	if err := os.Symlink("7.json", filepath.Join(h.dir, "cookies.json")); err != nil {
		t.Fatal(err)
	}
	h.must("7.json")
	h.sim.RequireRefresh(7)
	h.due()
	h.must("cookies.json")
	h.must("7.json")
	if _, err := os.Readlink(filepath.Join(h.dir, "cookies.json")); err != nil {
		t.Errorf("the link is gone: %v", err)
	}
	if account, _ := h.sim.Account(7); account.Refreshes != 1 {
		t.Errorf("%d refreshes", account.Refreshes)
	}
}

func TestALostRefreshThatWasNotMadeChangesNothing(t *testing.T) {
	h := newKeeperHarness(t)
	h.sim.RequireRefresh(7)
	before := h.read("7.json")
	h.sim.AddFault(sim.Reset(sim.CallRefresh))
	h.must("7.json")
	if h.read("7.json") != before {
		t.Error("the file was changed")
	}
	if wait := h.dueIn(); wait > 15*time.Minute {
		t.Errorf("the next try is in %v", wait)
	}
	h.due()
	h.must("7.json")
	if account, _ := h.sim.Account(7); account.Refreshes != 1 || !h.works("7.json") {
		t.Errorf("%d refreshes", account.Refreshes)
	}
	h.sim.RequireNoViolations(t)
}

func TestALostRefreshThatWasMadeNeedsAPerson(t *testing.T) {
	h := newKeeperHarness(t)
	h.sim.RequireRefresh(7)
	before := h.read("7.json")
	h.sim.AddFault(sim.RefreshAnswerLost())
	h.refused("7.json", "answer to its refresh was lost", "log in again by QR code")
	if h.read("7.json") != before {
		t.Error("the file was changed")
	}
	// Nobody asks again and again about a login that is void.
	asked := len(h.sim.Requests())
	h.refused("7.json", "log in again")
	if len(h.sim.Requests()) != asked {
		t.Error("Bilibili was asked again")
	}
	// A new file is seen at once.
	h.write("7.json", h.sim.AddAccount(sim.AccountOptions{MID: 7}))
	h.must("7.json")
	if len(h.changes) != 2 {
		t.Errorf("%d changes were announced", len(h.changes))
	}
	h.sim.RequireNoViolations(t)
}

func TestALostRefreshIsLookedIntoWhenBilibiliIsBack(t *testing.T) {
	h := newKeeperHarness(t)
	h.must("7.json")
	h.sim.RequireRefresh(7)
	h.due()
	h.sim.AddFault(sim.RefreshAnswerLost())
	away := h.sim.AddFault(sim.HTML(sim.CallTokenInfo, 502).After(1).Always())
	h.must("7.json") // nothing is known, so nothing changes
	h.sim.RemoveFault(away)
	h.restart()
	h.refused("7.json", "refresh that began at", "was interrupted", "log in again")
}

func TestARefusedRefreshLeavesTheLoginUntilItExpires(t *testing.T) {
	h := newKeeperHarness(t)
	h.sim.RequireRefresh(7)
	h.sim.AddFault(sim.RefreshRefused().Always())
	h.must("7.json")
	states, err := h.States(t.Context(), "7.json")
	if err != nil || states[0].Error != "" || !strings.Contains(states[0].Warning, "before it expires") {
		t.Errorf("states %+v, %v", states, err)
	}
	if !strings.Contains(h.log.String(), "needs a new login soon") {
		t.Error("nothing was logged")
	}
	h.sim.Advance(181 * 24 * time.Hour)
	h.due()
	h.refused("7.json", "a refresh is refused", "log in again")
}

func TestARefreshThatBringsHalfALoginIsRepeated(t *testing.T) {
	h := newKeeperHarness(t)
	h.sim.RequireRefresh(7)
	h.sim.AddFault(sim.RefreshWithoutCookies())
	h.must("7.json")
	if account, _ := h.sim.Account(7); account.Refreshes != 2 || !h.works("7.json") {
		t.Errorf("%d refreshes", account.Refreshes)
	}
	h.sim.RequireNoViolations(t)
}

func TestLoginsThatCannotBeRefreshed(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*sim.CookieFile)
		want   string
	}{
		"unknown platform": {func(f *sim.CookieFile) { f.Platform = "" }, ""},
		"no refresh token": {func(f *sim.CookieFile) { f.TokenInfo.RefreshToken = "" }, "no refresh_token"},
		"cookies only":     {func(f *sim.CookieFile) { f.TokenInfo = sim.TokenInfo{} }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := newKeeperHarness(t)
			simulated, _ := h.sim.Account(7)
			file := simulated.CookieFile()
			test.change(&file)
			if err := file.WriteFile(filepath.Join(h.dir, "7.json")); err != nil {
				t.Fatal(err)
			}
			h.sim.RequireRefresh(7)
			if account := h.must("7.json"); account.Mid != 7 {
				t.Errorf("account %+v", account)
			}
			states, err := h.States(t.Context(), "7.json")
			if err != nil || (test.want == "") != (states[0].Warning == "") || !strings.Contains(states[0].Warning, test.want) {
				t.Errorf("states %+v, %v", states, err)
			}
			h.sim.Revoke(7)
			h.due()
			h.refused("7.json", "log in again")
			if h.calls(sim.CallRefresh) > 0 {
				t.Error("a refresh was asked for")
			}
			h.sim.RequireNoViolations(t)
		})
	}
}

// TestAKillAroundARefresh stops where a process could die and starts again on what it left.
func TestAKillAroundARefresh(t *testing.T) {
	// before leaves the state in which the process dies, with the login that Bilibili has accepted since.
	renew := func(h *keeperHarness) []byte {
		account, err := Load(h.dir, "7.json")
		if err != nil {
			h.t.Fatal(err)
		}
		renewed, err := h.Client.Refresh(h.t.Context(), account)
		if err != nil {
			h.t.Fatal(err)
		}
		raw, err := fileOf(renewed, []byte(h.read("7.json")))
		if err != nil {
			h.t.Fatal(err)
		}
		return raw
	}
	for name, test := range map[string]struct {
		die  func(h *keeperHarness)
		lost bool
	}{
		"before the call": {func(h *keeperHarness) { h.draft([]byte(strings.Repeat(" ", reserved))) }, false},
		"before the answer came": {func(h *keeperHarness) {
			h.draft([]byte(strings.Repeat(" ", reserved)))
			renew(h)
		}, true},
		"while the file was written": {func(h *keeperHarness) {
			raw := renew(h)
			h.draft(append(raw[:len(raw)/2:len(raw)/2], []byte(strings.Repeat(" ", reserved))...))
		}, true},
		"before the rename": {func(h *keeperHarness) { h.draft(renew(h)) }, false},
		"before the state was saved": {func(h *keeperHarness) {
			if err := os.WriteFile(filepath.Join(h.dir, "7.json"), renew(h), 0o600); err != nil {
				h.t.Fatal(err)
			}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := newKeeperHarness(t)
			account := h.must("7.json")
			begun := db.RefreshBeginsParams{HostID: h.HostID, File: "7.json", Fingerprint: account.Fingerprint, Mid: 7}
			if err := h.DB.RefreshBegins(t.Context(), begun); err != nil {
				t.Fatal(err)
			}
			test.die(h)
			h.restart()
			if test.lost {
				h.refused("7.json", "was interrupted", "log in again by QR code")
			} else {
				h.must("7.json")
				if !h.works("7.json") {
					t.Error("the login that is left does not work")
				}
			}
			if left, _ := filepath.Glob(filepath.Join(h.dir, ".*")); len(left) != 1 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// draft leaves a draft of 7.json as a process that died.
func (h *keeperHarness) draft(content []byte) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, ".7.json.new"), content, 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func TestAFullOrClosedDirectoryIsNoticedBeforeTheOldLoginIsVoid(t *testing.T) {
	h := newKeeperHarness(t)
	h.must("7.json")
	// A directory of the draft's name: nothing can be written there, whoever runs the test.
	if err := os.MkdirAll(filepath.Join(h.dir, ".7.json.new", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	h.sim.RequireRefresh(7)
	h.due()
	if _, err := h.Account(t.Context(), "7.json"); err == nil {
		t.Error("no error")
	}
	if account, _ := h.sim.Account(7); account.Refreshes != 0 || !h.works("7.json") {
		t.Errorf("%d refreshes", account.Refreshes)
	}
}

// A file that Windows Notepad saved is refreshed like any other, and keeps what others put into it.
func TestALoginThatNotepadSavedIsRefreshed(t *testing.T) {
	h := newKeeperHarness(t)
	saved := "\xef\xbb\xbf" + strings.Replace(h.read("7.json"), "{", "{\r\n\"note\": \"mine\",", 1)
	if err := os.WriteFile(filepath.Join(h.dir, "7.json"), []byte(saved), 0o600); err != nil {
		t.Fatal(err)
	}
	h.sim.RequireRefresh(7)
	h.must("7.json")
	if account, _ := h.sim.Account(7); account.Refreshes != 1 || !h.works("7.json") || !strings.Contains(h.read("7.json"), `"note": "mine"`) {
		t.Errorf("%d refreshes, the file holds %s", account.Refreshes, h.read("7.json"))
	}
	h.sim.RequireNoViolations(t)
}
