package accounts

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/lubod/lubod/host/internal/bilibili"
	sim "github.com/lubod/lubod/sdk/simulator/bilibili"
)

func TestLoginByQRCodeFromBeginToFile(t *testing.T) {
	site := sim.New(t, sim.Options{})
	site.AddAccount(sim.AccountOptions{MID: 7})
	client := bilibili.New(bilibili.Options{MemberURL: site.URL(), APIURL: site.URL(), PassportURL: site.URL()})
	defer client.Close()
	code, err := client.BeginQR(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.PollQR(t.Context(), code.AuthCode); !errors.Is(err, bilibili.ErrQRPending) {
		t.Errorf("before the scan: %v", err)
	}
	if err := site.ScanQR(code.AuthCode); err != nil {
		t.Fatal(err)
	}
	if _, err := client.PollQR(t.Context(), code.AuthCode); !errors.Is(err, bilibili.ErrQRScanned) {
		t.Errorf("after the scan: %v", err)
	}
	if err := site.ConfirmQR(code.AuthCode, 7); err != nil {
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
	file, err := NewFiles(dir).Save(t.Context(), login)
	if err != nil || file != "7.json" {
		t.Fatalf("Save = %q, %v", file, err)
	}
	info, err := os.Stat(filepath.Join(dir, file))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("file mode %v, %v", info.Mode(), err)
	}
	account, err := Load(dir, "data/7.json")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.MyInfo(t.Context(), account); err != nil {
		t.Errorf("the login does not work: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) != 1 || filepath.Base(left[0]) != ".7.json.lock" {
		t.Errorf("left behind: %v", left)
	}
	site.RequireNoViolations(t)
}

func TestSaveReplacesALinkAndNotWhatItPointsTo(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "outside.json")
	if err := os.WriteFile(outside, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "7.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := NewFiles(dir).Save(t.Context(), newLogin(t, 7)); err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(outside); err != nil || string(content) != "mine" {
		t.Errorf("outside holds %q, %v", content, err)
	}
	if _, err := Load(dir, "7.json"); err != nil {
		t.Error(err)
	}
}

func TestOneWriterPerAccount(t *testing.T) {
	files := NewFiles(t.TempDir())
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
func newLogin(t testing.TB, mid int64) *bilibili.Login {
	t.Helper()
	var parts struct {
		Cookies json.RawMessage `json:"cookie_info"`
		Tokens  json.RawMessage `json:"token_info"`
	}
	raw := strings.ReplaceAll(login, "10001", strconv.FormatInt(mid, 10))
	if err := json.Unmarshal([]byte(raw), &parts); err != nil {
		t.Fatal(err)
	}
	return &bilibili.Login{Mid: mid, Platform: bilibili.PlatformTV, CookieInfo: parts.Cookies, TokenInfo: parts.Tokens}
}

// A refreshed login is the only one that is left: it is on the disk, under its name, when it counts as saved.
func TestALoginIsOnTheDiskWhenItIsSaved(t *testing.T) {
	dir := t.TempDir()
	files := NewFiles(dir)
	var synced []string
	files.sync = func(file *os.File) error {
		name := filepath.Base(file.Name())
		if info, err := file.Stat(); err == nil && info.IsDir() {
			name = "the folder"
			if _, err := Load(dir, "7.json"); err != nil {
				t.Errorf("its names are put on the disk too early: %v", err)
			}
		} else if content, err := os.ReadFile(filepath.Join(dir, name)); err != nil || len(content) == reserved {
			t.Errorf("the file is put on the disk too early: %d bytes, %v", len(content), err)
		}
		synced = append(synced, name)
		return file.Sync()
	}
	want := []string{".7.json.new", "the folder"}
	if _, err := files.Save(t.Context(), newLogin(t, 7)); err != nil || !slices.Equal(synced, want) {
		t.Errorf("put on the disk: %v, %v", synced, err)
	}
	synced = nil
	if err := os.Rename(filepath.Join(dir, "7.json"), filepath.Join(dir, ".7.json.new")); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	if err := files.finish(root, "7.json"); err != nil || !slices.Equal(synced, want[1:]) {
		t.Errorf("after a crash, put on the disk: %v, %v", synced, err)
	}
}
