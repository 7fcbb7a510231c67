package plugintest

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/internal/inproc"
	"github.com/lubod/lubod/sdk/wire"
)

// Binary launches a built plugin as the host would and returns the connection, not configured yet; the process ends with
// the test. It checks the handshake, that the file is named <kind>-<name>, that signals for the whole process group do
// not end the plugin, and what the file answers when a person starts it.
func Binary(t *testing.T, path string) *wire.Conn {
	t.Helper()
	byHand(t, path)
	client := launch(t, path)
	protocol, err := client.Client()
	if err != nil {
		t.Fatalf("launch %s: %v", path, err)
	}
	if v := client.NegotiatedVersion(); v != wire.ProtocolVersion {
		t.Errorf("speaks version %d of the contract, want %d", v, wire.ProtocolVersion)
	}
	conn, err := wire.Connect(protocol)
	if err != nil {
		t.Fatal(err)
	}
	d, err := conn.Describe(deadline(t))
	if err != nil {
		t.Fatalf("describe: %v", err)
	}
	if want := string(d.Kind) + "-" + d.Name; strings.TrimSuffix(filepath.Base(path), ".exe") != want {
		t.Errorf("the file is named %s, but the plugin is %s", filepath.Base(path), want)
	}
	survivesSignals(t, client, conn)
	return conn
}

// launch prepares a start: everything fresh, since neither a command nor a checksum can be used twice.
func launch(t *testing.T, path string) *plugin.Client {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	cmd := exec.CommandContext(t.Context(), path)
	// A short path: the name of a Unix socket has at most 107 bytes, and t.TempDir holds the test's name.
	dir, err := os.MkdirTemp("", "lubod")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	out := inproc.NewOutput(t)
	cmd.Env = []string{
		wire.EnvInstance + "=" + uuid.NewString(),
		wire.EnvLevel + "=debug",
		"PLUGIN_UNIX_SOCKET_DIR=" + dir,
		"PATH=" + os.Getenv("PATH"),
		"TMPDIR=" + os.TempDir(),
	}
	cmd.Cancel = func() error { return nil } // go-plugin ends the process
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  wire.Handshake(),
		VersionedPlugins: wire.VersionedPlugins(),
		Cmd:              cmd,
		AutoMTLS:         true,
		SecureConfig:     &plugin.SecureConfig{Checksum: sum[:], Hash: sha256.New()},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		SkipHostEnv:      true,
		// go-plugin's own reader of log lines panics on some; raw lines go to the test instead.
		Logger: hclog.NewNullLogger(),
		Stderr: out,
	})
	t.Cleanup(func() { client.Kill(); out.Close() })
	return client
}

func survivesSignals(t *testing.T, client *plugin.Client, conn *wire.Conn) {
	t.Helper()
	process, err := os.FindProcess(client.ReattachConfig().Pid)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT} {
		if err := process.Signal(s); err != nil {
			t.Fatalf("send %v: %v", s, err)
		}
	}
	// The answer comes after the signals: they are delivered before the process can read the request.
	if err := conn.Health(deadline(t)); err != nil || client.Exited() {
		t.Errorf("the plugin does not survive SIGTERM, SIGHUP and SIGINT: %v; does it handle signals itself?", err)
	}
}

// byHand runs the file without a host.
func byHand(t *testing.T, path string) {
	t.Helper()
	var out, errOut bytes.Buffer
	if err := runByHand(t, path, &out, &errOut, "describe"); err != nil {
		t.Errorf("%s describe: %v\n%s", path, err, &errOut)
	}
	var described struct {
		Name string
		Kind sdk.PluginKind
	}
	if err := json.Unmarshal(out.Bytes(), &described); err != nil || described.Name == "" || described.Kind == "" {
		t.Errorf("%s describe does not print the description as JSON: %v\n%s", path, err, &out)
	}
	errOut.Reset()
	var exit *exec.ExitError
	if err := runByHand(t, path, io.Discard, &errOut); !errors.As(err, &exit) || !strings.Contains(errOut.String(), "plugins.hcl") {
		t.Errorf("started by hand it must fail and say how it is used; got %v\n%s", err, &errOut)
	}
}

func runByHand(t *testing.T, path string, out, errOut io.Writer, args ...string) error {
	t.Helper()
	cmd := exec.CommandContext(deadline(t), path, args...)
	cmd.Env = []string{}
	cmd.Stdout, cmd.Stderr = out, errOut
	return cmd.Run()
}

// Build compiles the main package in dir into <dir of the test>/<name> and returns the path, for Binary.
func Build(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build plugin in %s: %v\n%s", dir, err, out)
	}
	return path
}
