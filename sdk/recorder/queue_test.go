package recorder

import (
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestQueueKeepsWhatMatters pushes any mix of events, acknowledges at any time, and compares with a list that forgets
// nothing.
func TestQueueKeepsWhatMatters(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		limit := rapid.IntRange(1, 6).Draw(r, "limit")
		q := newQueue(limit)
		var pushed []Event
		acknowledged := int64(0)
		for range rapid.IntRange(1, 80).Draw(r, "steps") {
			if rapid.IntRange(0, 5).Draw(r, "step") == 0 {
				seq := rapid.Int64Range(0, q.last+1).Draw(r, "acknowledge")
				q.acknowledge(seq)
				acknowledged = max(acknowledged, min(seq, q.last)) // what is yet to come cannot be acknowledged
			} else {
				p := rapid.SampledFrom(allPayloads()).Draw(r, "payload")
				pushed = append(pushed, q.push(time.Time{}, p))
			}
			checkQueue(r, q, pushed, acknowledged, limit)
		}
	})
}

func checkQueue(r *rapid.T, q *queue, pushed []Event, acknowledged int64, limit int) {
	droppable, told := 0, 0
	seqs := map[int64]bool{}
	last := acknowledged
	for _, e := range q.after(0) {
		if e.Seq <= last {
			r.Fatalf("number %d follows %d", e.Seq, last)
		}
		last = e.Seq
		seqs[e.Seq] = true
		if canDrop(e.Payload) {
			droppable++
		}
		told += q.weight(e.Seq)
	}
	if droppable > limit || droppable != q.droppable {
		r.Fatalf("%d droppable events are kept (counted %d), limit is %d", droppable, q.droppable, limit)
	}
	for _, e := range pushed {
		if e.Seq > acknowledged && !canDrop(e.Payload) && !seqs[e.Seq] {
			r.Fatalf("event %d, a %T, is lost", e.Seq, e.Payload)
		}
	}
	if len(q.merged) > droppable {
		r.Fatalf("%d counts for %d markers", len(q.merged), droppable)
	}
	if acknowledged == 0 && told != len(pushed) {
		r.Fatalf("events and markers stand for %d events, %d were pushed", told, len(pushed))
	}
}

func TestMarkerSaysHowManyWereDropped(t *testing.T) {
	q := newQueue(2)
	for range 10 {
		q.push(time.Time{}, Note{Code: "repair"})
	}
	events := q.after(0)
	want := []Event{
		{Seq: 9, Payload: Note{Code: droppedCode, Text: "9 events were dropped because no host took them"}},
		{Seq: 10, Payload: Note{Code: "repair"}},
	}
	if !reflect.DeepEqual(events, want) {
		t.Errorf("got %+v", events)
	}
}

// Whatever a host cannot do without is there when it comes back, however long it was away.
func TestSegmentsAndTheEndAreNeverDropped(t *testing.T) {
	q := newQueue(2)
	kept := []Payload{MediaArrived{}}
	q.push(time.Time{}, MediaArrived{})
	for index := range 50 {
		closed := SegmentClosed{Segment: Segment{Index: index}}
		for _, p := range []Payload{SegmentOpened{Index: index}, Note{Code: "repair"}, RefreshWanted{}, closed} {
			q.push(time.Time{}, p)
		}
		kept = append(kept, closed)
	}
	q.push(time.Time{}, Ended{Reason: EndEOF})
	kept = append(kept, Ended{Reason: EndEOF})
	var got []Payload
	for _, e := range q.after(0) {
		switch e.Payload.(type) {
		case MediaArrived, SegmentClosed, Ended:
			got = append(got, e.Payload)
		}
	}
	if !reflect.DeepEqual(got, kept) {
		t.Errorf("kept %v, want %v", got, kept)
	}
	if n := len(q.after(0)); n != len(kept)+2 {
		t.Errorf("%d events are kept, want %d that matter and 2 others", n, len(kept))
	}
}
