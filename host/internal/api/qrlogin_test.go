package api

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lubod/lubod/db/dbtest"
	"github.com/lubod/lubod/host/internal/accounts"
	"github.com/lubod/lubod/host/internal/bilibili"
	sim "github.com/lubod/lubod/sdk/simulator/bilibili"
)

// beginQR begins a login and returns its key.
func (b *browser) beginQR(t *testing.T) string {
	t.Helper()
	var code QRCode
	b.api(t, "GET", "/qrcode", "").must(t, 200).decode(t, &code)
	return code.QrcodeKey
}

func (b *browser) loginByQR(t *testing.T, key string) answer {
	t.Helper()
	return b.api(t, "POST", "/login_by_qrcode", fmt.Sprintf(`{"qrcode_key":%q}`, key))
}

func TestLoginByQRCodeNeedsNoSession(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	h.sim.AddAccount(sim.AccountOptions{MID: 7})
	// Each state is seen by one poll.
	h.sim.ScriptQR(sim.QRPending, sim.QRScanned)
	var code QRCode
	h.api(t, "GET", "/qrcode", "").must(t, 200).decode(t, &code)
	begun := h.sim.QRLogins()[0].AuthCode
	if !strings.HasSuffix(code.URL, begun) || strings.Contains(code.QrcodeKey, begun) {
		t.Errorf("answered %+v: who photographs the code must not get the key", code)
	}
	if err := h.sim.ConfirmQR("", 7); err != nil {
		t.Fatal(err)
	}
	equalJSON(t, h.loginByQR(t, code.QrcodeKey).must(t, 200).body, `{"filename":"data/7.json"}`)
	if got := h.notes.take(); got != "publishing changed" {
		t.Errorf("announced %q", got)
	}
	info, err := os.Stat(filepath.Join(h.dataDir, "7.json"))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("the file has mode %v, %v", info.Mode(), err)
	}
	// An answer that got lost is given again; Bilibili is not asked again.
	asked := len(h.sim.Requests())
	equalJSON(t, h.loginByQR(t, code.QrcodeKey).must(t, 200).body, `{"filename":"data/7.json"}`)
	if got := len(h.sim.Requests()); got != asked {
		t.Errorf("%d more requests to Bilibili", got-asked)
	}
	h.sim.RequireNoViolations(t)
}

// TestTheFileOfALoginIsTakenEverywhere: what one endpoint returns, the others accept.
func TestTheFileOfALoginIsTakenEverywhere(t *testing.T) {
	h := newLoggedIn(t)
	key := h.beginQR(t)
	if err := h.sim.ConfirmQR("", 0); err != nil {
		t.Fatal(err)
	}
	var login QRLoggedIn
	h.loginByQR(t, key).must(t, 200).decode(t, &login)
	h.api(t, "GET", "/myinfo?user="+login.Filename, "").must(t, 200)
	h.api(t, "GET", "/archive_pre?user="+login.Filename, "").must(t, 200)
	var account Account
	h.api(t, "POST", "/users", fmt.Sprintf(`{"key":"bilibili-cookies","value":%q}`, login.Filename)).must(t, 200).decode(t, &account)
	if !account.Valid {
		t.Errorf("the account is %+v", account)
	}
	h.api(t, "POST", "/upload_streamers", fmt.Sprintf(`{"template_name":"t","user_cookie":%q}`, login.Filename)).must(t, 200)
}

func TestLoginByQRCodeSaysThatItIsPending(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	h.sim.ScriptQR(sim.QRScanned)
	key := h.beginQR(t)
	h.server.announceStop() // requests that wait answer what they know
	pending := h.loginByQR(t, key)
	pending.refused(t, 409, "scanned and is not confirmed yet", "send this request again")
	if !strings.Contains(pending.body, `"qr_pending"`) || pending.header.Get("Retry-After") == "" {
		t.Errorf("answered %s", pending.body)
	}
}

func TestLoginByQRCodeOutlivesItsRequest(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	h.sim.AddAccount(sim.AccountOptions{MID: 7})
	key := h.beginQR(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the client went away
	request := LoginByQRCodeRequestObject{Body: &QRLogin{QrcodeKey: key}}
	if _, err := h.server.LoginByQRCode(ctx, request); err == nil || !strings.Contains(err.Error(), "nobody has scanned") {
		t.Errorf("a request that was cut: %v", err)
	}
	if err := h.sim.ConfirmQR("", 7); err != nil {
		t.Fatal(err)
	}
	// Bilibili gives the login once; it must not be lost with the request.
	if _, err := h.server.LoginByQRCode(ctx, request); err != nil {
		t.Errorf("a login of a request that was cut: %v", err)
	}
	if _, err := accounts.Load(h.dataDir, "data/7.json"); err != nil {
		t.Error(err)
	}
}

func TestQRCodesExpire(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	key := h.beginQR(t)
	if err := h.sim.ExpireQR(""); err != nil {
		t.Fatal(err)
	}
	expired := h.loginByQR(t, key)
	expired.refused(t, 404, "expired", "GET /api/v1/qrcode")
	if !strings.Contains(expired.body, `"qr_expired"`) {
		t.Errorf("answered %s", expired.body)
	}
	// The host forgets too, whatever Bilibili says.
	now := time.Now()
	keys := newQRKeys(func() time.Time { return now })
	name, _ := keys.add("code", false)
	now = now.Add(bilibili.QRLife + time.Second)
	if keys.find(name) != nil {
		t.Error("a key is known after its time")
	}
}

func TestOnlyKeysOfThisHostAreTaken(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	h.beginQR(t)
	for _, key := range []string{h.sim.QRLogins()[0].AuthCode, "...", "../../etc/passwd"} {
		h.loginByQR(t, key).refused(t, 404, "no such login")
	}
	other := newBrowser(t, serve(t, h.start(t)))
	other.loginByQR(t, h.beginQR(t)).refused(t, 404, "no such login")
	for _, request := range h.sim.Requests() {
		if strings.HasSuffix(request.Path, "/poll") {
			t.Errorf("Bilibili was asked about a key of somebody else: %v", request)
		}
	}
	h.loginByQR(t, "").refused(t, 400, "qrcode_key: must not be empty")
}

func TestQRCodesAreThrottled(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	for range perAddress.free {
		h.beginQR(t)
	}
	slowed := h.api(t, "GET", "/qrcode", "")
	slowed.refused(t, 429, "try again in")
	if slowed.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	for range perAddress.free {
		h.loginByQR(t, "guess").must(t, 404)
	}
	h.loginByQR(t, "guess").refused(t, 429, "try again in")
}

func TestQRCodesAreBounded(t *testing.T) {
	keys := newQRKeys(time.Now)
	first, _ := keys.add("0", false)
	for i := range maxQRKeys - 1 {
		if _, ok := keys.add(fmt.Sprint(i), false); !ok {
			t.Fatalf("key %d was refused", i)
		}
	}
	if _, ok := keys.add("x", false); ok || !keys.full() {
		t.Error("there is no bound")
	}
	// A user is not locked out by strangers.
	if _, ok := keys.add("x", true); !ok || keys.find(first) != nil || len(keys.keys) != maxQRKeys {
		t.Error("the oldest key did not make way")
	}
}

func TestOneRequestWaitsForALogin(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	key := h.beginQR(t)
	h.server.qrKeys.find(key).turn <- struct{}{}
	h.loginByQR(t, key).refused(t, 409, "another request waits")
}

func TestQRLoginCanBeClosed(t *testing.T) {
	h := newLoggedIn(t)
	off := newBrowser(t, serve(t, h.startWith(t, Deps{QRLogin: QRLoginOff})))
	off.login(t, "admin", "password123")
	off.api(t, "GET", "/qrcode", "").refused(t, 403, "switched off", "--qr-login")
	off.loginByQR(t, "x").refused(t, 403, "switched off")
	users := newBrowser(t, serve(t, h.startWith(t, Deps{QRLogin: QRLoginUsers})))
	users.api(t, "GET", "/qrcode", "").refused(t, 401, "log in first")
	users.loginByQR(t, "x").refused(t, 401, "log in first")
	users.login(t, "admin", "password123")
	users.beginQR(t)
}

func TestALoginThatWaitsIsNotCutByTheReadTimeout(t *testing.T) {
	h := newHarness(t, dbtest.New(t))
	h.sim.AddAccount(sim.AccountOptions{MID: 7})
	server := h.start(t)
	server.readTimeout = 50 * time.Millisecond // far below one interval of polling
	slow := newBrowser(t, serve(t, server))
	h.sim.ScriptQR(sim.QRPending, sim.QRConfirmed)
	slow.loginByQR(t, slow.beginQR(t)).must(t, 200)
}
