package line

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/lubod/lubod/sdk/internal/filltest"
)

func same[T any](t *testing.T, want T, wire proto.Message, got T) {
	t.Helper()
	if missing := filltest.Unset(wire); len(missing) > 0 {
		t.Errorf("not sent: %v", missing)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("not the same on the other side (-sent +received):\n%s", diff)
	}
}

func TestConversionsForgetNoField(t *testing.T) {
	file := filltest.Value[File](nil)
	same(t, file, toRequest(file), fromRequest(toRequest(file)))
	progress := filltest.Value[Progress](nil)
	progress.Chunks = &Chunks{SizeBytes: 4, Count: 9, Done: []byte{5, 1}}
	same(t, progress, toProgress(progress), fromProgress(toProgress(progress).GetProgress()))
	result := filltest.Value[Result](nil)
	same(t, result, toResult(result), fromResult(toResult(result).GetResult()))
	probe := filltest.Value[ProbeResult](nil)
	same(t, probe, toProbeResult(probe), fromProbeResult(toProbeResult(probe)))
}
