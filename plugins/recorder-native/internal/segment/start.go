package segment

import (
	"bytes"

	"github.com/lubod/lubod/plugins/recorder-native/internal/flv"
)

// Bounds of what waits in memory for a decision.
const (
	// audioOnlyAfter: this much sound without a single frame of picture is a recording without a picture.
	audioOnlyAfter = 5_000
	// audioWait: this much picture without sound starts the segment although sound was announced.
	audioWait = 1_000
	// keyframeWait: this much picture without a keyframe comes from a sender that marks none.
	keyframeWait = 30_000

	maxHeldAudio = 1 << 20
	maxHeldStart = 4 << 20
)

// heldTag is a copy of a tag that waits.
type heldTag struct {
	tag flv.Tag
	at  int64
}

func (s *Splitter) hold(t flv.Tag, at int64) {
	s.held = append(s.held, heldTag{tag: flv.Tag{Raw: bytes.Clone(t.Raw)}, at: at})
	s.heldSize += len(t.Raw)
}

func (s *Splitter) release() { s.held, s.heldSize = nil, 0 }

func (s *Splitter) dropHeld(n int) {
	for _, h := range s.held[:n] {
		s.heldSize -= len(h.tag.Raw)
	}
	s.early += n
	s.held = s.held[n:]
}

// wait takes a media tag before the first keyframe. Frames are dropped; sound is held, since the part that sounds
// with the first picture belongs to the recording, and since there may be no picture at all.
func (s *Splitter) wait(tr *track, t flv.Tag, at int64, kind flv.Kind) error {
	switch {
	case tr == &s.audio || s.keyHeld:
		s.hold(t, at)
	case kind == flv.Key || s.noKeyframe(at):
		s.keyHeld, s.keyTime = true, at
		s.dropHeld(s.tooEarly(at))
		s.hold(t, at)
	default:
		s.early++
		return nil
	}
	if s.video.known && !s.keyHeld && s.heldSize > maxHeldAudio {
		s.dropHeld((len(s.held) + 1) / 2)
	}
	return s.start(false)
}

func (s *Splitter) noKeyframe(at int64) bool {
	if !s.firstVideoKnown {
		s.firstVideo, s.firstVideoKnown = at, true
	}
	if at-s.firstVideo < keyframeWait {
		return false
	}
	s.note("no-keyframe", "the sender marked no keyframe for 30 seconds: the recording begins at an ordinary frame")
	return true
}

// tooEarly counts the held audio tags that end before the first picture.
func (s *Splitter) tooEarly(key int64) int {
	n := 0
	for n < len(s.held) && s.held[n].at < key-s.audio.interval() {
		n++
	}
	return n
}

// start opens the first segment of a connection once it is clear what it begins with. final: no more tags will come.
func (s *Splitter) start(final bool) error {
	if s.open || len(s.held) == 0 {
		return nil
	}
	first, last := s.held[0], s.held[len(s.held)-1]
	if s.keyHeld {
		ready := final || !s.audioExpected && !s.audio.seen || s.audioHeld() ||
			last.at-s.keyTime >= audioWait || s.heldSize > maxHeldStart
		if !ready {
			return nil
		}
		return s.begin(s.earliest())
	}
	if s.video.known {
		if final {
			s.dropHeld(len(s.held))
		}
		return nil
	}
	if final || last.at-first.at >= audioOnlyAfter || s.heldSize > maxHeldAudio {
		return s.begin(first.at)
	}
	return nil
}

func (s *Splitter) audioHeld() bool {
	for _, h := range s.held {
		if h.tag.Type() == flv.Audio {
			return true
		}
	}
	return false
}

// earliest is the time of the first held tag of either track.
func (s *Splitter) earliest() int64 {
	at := s.keyTime
	for _, h := range s.held {
		at = min(at, h.at)
	}
	return at
}

// holdAudio keeps sound that belongs to changed parameter sets back for the segment that the next keyframe begins.
func (s *Splitter) holdAudio(t flv.Tag, at int64) error {
	s.hold(t, at)
	if s.heldSize <= maxHeldAudio {
		return nil
	}
	s.note("header-change-inline", "sound with new parameter sets came long before a keyframe: it stays in the same segment")
	return s.writeThrough()
}

// writeThrough puts held sound and the header it needs into the open segment: nothing is lost when the segment it was
// held for never begins.
func (s *Splitter) writeThrough() error {
	if !s.open || len(s.held) == 0 {
		return nil
	}
	if s.audio.pending != nil {
		s.adopt(&s.audio, s.audio.pending)
		if err := s.sink.AppendHeader(flv.Audio, s.audio.header, max(s.audio.latest(), 0)); err != nil {
			return err
		}
	}
	for _, h := range s.held {
		if err := s.write(&s.audio, h.tag, h.at, h.tag.Kind()); err != nil {
			return err
		}
	}
	s.release()
	return nil
}
