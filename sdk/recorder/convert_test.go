package recorder

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/internal/convert"
	"github.com/lubod/lubod/sdk/internal/filltest"
	commonv1 "github.com/lubod/lubod/sdk/internal/gen/lubod/common/v1"
	recorderv1 "github.com/lubod/lubod/sdk/internal/gen/lubod/recorder/v1"
)

func same[T any](t *testing.T, want T, wire proto.Message, got T) {
	t.Helper()
	if missing := filltest.Unset(wire); len(missing) > 0 {
		t.Errorf("%T: not sent: %v", want, missing)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%T is not the same on the other side (-sent +received):\n%s", want, diff)
	}
}

func TestConversionsForgetNoField(t *testing.T) {
	request := filltest.Value[Request](nil)
	same(t, request, toStartRequest(request), fromStartRequest(toStartRequest(request)))
	info := filltest.Value[SessionInfo](nil)
	same(t, info, toSessionInfo(info), fromSessionInfo(toSessionInfo(info)))
}

// allPayloads has one of every kind, completely filled.
func allPayloads() []Payload {
	return []Payload{
		MediaArrived{},
		filltest.Value[SegmentOpened](nil),
		filltest.Value[SegmentClosed](map[string]string{"FileRole": string(FileChat)}),
		filltest.Value[Progress](nil),
		filltest.Value[RefreshWanted](nil),
		filltest.Value[Timeline](map[string]string{"TimelineKind": string(TimelineLost), "GapCause": string(sdk.GapStreamLost)}),
		filltest.Value[Note](nil),
		filltest.Value[Ended](map[string]string{"EndReason": string(EndStopped), "Kind": string(sdk.RateLimited)}),
	}
}

func TestEventsForgetNoField(t *testing.T) {
	payloads := allPayloads()
	for _, p := range payloads {
		e := Event{Seq: 7, At: time.Unix(1_700_000_000, 0).UTC(), Payload: p}
		same(t, e, toEvent(e), fromEvent(toEvent(e)))
	}
	kinds := (&recorderv1.Event{}).ProtoReflect().Descriptor().Oneofs().ByName("kind").Fields().Len()
	if len(payloads) != kinds {
		t.Errorf("%d kinds of event in Go, %d in protobuf", len(payloads), kinds)
	}
}

func TestEveryEndReasonCrosses(t *testing.T) {
	for _, reason := range []EndReason{EndEOF, EndStopped, EndOffline, EndFailed} {
		e := Event{Seq: 1, At: time.Unix(1, 0).UTC(), Payload: Ended{
			Reason: reason, Message: "m", Err: filltest.Value[*sdk.Error](map[string]string{"Kind": string(sdk.Corrupt)}),
		}}
		same(t, e, toEvent(e), fromEvent(toEvent(e)))
	}
	for number := range recorderv1.EndReason_name {
		if _, known := reasons.Known(recorderv1.EndReason(number)); !known && number != 0 {
			t.Errorf("reason %d is not known in Go", number)
		}
	}
}

func TestEventOfANewerPluginHasNoPayload(t *testing.T) {
	if e := fromEvent(&recorderv1.Event{Seq: 3}); e.Payload != nil || e.Seq != 3 {
		t.Errorf("got %+v", e)
	}
}

func TestValuesOfANewerPlugin(t *testing.T) {
	ended := fromEvent(&recorderv1.Event{Kind: &recorderv1.Event_Ended{Ended: &recorderv1.Ended{
		Reason: 99, Failure: &commonv1.Failure{Kind: "QUANTUM"},
	}}}).Payload.(Ended)
	if ended.Reason != EndFailed || ended.Err.Kind != sdk.Bug {
		t.Errorf("got %+v", ended)
	}
	told := fromEvent(&recorderv1.Event{Kind: &recorderv1.Event_Timeline{Timeline: &recorderv1.Timeline{Kind: 99, Cause: 99}}}).Payload.(Timeline)
	if told.Kind != "" || told.Cause != sdk.GapUnknown {
		t.Errorf("got %+v", told)
	}
	segment := fromSegment(&recorderv1.Segment{Files: []*recorderv1.SegmentFile{
		{Role: 99, Path: "/a.new"}, {Role: recorderv1.FileRole_FILE_ROLE_MEDIA, Path: "/a.flv", SizeBytes: 7},
	}})
	if segment.Path != "/a.flv" || segment.SizeBytes != 7 || len(segment.Files) != 1 || segment.Files[0].Role != FileOther {
		t.Errorf("got %+v", segment)
	}
	if nonsense := fromSegment(&recorderv1.Segment{DurationMs: -1}); nonsense.Duration != 0 || nonsense.Path != "" {
		t.Errorf("got %+v", nonsense)
	}
}

func TestEveryValueOfTheEnumsCrosses(t *testing.T) {
	for number := range recorderv1.TimelineKind_name {
		if got := timelineKinds.To(timelineKinds.From(recorderv1.TimelineKind(number), "no"), 99); got != recorderv1.TimelineKind(number) {
			t.Errorf("kind %d came back as %d", number, got)
		}
	}
	for number := range commonv1.GapCause_name {
		if got := convert.GapCause(convert.FromGapCause(commonv1.GapCause(number))); got != commonv1.GapCause(number) {
			t.Errorf("cause %d came back as %d", number, got)
		}
	}
}
