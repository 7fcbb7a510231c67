package crash

import (
	"reflect"
	"testing"
	"time"
)

func TestASeedDrawsTheSamePlanAgain(t *testing.T) {
	t.Parallel()
	if first, again := Draw(7), Draw(7); !reflect.DeepEqual(first, again) {
		t.Errorf("%v\n%v", first, again)
	}
	if first, other := Draw(7), Draw(8); first.String() == other.String() {
		t.Errorf("two seeds drew %v", first)
	}
}

// Two hundred runs have to meet everything that there is, and leave time for a broadcast.
func TestPlansHoldEveryKindOfEvent(t *testing.T) {
	t.Parallel()
	seen := map[Kind]int{}
	lagging, removing, refused, filtering := 0, 0, 0, 0
	for seed := range uint64(200) {
		plan := Draw(seed + 1)
		for _, event := range plan.Events {
			seen[event.Kind]++
			if event.At > Broadcast+4*time.Second {
				t.Errorf("seed %d: %v is long after the broadcast", seed+1, event)
			}
		}
		if plan.ListLag > 0 {
			lagging++
		}
		if plan.Remove {
			removing++
		}
		if plan.Refused != 0 {
			refused++
		}
		if plan.Threshold > 0 {
			filtering++
		}
	}
	for _, kind := range append(kinds, LoseSubmit, CutSubmit, LoseChunk, CutChunk, LoseComplete, RefuseSubmit) {
		if seen[kind] < 10 {
			t.Errorf("%q happens %d times in 200 runs", kind, seen[kind])
		}
	}
	if lagging < 50 || removing < 30 || refused < 20 || filtering < 30 {
		t.Errorf("lists lag in %d runs, files are removed in %d, archives refused in %d, pieces filtered in %d", lagging, removing, refused, filtering)
	}
}
