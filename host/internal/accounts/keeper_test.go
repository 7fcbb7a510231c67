package accounts

import (
	"bytes"
	"context"
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
	"github.com/lubod/lubod/host/internal/bilibili"
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
	client := bilibili.New(bilibili.Options{MemberURL: h.sim.URL(), APIURL: h.sim.URL(), PassportURL: h.sim.URL(), Now: h.sim.Now})
	h.t.Cleanup(client.Close)
	return New(Options{
		DB: database, HostID: host, Files: NewFiles(h.dir), Client: client,
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

func (h *keeperHarness) must(name string) *bilibili.Account {
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
	account, err := Load(h.dir, name)
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
	if !errors.Is(err, bilibili.ErrNoAccount) {
		h.t.Fatalf("%s: %v, want bilibili.ErrNoAccount", name, err)
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
