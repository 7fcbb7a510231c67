package crash

import (
	"testing"
	"time"

	"github.com/lubod/lubod/sdk/simulator/live"
)

func TestAGapNeedsASessionThatEndedThen(t *testing.T) {
	t.Parallel()
	second := func(n int) live.Sent {
		return live.Sent{Track: live.Video, Whole: true, Media: time.Duration(n) * time.Second}
	}
	connections := []live.Connection{{Tags: []live.Sent{second(0), second(1)}}, {Tags: []live.Sent{second(5), second(6)}}}
	gaps := gapsOf(connections, 7*time.Second)
	if len(gaps) != 1 || gaps[0] != (gap{time.Second, 5 * time.Second}) {
		t.Fatalf("gaps %v", gaps)
	}
	if gaps := gapsOf(connections, 9*time.Second); len(gaps) != 2 {
		t.Errorf("a broadcast that was left early has the gaps %v", gaps)
	}
	started := time.Now()
	at := func(offset time.Duration) *string {
		text := started.Add(offset).Format(time.RFC3339Nano)
		return &text
	}
	for name, test := range map[string]struct {
		session session
		want    bool
	}{
		"then":         {session{PathPrefix: "room1/x", EndReason: "crashed", EndedAt: at(2 * time.Second)}, true},
		"long after":   {session{PathPrefix: "room1/x", EndReason: "crashed", EndedAt: at(time.Minute)}, false},
		"another room": {session{PathPrefix: "room2/x", EndReason: "crashed", EndedAt: at(2 * time.Second)}, false},
		"no reason":    {session{PathPrefix: "room1/x", EndedAt: at(2 * time.Second)}, false},
		"not ended":    {session{PathPrefix: "room1/x", EndReason: "crashed"}, false},
	} {
		found := &rows{Sessions: []session{test.session}}
		if got := found.explains("room1", started.Add(gaps[0].from), started.Add(gaps[0].to)); got != test.want {
			t.Errorf("a session that ended %s explains it: %v", name, got)
		}
	}
}
