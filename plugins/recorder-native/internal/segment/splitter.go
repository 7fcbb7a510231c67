// Package segment cuts a tag stream into FLV files: it decides where to start and where to cut, keeps the tail on every
// kind of end, publishes files only when they are safe on disk, and finishes what a dead process left behind.
package segment

import (
	"bytes"
	"fmt"
	"time"

	"github.com/lubod/lubod/plugins/recorder-native/internal/flv"
)

// Limits of one segment; 0: none.
type Limits struct {
	Duration time.Duration
	Size     int64
}

// Headers is what a segment needs before its first media tag. The byte slices are payloads of header tags; nil: none.
type Headers struct {
	Video, Audio           []byte
	VideoCodec, AudioCodec uint32
	Source                 flv.Source
}

// Sink takes what Splitter decided. Tags are valid during the call, and until the reader's next Fill.
type Sink interface {
	Open(Headers) error
	// Append adds a media tag at ms in the segment.
	Append(t flv.Tag, ms int64, key bool) error
	// AppendHeader adds a header tag that came after the start.
	AppendHeader(kind flv.Type, payload []byte, ms int64) error
	// Size of the segment so far, in bytes.
	Size() int64
	Close() error
}

// Splitter turns the tags of one or several connections into segments that each begin with the parameter sets and a
// keyframe, at time 0. After the first keyframe every media tag reaches the sink exactly once; the only exception, frames
// between changed parameter sets and the keyframe that they belong to, cannot be decoded and are counted in a note.
type Splitter struct {
	limits Limits
	sink   Sink
	note   func(code, text string)
	// cutRequested reports once that a person asked for a cut.
	cutRequested func() bool

	video, audio  track
	source        flv.Source
	audioExpected bool
	soundAt       int64 // the picture's time when the last sound arrived

	open    bool
	base    int64 // source time of the open segment's 0
	cutDue  bool  // the sender's clock changed: cut at the next keyframe
	jumps   int
	orphans int // frames dropped between a changed header and its keyframe
	gops    gops

	held            []heldTag
	heldSize        int
	keyHeld         bool
	keyTime         int64
	early           int // tags dropped before the first keyframe
	firstVideo      int64
	firstVideoKnown bool
	apart           bool // the tracks' clocks were found far apart
}

// NewSplitter returns a splitter that waits for its first connection. note gets repairs and oddities.
func NewSplitter(limits Limits, sink Sink, note func(code, text string), cutRequested func() bool) *Splitter {
	return &Splitter{
		limits: limits, sink: sink, note: note, cutRequested: cutRequested,
		video: track{kind: flv.Video}, audio: track{kind: flv.Audio},
	}
}

// Begin starts a connection. audio says whether the sender announced sound.
func (s *Splitter) Begin(audio bool) {
	s.video.startConnection()
	s.audio.startConnection()
	s.audioExpected = audio
	s.source = flv.Source{}
	s.cutDue, s.keyHeld, s.firstVideoKnown, s.apart = false, false, false, false
	s.early, s.orphans, s.jumps = 0, 0, 0
	s.release()
}

// Write takes the next tag.
func (s *Splitter) Write(t flv.Tag) error {
	kind := t.Kind()
	switch kind {
	case flv.Ignored:
		return nil
	case flv.Data:
		s.script(t)
		return nil
	}
	tr := s.trackOf(t)
	tr.seen = true
	if kind == flv.Header {
		return s.header(tr, t)
	}
	at := tr.unwrap(t)
	tr.observe(t, at)
	if tr == &s.audio {
		s.soundAt = s.video.last
	}
	if tr.codec == 0 {
		tr.codec = t.CodecID()
	}
	if !s.open {
		return s.wait(tr, t, at, kind)
	}
	return s.record(tr, t, at, kind)
}

// Finish ends a connection, for whatever reason: all that was received goes into the segment, which is closed.
func (s *Splitter) Finish() error {
	err := s.start(true)
	if err == nil && s.open {
		err = s.writeThrough()
	}
	if s.early > 0 {
		s.note("before-first-keyframe", fmt.Sprintf("%d tags before the first keyframe were not recorded", s.early))
		s.early = 0
	}
	s.noteOrphans()
	if !s.open {
		return err
	}
	s.open = false
	if closeErr := s.sink.Close(); err == nil {
		err = closeErr
	}
	return err
}

func (s *Splitter) trackOf(t flv.Tag) *track {
	if t.Type() == flv.Video {
		return &s.video
	}
	return &s.audio
}

func (s *Splitter) script(t flv.Tag) {
	if m, _, ok := flv.ParseScript(t.Payload()); ok {
		s.source = m.Source
	}
}

// header takes a header tag. Senders repeat headers all the time; only another one means something.
func (s *Splitter) header(tr *track, t flv.Tag) error {
	payload := t.Payload()
	switch {
	case tr.header == nil && (!s.open || tr == &s.audio):
		s.adopt(tr, bytes.Clone(payload))
		if s.open {
			return s.sink.AppendHeader(tr.kind, tr.header, max(tr.latest(), s.video.latest(), 0))
		}
	case bytes.Equal(tr.header, payload) && !s.open:
	case bytes.Equal(tr.header, payload):
		return s.headerReturned(tr, payload)
	case !s.open:
		return s.headerWhileWaiting(tr, payload)
	case !bytes.Equal(tr.pending, payload):
		return s.suspend(tr, payload)
	}
	return nil
}

// headerWhileWaiting: another header came before the first segment began. What can be decoded with the old one makes a
// segment of its own.
func (s *Splitter) headerWhileWaiting(tr *track, payload []byte) error {
	if s.keyHeld && tr == &s.video || tr == &s.audio && len(s.held) > 0 && !s.video.seen {
		if err := s.start(true); err != nil {
			return err
		}
		return s.suspend(tr, payload)
	}
	if tr == &s.audio && !s.keyHeld {
		s.dropHeld(len(s.held))
	}
	s.adopt(tr, bytes.Clone(payload))
	return nil
}

// headerReturned: the header in force came again. If another one was pending, its time is over; unless sound was held
// for it, it was only a flap.
func (s *Splitter) headerReturned(tr *track, payload []byte) error {
	if tr == &s.audio && len(s.held) > 0 {
		return s.suspend(tr, payload)
	}
	tr.pending = nil
	return nil
}

// suspend makes payload the header of the next segment.
func (s *Splitter) suspend(tr *track, payload []byte) error {
	if tr == &s.audio {
		if err := s.writeThrough(); err != nil {
			return err
		}
	}
	tr.pending = bytes.Clone(payload)
	return nil
}

func (s *Splitter) adopt(tr *track, header []byte) {
	tr.header, tr.pending = header, nil
	tr.codec = flv.Tag{Raw: flv.AppendTag(nil, tr.kind, 0, header)}.CodecID()
}

// record takes a media tag while a segment is open.
func (s *Splitter) record(tr *track, t flv.Tag, at int64, kind flv.Kind) error {
	out, jump := s.place(tr, at)
	boundary := kind == flv.Key && tr == &s.video || s.audioOnly()
	if boundary {
		s.gops.end(out, s.sink.Size())
	}
	switch {
	case boundary && s.placed() && (jump || s.mustCut(out)), s.overdue(tr, out):
		return s.cut(tr, t, at, kind)
	case tr == &s.video && s.video.pending != nil:
		s.orphans++
		return nil
	case tr == &s.audio && s.audio.pending != nil && !s.audioOnly():
		return s.holdAudio(t, at)
	}
	if boundary {
		s.gops.begin(out, s.sink.Size())
	}
	return s.write(tr, t, at, kind)
}

// placed: the open segment has media in it.
func (s *Splitter) placed() bool { return s.video.placed || s.audio.placed }

// audioOnly: without a picture every tag is as good as a keyframe. Some senders announce a picture and never send one.
func (s *Splitter) audioOnly() bool { return s.video.pending == nil && !s.video.known }

// write places a tag in the open segment.
func (s *Splitter) write(tr *track, t flv.Tag, at int64, kind flv.Kind) error {
	s.align(tr, at)
	out, jump := s.place(tr, at)
	if jump {
		out = s.bridge(tr, at)
		s.cutDue = true
		s.jumps++
		s.note("clock-jump", fmt.Sprintf("the sender's clock jumped to %d ms; a new segment follows at the next keyframe", at))
	}
	if tr == &s.video && !tr.placed {
		s.gops.begin(out, s.sink.Size())
	}
	tr.placed, tr.out = true, out
	return s.sink.Append(t, out, kind == flv.Key && tr == &s.video)
}

// mustCut decides at a keyframe, at ms in the segment, whether it begins a new segment.
func (s *Splitter) mustCut(ms int64) bool {
	if !s.video.placed && !s.audio.placed {
		return false // there is nothing to close
	}
	if s.cutRequested() || s.cutDue || s.video.pending != nil || s.audio.pending != nil {
		return true
	}
	return s.gops.crosses(s.limits, ms, s.sink.Size())
}

// overdue: a sender that marks no keyframes, or stopped sending a picture, must not make a file without end.
func (s *Splitter) overdue(tr *track, ms int64) bool {
	if ms-s.gops.keyTime < longestGOP || tr == &s.audio && ms-s.video.latest() < longestGOP {
		return false
	}
	late := s.limits.Duration > 0 && ms >= 2*s.limits.Duration.Milliseconds() ||
		s.limits.Size > 0 && s.sink.Size() >= 2*s.limits.Size
	if late {
		s.note("no-keyframe", "no keyframe for a minute and the segment is twice its limit: it was cut at an ordinary frame")
	}
	return late
}

// cut closes the segment and begins the next one with t.
func (s *Splitter) cut(tr *track, t flv.Tag, at int64, kind flv.Kind) error {
	if err := s.sink.Close(); err != nil {
		s.open = false
		return err
	}
	s.open = false
	s.noteOrphans()
	for _, tr := range []*track{&s.video, &s.audio} {
		if tr.pending != nil {
			s.note("header-change", "the sender's parameter sets changed: a new segment begins")
			s.adopt(tr, tr.pending)
		}
	}
	base := at
	if tr == &s.video {
		base = min(base, s.expectedAudio(at))
	}
	if err := s.begin(base); err != nil {
		return err
	}
	return s.write(tr, t, at, kind)
}

// expectedAudio estimates the time of the audio tag that follows, so that it too lies behind the segment's 0.
func (s *Splitter) expectedAudio(at int64) int64 {
	expected := at
	if s.audio.known && at-s.soundAt <= longestStep { // sound that paused is not late
		expected = s.audio.last + s.audio.interval() - 1
	}
	if len(s.held) > 0 {
		expected = s.held[0].at
	}
	if expected < at-farApart || expected > at {
		return at
	}
	return expected
}

// begin opens a segment whose 0 is the source time base, and writes what was held for it.
func (s *Splitter) begin(base int64) error {
	held := s.held
	s.release()
	s.keyHeld = false
	err := s.sink.Open(Headers{
		Video: s.video.header, Audio: s.audio.header,
		VideoCodec: s.video.codec, AudioCodec: s.audio.codec, Source: s.source,
	})
	if err != nil {
		return err
	}
	s.open, s.base, s.cutDue = true, base, false
	s.video.startSegment()
	s.audio.startSegment()
	s.gops.begin(0, s.sink.Size())
	for _, h := range held {
		take := s.write
		if s.audioOnly() {
			take = s.record // seconds of sound may have been held: the limits hold for them too
		}
		if err := take(s.trackOf(h.tag), h.tag, h.at, h.tag.Kind()); err != nil {
			return err
		}
	}
	return nil
}

func (s *Splitter) noteOrphans() {
	if s.orphans > 0 {
		s.note("header-change-orphans", fmt.Sprintf("%d frames between changed parameter sets and their keyframe cannot be decoded and were dropped", s.orphans))
		s.orphans = 0
	}
}
