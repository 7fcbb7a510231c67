package serve

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/lubod/lubod/sdk/internal/handshake"
)

// closeTimeout bounds the end of a plugin's work. Recorders finish their segments in it.
const closeTimeout = 30 * time.Second

// Main serves a plugin until its host or its life ends it. It is the whole main function of a plugin.
func Main(p *Plugin) {
	if code, done := byHand(p, os.Args, os.Getenv, os.Stdout, os.Stderr); done {
		os.Exit(code)
	}
	detached := os.Getenv(handshake.EnvDetached) == "1"
	ignoreSignals()
	parent := os.Getppid()

	module := string(p.Kind) + "-" + p.Info.Name
	out, err := logWriter(detached)
	logger := newLogger(out, parseLevel(os.Getenv(handshake.EnvLevel)), module)
	slog.SetDefault(logger)
	if err != nil {
		logger.Error("no log file; writing to standard error", "error", err)
	}

	life, end := context.WithCancel(context.Background())
	proc := &process{plugin: p, logger: logger, detached: detached, parent: parent, end: end, out: out,
		stdout: os.Stdout, stderr: os.Stderr}
	defer runtime.KeepAlive(proc)
	server := NewServer(life, p, os.Getenv(handshake.EnvInstance), logger, func() { proc.stop("drained") })
	server.onCall = proc.onCall
	proc.server = server

	var watching sync.WaitGroup
	watching.Go(func() { proc.watch(life) })
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: handshake.Config(),
		VersionedPlugins: map[int]plugin.PluginSet{
			handshake.ProtocolVersion: {handshake.Service: &served{server: server}},
		},
		GRPCServer: proc.newGRPC,
		Logger:     libraryLogger(out, module),
	})
	end()
	closing, cancel := context.WithTimeout(context.WithoutCancel(life), closeTimeout)
	defer cancel()
	server.Close(closing)
	watching.Wait()
	proc.removeSocket()
	logger.Debug("plugin ends")
}

// logWriter is standard error for a plugin that dies with its host, and a file for one that does not.
func logWriter(detached bool) (io.Writer, error) {
	path := os.Getenv(handshake.EnvLog)
	if !detached || path == "" {
		// The descriptor, not the variable: go-plugin replaces the variable by a pipe of its own.
		return os.Stderr, nil
	}
	f, err := openLogFile(path, maxLogFile)
	if err != nil {
		return os.Stderr, err
	}
	return f, nil
}

// served registers the services on go-plugin's server.
type served struct {
	plugin.NetRPCUnsupportedPlugin
	server *Server
}

var _ plugin.GRPCPlugin = (*served)(nil)

// GRPCServer implements plugin.GRPCPlugin.
func (s *served) GRPCServer(_ *plugin.GRPCBroker, g *grpc.Server) error {
	s.server.Register(g)
	return nil
}

// GRPCClient implements plugin.GRPCPlugin; the host has its own.
func (s *served) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, fmt.Errorf("this is the plugin's side")
}
