package hosttest

import (
	"context"
	"testing"
	"time"
)

// Until waits for a condition that no signal tells, and asks for it often. It gives up after a time that only a broken
// test takes, with what the test can tell of its state.
func Until(t testing.TB, what string, condition func() bool, state func() string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("never came: %s; %s", what, state())
		}
	}
}
