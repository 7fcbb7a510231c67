package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lubod/lubod/sdk/simulator/bilibili"
	"github.com/lubod/lubod/sdk/simulator/live"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs serve until the test ends and returns the lines it printed, by their first word.
func start(t *testing.T, args ...string) map[string]string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	read, write := io.Pipe()
	command := newCommand()
	command.SetArgs(append([]string{"serve", "--listen", "127.0.0.1:0", "--live-listen", "127.0.0.1:0"}, args...))
	command.SetOut(write)
	command.SetErr(io.Discard)
	ended := make(chan error, 1)
	go func() {
		err := command.ExecuteContext(ctx)
		write.CloseWithError(io.EOF)
		ended <- err
	}()
	printed := map[string]string{}
	lines := bufio.NewScanner(read)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		printed[name] = strings.TrimSpace(value)
		if name == "ready" {
			break
		}
	}
	rest := make(chan string)
	go func() {
		text, _ := io.ReadAll(read)
		rest <- string(text)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serve ended with %v", err)
		}
		if text := <-rest; !strings.Contains(text, "stopping") {
			t.Errorf("serve said %q at its end", text)
		}
	})
	if _, ok := printed["ready"]; !ok {
		t.Fatalf("serve did not get ready: %v", printed)
	}
	return printed
}

func ask(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	command := newCommand()
	command.SetArgs(args)
	command.SetOut(&out)
	err := command.ExecuteContext(t.Context())
	return out.String(), err
}

func TestServeKeepsTheLoginOfAnEarlierRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cookies.json")
	token := func() string {
		body, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var file bilibili.CookieFile
		if err := json.Unmarshal(body, &file); err != nil {
			t.Fatal(err)
		}
		return file.TokenInfo.AccessToken
	}
	var first string
	t.Run("first run", func(t *testing.T) {
		if printed := start(t, "--cookie-file", path); printed["cookies"] != path {
			t.Errorf("printed %v", printed)
		}
		first = token()
	})
	t.Run("second run", func(t *testing.T) {
		printed := start(t, "--cookie-file", path)
		if token() != first || !strings.HasPrefix(printed["account"], "10001 ") {
			t.Errorf("token changed, printed %v", printed)
		}
	})
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(t, "serve", "--listen", "127.0.0.1:0", "--cookie-file", path); err == nil || !strings.Contains(err.Error(), "remove it") {
		t.Errorf("broken cookie file: %v", err)
	}
}

func TestServesALiveStream(t *testing.T) {
	clip, err := live.Encode(t.Context(), live.Encoding{Length: time.Second, Width: 96, Height: 64})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "clip.flv")
	if err := clip.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	url := start(t, "--flv", path, "--live-speed", "0", "--live-loop=false")["live"]
	if !strings.HasSuffix(url, "/live/demo.flv") {
		t.Fatalf("the stream is at %q", url)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, want := range []int{http.StatusOK, http.StatusNotFound} { // the stream, and nobody after it
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != want || want == http.StatusOK && !bytes.HasPrefix(body, []byte("FLV")) {
			t.Errorf("status %d, want %d; %d bytes, %v", response.StatusCode, want, len(body), err)
		}
	}
	for flag, value := range map[string]string{"--flv": path + "x", "--live-speed": "-1"} {
		args := []string{"serve", "--listen", "127.0.0.1:0", "--live-listen", "127.0.0.1:0", "--flv", path, flag, value}
		if _, err := ask(t, args...); err == nil {
			t.Errorf("%s %s was accepted", flag, value)
		}
	}
}

func TestQueries(t *testing.T) {
	url, _, _ := strings.Cut(start(t, "--lenient", "--qr-auto-confirm", "--review", "0")["bilibili"], " ")
	for command, want := range map[string]string{
		"archives": "TITLE", "objects": "SHA256", "violations": "RULE", "requests": "ATTEMPT", "archives --json": "[]",
	} {
		out, err := ask(t, append(strings.Fields(command), "--url", url)...)
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%s: %v, %s", command, err, out)
		}
	}
	if out, err := ask(t, "fault", "part_reset", "--url", url, "--part", "2", "--times", "3"); err != nil || !strings.Contains(out, `"times": 3`) {
		t.Errorf("fault: %v, %s", err, out)
	}
	if _, err := ask(t, "fault", "nope", "--url", url); err == nil || !strings.Contains(err.Error(), "part_reset") {
		t.Errorf("unknown fault: %v", err)
	}
	if _, err := ask(t, "violations", "--fail", "--url", url); err != nil {
		t.Errorf("no violations: %v", err)
	}
	if _, err := ask(t, "requests", "--url", url+"/x"); err == nil { // a path that the service does not know
		t.Error("a wrong base URL was accepted")
	}
	if _, err := ask(t, "violations", "--fail", "--url", url); err == nil {
		t.Error("violations did not fail the command")
	}
	if _, err := ask(t, "archives", "--url", url, "--wait", "1", "--timeout", "1ms"); err == nil || !strings.Contains(err.Error(), "408") {
		t.Errorf("wait: %v", err)
	}
}
