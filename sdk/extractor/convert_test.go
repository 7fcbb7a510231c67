package extractor

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/internal/filltest"
	commonv1 "github.com/lubod/lubod/sdk/internal/gen/lubod/common/v1"
	extractorv1 "github.com/lubod/lubod/sdk/internal/gen/lubod/extractor/v1"
)

func TestRequestForgetsNoField(t *testing.T) {
	want := filltest.Value[Ref](map[string]string{"Purpose": string(PurposeRefresh)})
	wire := toRequest(want)
	if missing := filltest.Unset(wire); len(missing) > 0 {
		t.Errorf("not sent: %v", missing)
	}
	want.Groups = nil // found on the plugin's side
	if diff := cmp.Diff(want, fromRequest(wire)); diff != "" {
		t.Errorf("not the same on the other side (-sent +received):\n%s", diff)
	}
}

func TestStatusForgetsNoField(t *testing.T) {
	want := filltest.Value[Status](filled)
	wire := toResponse(want)
	if missing := filltest.Unset(wire); len(missing) > 0 {
		t.Errorf("not sent: %v", missing)
	}
	for _, want := range []Status{want, Offline} {
		got, err := fromStatus(toResponse(want).GetStatus())
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("not the same on the other side (-sent +received), %v:\n%s", err, diff)
		}
	}
}

// filled are values that a Status can have.
var filled = map[string]string{"State": string(StateRestricted), "Restriction": string(RestrictionPaid)}

func TestEveryValueOfTheEnumsCrosses(t *testing.T) {
	for want := range extractorv1.State_name {
		if want == 0 {
			continue
		}
		state, known := states.Known(extractorv1.State(want))
		if !known || states.To(state, 0) != extractorv1.State(want) {
			t.Errorf("state %d is %q in Go", want, state)
		}
	}
	for want := range extractorv1.Restriction_name {
		if got := restrictions.To(restrictions.From(extractorv1.Restriction(want), "no"), 99); got != extractorv1.Restriction(want) {
			t.Errorf("restriction %d came back as %d", want, got)
		}
	}
	for want := range extractorv1.Purpose_name {
		if got := purposes.To(purposes.From(extractorv1.Purpose(want), "no"), 99); got != extractorv1.Purpose(want) {
			t.Errorf("purpose %d came back as %d", want, got)
		}
	}
}

// A newer plugin's state must not end a recording; its restriction is one all the same.
func TestAnswersOfANewerPlugin(t *testing.T) {
	for _, state := range []extractorv1.State{0, 99} {
		if got, err := fromStatus(&extractorv1.Status{State: state}); sdk.KindOf(err) != sdk.Bug {
			t.Errorf("state %d: got %+v, %v", state, got, err)
		}
		if got := fromResult(&extractorv1.BatchResult{Status: &extractorv1.Status{State: state}}); got.Known {
			t.Errorf("state %d in a batch: got %+v", state, got)
		}
	}
	if _, err := fromStatus(nil); err == nil {
		t.Error("no status is taken for offline")
	}
	got, err := fromStatus(&extractorv1.Status{State: extractorv1.State_STATE_RESTRICTED, Restriction: 99})
	if err != nil || got.Restriction != RestrictionOther {
		t.Errorf("got %+v, %v", got, err)
	}
	if got := fromRequest(&extractorv1.ResolveRequest{Url: "u", Purpose: 99}); got.Purpose != PurposeAll {
		t.Errorf("purpose of a newer host: %q", got.Purpose)
	}
}

// What a plugin sends is cut on the host's side, too: it need not have been made with this SDK.
func TestAnswersAreCut(t *testing.T) {
	wire := &extractorv1.Status{State: extractorv1.State_STATE_LIVE, Title: strings.Repeat("直", 5<<20), CoverUrl: strings.Repeat("x", 1<<20)}
	for range 200_000 {
		wire.Streams = append(wire.Streams, &commonv1.Stream{Url: "http://x"})
	}
	got, err := fromStatus(wire)
	if err != nil || utf8.RuneCountInString(got.Title) != 512 || !strings.HasSuffix(got.Title, "直…") || got.CoverURL != "" || len(got.Streams) != 256 {
		t.Errorf("%v: title of %d characters, cover of %d bytes, %d streams", err, utf8.RuneCountInString(got.Title), len(got.CoverURL), len(got.Streams))
	}
}

func TestBatchAnswerForgetsNoField(t *testing.T) {
	for _, want := range []BatchAnswer{{}, {Known: true}, filltest.Value[BatchAnswer](filled)} {
		if diff := cmp.Diff(want, fromResult(toResult(want))); diff != "" {
			t.Errorf("not the same on the other side (-sent +received):\n%s", diff)
		}
	}
	if missing := filltest.Unset(toResult(filltest.Value[BatchAnswer](filled))); len(missing) > 0 {
		t.Errorf("not sent: %v", missing)
	}
}
