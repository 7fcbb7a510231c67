package segment

import (
	"fmt"

	"github.com/lubod/lubod/plugins/recorder-native/internal/flv"
)

// All times in this package are milliseconds, as in the container.
const (
	wrap32 = int64(1) << 32
	wrap24 = int64(1) << 24
	// wrapSlack: how near to a whole wrap of 24 bits a step must be to count as one.
	wrapSlack = 10_000
	// A step back by more than backJump, or a hole of more than forwardJump in all tracks, means that the sender's clock
	// changed, not that media is late.
	backJump    = 1_000
	forwardJump = 5_000
	// farApart: sound and picture further apart than this are not on the same clock.
	farApart = 10_000
	// longestStep is the longest regular distance of two tags of one track.
	longestStep = 1_000
)

// track is what is known about one of the two tracks: its parameter sets and its clock.
type track struct {
	kind    flv.Type
	header  []byte // payload of the header tag in force; nil: none seen
	pending []byte // a different header, in force from the next keyframe
	codec   uint32
	seen    bool // media or a header arrived on this connection

	known bool
	last  int64 // time of the last tag, unwrapped
	epoch int64 // what unwrapping adds
	step  int64 // last regular distance

	placed bool  // the track has a tag in the open segment
	out    int64 // its time there
	shift  int64 // correction after a jump, until the next cut
}

// unwrap returns the time of t on a clock that does not wrap: the 32-bit time wraps after 49 days, and senders that
// forget the extension byte wrap after 4.6 hours.
func (tr *track) unwrap(t flv.Tag) int64 {
	at := int64(t.Time()) + tr.epoch
	if !tr.known {
		return at
	}
	extension := t.Raw[7]
	switch step := at - tr.last; {
	case step < -wrap32/2:
		at += wrap32
	case step > wrap32/2:
		at -= wrap32
	case extension == 0 && step > -wrap24-wrapSlack && step < -wrap24+wrapSlack:
		at += wrap24
	}
	return at
}

// observe notes the time of a tag that arrived.
func (tr *track) observe(t flv.Tag, at int64) {
	if step := at - tr.last; tr.known && step > 0 && step <= longestStep {
		tr.step = step
	}
	tr.last, tr.known = at, true
	tr.epoch = at - int64(t.Time())
}

// interval is how long a tag of this track lasts, as far as is known.
func (tr *track) interval() int64 {
	switch {
	case tr.step > 0:
		return tr.step
	case tr.kind == flv.Audio:
		return 23 // 1024 samples at 44.1 kHz
	}
	return 33
}

// place returns the time of a tag in the open segment, and whether it lies on another clock than the tags before it.
func (s *Splitter) place(tr *track, at int64) (out int64, jump bool) {
	out = at + tr.shift - s.base
	latest := s.latest()
	switch {
	case tr.placed && (out < tr.out-backJump || out > latest+forwardJump):
		return latest, true
	case !tr.placed && s.strange(out):
		return latest, false
	case tr.placed && out <= tr.out:
		return tr.out + 1, false
	}
	return max(out, 0), false
}

func (tr *track) latest() int64 {
	if !tr.placed {
		return -1
	}
	return tr.out
}

// latest is the time of the newest tag in the open segment.
func (s *Splitter) latest() int64 { return max(s.video.latest(), s.audio.latest(), 0) }

// align is for the first tag of a track in a segment. Some senders run one track on a clock of its own, which is no jump:
// a cut would not mend it. What arrived together is then put together.
func (s *Splitter) align(tr *track, at int64) {
	if tr.placed {
		return
	}
	out, latest := at-s.base, s.latest()
	if !s.strange(out) {
		return
	}
	tr.shift = latest - out
	if !s.apart {
		s.apart = true
		s.note("clocks-apart", fmt.Sprintf("sound and picture are %d ms apart: they are recorded as they arrived", max(out-latest, latest-out)))
	}
}

// strange: the first tag of a track cannot lie there.
func (s *Splitter) strange(out int64) bool { return out < -backJump || out > s.latest()+farApart }

// bridge lets the track continue where it was, so that a changed clock neither tears a hole into the open segment nor
// folds it back. It returns the tag's time. The next segment starts with the new clock and the true distance of sound
// and picture.
func (s *Splitter) bridge(tr *track, at int64) int64 {
	out := s.latest()
	if tr.placed {
		out = tr.out + tr.interval()
	}
	tr.shift = out - at + s.base
	return out
}

func (tr *track) startSegment() { tr.placed, tr.shift, tr.out = false, 0, 0 }

// startConnection forgets what belongs to one connection's clock and parameter sets.
func (tr *track) startConnection() { *tr = track{kind: tr.kind} }
