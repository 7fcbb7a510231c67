package plugins

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/lubod/lubod/host/internal/plugins/process"
	"github.com/lubod/lubod/sdk/wire"
)

// fakeRaw is a plugin that was not made with the SDK: its messages are written down as bytes.
func fakeRaw(answer func(method string, asked []byte) ([]byte, error)) {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  wire.Handshake(),
		VersionedPlugins: map[int]plugin.PluginSet{1: {"lubod": rawPlugin{}}},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts, grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
				return exchangeRaw(stream, answer)
			}))...)
		},
	})
}

type rawPlugin struct{ plugin.NetRPCUnsupportedPlugin }

func (rawPlugin) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error { return nil }

func (rawPlugin) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("this is the plugin's side")
}

func exchangeRaw(stream grpc.ServerStream, answer func(method string, asked []byte) ([]byte, error)) error {
	var asked, answered emptypb.Empty
	if err := stream.RecvMsg(&asked); err != nil {
		return err
	}
	method, _ := grpc.MethodFromServerStream(stream)
	fields, err := answer(filepath.Base(method), asked.ProtoReflect().GetUnknown())
	if err != nil {
		return err
	}
	answered.ProtoReflect().SetUnknown(fields)
	return stream.SendMsg(&answered)
}

// answerOlder is a recorder as it was built before version 1 of the contract was final: it tells no revision.
func answerOlder(method string, asked []byte) (fields []byte, err error) {
	switch method {
	case "Describe":
		fields = text(fields, 1, os.Getenv("FAKE_NAME"))
		fields = text(fields, 2, "1.0.0")
		fields = protowire.AppendVarint(protowire.AppendTag(fields, 3, protowire.VarintType), 2)
		fields = text(fields, 8, os.Getenv(wire.EnvInstance))
	case "List":
		fields = text(fields, 1, string(text(nil, 1, "session-of-old")))
	case "Stop":
		note(os.Getenv("FAKE_STOPPED"), string(asked[2:]))
	case "Configure", "Health", "Drain":
	default:
		return nil, grpcstatus.Errorf(codes.Unimplemented, "%s", method)
	}
	return fields, nil
}

func text(to []byte, field protowire.Number, value string) []byte {
	return protowire.AppendString(protowire.AppendTag(to, field, protowire.BytesType), value)
}

// startOlder runs fakeOlder as a host of that time left it.
func (w *world) startOlder(stopped string) (pid int, instance string) {
	w.t.Helper()
	dir, err := process.OpenRunDir(w.options.RunDir, os.TempDir())
	if err != nil {
		w.t.Fatal(err)
	}
	instance = uuid.NewString()
	sockets, err := dir.MakeSocketDir(instance)
	if err != nil {
		w.t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	command := exec.Command(self)
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	command.Env = append(os.Environ(), "FAKE_KIND=older", "FAKE_NAME=r", "FAKE_STOPPED="+stopped, wire.EnvInstance+"="+instance,
		plugin.EnvUnixSocketDir+"="+sockets, wire.Handshake().MagicCookieKey+"="+wire.Handshake().MagicCookieValue, "PLUGIN_PROTOCOL_VERSIONS=1")
	output, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	waited := make(chan struct{})
	w.t.Cleanup(func() { _ = command.Process.Kill(); <-waited })
	greeting, err := bufio.NewReader(output).ReadString('\n')
	go func() { // a child that nobody waits for stays in the list of processes
		_ = command.Wait()
		close(waited)
	}()
	parts := strings.Split(greeting, "|")
	if err != nil || len(parts) < 4 {
		w.t.Fatalf("greeting %q, %v", greeting, err)
	}
	pid = command.Process.Pid
	err = dir.WriteRecord(process.Record{
		Plugin: "recorder-r", Instance: instance, Version: "1.0.0", Protocol: 1, Pid: pid, Start: process.StartOf(pid), Socket: parts[3],
		Log: filepath.Join(w.options.LogDir, "older.log"), LaunchedAt: time.Now(),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return pid, instance
}

// A recorder of an older build is asked to finish its files and ends. Nobody takes its events for what they are not.
func TestRecorderOfAnOlderBuildIsStoppedInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("recorder-r")
	stopped := filepath.Join(w.dir, "stopped")
	pid, instance := w.startOlder(stopped)
	over := gone(pid)

	m := w.load(`plugin "recorder-r" {}`)
	w.await("the end of the older recorder", over)
	if told, err := os.ReadFile(stopped); err != nil || strings.TrimSpace(string(told)) != "session-of-old" {
		t.Errorf("stopped %q, %v", told, err)
	}
	if _, err := m.RecorderInstance(w.ctx(), "recorder-r", instance); !errors.Is(err, ErrGone) {
		t.Errorf("its sessions are not lost: %v", err)
	}
	lease, err := m.Recorder(w.ctx())
	if err != nil || lease.Instance == instance {
		t.Fatalf("new sessions: %+v, %v", lease, err)
	}
	lease.Release()
	w.log.await(t, 1, "a recorder of an older build is stopped", "recorder-r")
}

// A plugin file of an older build is refused with what to do, and does not look like a faulty one.
func TestPluginOfAnOlderBuildIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("recorder-r", "FAKE_KIND=older", "FAKE_NAME=r")
	m := w.load(`plugin "recorder-r" {}`)
	if s := status(t, m, "recorder-r"); s.State != Failed || !strings.Contains(s.LastError, "build it anew") {
		t.Errorf("status %+v", s)
	}
}
