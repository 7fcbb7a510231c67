package host_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/lubod/lubod/host/internal/hosttest"
)

// refusedStart wants a daemon that ends by itself with an error, and returns what it said.
func refusedStart(t *testing.T, daemon *hosttest.Daemon) string {
	t.Helper()
	daemon.Launch()
	if err := daemon.WaitExit(); err == nil {
		t.Errorf("the daemon ended without an error: %s", daemon.Log().Tail())
	}
	return daemon.Log().Text()
}

func wantAll(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%q is missing in: %s", word, text)
		}
	}
}

func TestMistakesInPluginsHCLAreAllNamedWithTheirPlace(t *testing.T) {
	t.Parallel()
	daemon := hosttest.New(t, hosttest.Options{})
	daemon.WritePlugins("plugin_dir = 7\nplugin \"extractor-direct\" {\n  paht = \"x\"\n}\nplugins \"line-upos\" {}\n")
	wantAll(t, refusedStart(t, daemon), "plugins.hcl:1", "plugins.hcl:3", "paht", "plugins.hcl:5")
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	daemon := hosttest.New(t, hosttest.Options{Listen: listener.Addr().String()})
	wantAll(t, refusedStart(t, daemon), listener.Addr().String(), "--listen", "address already in use")
}

func TestSecondDaemonOnOneDataDirectory(t *testing.T) {
	t.Parallel()
	first := hosttest.New(t, hosttest.Options{})
	first.Start()
	second := hosttest.New(t, hosttest.Options{})
	second.DataDir = first.DataDir
	wantAll(t, refusedStart(t, second), first.DataDir, "in use by process")
	first.Client.Register() // the first one goes on
	first.Stop()
}

func TestDatabaseThatIsDownIsWaitedForWithAMessage(t *testing.T) {
	t.Parallel()
	daemon := hosttest.New(t, hosttest.Options{DatabaseURL: "postgres://lubod:topsecret@127.0.0.1:1/lubod?sslmode=disable"})
	daemon.Launch()
	daemon.Log().Wait(2, "part=db", "127.0.0.1:1")
	// What `ps` shows to everybody.
	if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", daemon.PID())); err == nil && strings.Contains(string(line), "topsecret") {
		t.Errorf("the arguments show the password: %q", line)
	}
	daemon.Signal(syscall.SIGTERM)
	_ = daemon.WaitExit()
	if text := daemon.Log().Text(); strings.Contains(text, "topsecret") {
		t.Errorf("the log shows the password: %s", text)
	}
}

func TestWrongDatabaseURLEndsAtOnce(t *testing.T) {
	t.Parallel()
	daemon := hosttest.New(t, hosttest.Options{DatabaseURL: "mysql://x/y"})
	wantAll(t, refusedStart(t, daemon), "database-url")
}

// A plugin that cannot work is shown as failed, with the reason, and keeps nothing else from working; on a reload it
// changes nothing.
func TestPluginThatCannotWork(t *testing.T) {
	t.Parallel()
	daemon := hosttest.New(t, hosttest.Options{})
	text, err := os.ReadFile(daemon.Plugins)
	if err != nil {
		t.Fatal(err)
	}
	good := string(text)
	write := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(daemon.Dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cases := []struct{ label, path, says string }{
		{"extractor-missing", filepath.Join(daemon.Dir, "nothing-here"), "nothing-here"},
		{"extractor-plain", write("plain", "#!/bin/sh\n", 0o644), "execut"},
		{"extractor-script", write("script", "#!/bin/sh\necho hello\n", 0o755), "plugin"},
		{"extractor-future", write("future", "#!/bin/sh\necho '1|99|unix|/tmp/nowhere|grpc|'\nsleep 5\n", 0o755), "99"},
	}
	bad := good
	for _, c := range cases {
		bad += "plugin \"" + c.label + "\" {\n  path = \"" + c.path + "\"\n}\n"
	}
	daemon.WritePlugins(bad)
	daemon.Start()
	daemon.Client.Register()
	type plugin struct{ Name, State, Error string }
	var shown []plugin
	read := func() map[string]plugin {
		daemon.Client.Do(http.MethodGet, "/plugins", nil, http.StatusOK, &shown)
		byName := make(map[string]plugin)
		for _, p := range shown {
			byName[p.Name] = p
		}
		return byName
	}
	// A plugin of this kind answers once all are described, so the others are settled.
	daemon.Client.Do(http.MethodPost, "/streamers", map[string]string{"url": "http://127.0.0.1:1/live.flv"}, http.StatusOK, nil)
	plugins := read()
	for _, c := range cases {
		if p := plugins[c.label]; p.State != "failed" && p.State != "backoff" || !strings.Contains(p.Error, c.says) {
			t.Errorf("%s: state %q, error %q; want failed with %q", c.label, p.State, p.Error, c.says)
		}
	}
	if p := plugins["extractor-direct"]; p.Error != "" {
		t.Errorf("extractor-direct: %+v", p)
	}

	daemon.WritePlugins(good)
	daemon.Client.Do(http.MethodPost, "/plugins/reload", nil, http.StatusOK, nil)
	direct := daemon.PluginPIDs("extractor-direct")
	daemon.WritePlugins(good + "plugin \"extractor-missing\" {\n  path = \"/nothing-here\"\n}\n")
	status, answer := daemon.Client.Raw(http.MethodPost, "/plugins/reload", nil)
	if status != http.StatusUnprocessableEntity || !strings.Contains(string(answer), "nothing-here") {
		t.Errorf("the reload was answered with %d %s", status, answer)
	}
	if _, exists := read()["extractor-missing"]; exists {
		t.Error("a failed reload changed the plugins")
	}
	if after := daemon.PluginPIDs("extractor-direct"); len(after) != 1 || after[0] != direct[0] {
		t.Errorf("extractor-direct was restarted: %v, then %v", direct, after)
	}
	daemon.Stop()
}

func TestSecondInterruptEndsAtOnce(t *testing.T) {
	t.Parallel()
	daemon := hosttest.New(t, hosttest.Options{})
	daemon.Start()
	daemon.Signal(os.Interrupt)
	daemon.Log().Wait(1, "stopping; once more to stop at once")
	daemon.Signal(os.Interrupt)
	_ = daemon.WaitExit() // in order or at once, whichever is faster; never hanging
}
