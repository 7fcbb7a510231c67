package extractor

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lubod/lubod/sdk/internal/filltest"
)

func TestRequestForgetsNoField(t *testing.T) {
	want := filltest.Value[Ref](nil)
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
	want := filltest.Value[Status](nil)
	wire := toResponse(want)
	if missing := filltest.Unset(wire); len(missing) > 0 {
		t.Errorf("not sent: %v", missing)
	}
	if diff := cmp.Diff(want, fromResponse(wire)); diff != "" {
		t.Errorf("not the same on the other side (-sent +received):\n%s", diff)
	}
	if diff := cmp.Diff(Offline, fromResponse(toResponse(Offline))); diff != "" {
		t.Errorf("offline is not offline on the other side:\n%s", diff)
	}
}

func TestBatchAnswerForgetsNoField(t *testing.T) {
	for _, want := range []BatchAnswer{{}, {Known: true}, filltest.Value[BatchAnswer](nil)} {
		if diff := cmp.Diff(want, fromResult(toResult(want))); diff != "" {
			t.Errorf("not the same on the other side (-sent +received):\n%s", diff)
		}
	}
	if missing := filltest.Unset(toResult(filltest.Value[BatchAnswer](nil))); len(missing) > 0 {
		t.Errorf("not sent: %v", missing)
	}
}
