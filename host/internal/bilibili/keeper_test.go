package bilibili

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/db/dbtest"
	sim "github.com/lubod/lubod/sdk/simulator/bilibili"
)

// keeperHarness is one host's keeper on a simulated Bilibili, with one account in 7.json.
type keeperHarness struct {
	*Keeper
	t       *testing.T
	sim     *sim.Server
	dir     string
	changes chan struct{}
	log     *syncBuffer
}

type syncBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func newKeeperHarness(t *testing.T) *keeperHarness {
	t.Helper()
	h := &keeperHarness{t: t, sim: sim.New(t, sim.Options{}), dir: t.TempDir(), changes: make(chan struct{}, 100), log: &syncBuffer{}}
	h.Keeper = h.keeper(dbtest.New(t), uuid.New())
	h.write("7.json", h.sim.AddAccount(sim.AccountOptions{MID: 7, Name: "主播"}))
	return h
}

// keeper is what a host makes of its data directory at each start.
func (h *keeperHarness) keeper(database *db.DB, host uuid.UUID) *Keeper {
	client := New(Options{MemberURL: h.sim.URL(), APIURL: h.sim.URL(), PassportURL: h.sim.URL()})
	client.now = h.sim.Now
	h.t.Cleanup(client.Close)
	return NewKeeper(KeeperOptions{
		DB: database, HostID: host, Files: NewAccountFiles(h.dir), Client: client,
		Logger: slog.New(slog.NewTextHandler(h.log, nil)), Changed: func() { h.changes <- struct{}{} },
	})
}

// restart is the keeper that the next start of the host makes.
func (h *keeperHarness) restart() {
	h.t.Helper()
	h.Keeper = h.keeper(h.DB, h.HostID)
	if err := h.DB.HurryInterruptedRefreshes(h.t.Context(), h.HostID); err != nil {
		h.t.Fatal(err)
	}
}

func (h *keeperHarness) write(name string, account sim.Account) {
	h.t.Helper()
	if err := account.CookieFile().WriteFile(filepath.Join(h.dir, name)); err != nil {
		h.t.Fatal(err)
	}
}

func (h *keeperHarness) read(name string) string {
	h.t.Helper()
	raw, err := os.ReadFile(filepath.Join(h.dir, name))
	if err != nil {
		h.t.Fatal(err)
	}
	return string(raw)
}

func (h *keeperHarness) exec(statement string, args ...any) {
	h.t.Helper()
	if _, err := h.DB.Pool.Exec(h.t.Context(), statement, args...); err != nil {
		h.t.Fatal(err)
	}
}

// due makes the next use check the login again.
func (h *keeperHarness) due() { h.exec("UPDATE account_states SET check_after = now()") }

func (h *keeperHarness) must(name string) *Account {
	h.t.Helper()
	account, err := h.Account(h.t.Context(), name)
	if err != nil {
		h.t.Fatalf("%s: %v", name, err)
	}
	return account
}

// works tells whether Bilibili accepts the login as it is in the file.
func (h *keeperHarness) works(name string) bool {
	h.t.Helper()
	account, err := LoadAccount(h.dir, name)
	if err != nil {
		h.t.Fatal(err)
	}
	_, cookies := h.Client.MyInfo(h.t.Context(), account)
	_, token := h.Client.CheckToken(h.t.Context(), account)
	return cookies == nil && token == nil
}

func (h *keeperHarness) refused(name string, wants ...string) {
	h.t.Helper()
	_, err := h.Account(h.t.Context(), name)
	if !errors.Is(err, ErrNoAccount) {
		h.t.Fatalf("%s: %v, want ErrNoAccount", name, err)
	}
	for _, want := range wants {
		if !strings.Contains(err.Error(), want) {
			h.t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	state, err := h.States(h.t.Context(), name)
	if err != nil || state[0].Error == "" {
		h.t.Errorf("state %+v, %v", state, err)
	}
}

func (h *keeperHarness) calls(call sim.Call) int {
	n := 0
	for _, request := range h.sim.Requests() {
		if request.Call == call {
			n++
		}
	}
	return n
}

// dueIn is how long the next check of 7.json is away.
func (h *keeperHarness) dueIn() time.Duration {
	h.t.Helper()
	var seconds float64
	err := h.DB.Pool.QueryRow(h.t.Context(), "SELECT extract(epoch FROM check_after - now())::float8 FROM account_states WHERE file = '7.json'").Scan(&seconds)
	if err != nil {
		h.t.Fatal(err)
	}
	return time.Duration(seconds * float64(time.Second))
}

func TestALoginIsCheckedBeforeItsFirstUseAndThenDaily(t *testing.T) {
	h := newKeeperHarness(t)
	for _, name := range []string{"7.json", "data/7.json", "./7.json", "7.json"} {
		if account := h.must(name); account.File != name || account.Mid != 7 {
			t.Errorf("%s: %+v", name, account)
		}
	}
	if checks := h.calls(sim.CallTokenInfo); checks != 1 {
		t.Errorf("%d checks", checks)
	}
	if wait := h.dueIn(); wait < 19*time.Hour || wait > 29*time.Hour {
		t.Errorf("the next check is in %v", wait)
	}
	states, err := h.States(t.Context(), "data/7.json", "missing.json", "../x")
	if err != nil {
		t.Fatal(err)
	}
	if got := states[0]; got.Mid != 7 || got.Uname != "主播" || got.Error+got.Warning != "" || got.Checked.IsZero() ||
		time.Until(got.Expires) < 179*24*time.Hour {
		t.Errorf("state %+v", got)
	}
	for _, state := range states[1:] {
		if state.Error == "" {
			t.Errorf("state %+v of a file that cannot be read", state)
		}
	}
	h.due()
	h.must("7.json")
	if checks := h.calls(sim.CallTokenInfo); checks != 2 {
		t.Errorf("%d checks when the second was due", checks)
	}
	h.sim.RequireNoViolations(t)
}

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

func TestARevokedLoginIsRefusedUntilThereIsAnother(t *testing.T) {
	h := newKeeperHarness(t)
	account := h.must("7.json")
	h.sim.Revoke(7)
	if err := h.Rejected(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	h.refused("7.json", "does not accept this login", "log in again")
	h.write("7.json", h.sim.AddAccount(sim.AccountOptions{MID: 7}))
	// What was refused with the old login is not held against the new one.
	if err := h.Rejected(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	h.must("7.json")
	h.sim.RequireNoViolations(t)
}

func TestALoginThatChecksFindRightAndCallsAreRefusedWith(t *testing.T) {
	h := newKeeperHarness(t)
	account := h.must("7.json")
	for range 2 {
		if err := h.Rejected(t.Context(), account); err != nil {
			t.Fatal(err)
		}
		if h.calls(sim.CallTokenInfo) == 1 {
			h.must("7.json") // the check finds nothing wrong
		}
	}
	h.refused("7.json", "although a check finds it right", "log in again")
	if wait := h.dueIn(); wait > doubt || wait < doubt/2 {
		t.Errorf("the next look is in %v", wait)
	}
	h.due()
	h.must("7.json")
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

func TestBilibiliAwayLeavesLoginsAsTheyAreKnown(t *testing.T) {
	h := newKeeperHarness(t)
	for _, fault := range []sim.Fault{sim.HTML(sim.CallTokenInfo, 502), sim.HTML(sim.CallMyInfo, 412), sim.Code(-799).On(sim.CallTokenInfo)} {
		id := h.sim.AddFault(fault.Always())
		h.must("7.json")
		if wait := h.dueIn(); wait > 15*time.Minute {
			t.Errorf("the next try is in %v", wait)
		}
		asked := len(h.sim.Requests())
		h.must("7.json")
		if len(h.sim.Requests()) != asked {
			t.Error("Bilibili was asked again at once")
		}
		h.sim.RemoveFault(id)
		h.due()
	}
	h.sim.Revoke(7)
	h.refused("7.json", "log in again")
	h.sim.AddFault(sim.HTML(sim.CallTokenInfo, 502).Always())
	h.due()
	h.refused("7.json", "log in again") // still
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h.due()
	if _, err := h.Account(ctx, "7.json"); err == nil {
		t.Error("a caller that has gone was answered")
	}
}

func TestACheckIsMadeOnceForAllWhoWait(t *testing.T) {
	h := newKeeperHarness(t)
	h.sim.RequireRefresh(7)
	other := h.keeper(h.DB, h.HostID) // another process on the same data directory
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			keeper := h.Keeper
			if i%2 == 0 {
				keeper = other
			}
			if _, err := keeper.Account(context.Background(), "7.json"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if account, _ := h.sim.Account(7); account.Refreshes != 1 || !h.works("7.json") {
		t.Errorf("%d refreshes", account.Refreshes)
	}
	h.sim.RequireNoViolations(t)
}

// TestAKillAroundARefresh stops where a process could die and starts again on what it left.
func TestAKillAroundARefresh(t *testing.T) {
	// before leaves the state in which the process dies, with the login that Bilibili has accepted since.
	renew := func(h *keeperHarness) []byte {
		account, err := LoadAccount(h.dir, "7.json")
		if err != nil {
			h.t.Fatal(err)
		}
		renewed, err := h.Client.Refresh(h.t.Context(), account)
		if err != nil {
			h.t.Fatal(err)
		}
		raw, err := renewed.file([]byte(h.read("7.json")))
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

func TestRunChecksWhatTheDatabaseNames(t *testing.T) {
	h := newKeeperHarness(t)
	h.exec("INSERT INTO accounts (platform, file) VALUES ('bilibili-cookies', '7.json'), ('bilibili-cookies', 'missing.json')")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	<-h.changes // the first check
	h.write("8.json", h.sim.AddAccount(sim.AccountOptions{MID: 8}))
	h.exec("INSERT INTO templates (template_name, user_cookie) VALUES ('t', '8.json')")
	h.Look()
	<-h.changes
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := h.Save(t.Context(), newLogin(t, 9)); err != nil {
		t.Error(err)
	}
	if len(h.look) != 1 {
		t.Error("a new login is not looked at")
	}
}

func TestSecretsStayOutOfErrorsAndLogs(t *testing.T) {
	h := newKeeperHarness(t)
	account, _ := h.sim.Account(7)
	h.sim.RequireRefresh(7)
	h.sim.AddFault(sim.RefreshAnswerLost())
	_, err := h.Account(t.Context(), "7.json")
	if err == nil {
		t.Fatal("no error")
	}
	after, _ := h.sim.Account(7)
	for _, text := range []string{err.Error(), h.log.String()} {
		for _, secret := range []string{account.AccessToken, account.RefreshToken, account.Cookies["SESSDATA"], after.AccessToken, after.RefreshToken} {
			if strings.Contains(text, secret) {
				t.Errorf("a secret is in %q", text)
			}
		}
	}
}
