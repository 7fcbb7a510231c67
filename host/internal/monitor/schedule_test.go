package monitor

import (
	"container/heap"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever is added, moved and removed, rooms come out in the order in which they are due, each once.
func TestScheduleGivesRoomsInTheOrderTheyAreDue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s schedule
		begin := time.Unix(0, 0)
		due := rapid.IntRange(0, 50)
		in := map[*watched]bool{}
		for _, n := range rapid.SliceOf(due).Draw(t, "added") {
			room := &watched{due: begin.Add(time.Duration(n))}
			in[room] = true
			heap.Push(&s, room)
		}
		for _, n := range rapid.SliceOf(rapid.IntRange(0, 100)).Draw(t, "changed") {
			if len(s) == 0 {
				break
			}
			room := s[n%len(s)]
			if n%3 == 0 {
				heap.Remove(&s, room.index)
				delete(in, room)
				continue
			}
			room.due = begin.Add(time.Duration(n))
			heap.Fix(&s, room.index)
		}
		last := begin.Add(-1)
		for len(s) > 0 {
			room := heap.Pop(&s).(*watched)
			if room.due.Before(last) || room.index != -1 || !in[room] {
				t.Fatalf("room due %v came after %v", room.due, last)
			}
			last = room.due
			delete(in, room)
		}
		if len(in) != 0 {
			t.Fatalf("%d rooms were lost", len(in))
		}
	})
}
