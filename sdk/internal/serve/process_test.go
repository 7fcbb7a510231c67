//go:build unix

package serve_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/recorder"
	"github.com/lubod/lubod/sdk/wire"
)

// The test binary plays three parts: the test, a host that is going to die, and a plugin.
const (
	envRole    = "LUBOD_TEST_ROLE"
	rolePlugin = "plugin"
	roleHost   = "host"
)

func TestMain(m *testing.M) {
	switch os.Getenv(envRole) {
	case rolePlugin:
		recorder.Serve(sdk.Info{Name: "toy", Version: "1"}, newToy)
		return
	case roleHost:
		if err := beHost(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

type toy struct{}

func newToy(context.Context, struct{}) (toy, error) { return toy{}, nil }

// Record prints more than any pipe holds, tells when it has, and leaves a file when it was asked to finish.
func (toy) Record(ctx context.Context, r recorder.Request, s recorder.Session) error {
	if strings.HasSuffix(r.Streams[0].URL, "crash") {
		go panic("last words")
	}
	if strings.HasSuffix(r.Streams[0].URL, "short") {
		return os.WriteFile(r.PathPrefix, []byte("finished"), 0o600)
	}
	chatter := strings.Repeat("noise ", 200)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		fmt.Println(chatter)
		fmt.Fprintln(os.Stderr, chatter)
		sdk.Logger(ctx).Debug("recording", "round", i)
		if i%10 == 0 {
			s.Emit(recorder.SegmentClosed{Segment: recorder.Segment{Index: i, Path: fmt.Sprint(i)}})
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return os.WriteFile(r.PathPrefix, []byte("finished"), 0o600)
		}
	}
}

// Health panics: the process must survive it.
func (toy) Health(context.Context) error {
	return none()[0]
}

func none() []error { return nil }

// launched is what a host tells about the plugin it started.
type launched struct {
	PID    int
	Socket string
}

// start launches the plugin part from whatever process this is. alive stays open as long as the plugin lives.
func start(alive *os.File, detached bool, dir string, stderr io.Writer, env ...string) (*plugin.Client, *wire.Conn, error) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append([]string{envRole + "=" + rolePlugin, wire.EnvLevel + "=debug", "PLUGIN_UNIX_SOCKET_DIR=" + dir}, env...)
	if alive != nil {
		cmd.ExtraFiles = []*os.File{alive}
	}
	if detached {
		cmd.Env = append(cmd.Env, wire.EnvDetached+"=1", wire.EnvLog+"="+filepath.Join(dir, "plugin.log"))
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	}
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  wire.Handshake(),
		VersionedPlugins: wire.VersionedPlugins(),
		Cmd:              cmd,
		AutoMTLS:         !detached,
		SkipHostEnv:      true,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Logger:           hclog.NewNullLogger(),
		Stderr:           stderr,
	})
	protocol, err := client.Client()
	if err != nil {
		client.Kill()
		return nil, nil, fmt.Errorf("launch: %w", err)
	}
	conn, err := wire.Connect(protocol)
	if err != nil {
		return nil, nil, err
	}
	return client, conn, conn.Configure(context.Background(), nil)
}

// beHost starts a plugin and a session in it, tells about it and waits to be killed. Its own arguments come by environment.
func beHost() error {
	var env []string
	for _, name := range []string{wire.EnvOrphanTTL, wire.EnvKeptTTL} {
		if ttl := os.Getenv(name); ttl != "" {
			env = append(env, name+"="+ttl)
		}
	}
	dir := os.Getenv("LUBOD_TEST_DIR")
	if own := os.Getenv("LUBOD_TEST_SOCKETS"); own != "" {
		env = append(env, "PLUGIN_UNIX_SOCKET_DIR="+own)
	}
	detached := os.Getenv(wire.EnvDetached) == "1"
	client, conn, err := start(os.NewFile(3, "alive"), detached, dir, io.Discard, env...)
	if err != nil {
		return err
	}
	if url := os.Getenv("LUBOD_TEST_SESSION"); url != "" {
		session := request(dir)
		session.Streams[0].URL += url
		if err := conn.Recorder().Start(context.Background(), session); err != nil {
			return err
		}
	}
	r := client.ReattachConfig()
	if err := json.NewEncoder(os.Stdout).Encode(launched{PID: r.Pid, Socket: r.Addr.String()}); err != nil {
		return err
	}
	select {} // until SIGKILL
}

const sessionID = "5f2b1f0c-session"

func request(dir string) recorder.Request {
	return recorder.Request{
		SessionID: sessionID, Streams: []recorder.Stream{{URL: "http://toy/live"}},
		PathPrefix: filepath.Join(dir, "segment"), FirstIndex: 1,
	}
}

// host is a host in a process of its own.
type host struct {
	cmd    *exec.Cmd
	plugin launched
	// alive is at its end when host and plugin are dead.
	alive *os.File
	dir   string
}

func startHost(t *testing.T, env ...string) *host {
	t.Helper()
	alive, held, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	dir := shortDir(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append([]string{envRole + "=" + roleHost, "LUBOD_TEST_DIR=" + dir}, env...)
	cmd.ExtraFiles = []*os.File{held}
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = held.Close()
	h := &host{cmd: cmd, alive: alive, dir: dir}
	t.Cleanup(func() { h.kill(); _ = alive.Close() })
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		t.Fatalf("host did not start its plugin: %v", err)
	}
	if err := json.Unmarshal(line, &h.plugin); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(h.plugin.PID, syscall.SIGKILL); h.waitForEnd(t) })
	return h
}

// kill ends the host the hard way.
func (h *host) kill() {
	_ = h.cmd.Process.Kill()
	_ = h.cmd.Wait()
}

// waitForEnd returns when the plugin is gone, too.
func (h *host) waitForEnd(t *testing.T) {
	t.Helper()
	_ = h.alive.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := h.alive.Read(make([]byte, 1)); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) {
		t.Errorf("the plugin lives on: %v", err)
	}
}

// shortDir is a private directory whose path leaves room for the name of a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lubod")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// attach connects to a running plugin like a host that was started again.
func attach(t *testing.T, p launched) *wire.Conn {
	t.Helper()
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: wire.Handshake(),
		Plugins:         wire.Plugins(),
		Reattach: &plugin.ReattachConfig{
			Protocol: plugin.ProtocolGRPC, ProtocolVersion: wire.ProtocolVersion, Pid: p.PID,
			Addr: &net.UnixAddr{Name: p.Socket, Net: "unix"},
		},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Logger:           hclog.NewNullLogger(),
	})
	t.Cleanup(client.Kill)
	protocol, err := client.Client()
	if err != nil {
		t.Fatalf("attach: %v", err)
	}
	conn, err := wire.Connect(protocol)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestAttachedPluginEndsWithItsHost(t *testing.T) {
	h := startHost(t)
	h.kill()
	h.waitForEnd(t)
}

func TestAttachedPluginFinishesItsSessionWhenItsHostIsGone(t *testing.T) {
	h := startHost(t, "LUBOD_TEST_SESSION=1")
	h.kill()
	h.waitForEnd(t)
	if _, err := os.Stat(filepath.Join(h.dir, "segment")); err != nil {
		t.Errorf("the session was cut off: %v", err)
	}
}

func TestDetachedPluginRecordsOnWithoutItsHost(t *testing.T) {
	h := startHost(t, wire.EnvDetached+"=1", "LUBOD_TEST_SESSION=1")
	h.kill()
	// From here on nobody reads what the plugin prints, and it prints far more than a pipe holds: it must neither be killed
	// by SIGPIPE nor wait for a reader.
	conn := attach(t, h.plugin)
	infos, err := conn.Recorder().List(t.Context())
	if err != nil || len(infos) != 1 || infos[0].SessionID != sessionID || infos[0].Ended {
		t.Fatalf("sessions: %+v, %v", infos, err)
	}
	enough := errors.New("enough")
	seen := infos[0].LastSeq
	err = conn.Recorder().Watch(t.Context(), sessionID, seen, func(e recorder.Event) error {
		if e.Seq > seen+20 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Fatalf("the session does not go on: %v", err)
	}
	if err := conn.Recorder().Stop(t.Context(), sessionID); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(filepath.Join(h.dir, "plugin.log"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), "\nnoise noise") || !strings.Contains(string(log), `"@message":"recording"`) {
		t.Error("what the plugin prints and logs is not in its log file")
	}
}

func TestDetachedPluginEndsWhenNoHostComesBack(t *testing.T) {
	h := startHost(t, wire.EnvDetached+"=1", "LUBOD_TEST_SESSION=1", wire.EnvOrphanTTL+"=300ms")
	h.kill()
	h.waitForEnd(t)
	if _, err := os.Stat(filepath.Join(h.dir, "segment")); err != nil {
		t.Errorf("the session was cut off: %v", err)
	}
	if _, err := os.Stat(h.plugin.Socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

// What is over keeps a process for minutes, not for hours, when nobody comes to acknowledge it: the files are there without it. What
// still records is not touched, and neither process leaves its socket's folder behind.
func TestDetachedPluginDoesNotStayForWhatIsOver(t *testing.T) {
	sockets := shortDir(t)
	mine := filepath.Join(sockets, "mine")
	if err := os.Mkdir(mine, 0o700); err != nil {
		t.Fatal(err)
	}
	over := startHost(t, wire.EnvDetached+"=1", "LUBOD_TEST_SESSION=short", wire.EnvKeptTTL+"=100ms", "LUBOD_TEST_SOCKETS="+mine)
	recording := startHost(t, wire.EnvDetached+"=1", "LUBOD_TEST_SESSION=1", wire.EnvKeptTTL+"=100ms")
	over.kill()
	recording.kill()
	over.waitForEnd(t)
	if content, err := os.ReadFile(filepath.Join(over.dir, "segment")); err != nil || string(content) != "finished" {
		t.Errorf("the file of the session: %q, %v", content, err)
	}
	if left, err := os.ReadDir(sockets); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	infos, err := attach(t, recording.plugin).Recorder().List(t.Context())
	if err != nil || len(infos) != 1 || infos[0].Ended {
		t.Errorf("sessions of the one that records: %+v, %v", infos, err)
	}
}

func TestDetachedPluginStaysWhileAHostIsConnected(t *testing.T) {
	h := startHost(t, wire.EnvDetached+"=1", wire.EnvOrphanTTL+"=50ms")
	conn := attach(t, h.plugin) // a second host keeps it while the first one dies
	h.kill()
	// The plugin looks after its reasons to live every ~12 ms. Ten of its log lines later it must still answer.
	if err := conn.Recorder().Start(t.Context(), request(h.dir)); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if _, err := conn.Recorder().List(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	count := 0
	enough := errors.New("enough")
	err := conn.Recorder().Watch(t.Context(), sessionID, 0, func(recorder.Event) error {
		if count++; count == 10 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Fatal(err)
	}
}

func TestRemovedSocketIsMadeAgain(t *testing.T) {
	h := startHost(t, wire.EnvDetached+"=1", "LUBOD_TEST_SESSION=1")
	if err := os.RemoveAll(h.dir); err != nil {
		t.Fatal(err)
	}
	h.kill()
	conn, err := grpc.NewClient("unix://"+h.plugin.Socket,
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if infos, err := wire.NewConn(conn).Recorder().List(ctx); err != nil || len(infos) != 1 {
		t.Errorf("got %+v, %v", infos, err)
	}
}

// direct starts a plugin as a child of the test.
func direct(t *testing.T, detached bool, stderr io.Writer) (*plugin.Client, *wire.Conn, *host) {
	t.Helper()
	alive, held, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	h := &host{alive: alive, dir: shortDir(t)}
	client, conn, err := start(held, detached, h.dir, stderr)
	_ = held.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Kill(); h.waitForEnd(t); _ = alive.Close() })
	return client, conn, h
}

func TestSignalsForTheProcessGroupAreIgnored(t *testing.T) {
	for name, detached := range map[string]bool{"attached": false, "detached": true} {
		t.Run(name, func(t *testing.T) {
			client, conn, _ := direct(t, detached, io.Discard)
			for range 3 {
				for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT} {
					if err := syscall.Kill(client.ReattachConfig().Pid, s); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := conn.Describe(t.Context()); err != nil {
					t.Fatalf("after the signals: %v", err)
				}
			}
		})
	}
}

func TestPanicIsContainedAndLogged(t *testing.T) {
	logs, w := io.Pipe()
	lines := make(chan string, 1)
	go func() {
		defer close(lines)
		scanner := bufio.NewScanner(logs)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			if strings.Contains(scanner.Text(), `"@message":"panic in plugin code"`) {
				lines <- scanner.Text()
			}
		}
	}()
	_, conn, _ := direct(t, false, w)
	t.Cleanup(func() { _ = w.Close() })
	err := conn.Health(t.Context())
	if sdk.KindOf(err) != sdk.Bug || errors.Is(err, wire.ErrPluginDown) || strings.Contains(err.Error(), "process_test.go") {
		t.Errorf("got %v", err)
	}
	if line := <-lines; !strings.Contains(line, "process_test.go") || !strings.Contains(line, `"@level":"error"`) {
		t.Errorf("the log has no stack: %s", line)
	}
	if _, err := conn.Describe(t.Context()); err != nil {
		t.Errorf("the process did not survive: %v", err)
	}
}

func TestDrainedDetachedPluginEndsByItself(t *testing.T) {
	_, conn, h := direct(t, true, io.Discard)
	r := conn.Recorder()
	if err := r.Start(t.Context(), request(h.dir)); err != nil {
		t.Fatal(err)
	}
	if err := conn.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Stop(t.Context(), sessionID); err != nil {
		t.Fatal(err)
	}
	if err := r.Acknowledge(t.Context(), sessionID, 1<<60); err != nil {
		t.Errorf("the answer to the last acknowledgement was cut off: %v", err)
	}
	h.waitForEnd(t)
}

func TestDeathOfThePluginIsPluginDown(t *testing.T) {
	client, conn, h := direct(t, true, io.Discard)
	if err := conn.Recorder().Start(t.Context(), request(h.dir)); err != nil {
		t.Fatal(err)
	}
	watching := make(chan error, 1)
	begun := make(chan struct{}, 1000)
	go func() {
		watching <- conn.Recorder().Watch(t.Context(), sessionID, 0, func(recorder.Event) error {
			select {
			case begun <- struct{}{}:
			default:
			}
			return nil
		})
	}()
	<-begun
	if err := syscall.Kill(client.ReattachConfig().Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := <-watching; !errors.Is(err, wire.ErrPluginDown) {
		t.Errorf("a call under way: %v", err)
	}
	h.waitForEnd(t)
	if err := conn.Health(t.Context()); !errors.Is(err, wire.ErrPluginDown) || sdk.KindOf(err) != sdk.Unavailable {
		t.Errorf("a new call: %v", err)
	}
}

func TestLastWordsOfADetachedPluginAreInItsLog(t *testing.T) {
	_, conn, h := direct(t, true, io.Discard)
	req := request(h.dir)
	req.Streams[0].URL = "http://toy/crash"
	_ = conn.Recorder().Start(t.Context(), req) // the answer may not make it
	h.waitForEnd(t)
	log, err := os.ReadFile(filepath.Join(h.dir, "plugin.log"))
	if err != nil || !strings.Contains(string(log), "panic: last words") {
		t.Errorf("log (%v): %.500s", err, log)
	}
}
