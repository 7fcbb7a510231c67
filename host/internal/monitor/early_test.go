package monitor

import (
	"container/heap"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/lubod/lubod/sdk"
)

// TestRoomWhoseSourceIsNotUpIsPolledSoonAfterAChange follows a room through the results of its polls.
func TestRoomWhoseSourceIsNotUpIsPolledSoonAfterAChange(t *testing.T) {
	t.Parallel()
	offline := &fact{&SessionEnd{Offline: true, Unasked: true}}
	for _, test := range []struct {
		name  string
		given result
		want  time.Duration // after the change; 0: not early
	}{
		{"offline", result{}, 2 * time.Second},
		{"unreachable", result{err: sdk.Errorf(sdk.Unavailable, "connection refused")}, 2 * time.Second},
		{"not there", result{err: sdk.Errorf(sdk.NotFound, "404")}, 2 * time.Second},
		{"an address that is the stream itself", result{fact: offline}, 2 * time.Second},
		{"recorded", result{started: true}, 0},
		{"media arrived", result{fact: &fact{}}, 0},
		{"rate limited", result{err: &sdk.Error{Kind: sdk.RateLimited, RetryAfter: time.Minute}}, 0},
		{"an answer that nobody knows", result{err: errors.New("what?")}, 0},
		{"outside its window", result{err: &refusal{}}, 0},
	} {
		now := time.Now()
		home := &platform{}
		room := &watched{interval: time.Hour, polled: now, changed: now, platform: home, index: -1}
		s := &scheduler{Monitor: New(Options{Logger: slog.New(slog.DiscardHandler)})}
		test.given.room, test.given.quiet = room, true
		s.take(test.given)
		if got := room.due.Sub(now); test.want > 0 && got != test.want || test.want == 0 && got <= 10*time.Second {
			t.Errorf("%s: polled again after %v", test.name, got)
		}
		heap.Pop(&home.schedule)
	}
}

func TestEarlyPollsEnd(t *testing.T) {
	t.Parallel()
	changed := time.Now()
	room := &watched{changed: changed}
	var waits []time.Duration
	for now := changed; ; {
		next := room.early(now)
		if next.IsZero() {
			break
		}
		waits, now = append(waits, next.Sub(changed)), next
	}
	if len(waits) != 3 || waits[0] != 2*time.Second || waits[1] != 5*time.Second || waits[2] != 10*time.Second {
		t.Errorf("polled early after %v", waits)
	}
	if at := (&watched{}).early(changed); !at.IsZero() {
		t.Errorf("a room that nobody changed is polled early, at %v", at)
	}
}
