package recorder

import (
	"fmt"
	"slices"
	"time"
)

// maxDroppable bounds the events of one session that wait for a host and can be done without. A host may be away for
// hours while a bad stream is repaired every second.
const maxDroppable = 512

// droppedCode marks, as the code of a Note, the place of events that were dropped.
const droppedCode = "events_dropped"

// queue holds the events of one session that no host has acknowledged.
type queue struct {
	events []Event
	// last is the number of the newest event, 0 before the first.
	last int64
	// droppable counts events for which canDrop is true.
	droppable int
	// merged counts, by number of a marker, the events that it stands for.
	merged map[int64]int
	limit  int
}

func newQueue(limit int) *queue {
	return &queue{limit: limit, merged: map[int64]int{}}
}

func (q *queue) push(at time.Time, payload Payload) Event {
	q.last++
	e := Event{Seq: q.last, At: at, Payload: payload}
	q.events = append(q.events, e)
	if canDrop(payload) {
		q.droppable++
	}
	if q.droppable > q.limit {
		q.drop()
	}
	return e
}

// canDrop tells what a host can do without: a segment that opened is named again when it closes, and a request for new
// addresses is repeated.
func canDrop(p Payload) bool {
	switch p.(type) {
	case Note, RefreshWanted, SegmentOpened:
		return true
	}
	return false
}

// drop makes one marker of the two oldest events that can be dropped. It takes the second one's number, so the numbers
// still grow, with gaps.
func (q *queue) drop() {
	first, second := -1, -1
	for i := range q.events {
		if !canDrop(q.events[i].Payload) {
			continue
		}
		if first >= 0 {
			second = i
			break
		}
		first = i
	}
	if second < 0 {
		return
	}
	a, b := q.events[first].Seq, q.events[second].Seq
	count := q.weight(a) + q.weight(b)
	delete(q.merged, a)
	q.merged[b] = count
	q.events[second].Payload = Note{
		Code: droppedCode,
		Text: fmt.Sprintf("%d events were dropped because no host took them", count),
	}
	q.events = slices.Delete(q.events, first, first+1)
	q.droppable--
}

func (q *queue) weight(seq int64) int {
	if n, ok := q.merged[seq]; ok {
		return n
	}
	return 1
}

// acknowledge forgets events up to seq.
func (q *queue) acknowledge(seq int64) {
	keep := q.index(seq)
	for _, e := range q.events[:keep] {
		delete(q.merged, e.Seq)
		if canDrop(e.Payload) {
			q.droppable--
		}
	}
	q.events = slices.Delete(q.events, 0, keep)
}

// after returns a copy of the events that follow seq.
func (q *queue) after(seq int64) []Event {
	return slices.Clone(q.events[q.index(seq):])
}

// index returns the position of the first event after seq.
func (q *queue) index(seq int64) int {
	i, found := slices.BinarySearchFunc(q.events, seq, func(e Event, s int64) int {
		switch {
		case e.Seq < s:
			return -1
		case e.Seq > s:
			return 1
		}
		return 0
	})
	if found {
		return i + 1
	}
	return i
}
