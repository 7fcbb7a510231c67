package plugins

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/uuid"

	"github.com/lubod/lubod/host/internal/config"
	"github.com/lubod/lubod/host/internal/plugins/process"
	"github.com/lubod/lubod/sdk/recorder"
	"github.com/lubod/lubod/sdk/wire"
)

// hostReport is what a host in a process of its own tells the test.
type hostReport struct {
	Instance, Session  string
	Recorder, Attached int
}

// fakeHost is a whole host process: it loads plugins.hcl of FAKE_DIR, starts a session and waits to be killed.
func fakeHost() {
	dir := os.Getenv("FAKE_DIR")
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	m, err := New(Options{RunDir: filepath.Join(dir, "run"), LogDir: filepath.Join(dir, "logs"), Logger: slog.New(slog.DiscardHandler)})
	fail(err)
	plugins, err := config.ReadPlugins(filepath.Join(dir, "plugins.hcl"))
	fail(err)
	ctx := context.Background()
	fail(m.Apply(ctx, plugins))
	lease, err := m.Recorder(ctx)
	fail(err)
	session := uuid.NewString()
	fail(lease.Start(ctx, request(session)))
	report := hostReport{Instance: lease.Instance, Session: session, Recorder: lease.inst.process.Pid()}
	for _, s := range m.Status() {
		if s.Plugin == "extractor-a" && s.Process != nil {
			report.Attached = s.Process.PID
		}
	}
	fail(json.NewEncoder(os.Stdout).Encode(report))
	select {}
}

func request(session string) recorder.Request {
	return recorder.Request{
		SessionID: session, PathPrefix: "/nowhere/" + session, FirstIndex: 1, Streams: []recorder.Stream{{URL: "http://x"}},
	}
}

// startHost runs fakeHost and returns it with its report.
func (w *world) startHost() (*exec.Cmd, hostReport) {
	w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	host := exec.Command(self)
	host.Env = append(os.Environ(), "FAKE_KIND=host", "FAKE_DIR="+w.dir)
	host.Stderr = os.Stderr
	output, err := host.StdoutPipe()
	if err == nil {
		err = host.Start()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = host.Process.Kill(); _ = host.Wait() })
	var report hostReport
	line, err := bufio.NewReader(output).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &report)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return host, report
}

const both = "plugin_dir = \"plugs\"\nplugin \"extractor-a\" {}\nplugin \"recorder-r\" {}\n"

// The reason for detached plugins: kill -9 of the host costs the recorder nothing, and the next host finds it.
func TestKilledHostLeavesRecordersAndTakesTheRest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("extractor-a")
	w.install("recorder-r")
	w.write("plugins.hcl", both, 0o600)
	host, report := w.startHost()
	attachedGone := gone(report.Attached)
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = host.Wait()
	w.await("the end of the attached plugin", attachedGone)

	m := w.load(strings.TrimPrefix(both, "plugin_dir = \"plugs\"\n"))
	if s := status(t, m, "recorder-r"); s.Process == nil || s.Process.PID != report.Recorder || s.Process.Instance != report.Instance || s.Version != "1.0.0" {
		t.Fatalf("status = %+v", s)
	}
	lease, err := m.RecorderInstance(w.ctx(), "recorder-r", report.Instance)
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release()
	sessions, err := lease.List(w.ctx())
	if err != nil || len(sessions) != 1 || sessions[0].SessionID != report.Session || sessions[0].Ended {
		t.Errorf("sessions = %+v, %v", sessions, err)
	}
	// The unchanged process also takes new sessions.
	current, err := m.Recorder(w.ctx())
	if err != nil || current.Instance != report.Instance {
		t.Fatalf("Recorder = %+v, %v", current, err)
	}
	current.Release()
	// Its log is followed.
	if err := lease.Refresh(w.ctx(), report.Session, []recorder.Stream{{URL: "log:still here"}}); err != nil {
		t.Fatal(err)
	}
	w.log.await(t, 1, "WARN still here", "plugin=recorder-r", "pid="+strconv.Itoa(report.Recorder))
	// And its death is noticed at once, though it is not our child.
	if err := syscall.Kill(report.Recorder, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	w.await("Done of the lease", lease.Done())
	if err := lease.Split(w.ctx(), report.Session); !errors.Is(err, wire.ErrPluginDown) {
		t.Errorf("err = %v", err)
	}
	w.log.await(t, 1, "plugin has failed and is started again", "recorder-r")
	if _, err := m.RecorderInstance(w.ctx(), "recorder-r", report.Instance); !errors.Is(err, ErrGone) {
		t.Errorf("err = %v", err)
	}
}

// recording starts a session in the current recorder.
func (w *world) recording(m *Manager) (*RecorderLease, string) {
	w.t.Helper()
	lease, err := m.Recorder(w.ctx())
	if err != nil {
		w.t.Fatal(err)
	}
	session := uuid.NewString()
	if err := lease.Start(w.ctx(), request(session)); err != nil {
		w.t.Fatal(err)
	}
	return lease, session
}

// end stops a session and acknowledges its end.
func (w *world) end(lease *RecorderLease, session string) {
	w.t.Helper()
	if err := lease.Stop(w.ctx(), session); err != nil {
		w.t.Fatal(err)
	}
	var last int64
	if err := lease.Watch(w.ctx(), session, 0, func(e recorder.Event) error { last = max(last, e.Seq); return nil }); err != nil {
		w.t.Fatal(err)
	}
	if err := lease.Acknowledge(w.ctx(), session, last); err != nil {
		w.t.Fatal(err)
	}
}

func TestCloseLeavesARecordingRecorderRunning(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("recorder-r")
	first := w.load(`plugin "recorder-r" {}`)
	lease, session := w.recording(first)
	instance := lease.Instance
	lease.Release()
	first.Close()

	second := w.load(`plugin "recorder-r" {}`)
	again, err := second.RecorderInstance(w.ctx(), "recorder-r", instance)
	if err != nil {
		t.Fatal(err)
	}
	sessions, err := again.List(w.ctx())
	if err != nil || len(sessions) != 1 || sessions[0].SessionID != session {
		t.Errorf("sessions = %+v, %v", sessions, err)
	}
	again.Release()
}

func TestCloseEndsARecorderThatRecordsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("recorder-r")
	m := w.load(`plugin "recorder-r" {}`)
	over := gone(status(t, m, "recorder-r").Process.PID)
	m.Close()
	w.await("the end of the recorder", over)
	if left, _ := filepath.Glob(filepath.Join(w.options.RunDir, "*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestReplacedRecorderFinishesItsSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("recorder-r", "FAKE_VERSION=1")
	m := w.load(`plugin "recorder-r" {}`)
	old, session := w.recording(m)
	w.install("recorder-r", "FAKE_VERSION=2")
	if err := m.Apply(w.ctx(), w.plugins(`plugin "recorder-r" {}`)); err != nil {
		t.Fatal(err)
	}
	fresh, err := m.Recorder(w.ctx())
	if err != nil || fresh.Version() != "2" {
		t.Fatalf("Recorder = %+v, %v", fresh, err)
	}
	fresh.Release()
	old.Release()
	// Nobody holds it, and it still records: it must not end.
	again, err := m.RecorderInstance(w.ctx(), "recorder-r", old.Instance)
	if err != nil {
		t.Fatal(err)
	}
	if s := status(t, m, "recorder-r"); len(s.Draining) != 1 || s.Draining[0].Version != "1" {
		t.Errorf("status = %+v", s)
	}
	w.end(again, session)
	w.await("the end of the replaced recorder", again.Done())
	again.Release()
	w.log.await(t, 1, "plugin process has ended", "recorder-r")
	if s := status(t, m, "recorder-r"); s.State != Ready || len(s.Draining) != 0 || s.LastError != "" {
		t.Errorf("status = %+v", s)
	}
}

func TestRestartWithAnotherBinaryKeepsTheOldRecorderForItsSessions(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]string{
		"other options": "plugin \"recorder-r\" {\n options {\n count = 2\n }\n }", "no block": "", "told otherwise": `plugin "recorder-r" {}`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.install("recorder-r")
			first := w.load(`plugin "recorder-r" {}`)
			lease, session := w.recording(first)
			instance := lease.Instance
			lease.Release()
			first.Close()

			if name == "told otherwise" { // by a setting of the host that all plugins heed
				w.options.Env = []string{"LUBOD_LOCAL_SOURCES=false"}
			}
			second := w.load(source)
			old, err := second.RecorderInstance(w.ctx(), "recorder-r", instance)
			if err != nil {
				t.Fatal(err)
			}
			fresh, err := second.Recorder(w.ctx())
			switch {
			case source == "" && !errors.Is(err, ErrNoRecorder):
				t.Errorf("err = %v", err)
			case source != "" && (err != nil || fresh.Instance == instance):
				t.Errorf("Recorder = %+v, %v", fresh, err)
			case source != "":
				fresh.Release()
			}
			w.end(old, session)
			w.await("the end of the old recorder", old.Done())
			old.Release()
		})
	}
}

func TestRecorderThatDiedWhileNoHostRanIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("recorder-r")
	first := w.load(`plugin "recorder-r" {}`)
	lease, session := w.recording(first)
	pid := lease.inst.process.Pid()
	lease.Release()
	first.Close()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-gone(pid)
	second := w.load(`plugin "recorder-r" {}`)
	if _, err := second.RecorderInstance(w.ctx(), "recorder-r", lease.Instance); !errors.Is(err, ErrGone) {
		t.Errorf("session %s: err = %v", session, err)
	}
	if _, err := os.Stat(filepath.Join(w.options.RunDir, lease.Instance+".json")); !os.IsNotExist(err) {
		t.Errorf("the record is still there: %v", err)
	}
}

// Between the re-attach and the end of the first Apply a recorder can die at any time; here it dies after Apply chose it.
func TestRecorderThatDiesWhileTheFirstApplyRunsIsReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("recorder-r")
	w.install("extractor-a", "FAKE_GATE="+filepath.Join(w.dir, "gate"))
	first := w.load(`plugin "recorder-r" {}`)
	lease, _ := w.recording(first)
	pid := lease.inst.process.Pid()
	lease.Release()
	first.Close()

	chosen := make(chan struct{})
	choose := sync.OnceFunc(func() { close(chosen) })
	w.options.Getenv = func(name string) string {
		if name == "LUBOD_TEST_GREETING" { // an option: it is asked for when the recorder is compared with its block
			choose()
		}
		return ""
	}
	second := w.manager()
	applied := make(chan error, 1)
	go func() {
		applied <- second.Apply(w.ctx(), w.plugins("plugin \"recorder-r\" {}\nplugin \"extractor-a\" {}"))
	}()
	w.await("the choice of the recorder", chosen)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	w.log.await(t, 1, "plugin process has ended", "recorder-r")
	w.write("gate", "", 0o600)
	if err := <-applied; err != nil {
		t.Fatal(err)
	}
	if _, err := second.RecorderInstance(w.ctx(), "recorder-r", lease.Instance); !errors.Is(err, ErrGone) {
		t.Errorf("err = %v", err)
	}
	// Nobody has asked for it.
	w.awaitStatus(second, "recorder-r", "another process", func(s Status) bool {
		return s.State == Ready && s.Process != nil && s.Process.Instance != lease.Instance
	})
}

func TestRecordsThatLieAreNotTrusted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("recorder-r")
	first := w.load(`plugin "recorder-r" {}`)
	lease, _ := w.recording(first)
	lease.Release()
	first.Close()
	honest, err := first.runDir.Record(lease.Instance)
	if err != nil {
		t.Fatal(err)
	}
	for name, lie := range map[string]func(*process.Record){
		"another instance":    func(r *process.Record) { r.Instance = uuid.NewString() },
		"another version":     func(r *process.Record) { r.Version = "9" },
		"another plugin":      func(r *process.Record) { r.Plugin = "recorder-z" },
		"another process":     func(r *process.Record) { r.Pid, r.Start = os.Getpid(), "" },
		"a reused process id": func(r *process.Record) { r.Start = "1" },
		"another protocol":    func(r *process.Record) { r.Protocol = 9 },
	} {
		t.Run(name, func(t *testing.T) {
			lying := honest
			lie(&lying)
			m := w.manager()
			inst, err := m.attach(w.ctx(), lying)
			if err == nil {
				inst.letGo()
			}
			if err == nil && lying.Alive() {
				t.Error("attached")
			}
		})
	}
}

func TestUnreachableLivingRecorderIsDownAndNotGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("recorder-r")
	first := w.load(`plugin "recorder-r" {}`)
	lease, _ := w.recording(first)
	lease.Release()
	first.Close()
	r, err := first.runDir.Record(lease.Instance)
	if err != nil {
		t.Fatal(err)
	}
	honest := r
	r.Protocol = 9 // as a future version would be: it lives, and we cannot talk to it
	if err := first.runDir.WriteRecord(r); err != nil {
		t.Fatal(err)
	}
	second := w.load("")
	_, err = second.RecorderInstance(w.ctx(), "recorder-r", lease.Instance)
	var down *DownError
	if !errors.As(err, &down) || !strings.Contains(err.Error(), "speaks version 9 of the plugin protocol, this lubod speaks version 1") {
		t.Errorf("err = %v", err)
	}
	if _, err := os.Stat(r.Socket); err != nil {
		t.Errorf("the socket of a living recorder was removed: %v", err)
	}
	if err := first.runDir.WriteRecord(honest); err != nil {
		t.Fatal(err)
	}
	again, err := second.RecorderInstance(w.ctx(), "recorder-r", lease.Instance)
	if err != nil {
		t.Fatal(err)
	}
	again.Release()
}

func TestRecorderInstanceOfNothing(t *testing.T) {
	t.Parallel()
	m := newWorld(t).load("")
	for _, instance := range []string{"", uuid.NewString(), "../../etc/passwd"} {
		if _, err := m.RecorderInstance(context.Background(), "recorder-r", instance); !errors.Is(err, ErrGone) {
			t.Errorf("%q: err = %v", instance, err)
		}
	}
}

func TestStaleSocketsAreCleanedAndLivingOnesAreNot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.options.RunDir
	dead, living := filepath.Join(run, "deadbeef"), filepath.Join(run, "11111111")
	for _, dir := range []string{run, dead, living, filepath.Join(run, "keep-me")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	listen := func(dir string) *net.UnixListener {
		listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "plugin123"), Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		listener.SetUnlinkOnClose(false)
		return listener
	}
	_ = listen(dead).Close()
	open := listen(living)
	defer func() { _ = open.Close() }()
	if err := os.WriteFile(filepath.Join(run, "broken.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.load("")
	if _, err := os.Stat(dead); !os.IsNotExist(err) {
		t.Errorf("the socket of a dead plugin is still there: %v", err)
	}
	for _, dir := range []string{living, filepath.Join(run, "keep-me")} {
		if _, err := os.Stat(dir); err != nil {
			t.Error(err)
		}
	}
	w.log.await(t, 1, "a re-attach record cannot be used", "broken.json")
}

func TestDeepDataDirectoryGetsAShortSocketDirectory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.options.RunDir = filepath.Join(w.dir, strings.Repeat("deep/", 30), "run")
	w.install("recorder-r")
	first := w.load(`plugin "recorder-r" {}`)
	t.Cleanup(func() { _ = os.RemoveAll(filepath.Dir(first.runDir.SocketDir("x"))) })
	lease, _ := w.recording(first)
	if !strings.HasPrefix(lease.inst.socket, os.TempDir()) || len(lease.inst.socket) > 107 {
		t.Errorf("socket = %s", lease.inst.socket)
	}
	lease.Release()
	first.Close()
	second := w.load(`plugin "recorder-r" {}`)
	again, err := second.RecorderInstance(w.ctx(), "recorder-r", lease.Instance)
	if err != nil {
		t.Fatal(err)
	}
	again.Release()
}
