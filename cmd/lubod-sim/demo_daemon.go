package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/lubod/lubod/sdk/simulator/bilibili"
)

// cookieFile is the account's file in the data directory.
const cookieFile = "cookies.json"

// daemon is a lubod in a process of its own.
type daemon struct {
	address string
	dataDir string
	logFile string
	command *exec.Cmd
	done    chan struct{} // closed when the process has ended
	err     error         // how, once done is closed
}

const demoPlugins = `plugin_dir = %q
plugin "extractor-direct" {}
plugin "recorder-native" {}
plugin "line-upos" {}
`

// startDaemon prepares a data directory with an account, and returns when the API answers.
func (d *demo) startDaemon(ctx context.Context, sim *bilibili.Server) (*daemon, error) {
	lubod := &daemon{dataDir: filepath.Join(d.dir, "data"), logFile: filepath.Join(d.dir, "lubod.log"), done: make(chan struct{})}
	if err := os.MkdirAll(lubod.dataDir, 0o700); err != nil {
		return nil, err
	}
	account := sim.AddAccount(bilibili.AccountOptions{Name: "demo"})
	if err := account.CookieFile().WriteFile(filepath.Join(lubod.dataDir, cookieFile)); err != nil {
		return nil, err
	}
	plugins := filepath.Join(d.dir, "plugins.hcl")
	text := fmt.Sprintf(demoPlugins, filepath.Join(filepath.Dir(d.lubod), "plugins"))
	if err := os.WriteFile(plugins, []byte(text), 0o600); err != nil {
		return nil, err
	}
	// Its life is longer than ctx: stop ends it in order.
	lubod.command = exec.Command(d.lubod, "server", "--listen", "127.0.0.1:0", "--data-dir", lubod.dataDir, //nolint:noctx // see above
		"--plugins", plugins, "--database-url", "")
	lubod.command.Env = append(os.Environ(), "LUBOD_DATABASE_URL=",
		"LUBOD_BILIBILI_MEMBER_URL="+sim.URL(), "LUBOD_BILIBILI_API_URL="+sim.URL(), "LUBOD_BILIBILI_PASSPORT_URL="+sim.URL())
	lubod.command.Dir = d.dir
	// Ctrl-C in the terminal is for the demonstration, which ends its processes in order.
	lubod.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return lubod, lubod.start(ctx)
}

// findLubod returns the absolute path of the program that is named, or of the one beside this program.
func findLubod(path string) (string, error) {
	if path == "" {
		self, err := os.Executable()
		if err != nil {
			return "", err
		}
		path = filepath.Join(filepath.Dir(self), "lubod")
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("no lubod to run: %w; run make build, or name it with --lubod", err)
	}
	return filepath.Abs(path)
}

var upLine = regexp.MustCompile(`msg="lubod is up" address=(http://\S+)`)

var errEndedEarly = errors.New("it says that nothing is wrong")

func (l *daemon) start(ctx context.Context) error {
	log, err := os.OpenFile(l.logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	output, err := l.command.StderrPipe()
	if err == nil {
		err = l.command.Start()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("start lubod: %w", err), log.Close())
	}
	up := make(chan string, 1)
	go func() {
		defer close(l.done)
		follow(output, log, up)
		l.err = errors.Join(l.command.Wait(), log.Close())
	}()
	timeout := time.NewTimer(90 * time.Second)
	defer timeout.Stop()
	select {
	case l.address = <-up:
		return nil
	case <-l.done:
		return l.explain(fmt.Errorf("lubod ended before it was up: %w", cmp.Or(l.err, errEndedEarly)))
	case <-timeout.C:
		err = errors.New("lubod did not come up within 90 s")
	case <-ctx.Done():
		err = ctx.Err()
	}
	return errors.Join(l.explain(err), l.stop())
}

// follow copies the log, and tells the address of the API when it comes by.
func follow(output io.Reader, log io.Writer, up chan<- string) {
	lines := bufio.NewReader(output)
	for {
		line, err := lines.ReadString('\n')
		if _, writeErr := io.WriteString(log, line); writeErr != nil {
			// A full disk must not stop the daemon in its writing.
			_, _ = io.Copy(io.Discard, lines)
			return
		}
		if match := upLine.FindStringSubmatch(line); match != nil {
			select {
			case up <- match[1]:
			default:
			}
		}
		if err != nil {
			return
		}
	}
}

// stop ends the daemon in order. One that was killed leaves its recorder and its database running, by design; the
// demonstration does not.
func (l *daemon) stop() error {
	var problem error
	select {
	case <-l.done:
	default:
		_ = l.command.Process.Signal(syscall.SIGTERM)
		select {
		case <-l.done:
			problem = l.err
		case <-time.After(20 * time.Second):
			problem = errors.New("lubod did not end within 20 s of SIGTERM, and was killed")
			_ = l.command.Process.Kill()
			<-l.done
		}
	}
	for _, pid := range l.leftovers() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	return problem
}

// leftovers are the processes that a daemon on this data directory would take over.
func (l *daemon) leftovers() []int {
	var pids []int
	records, err := filepath.Glob(filepath.Join(l.dataDir, "run", "*.json"))
	if err != nil {
		return nil
	}
	for _, record := range records {
		var process struct{ PID int }
		if text, err := os.ReadFile(record); err == nil && json.Unmarshal(text, &process) == nil && process.PID > 1 {
			pids = append(pids, process.PID)
		}
	}
	var pid int
	if text, err := os.ReadFile(filepath.Join(l.dataDir, "postgres", "data", "postmaster.pid")); err == nil {
		if _, err := fmt.Sscan(string(text), &pid); err == nil && pid > 1 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// explain adds the end of the daemon's log to what went wrong.
func (l *daemon) explain(err error) error {
	text, readErr := os.ReadFile(l.logFile)
	if err == nil || errors.Is(err, context.Canceled) || readErr != nil || len(text) == 0 {
		return err
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return fmt.Errorf("%w; the log of lubod ends with\n%s", err, strings.Join(lines[max(0, len(lines)-12):], "\n"))
}

// apiClient calls the daemon's API with a session of its own.
type apiClient struct {
	base string
	http *http.Client
}

func newAPIClient(address string) (*apiClient, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	return &apiClient{base: address + "/api/v1", http: &http.Client{Jar: jar, Timeout: 15 * time.Second}}, nil
}

// call sends body as JSON, unless it is nil, and decodes the answer into out, unless that is nil.
func (c *apiClient) call(ctx context.Context, method, path string, body map[string]any, out any) error {
	content, err := json.Marshal(body)
	if err != nil {
		return err
	}
	if body == nil {
		content = nil
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(content))
	if err != nil {
		return err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, bytes.TrimSpace(answer))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}
