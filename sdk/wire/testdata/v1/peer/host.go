package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	commonv1 "github.com/lubod/lubod/sdk/wire/testdata/v1/gen/lubod/common/v1"
	extractorv1 "github.com/lubod/lubod/sdk/wire/testdata/v1/gen/lubod/extractor/v1"
	linev1 "github.com/lubod/lubod/sdk/wire/testdata/v1/gen/lubod/line/v1"
	pluginv1 "github.com/lubod/lubod/sdk/wire/testdata/v1/gen/lubod/plugin/v1"
	recorderv1 "github.com/lubod/lubod/sdk/wire/testdata/v1/gen/lubod/recorder/v1"
)

// connection hands out go-plugin's connection.
type connection struct{ plugin.NetRPCUnsupportedPlugin }

func (connection) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error {
	return errors.New("this is the host's side")
}

func (connection) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return conn, nil
}

func host(path, options string, words []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: handshake(), VersionedPlugins: map[int]plugin.PluginSet{1: {"lubod": connection{}}}, Cmd: exec.Command(path),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC}, AutoMTLS: true, Logger: hclog.NewNullLogger(), Stderr: os.Stderr,
	})
	defer client.Kill()
	protocol, err := client.Client()
	if err != nil {
		return err
	}
	raw, err := protocol.Dispense("lubod")
	if err != nil {
		return err
	}
	conn := raw.(*grpc.ClientConn)
	self := pluginv1.NewPluginServiceClient(conn)
	about, err := self.Describe(ctx, &pluginv1.DescribeRequest{HostVersion: "kept", Revision: 1})
	if err != nil {
		return err
	}
	say(about)
	if _, err := self.Configure(ctx, &pluginv1.ConfigureRequest{OptionsJson: []byte(options)}); err != nil {
		return err
	}
	if _, err := self.Health(ctx, &pluginv1.HealthRequest{}); err != nil {
		return err
	}
	switch about.GetKind() {
	case pluginv1.Kind_KIND_EXTRACTOR:
		out, err := extractorv1.NewExtractorServiceClient(conn).Resolve(ctx, &extractorv1.ResolveRequest{Url: words[0], Purpose: extractorv1.Purpose_PURPOSE_START})
		return told(out, err)
	case pluginv1.Kind_KIND_LINE:
		return upload(ctx, linev1.NewLineServiceClient(conn), words[0], words[1])
	default:
		return record(ctx, recorderv1.NewRecorderServiceClient(conn), words[0], words[1])
	}
}

func upload(ctx context.Context, lines linev1.LineServiceClient, name, path string) error {
	stream, err := lines.Upload(ctx, &linev1.UploadRequest{Line: name, Path: path, Threads: 1})
	for err == nil {
		var out *linev1.UploadResponse
		if out, err = stream.Recv(); err == nil {
			say(out)
		}
	}
	return told(nil, err)
}

func record(ctx context.Context, recorders recorderv1.RecorderServiceClient, url, prefix string) error {
	_, err := recorders.Start(ctx, &recorderv1.StartRequest{
		SessionId: "kept", PathPrefix: prefix, FirstIndex: 1, Streams: []*commonv1.Stream{{Url: url, Container: "flv"}},
	})
	if err != nil {
		return told(nil, err)
	}
	stream, err := recorders.Watch(ctx, &recorderv1.WatchRequest{SessionId: "kept"})
	for err == nil {
		var out *recorderv1.WatchResponse
		if out, err = stream.Recv(); err == nil {
			say(out)
		}
	}
	return told(nil, err)
}

// say prints an answer. What this contract does not know of it is printed as numbers.
func say(m proto.Message) { fmt.Println(prototext.MarshalOptions{EmitUnknown: true}.Format(m)) }

// told prints the end of a call: an answer, or the reason of an error.
func told(m proto.Message, err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		for _, detail := range status.Convert(err).Details() {
			if info, ok := detail.(*errdetails.ErrorInfo); ok {
				fmt.Println("reason", info.GetReason())
			}
		}
		return nil
	}
	say(m)
	return nil
}
