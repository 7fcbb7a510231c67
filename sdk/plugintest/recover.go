package plugintest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/recorder"
)

// recover copies the unfinished file of a running session, which is what its sudden death would leave, and has it
// finished.
func (c RecorderCase) recover(t *testing.T, in *instance) {
	d, err := in.Describe(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	r := in.Recorder()
	if !has(d, sdk.CapabilityRecover) {
		_, err := r.Recover(deadline(t), filepath.Join(t.TempDir(), "x"))
		wantError(t, err, sdk.Unsupported, 0)
		return
	}
	request := c.request(t)
	begin(t, in, request)
	dead := filepath.Join(t.TempDir(), "dead")
	stop := newStopper(t, in, request.SessionID)
	copied, refused, part := false, false, ""
	ctx := deadline(t)
	follow(t, in, request.SessionID, func(e recorder.Event) {
		if o, ok := e.Payload.(recorder.SegmentOpened); ok {
			part = o.Path
		}
		if !copied && part != "" {
			copied = copyUnfinished(part, request.PathPrefix, dead)
		}
		if !copied {
			return
		}
		if !refused { // not later: once the session was asked to stop it may be over
			refused = true
			_, err := r.Recover(ctx, request.PathPrefix)
			if sdk.KindOf(err) != sdk.Unavailable {
				t.Errorf("recover under a running session: got %v, want %s", err, sdk.Unavailable)
			}
		}
		stop.on(e)
	})
	stop.wait(t)
	if !copied {
		t.Fatal("the session ended before its unfinished file held 64 KiB; a crash would lose as much")
	}
	checkRecovered(t, in, dead)
}

// copyUnfinished reports whether there was enough to copy: a few frames at least.
func copyUnfinished(part, prefix, dead string) bool {
	const enough = 64 << 10
	content, err := os.ReadFile(part)
	if err != nil || len(content) < enough {
		return false
	}
	return os.WriteFile(dead+strings.TrimPrefix(part, prefix), content, 0o600) == nil
}

func checkRecovered(t *testing.T, in *instance, prefix string) {
	t.Helper()
	first, err := in.Recorder().Recover(deadline(t), prefix)
	if err != nil {
		t.Fatalf("recover: %v", err)
	}
	if len(first) != 1 || !first[0].Recovered || first[0].Duration <= 0 {
		t.Fatalf("recovered %+v, want one segment marked as recovered, with a duration", first)
	}
	checkFile(t, first[0])
	for _, f := range filesUnder(t, prefix) {
		if strings.HasSuffix(f, ".part") {
			t.Errorf("%s is left after recovery", f)
		}
	}
	again, err := in.Recorder().Recover(deadline(t), prefix)
	if err != nil {
		t.Fatalf("recover again: %v", err)
	}
	// A second call finds a finished file; who finished it need not be remembered.
	for i := range again {
		again[i].Recovered = true
	}
	if diff := cmp.Diff(paths(first), paths(again)); diff != "" {
		t.Errorf("recovering again answers something else (-first +again):\n%s", diff)
	}
}

func paths(segments []recorder.Segment) []string {
	var out []string
	for _, s := range segments {
		out = append(out, fmt.Sprintf("%d %s %d", s.Index, s.Path, s.SizeBytes))
	}
	return out
}
