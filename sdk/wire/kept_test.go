package wire_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/extractor"
	"github.com/lubod/lubod/sdk/line"
	"github.com/lubod/lubod/sdk/plugintest"
	"github.com/lubod/lubod/sdk/recorder"
	"github.com/lubod/lubod/sdk/wire"
)

// keptPeer is made of the contract as it was when version 1 became final, and of nothing that is built now.
func keptPeer(t *testing.T) string {
	t.Helper()
	return plugintest.Build(t, filepath.Join("testdata", "v1", "peer"), "peer")
}

// launchKept runs a plugin of that day as a host of today does.
func launchKept(t *testing.T, peer, kind string) *wire.Conn {
	t.Helper()
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: wire.Handshake(), VersionedPlugins: wire.VersionedPlugins(), Cmd: exec.Command(peer, kind), AutoMTLS: true,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC}, Logger: hclog.NewNullLogger(),
	})
	t.Cleanup(client.Kill)
	protocol, err := client.Client()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := wire.Connect(protocol)
	if err != nil {
		t.Fatal(err)
	}
	conn.Host = sdk.Host{Version: "today"}
	about, err := conn.Describe(t.Context())
	if err != nil || about.Revision < wire.MinRevision || about.Version != "today" || string(about.Kind) != kind ||
		len(about.Options) != 1 || !sdk.OwnsRoomOption(about.OptionPrefixes, about.Options[0]) {
		t.Fatalf("described as %+v, %v", about, err)
	}
	if err := conn.Configure(t.Context(), []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	return conn
}

var keptMoment = time.Unix(1_800_000_000, 0).UTC()

func TestKeptExtractorAnswersAHostOfToday(t *testing.T) {
	got, err := launchKept(t, keptPeer(t), "extractor").Extractor().Resolve(t.Context(), extractor.Ref{URL: "kept://7", Purpose: extractor.PurposeRefresh})
	if err != nil {
		t.Fatal(err)
	}
	want := extractor.Status{
		State: extractor.StateLive, RoomID: "7", BroadcastID: "b", Title: "PURPOSE_REFRESH", Streams: []extractor.Stream{{
			URL: "http://x/1.flv", Container: "flv", Quality: "origin", BitrateKbps: 6000, Group: "g", Priority: 1,
			Headers: map[string]string{"Referer": "r"}, Audio: &sdk.AudioSource{URL: "http://x/a"}, Ads: &sdk.AdRule{TitleContains: []string{"ad"}},
			Lease: sdk.Lease{InvalidAt: keptMoment, SingleUse: true},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestKeptLineAnswersAHostOfToday(t *testing.T) {
	var told []line.Progress
	result, err := launchKept(t, keptPeer(t), "line").Line().Upload(t.Context(), line.File{Line: "kept", Path: "/a", Name: "a.flv", Checkpoint: []byte("b")},
		func(p line.Progress) error { told = append(told, p); return nil })
	if err != nil || result != (line.Result{RemoteName: "n-a.flv", RemoteID: 9}) {
		t.Errorf("got %+v, %v", result, err)
	}
	want := []line.Progress{{AcknowledgedBytes: 4, Checkpoint: []byte("bc"), Chunks: &line.Chunks{SizeBytes: 4, Count: 2, Done: []byte{1}}}}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestKeptRecorderAnswersAHostOfToday(t *testing.T) {
	recorders := launchKept(t, keptPeer(t), "recorder").Recorder()
	request := recorder.Request{SessionID: "s", PathPrefix: "/d/x", FirstIndex: 3, Streams: []recorder.Stream{{URL: "http://x"}}}
	if err := recorders.Start(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	var told []recorder.Payload
	if err := recorders.Watch(t.Context(), "s", 0, func(e recorder.Event) error { told = append(told, e.Payload); return nil }); err != nil {
		t.Fatal(err)
	}
	want := []recorder.Payload{
		recorder.MediaArrived{},
		recorder.Timeline{Kind: recorder.TimelineResumed, Cause: sdk.GapStreamLost, At: keptMoment, MediaTime: 5 * time.Millisecond, Length: 7 * time.Millisecond},
		recorder.SegmentClosed{Segment: recorder.Segment{
			Index: 3, Path: "/d/x_001.flv", SizeBytes: 4, Files: []recorder.File{{Role: recorder.FileChat, Path: "/d/x_001.xml", SizeBytes: 3}},
			Duration: time.Second, StartedAt: keptMoment, EndedAt: keptMoment,
		}},
		recorder.Ended{Reason: recorder.EndFailed, Message: "http://x", Err: &sdk.Error{Kind: sdk.Forbidden, Cause: sdk.CausePaid}},
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A host of that day works with the plugins of today. What was added since is passed over.
func TestPluginsOfTodayAnswerAKeptHost(t *testing.T) {
	peer := keptPeer(t)
	for _, c := range []struct {
		plugin string
		words  []string
		want   []string
	}{
		{"extractor-direct", []string{"http://127.0.0.1:1/live/a.flv"}, []string{"KIND_EXTRACTOR", "STATE_LIVE", "http://127.0.0.1:1/live/a.flv"}},
		{"recorder-native", []string{"http://127.0.0.1:1/a.flv", filepath.Join(t.TempDir(), "x")}, []string{"KIND_RECORDER", "native_", "END_REASON_OFFLINE", "net.refused"}},
		{"line-upos", []string{"bda2", filepath.Join(t.TempDir(), "none.flv")}, []string{"KIND_LINE", "reason NOT_FOUND"}},
	} {
		t.Run(c.plugin, func(t *testing.T) {
			binary := plugintest.Build(t, filepath.Join("..", "..", "plugins", c.plugin), c.plugin)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			command := exec.CommandContext(ctx, peer, append([]string{"host", binary, "{}"}, c.words...)...)
			answer, err := command.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, answer)
			}
			for _, want := range c.want {
				if !strings.Contains(string(answer), want) {
					t.Errorf("no %s in the answers:\n%s", want, answer)
				}
			}
		})
	}
}
