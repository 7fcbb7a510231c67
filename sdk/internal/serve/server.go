package serve

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/internal/convert"
	pluginv1 "github.com/lubod/lubod/sdk/internal/gen/lubod/plugin/v1"
	"github.com/lubod/lubod/sdk/internal/handshake"
	"github.com/lubod/lubod/sdk/internal/rpcerr"
)

// Server answers one host for one plugin.
type Server struct {
	pluginv1.UnimplementedPluginServiceServer

	plugin   *Plugin
	instance string
	life     context.Context
	logger   *slog.Logger
	presence *presence
	// onCall is run at the start of every call, before anything of the author's.
	onCall func(context.Context)
	// idle is called when a drained plugin has nothing left to do.
	idle func()

	// configuring is held while the author's factory runs, which can take its time; Health must not wait for it.
	configuring sync.Mutex
	options     []byte
	configured  atomic.Bool
	// host is what the host said of itself last.
	host *atomic.Pointer[sdk.Host]
}

// NewServer makes the server of one plugin. life ends with the process; idle is called when it may end by itself.
func NewServer(life context.Context, p *Plugin, instance string, logger *slog.Logger, idle func()) *Server {
	host := new(atomic.Pointer[sdk.Host])
	return &Server{
		host:     host,
		plugin:   p,
		instance: instance,
		life:     sdk.WithHost(sdk.WithLogger(life, logger), host),
		logger:   logger,
		presence: newPresence(),
		onCall:   func(context.Context) {},
		idle:     sync.OnceFunc(idle),
	}
}

// GRPC makes the gRPC server, without any service on it yet. Tests and processes get the same one.
func (s *Server) GRPC(opts []grpc.ServerOption) *grpc.Server {
	return grpc.NewServer(append(opts,
		grpc.MaxRecvMsgSize(handshake.MaxMessage),
		grpc.MaxSendMsgSize(handshake.MaxMessage),
		grpc.ChainUnaryInterceptor(s.unary),
		grpc.ChainStreamInterceptor(s.stream),
		// A host may ping an idle connection; gRPC's default answer to that is to cut it.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
	)...)
}

// Register adds the services to a server that GRPC made.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	pluginv1.RegisterPluginServiceServer(r, s)
	s.plugin.Register(r)
}

// Close ends the plugin's work.
func (s *Server) Close(ctx context.Context) {
	if s.plugin.Close != nil {
		s.plugin.Close(ctx)
	}
}

// WaitIdle returns when no call is under way: the author's code has returned, whatever the caller was told.
func (s *Server) WaitIdle(ctx context.Context) error { return s.presence.wait(ctx) }

// Describe implements pluginv1.PluginServiceServer. A host that was built before version 1 was final is refused: it would read
// other things in the same fields.
func (s *Server) Describe(_ context.Context, in *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	if in.GetRevision() < handshake.MinRevision {
		return nil, sdk.Errorf(sdk.Unsupported, "this plugin speaks revision %d of the contract, and the host speaks %d, from before version 1 was final: use a newer lubod",
			handshake.Revision, in.GetRevision())
	}
	s.host.Store(&sdk.Host{Version: convert.Name(in.GetHostVersion()), Capabilities: in.GetHostCapabilities()})
	return convert.Description(s.plugin.describe(s.instance)), nil
}

// Configure implements pluginv1.PluginServiceServer. The same options again change nothing: a host that re-attaches
// cannot know whether its predecessor got that far.
func (s *Server) Configure(_ context.Context, in *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	s.configuring.Lock()
	defer s.configuring.Unlock()
	if s.configured.Load() {
		if bytes.Equal(s.options, in.GetOptionsJson()) {
			return &pluginv1.ConfigureResponse{}, nil
		}
		return nil, sdk.Errorf(sdk.Unsupported, "this process is configured already; other options need a new process")
	}
	if err := s.plugin.Configure(s.life, in.GetOptionsJson()); err != nil {
		return nil, err
	}
	s.options = bytes.Clone(in.GetOptionsJson())
	s.configured.Store(true)
	return &pluginv1.ConfigureResponse{}, nil
}

// Health implements pluginv1.PluginServiceServer.
func (s *Server) Health(ctx context.Context, _ *pluginv1.HealthRequest) (*pluginv1.HealthResponse, error) {
	if !s.configured.Load() || s.plugin.Health == nil {
		return &pluginv1.HealthResponse{}, nil
	}
	if err := s.plugin.Health(ctx); err != nil {
		return nil, err
	}
	return &pluginv1.HealthResponse{}, nil
}

// Drain implements pluginv1.PluginServiceServer.
func (s *Server) Drain(context.Context, *pluginv1.DrainRequest) (*pluginv1.DrainResponse, error) {
	if s.plugin.Drain != nil {
		s.plugin.Drain(s.idle)
	}
	return &pluginv1.DrainResponse{}, nil
}

// context is what an author's code finds in each call.
func (s *Server) context(ctx context.Context) context.Context {
	return sdk.WithHost(sdk.WithLogger(ctx, s.logger), s.host)
}

func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
	defer s.presence.enter()()
	s.onCall(ctx)
	logger := s.logger.With("call", info.FullMethod)
	defer func() { err = rpcerr.Encode(ctx, err) }()
	defer Recover(logger, &err)
	return handler(s.context(ctx), req)
}

func (s *Server) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	ctx := ss.Context()
	defer s.presence.enter()()
	s.onCall(ctx)
	logger := s.logger.With("call", info.FullMethod)
	defer func() { err = rpcerr.Encode(ctx, err) }()
	defer Recover(logger, &err)
	return handler(srv, loggedStream{ServerStream: ss, ctx: s.context(ctx)})
}

type loggedStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s loggedStream) Context() context.Context { return s.ctx }

// Recover, deferred, turns a panic of the author's code into a BUG error. The stack goes to the log only.
func Recover(logger *slog.Logger, err *error) {
	reason := recover()
	if reason == nil {
		return
	}
	logger.Error("panic in plugin code", "reason", fmt.Sprint(reason), "stack", string(debug.Stack()))
	*err = sdk.Errorf(sdk.Bug, "panic in plugin code: %v", reason)
}
