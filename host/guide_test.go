package host_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/lubod/lubod/host/internal/hosttest"
	"github.com/lubod/lubod/sdk/simulator/bilibili"
)

// typedCall is one call of curl that a script made.
type typedCall struct {
	method, url, status string
	answer              []byte
}

// line is a call in short, without what follows the path.
func (c typedCall) line(base string) string {
	path, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(c.url, base), "/api/v1"), "?")
	return c.method + " " + path + " " + c.status
}

// typeCurl types a script into a shell in dir and returns what each of its calls of curl was answered.
func typeCurl(t *testing.T, dir, script string) []typedCall {
	t.Helper()
	notes := t.TempDir()
	// A stream ends when the time is over that the script gives it, which is no failure.
	wrapper := fmt.Sprintf("cd %q\nn=0\ncurl() { n=$((n+1)); command curl -sS -o %q/answer.$n -w '%%{method} %%{url_effective} %%{http_code}\\n' \"$@\" >>%q/calls || [ $? = 28 ]; }\n", dir, notes, notes)
	if output, err := exec.CommandContext(t.Context(), "bash", "-euc", wrapper+script).CombinedOutput(); err != nil {
		t.Fatalf("%s\n%v: %s", script, err, output)
	}
	log, err := os.ReadFile(filepath.Join(notes, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	var calls []typedCall
	for i, line := range strings.Split(strings.TrimSpace(string(log)), "\n") {
		answer, err := os.ReadFile(filepath.Join(notes, fmt.Sprintf("answer.%d", i+1)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		fields := strings.Fields(line)
		calls = append(calls, typedCall{method: fields[0], url: fields[1], status: fields[2], answer: answer})
	}
	return calls
}

var guideBlock = regexp.MustCompile("(?s)```bash\n(curl .*?)```")

// guideStatus are the calls of the guide that are not simply answered 200, by what their path ends in.
var guideStatus = map[string][]string{
	"/logout":           {"303"},
	"/ws/logs":          {"101"},
	"/files":            {"404"},        // nothing was recorded yet
	"/hooks/1/retry":    {"404"},        // there is no hook
	"/sessions/1":       {"404"},        // the session that reads this has another number
	"/api_users/1":      {"409"},        // the last user stays
	"/proxy":            {"503", "422"}, // no network, or nothing there
	"/segments/1/retry": {"200", "409"}, // the upload may be done already
	"/segments/1/waive": {"200", "409"},
}

// TestGuideOfTheAPI types every command of the API's guide beside a real daemon, in order, as a reader does.
func TestGuideOfTheAPI(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("internal/api/README.md")
	if err != nil {
		t.Fatal(err)
	}
	daemon := hosttest.New(t, hosttest.Options{Sim: bilibili.Options{QRScript: []bilibili.QRState{bilibili.QRPending, bilibili.QRConfirmed}}})
	daemon.Start()
	clip, err := os.ReadFile(hosttest.EncodeClip(t, 24).Path)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(daemon.DataDir, "recordings", "recording.mp4")
	if err := os.WriteFile(path, clip, 0o600); err != nil {
		t.Fatal(err)
	}
	hosttest.Settle(t, path)
	dir, base, qrKey := t.TempDir(), daemon.Client.Base(), ""
	blocks := guideBlock.FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 40 {
		t.Fatalf("the guide has %d commands", len(blocks))
	}
	for _, block := range blocks {
		script := strings.NewReplacer("http://127.0.0.1:19159", base, `"KEY"`, fmt.Sprintf("%q", qrKey)).Replace(block[1])
		for _, call := range typeCurl(t, dir, script) {
			line := call.line(base)
			want := []string{fmt.Sprint(http.StatusOK)}
			for end, statuses := range guideStatus {
				if strings.HasSuffix(strings.TrimSuffix(line, " "+call.status), end) {
					want = statuses
				}
			}
			if !slices.Contains(want, call.status) {
				t.Errorf("%s, want %v: %.500s", line, want, call.answer)
			}
			if strings.HasSuffix(call.url, "/qrcode") {
				var code struct {
					Key string `json:"qrcode_key"`
				}
				if err := json.Unmarshal(call.answer, &code); err != nil {
					t.Fatal(err)
				}
				qrKey = code.Key
			}
		}
	}
}
