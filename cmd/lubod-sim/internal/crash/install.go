package crash

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/lubod/lubod/sdk/simulator/bilibili"
)

const cookieFile = "cookies.json"

// installation is what all runs begin with: programs, and a data directory with a user, an account, a template and a
// configuration. A run gets a copy of it, which takes a tenth of the time that making a PostgreSQL takes.
type installation struct {
	dir     string
	lubod   string // a copy: what is built meanwhile changes nothing
	plugins string
	account bilibili.CookieFile
	token   string
	// owner runs the daemon when this program is root, so that permissions hold; nil: who runs this program.
	owner *syscall.Credential
}

const pluginsFile = `plugin_dir = %q
plugin "extractor-direct" {}
plugin "recorder-native" {}
plugin "line-upos" {}
`

// install makes an installation below dir from a lubod that was built, with its plugins beside it.
func install(ctx context.Context, lubod, dir string) (*installation, error) {
	in := &installation{dir: dir, lubod: filepath.Join(dir, "bin", "lubod"), plugins: filepath.Join(dir, "bin", "plugins")}
	if err := in.dropRoot(); err != nil {
		return nil, err
	}
	for from, to := range map[string]string{lubod: in.lubod, filepath.Join(filepath.Dir(lubod), "plugins"): in.plugins} {
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil { //nolint:gosec // another user runs them
			return nil, err
		}
		if err := command(ctx, "cp", "-a", from, to); err != nil {
			return nil, err
		}
	}
	for _, folder := range []string{dir, filepath.Join(dir, "bin"), in.plugins} {
		if err := os.Chmod(folder, 0o755); err != nil { //nolint:gosec // see above
			return nil, err
		}
	}
	if err := os.WriteFile(in.pluginsFile(), fmt.Appendf(nil, pluginsFile, in.plugins), 0o644); err != nil { //nolint:gosec // see above
		return nil, err
	}
	return in, in.setUp(ctx)
}

func (in *installation) pluginsFile() string { return filepath.Join(in.dir, "plugins.hcl") }
func (in *installation) template() string    { return filepath.Join(in.dir, "data") }

// dropRoot finds an ordinary user for the daemon: root may write everywhere.
func (in *installation) dropRoot() error {
	if os.Geteuid() != 0 {
		return nil
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		return fmt.Errorf("root may write everywhere, so the daemon must run as somebody else: %w", err)
	}
	uid, err1 := strconv.ParseUint(nobody.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(nobody.Gid, 10, 32)
	in.owner = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return errors.Join(err1, err2)
}

// own gives a path to the daemon's user.
func (in *installation) own(path string) error {
	if in.owner == nil {
		return nil
	}
	return os.Lchown(path, int(in.owner.Uid), int(in.owner.Gid))
}

// setUp runs the daemon once and does what a user does first.
func (in *installation) setUp(ctx context.Context) (err error) {
	sim, err := bilibili.Start(bilibili.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sim.Close()) }()
	if err := errors.Join(os.Mkdir(in.template(), 0o700), in.own(in.template())); err != nil {
		return err
	}
	account := sim.AddAccount(bilibili.AccountOptions{Name: "crash"})
	in.account = account.CookieFile()
	cookies := filepath.Join(in.template(), cookieFile)
	if err := errors.Join(in.account.WriteFile(cookies), in.own(cookies)); err != nil {
		return err
	}
	h := newHost(in, in.template(), filepath.Join(in.dir, "setup.log"), sim.URL(), func(string, ...any) {})
	if err := h.start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.stop()) }()
	if err := h.waitUp(ctx); err != nil {
		return err
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	client := &api{base: h.base(), http: &http.Client{Jar: jar, Timeout: 15 * time.Second}}
	login := map[string]any{"username": "crash", "password": "correct horse"}
	var token struct{ Token string }
	for _, request := range []struct {
		method, path string
		body         map[string]any
		out          any
	}{
		{"POST", "/users/register", login, nil},
		{"POST", "/users/login", login, nil},
		{"PUT", "/configuration", map[string]any{
			"lines": "bda2", "delay": 3, "event_loop_interval": 1, "filtering_threshold": 0, "threads": 2,
		}, nil},
		{"POST", "/users", map[string]any{"key": "bilibili-cookies", "value": cookieFile}, nil},
		{"POST", "/upload_streamers", map[string]any{
			"template_name": templateName, "title": "{{streamer}} %H:%M:%S", "tid": 171, "tag": "lubod", "desc": "recorded", "user_cookie": cookieFile,
		}, nil},
		{"POST", "/tokens", map[string]any{"name": "crash", "scope": "write"}, &token},
	} {
		if err := client.call(ctx, request.method, request.path, request.body, request.out); err != nil {
			return err
		}
	}
	in.token = token.Token
	return nil
}

const templateName = "crash"

func command(ctx context.Context, name string, args ...string) error {
	if output, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(output))
	}
	return nil
}

// api calls the daemon.
type api struct {
	base  string
	token string
	http  *http.Client
}

// call sends body as JSON, unless it is nil, and decodes the answer into out, unless that is nil.
func (c *api) call(ctx context.Context, method, path string, body map[string]any, out any) error {
	var content io.Reader = http.NoBody
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+"/api/v1"+path, content)
	if err != nil {
		return err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, bytes.TrimSpace(answer))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

// exists reports whether a path is there.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
