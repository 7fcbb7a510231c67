package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	commonv1 "github.com/lubod/lubod/sdk/wire/testdata/v1/gen/lubod/common/v1"
	extractorv1 "github.com/lubod/lubod/sdk/wire/testdata/v1/gen/lubod/extractor/v1"
	linev1 "github.com/lubod/lubod/sdk/wire/testdata/v1/gen/lubod/line/v1"
	pluginv1 "github.com/lubod/lubod/sdk/wire/testdata/v1/gen/lubod/plugin/v1"
	recorderv1 "github.com/lubod/lubod/sdk/wire/testdata/v1/gen/lubod/recorder/v1"
)

func serve(kind string) {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  handshake(),
		VersionedPlugins: map[int]plugin.PluginSet{1: {"lubod": &kept{kind: kind}}},
		GRPCServer:       plugin.DefaultGRPCServer,
	})
}

// kept is a plugin of any kind.
type kept struct {
	plugin.NetRPCUnsupportedPlugin
	pluginv1.UnimplementedPluginServiceServer
	kind string
}

func (k *kept) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	pluginv1.RegisterPluginServiceServer(s, k)
	switch k.kind {
	case "extractor":
		extractorv1.RegisterExtractorServiceServer(s, keptExtractor{})
	case "line":
		linev1.RegisterLineServiceServer(s, keptLine{})
	case "recorder":
		recorderv1.RegisterRecorderServiceServer(s, &keptRecorder{started: make(chan *recorderv1.StartRequest, 1)})
	}
	return nil
}

func (k *kept) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("this is the plugin's side")
}

func (k *kept) Describe(_ context.Context, in *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	out := &pluginv1.DescribeResponse{
		Name: "kept", Version: in.GetHostVersion(), Instance: os.Getenv("LUBOD_PLUGIN_INSTANCE"), Revision: 1, OptionPrefixes: []string{"kept_"},
		Options: []*pluginv1.Option{{Name: "kept_quality", Type: pluginv1.OptionType_OPTION_TYPE_STRING, DefaultJson: `"best"`, Room: true}},
	}
	switch k.kind {
	case "extractor":
		out.Kind, out.UrlPatterns = pluginv1.Kind_KIND_EXTRACTOR, []string{"^kept://"}
	case "line":
		out.Kind, out.LineNames, out.LineTarget = pluginv1.Kind_KIND_LINE, []string{"kept"}, pluginv1.LineTarget_LINE_TARGET_BILIBILI
	case "recorder":
		out.Kind, out.Containers = pluginv1.Kind_KIND_RECORDER, []string{"flv"}
	}
	return out, nil
}

func (k *kept) Configure(context.Context, *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	return &pluginv1.ConfigureResponse{}, nil
}

func (k *kept) Health(context.Context, *pluginv1.HealthRequest) (*pluginv1.HealthResponse, error) {
	return &pluginv1.HealthResponse{}, nil
}

type keptExtractor struct {
	extractorv1.UnimplementedExtractorServiceServer
}

func (keptExtractor) Resolve(_ context.Context, in *extractorv1.ResolveRequest) (*extractorv1.ResolveResponse, error) {
	return &extractorv1.ResolveResponse{Status: &extractorv1.Status{
		State: extractorv1.State_STATE_LIVE, RoomId: "7", BroadcastId: "b", Title: in.GetPurpose().String(), Streams: []*commonv1.Stream{{
			Url: "http://x/1.flv", Container: "flv", Quality: "origin", BitrateKbps: 6000, Group: "g", Priority: 1,
			Headers: map[string]string{"Referer": "r"}, Audio: &commonv1.AudioSource{Url: "http://x/a"}, Ads: &commonv1.AdRule{TitleContains: []string{"ad"}},
			Lease: &commonv1.Lease{InvalidAt: timestamppb.New(time.Unix(1_800_000_000, 0)), SingleUse: true},
		}},
	}}, nil
}

type keptLine struct {
	linev1.UnimplementedLineServiceServer
}

func (keptLine) Upload(in *linev1.UploadRequest, out grpc.ServerStreamingServer[linev1.UploadResponse]) error {
	progress := &linev1.UploadProgress{
		AcknowledgedBytes: 4, Checkpoint: append(in.GetCheckpoint(), 'c'), Chunks: &linev1.Chunks{SizeBytes: 4, Count: 2, Done: []byte{1}},
	}
	if err := out.Send(&linev1.UploadResponse{Kind: &linev1.UploadResponse_Progress{Progress: progress}}); err != nil {
		return err
	}
	return out.Send(&linev1.UploadResponse{Kind: &linev1.UploadResponse_Result{Result: &linev1.UploadResult{RemoteName: "n-" + in.GetName(), RemoteId: 9}}})
}

// keptRecorder has one session, which ends by itself.
type keptRecorder struct {
	recorderv1.UnimplementedRecorderServiceServer
	started chan *recorderv1.StartRequest
}

func (k *keptRecorder) Start(_ context.Context, in *recorderv1.StartRequest) (*recorderv1.StartResponse, error) {
	k.started <- in
	return &recorderv1.StartResponse{}, nil
}

func (k *keptRecorder) Watch(_ *recorderv1.WatchRequest, out grpc.ServerStreamingServer[recorderv1.WatchResponse]) error {
	request := <-k.started
	at := timestamppb.New(time.Unix(1_800_000_000, 0))
	for i, event := range []*recorderv1.Event{
		{Kind: &recorderv1.Event_MediaArrived{MediaArrived: &recorderv1.MediaArrived{}}},
		{Kind: &recorderv1.Event_Timeline{Timeline: &recorderv1.Timeline{
			Kind: recorderv1.TimelineKind_TIMELINE_KIND_RESUMED, Cause: commonv1.GapCause_GAP_CAUSE_STREAM_LOST, At: at, MediaMs: 5, LengthMs: 7,
		}}},
		{Kind: &recorderv1.Event_SegmentClosed{SegmentClosed: &recorderv1.SegmentClosed{Segment: &recorderv1.Segment{
			Index: request.GetFirstIndex(), DurationMs: 1000, StartedAt: at, EndedAt: at, Files: []*recorderv1.SegmentFile{
				{Role: recorderv1.FileRole_FILE_ROLE_CHAT, Path: request.GetPathPrefix() + "_001.xml", SizeBytes: 3},
				{Role: recorderv1.FileRole_FILE_ROLE_MEDIA, Path: request.GetPathPrefix() + "_001.flv", SizeBytes: 4},
			},
		}}}},
		{Kind: &recorderv1.Event_Ended{Ended: &recorderv1.Ended{
			Reason: recorderv1.EndReason_END_REASON_FAILED, Message: request.GetStreams()[0].GetUrl(), Failure: &commonv1.Failure{Kind: "FORBIDDEN", Cause: "paid"},
		}}},
	} {
		event.Seq, event.At = int64(i+1), at
		if err := out.Send(&recorderv1.WatchResponse{Event: event}); err != nil {
			return err
		}
	}
	return nil
}
