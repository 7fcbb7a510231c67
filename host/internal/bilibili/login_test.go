package bilibili

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	sim "github.com/lubod/lubod/sdk/simulator/bilibili"
)

func TestLoginByQRCodeFromBeginToFile(t *testing.T) {
	bilibili := sim.New(t, sim.Options{})
	bilibili.AddAccount(sim.AccountOptions{MID: 7})
	client := New(Options{MemberURL: bilibili.URL(), APIURL: bilibili.URL(), PassportURL: bilibili.URL()})
	defer client.Close()
	code, err := client.BeginQR(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.PollQR(t.Context(), code.AuthCode); !errors.Is(err, ErrQRPending) {
		t.Errorf("before the scan: %v", err)
	}
	if err := bilibili.ScanQR(code.AuthCode); err != nil {
		t.Fatal(err)
	}
	if _, err := client.PollQR(t.Context(), code.AuthCode); !errors.Is(err, ErrQRScanned) {
		t.Errorf("after the scan: %v", err)
	}
	if err := bilibili.ConfirmQR(code.AuthCode, 7); err != nil {
		t.Fatal(err)
	}
	login, err := client.PollQR(t.Context(), code.AuthCode)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	// What was there before, however it was written, is replaced.
	if err := os.WriteFile(filepath.Join(dir, "7.json"), []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	file, err := NewAccountFiles(dir).Save(t.Context(), login)
	if err != nil || file != "7.json" {
		t.Fatalf("Save = %q, %v", file, err)
	}
	info, err := os.Stat(filepath.Join(dir, file))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("file mode %v, %v", info.Mode(), err)
	}
	account, err := LoadAccount(dir, "data/7.json")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.MyInfo(t.Context(), account); err != nil {
		t.Errorf("the login does not work: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) != 1 || filepath.Base(left[0]) != ".7.json.lock" {
		t.Errorf("left behind: %v", left)
	}
	bilibili.RequireNoViolations(t)
}

func TestPollOfAQRCodeThatExpired(t *testing.T) {
	bilibili := sim.New(t, sim.Options{})
	client := New(Options{PassportURL: bilibili.URL()})
	defer client.Close()
	code, err := client.BeginQR(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bilibili.Advance(QRLife)
	if _, err := client.PollQR(t.Context(), code.AuthCode); !errors.Is(err, ErrQRExpired) {
		t.Errorf("PollQR: %v", err)
	}
	var refused *RefusedError
	if _, err := client.PollQR(t.Context(), "another"); !errors.As(err, &refused) {
		t.Errorf("PollQR of an unknown code: %v", err)
	}
}

func TestLoginAnswersThatCannotBeUsed(t *testing.T) {
	for name, data := range map[string]string{
		"nothing": `{}`, "null": `null`, "no cookies": `{"token_info":{"mid":1,"access_token":"a"}}`,
		"no token": `{"cookie_info":{"cookies":[{"name":"SESSDATA","value":"s"}]},"token_info":{"mid":1}}`,
		"no mid":   `{"cookie_info":{"cookies":[{"name":"SESSDATA","value":"s"}]},"token_info":{"access_token":"a"}}`,
		"bad mid":  `{"cookie_info":{"cookies":[{"name":"SESSDATA","value":"s"}]},"token_info":{"mid":-1,"access_token":"a"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(`{"code":0,"data":` + data + `}`))
			}))
			defer server.Close()
			client := New(Options{PassportURL: server.URL})
			defer client.Close()
			if login, err := client.PollQR(t.Context(), "x"); !errors.Is(err, ErrAnswerLost) {
				t.Errorf("PollQR = %v, %v", login, err)
			}
			if code, err := client.BeginQR(t.Context()); !errors.Is(err, ErrAnswerLost) {
				t.Errorf("BeginQR = %v, %v", code, err)
			}
		})
	}
}

func TestSaveReplacesALinkAndNotWhatItPointsTo(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "outside.json")
	if err := os.WriteFile(outside, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "7.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := NewAccountFiles(dir).Save(t.Context(), newLogin(t, 7)); err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(outside); err != nil || string(content) != "mine" {
		t.Errorf("outside holds %q, %v", content, err)
	}
	if _, err := LoadAccount(dir, "7.json"); err != nil {
		t.Error(err)
	}
}

func TestOneWriterPerAccount(t *testing.T) {
	files := NewAccountFiles(t.TempDir())
	unlock, err := files.Lock(t.Context(), "7.json")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := files.Save(t.Context(), newLogin(t, 8)); err != nil {
		t.Errorf("another account: %v", err)
	}
	given, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := files.Save(given, newLogin(t, 7)); !errors.Is(err, context.Canceled) {
		t.Errorf("Save under a lock: %v", err)
	}
	unlock()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := files.Save(context.Background(), newLogin(t, 7)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(files.locks) > 0 {
		t.Errorf("%d locks are kept", len(files.locks))
	}
}

// newLogin is what a login of an account answers.
func newLogin(t *testing.T, mid int64) *Login {
	t.Helper()
	var answer loginAnswer
	raw := strings.ReplaceAll(login, "10001", strconv.FormatInt(mid, 10))
	if err := json.Unmarshal([]byte(raw), &answer); err != nil {
		t.Fatal(err)
	}
	done, err := answer.login(platformTV)
	if err != nil {
		t.Fatal(err)
	}
	return done
}
