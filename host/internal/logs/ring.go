package logs

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
)

// Capacity is how many lines a Ring keeps.
const Capacity = 1000

// Ring keeps the last lines. Readers have a place in it and no queue of their own: however slow one is, it costs nothing.
type Ring struct {
	mu    sync.Mutex
	lines []Record
	// next is the number of the next line; line n is at n modulo the length of lines.
	next uint64
	// added is closed when the next line comes; nil while nobody waits.
	added chan struct{}
}

// NewRing makes a ring of Capacity lines.
func NewRing() *Ring { return newRing(Capacity) }

func newRing(capacity int) *Ring { return &Ring{lines: make([]Record, capacity), next: 1} }

func (r *Ring) add(record Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	record.Seq = r.next
	r.lines[r.next%uint64(len(r.lines))] = record
	r.next++
	if r.added != nil {
		close(r.added)
		r.added = nil
	}
}

// oldest is the number of the oldest line that is left. The lock is held.
func (r *Ring) oldest() uint64 {
	if kept := uint64(len(r.lines)); r.next > kept {
		return r.next - kept
	}
	return 1
}

func (r *Ring) at(seq uint64) Record { return r.lines[seq%uint64(len(r.lines))] }

// Filter chooses lines. The zero Filter takes those from info on.
type Filter struct {
	// Level is the least one.
	Level slog.Level
	// Plugin and Streamer take only lines about one plugin, by its name in plugins.hcl, or one streamer, by its id.
	Plugin, Streamer string
	// Parts takes only lines of these parts of the host, or of plugins whose names begin so: "line-" is all lines.
	Parts []string
}

// Takes tells whether a line is chosen.
func (f Filter) Takes(r Record) bool {
	if r.Level < f.Level || f.Plugin != "" && r.Text(keyPlugin) != f.Plugin || f.Streamer != "" && r.Text(keyStreamer) != f.Streamer {
		return false
	}
	if len(f.Parts) == 0 {
		return true
	}
	part, plugin := r.Text(keyPart), r.Text(keyPlugin)
	for _, want := range f.Parts {
		if part == want || strings.HasSuffix(want, "-") && strings.HasPrefix(plugin, want) {
			return true
		}
	}
	return false
}

// Reader reads the lines of a ring in their order. It belongs to one goroutine.
type Reader struct {
	ring   *Ring
	filter Filter
	next   uint64
}

// Read begins with the last lines that the filter takes, at most last of them, and goes on with new ones.
func (r *Ring) Read(filter Filter, last int) *Reader {
	r.mu.Lock()
	defer r.mu.Unlock()
	reader := &Reader{ring: r, filter: filter, next: r.next}
	for seq := r.next; last > 0 && seq > r.oldest(); {
		seq--
		if filter.Takes(r.at(seq)) {
			reader.next = seq
			last--
		}
	}
	return reader
}

// Last are the last lines that the filter takes, at most that many, the oldest first.
func (r *Ring) Last(filter Filter, most int) []Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	var lines []Record
	for seq := r.next; len(lines) < most && seq > r.oldest(); {
		seq--
		if line := r.at(seq); filter.Takes(line) {
			lines = append(lines, line)
		}
	}
	slices.Reverse(lines)
	return lines
}

// Next waits for lines. dropped tells how many lines came and went before the first of them, since the reader was too
// slow. The only error is that of ctx.
func (r *Reader) Next(ctx context.Context) (lines []Record, dropped uint64, err error) {
	for {
		lines, skipped, added := r.take()
		dropped += skipped
		if len(lines) > 0 || dropped > 0 {
			return lines, dropped, nil
		}
		select {
		case <-added:
		case <-ctx.Done():
			return nil, 0, ctx.Err() //nolint:wrapcheck // the caller's own
		}
	}
}

// atOnce bounds what one call copies.
const atOnce = 100

func (r *Reader) take() (lines []Record, dropped uint64, added <-chan struct{}) {
	r.ring.mu.Lock()
	defer r.ring.mu.Unlock()
	if oldest := r.ring.oldest(); r.next < oldest {
		dropped = oldest - r.next
		r.next = oldest
	}
	for ; r.next < r.ring.next && len(lines) < atOnce; r.next++ {
		if line := r.ring.at(r.next); r.filter.Takes(line) {
			lines = append(lines, line)
		}
	}
	if r.ring.added == nil {
		r.ring.added = make(chan struct{})
	}
	return lines, dropped, r.ring.added
}
