// Package wire is the host's side of the plugin contract: how to shake hands with a plugin process and how to call it.
// It does not launch, watch or stop processes.
package wire

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/extractor"
	"github.com/lubod/lubod/sdk/internal/convert"
	pluginv1 "github.com/lubod/lubod/sdk/internal/gen/lubod/plugin/v1"
	"github.com/lubod/lubod/sdk/internal/handshake"
	"github.com/lubod/lubod/sdk/internal/rpcerr"
	"github.com/lubod/lubod/sdk/line"
	"github.com/lubod/lubod/sdk/recorder"
)

// ProtocolVersion is the major version of the contract that this package speaks.
const ProtocolVersion = handshake.ProtocolVersion

// The environment that a host gives a plugin process, beside what go-plugin sets.
const (
	// EnvInstance is the id of this launch; Describe echoes it.
	EnvInstance = handshake.EnvInstance
	// EnvLevel is the log level: debug, info, warn or error.
	EnvLevel = handshake.EnvLevel
	// EnvDetached is "1" for a process that outlives its host.
	EnvDetached = handshake.EnvDetached
	// EnvLog is the file that a detached process logs to. It becomes <file>.1 at 8 MiB, and a new one begins.
	EnvLog = handshake.EnvLog
	// EnvOrphanTTL is how long a detached process goes on without a host, as a Go duration; 12h when unset.
	EnvOrphanTTL = handshake.EnvOrphanTTL
	// EnvKeptTTL is how long such a process stays for sessions that are over and were not acknowledged, as a Go duration; 5m when
	// unset.
	EnvKeptTTL = handshake.EnvKeptTTL
)

// MinRevision is the lowest revision of the contract that a plugin can have been built with. Description.Revision tells it.
const MinRevision = handshake.MinRevision

// ErrPluginDown means that the plugin's process or the connection to it is gone; any call can return it, wrapped in an
// *sdk.Error of kind Unavailable.
var ErrPluginDown = rpcerr.ErrPluginDown

// Handshake returns go-plugin's handshake for a launch.
func Handshake() plugin.HandshakeConfig { return handshake.Config() }

// VersionedPlugins is what a host offers at a launch: the contract versions it speaks.
func VersionedPlugins() map[int]plugin.PluginSet {
	return map[int]plugin.PluginSet{ProtocolVersion: Plugins()}
}

// Plugins is the set for attaching to a process that runs already, where go-plugin negotiates nothing.
func Plugins() plugin.PluginSet {
	return plugin.PluginSet{handshake.Service: dispenser{}}
}

// dispenser makes a Conn of go-plugin's connection.
type dispenser struct {
	plugin.NetRPCUnsupportedPlugin
}

var _ plugin.GRPCPlugin = dispenser{}

// GRPCServer implements plugin.GRPCPlugin.
func (dispenser) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error {
	return errors.New("this is the host's side")
}

// GRPCClient implements plugin.GRPCPlugin.
func (dispenser) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return NewConn(conn), nil
}

// Conn calls one plugin process. All methods can be used from several goroutines. Errors are *sdk.Error; those that wrap
// a context error or ErrPluginDown leave open whether the plugin did what was asked.
type Conn struct {
	// Host is what the plugin is told of the host, at Describe.
	Host sdk.Host

	rpc       pluginv1.PluginServiceClient
	extractor *extractor.Client
	line      *line.Client
	recorder  *recorder.Client
}

// Connect returns the connection behind a go-plugin client. It makes no call.
func Connect(p plugin.ClientProtocol) (*Conn, error) {
	raw, err := p.Dispense(handshake.Service)
	if err != nil {
		return nil, fmt.Errorf("connect to plugin: %w", err)
	}
	conn, ok := raw.(*Conn)
	if !ok {
		return nil, fmt.Errorf("connect to plugin: got %T; the client must use wire.Plugins or wire.VersionedPlugins", raw)
	}
	return conn, nil
}

// NewConn calls a plugin over any gRPC connection, for tests without a process.
func NewConn(conn grpc.ClientConnInterface) *Conn {
	conn = bounded{conn}
	return &Conn{
		rpc:       pluginv1.NewPluginServiceClient(conn),
		extractor: extractor.NewClient(conn),
		line:      line.NewClient(conn),
		recorder:  recorder.NewClient(conn),
	}
}

// bounded refuses answers above the bound of the contract: a plugin must not be able to fill the host's memory.
type bounded struct{ grpc.ClientConnInterface }

// Invoke implements grpc.ClientConnInterface.
func (b bounded) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	return b.ClientConnInterface.Invoke(ctx, method, args, reply, bounds(opts)...)
}

// NewStream implements grpc.ClientConnInterface.
func (b bounded) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return b.ClientConnInterface.NewStream(ctx, desc, method, bounds(opts)...)
}

func bounds(opts []grpc.CallOption) []grpc.CallOption {
	return append(slices.Clone(opts), grpc.MaxCallRecvMsgSize(handshake.MaxMessage), grpc.MaxCallSendMsgSize(handshake.MaxMessage))
}

// Describe asks who the plugin is and what it can do. Capabilities are complete once it is configured.
func (c *Conn) Describe(ctx context.Context) (sdk.Description, error) {
	out, err := c.rpc.Describe(ctx, &pluginv1.DescribeRequest{
		HostVersion: convert.Name(c.Host.Version), HostCapabilities: c.Host.Capabilities, Revision: handshake.Revision,
	})
	if err != nil {
		return sdk.Description{}, rpcerr.Decode(ctx, err)
	}
	d, err := convert.FromDescription(out)
	if err != nil {
		return sdk.Description{}, sdk.Errorf(sdk.Unsupported, "%w", err)
	}
	return d, nil
}

// Configure hands over the options, one JSON object. The same again changes nothing; other options for a configured
// process are sdk.Unsupported; options that cannot work are sdk.InvalidOption and can be followed by better ones.
func (c *Conn) Configure(ctx context.Context, optionsJSON []byte) error {
	_, err := c.rpc.Configure(ctx, &pluginv1.ConfigureRequest{OptionsJson: optionsJSON})
	return rpcerr.Decode(ctx, err)
}

// Health asks whether the plugin can do its work; the error says why not.
func (c *Conn) Health(ctx context.Context) error {
	_, err := c.rpc.Health(ctx, &pluginv1.HealthRequest{})
	return rpcerr.Decode(ctx, err)
}

// Drain prepares the end of the process. A recorder takes no new sessions from then on, and ends by itself when its last
// session is over and acknowledged.
func (c *Conn) Drain(ctx context.Context) error {
	_, err := c.rpc.Drain(ctx, &pluginv1.DrainRequest{})
	return rpcerr.Decode(ctx, err)
}

// ExtractorClient is an extractor in another process. ResolveBatch answers sdk.Unsupported when the plugin cannot.
type ExtractorClient interface {
	extractor.Extractor
	extractor.BatchResolver
}

// LineClient is a line in another process. Probe answers sdk.Unsupported when the plugin cannot.
type LineClient interface {
	line.Line
	line.Prober
}

// RecorderClient is a recorder in another process.
type RecorderClient = recorder.Client

// Extractor calls a plugin of kind extractor.
func (c *Conn) Extractor() ExtractorClient { return c.extractor }

// Line calls a plugin of kind line.
func (c *Conn) Line() LineClient { return c.line }

// Recorder calls a plugin of kind recorder.
func (c *Conn) Recorder() *RecorderClient { return c.recorder }
