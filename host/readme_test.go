package host_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lubod/lubod/host/internal/hosttest"
)

var (
	// Blocks marked bash are what a reader types, in this order; other blocks are not run.
	readmeBlock = regexp.MustCompile("(?s)```bash\n(.*?)```")
	comment     = regexp.MustCompile(`(?m)\s+#.*$`)
)

func readmeBlocks(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", name))
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, match := range readmeBlock.FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, comment.ReplaceAllString(match[1], ""))
	}
	return blocks
}

func TestReadmesShowTheSameCommands(t *testing.T) {
	if diff := cmp.Diff(readmeBlocks(t, "README.md"), readmeBlocks(t, "README.zh.md")); diff != "" {
		t.Errorf("commands differ (-README.md +README.zh.md):\n%s", diff)
	}
}

// TestReadmeLeadsFromTheFirstUserToARecording types what the README shows into a shell, beside a daemon.
func TestReadmeLeadsFromTheFirstUserToARecording(t *testing.T) {
	t.Parallel()
	daemon := hosttest.New(t, hosttest.Options{})
	daemon.Start()
	script := strings.NewReplacer(
		"http://127.0.0.1:19159", daemon.Client.Base(),
		"127.0.0.1:8080", hosttest.ReservePort(t),
		"-t 30 ", "-t 12 ", // two files do as well
	).Replace(strings.Join(readmeBlocks(t, "README.md"), "\n"))
	// What a reader would see as an error fails the test.
	output := curl(t, daemon.Dir, "curl() { command curl --fail-with-body \"$@\"; }\n"+script)
	t.Log(output)

	files, err := filepath.Glob(filepath.Join(daemon.DataDir, "recordings", "demo", "demo*.flv"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 2 {
		t.Errorf("recorded files: %v, want at least 2 of 10 s at most", files)
	}
	var accounts []struct{ Valid bool }
	login := map[string]string{"username": "admin", "password": "password123"}
	daemon.Client.Do(http.MethodPost, "/users/login", login, http.StatusOK, nil)
	daemon.Client.Do(http.MethodGet, "/users", nil, http.StatusOK, &accounts)
	if len(accounts) != 1 || !accounts[0].Valid {
		t.Errorf("accounts = %v, want one that is valid", accounts)
	}
	var configuration struct{ Lines string }
	daemon.Client.Do(http.MethodGet, "/configuration", nil, http.StatusOK, &configuration)
	if configuration.Lines != "qn" {
		t.Errorf("lines = %q, want qn", configuration.Lines)
	}
}
