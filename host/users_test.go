package host_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lubod/lubod/host/internal/hosttest"
)

// lubodUser runs `lubod user …` as a person on the machine does.
func lubodUser(t *testing.T, daemon *hosttest.Daemon, url, input string, args ...string) (string, error) {
	t.Helper()
	arguments := append([]string{"user", "--data-dir", daemon.DataDir}, args...)
	command := exec.CommandContext(t.Context(), filepath.Join(hosttest.Programs(t), "lubod"), arguments...)
	command.Env = append(os.Environ(), "LUBOD_DATABASE_URL="+url)
	command.Stdin = strings.NewReader(input)
	output, err := command.CombinedOutput()
	return string(output), err
}

// Users are listed, added and removed on the machine: before the first start, while the daemon runs, and after it; on a database
// of its own or on the operator's.
func TestUsersOnTheMachine(t *testing.T) {
	t.Parallel()
	t.Run("private database", func(t *testing.T) { testUsersOnTheMachine(t, "") })
	t.Run("database of the operator", func(t *testing.T) {
		database, _ := serveDatabase(t)
		testUsersOnTheMachine(t, database.URL())
	})
}

func testUsersOnTheMachine(t *testing.T, url string) {
	daemon := hosttest.New(t, hosttest.Options{DatabaseURL: url})
	must := func(input string, args ...string) string {
		t.Helper()
		output, err := lubodUser(t, daemon, url, input, args...)
		if err != nil {
			t.Fatalf("lubod user %q: %v: %s", args, err, output)
		}
		return output
	}
	refused := func(words, input string, args ...string) {
		t.Helper()
		output, err := lubodUser(t, daemon, url, input, args...)
		if err == nil || !strings.Contains(output, words) {
			t.Errorf("lubod user %q: %v: %s, want %q", args, err, output, words)
		}
	}
	login := func(user, password string, status int) {
		t.Helper()
		daemon.Client.Do(http.MethodPost, "/users/login", map[string]any{"username": user, "password": password}, status, nil)
	}
	must("correct horse\n", "add", "owner")
	refused("first that anybody guesses", "password123", "add", "guest")
	refused("already", "battery staple", "add", "owner")

	daemon.Start()
	login("owner", "correct horse", http.StatusOK)
	must("battery staple", "add", "guest")
	login("guest", "battery staple", http.StatusOK)
	if output := must("", "list"); !strings.Contains(output, "owner ") || !strings.Contains(output, "guest ") {
		t.Errorf("listed %q", output)
	}
	if output := must("horse battery\n", "password", "guest"); !strings.Contains(output, "0 API tokens") {
		t.Errorf("answered %q", output)
	}
	daemon.Client.Do(http.MethodGet, "/status", nil, http.StatusUnauthorized, nil) // the session of the old password
	login("guest", "battery staple", http.StatusUnauthorized)
	login("guest", "horse battery", http.StatusOK)
	must("", "remove", "guest")
	daemon.Client.Do(http.MethodGet, "/status", nil, http.StatusUnauthorized, nil)
	refused("no user", "", "remove", "guest")
	refused("last user", "", "remove", "owner")
	daemon.Stop()

	if output := must("", "list"); !strings.Contains(output, "owner ") || strings.Contains(output, "guest") {
		t.Errorf("listed %q", output)
	}
	must("staple correct", "password", "owner")
	daemon.Start()
	login("owner", "staple correct", http.StatusOK)
}
