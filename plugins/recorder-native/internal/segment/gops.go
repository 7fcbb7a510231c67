package segment

// longestGOP: without a keyframe for so long (ms) the sender marks none.
const longestGOP = 60_000

// slack (ms) absorbs the rounding of times to whole milliseconds.
const slack = 2

// gops remembers the lengths of the last groups of pictures. The next one is expected to be as long as the longest of
// them, so that a segment ends before its limit and not behind it.
type gops struct {
	keyTime int64 // of the last keyframe in the open segment
	keySize int64 // size of the segment before it
	recent  [8]struct{ ms, size int64 }
	next    int
}

func (g *gops) begin(ms, size int64) { g.keyTime, g.keySize = ms, size }

// end notes that a keyframe at ms, size bytes into the segment, ended a group.
func (g *gops) end(ms, size int64) {
	if ms <= g.keyTime {
		return
	}
	g.recent[g.next] = struct{ ms, size int64 }{ms - g.keyTime, size - g.keySize}
	g.next = (g.next + 1) % len(g.recent)
}

// crosses says whether one more group would lead over a limit. A group counts at most half a limit: one that is longer
// by accident must not make the segments after it tiny.
func (g *gops) crosses(l Limits, ms, size int64) bool {
	var longest, largest int64
	for _, gop := range g.recent {
		longest, largest = max(longest, gop.ms), max(largest, gop.size)
	}
	if limit := l.Duration.Milliseconds(); limit > 0 && ms > 0 && ms+min(longest, limit/2) > limit+slack {
		return true
	}
	return l.Size > 0 && ms > 0 && size+min(largest, l.Size/2) > l.Size
}
