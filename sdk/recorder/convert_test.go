package recorder

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/internal/filltest"
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
		filltest.Value[SegmentClosed](nil),
		filltest.Value[Progress](nil),
		filltest.Value[RefreshWanted](nil),
		filltest.Value[Note](nil),
		filltest.Value[Ended](map[string]string{"EndReason": string(EndStopped)}),
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
			Reason: reason, Message: "m", Err: filltest.Value[*sdk.Error](nil),
		}}
		same(t, e, toEvent(e), fromEvent(toEvent(e)))
	}
	if got := len(recorderv1.EndReason_name) - 1; got != len(reasonToProto) {
		t.Errorf("%d reasons in protobuf, %d in Go", got, len(reasonToProto))
	}
}

func TestEventOfANewerPluginHasNoPayload(t *testing.T) {
	if e := fromEvent(&recorderv1.Event{Seq: 3}); e.Payload != nil || e.Seq != 3 {
		t.Errorf("got %+v", e)
	}
}
