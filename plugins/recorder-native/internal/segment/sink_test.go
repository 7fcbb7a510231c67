package segment

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/lubod/lubod/plugins/recorder-native/internal/flv"
)

// Synthetic media: a payload holds a number of its own and the version of the header that it was made with.

func header(kind flv.Type, version byte) []byte {
	if kind == flv.Audio {
		return []byte{0xaf, 0, version}
	}
	return []byte{0x17, 0, 0, 0, 0, version}
}

func media(kind flv.Type, key bool, id uint32, version byte, pad int) []byte {
	p := []byte{0x27, 1, 0, 0, 0}
	switch {
	case kind == flv.Audio:
		p = []byte{0xaf, 1}
	case key:
		p[0] = 0x17
	}
	p = append(binary.BigEndian.AppendUint32(p, id), version)
	return append(p, make([]byte, pad)...)
}

func identify(t flv.Tag) (id uint32, version byte) {
	p := t.Payload()[2:]
	if t.Type() == flv.Video {
		p = t.Payload()[5:]
	}
	return binary.BigEndian.Uint32(p), p[4]
}

// written is a media tag in a segment.
type written struct {
	kind    flv.Type
	id      uint32
	version byte
	ms      int64
	key     bool
	header  byte // version of the header in force in the file
}

type writtenSegment struct {
	headers Headers
	tags    []written
	closed  bool
	size    int64
	audio   byte
	inline  int // headers behind the start
}

// tester is a *testing.T or a *rapid.T.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// memory is a Sink that remembers everything.
type memory struct {
	t        tester
	segments []*writtenSegment
}

func (m *memory) current() *writtenSegment {
	m.t.Helper()
	if len(m.segments) == 0 || m.segments[len(m.segments)-1].closed {
		m.t.Fatal("no segment is open")
	}
	return m.segments[len(m.segments)-1]
}

func version(header []byte) byte {
	if header == nil {
		return 0
	}
	return header[len(header)-1]
}

func (m *memory) Open(h Headers) error {
	if n := len(m.segments); n > 0 && !m.segments[n-1].closed {
		m.t.Fatal("a segment opened while another is open")
	}
	m.segments = append(m.segments, &writtenSegment{headers: h, audio: version(h.Audio), size: 100})
	return nil
}

func (m *memory) Append(t flv.Tag, ms int64, key bool) error {
	s := m.current()
	id, v := identify(t)
	w := written{kind: t.Type(), id: id, version: v, ms: ms, key: key, header: version(s.headers.Video)}
	if w.kind == flv.Audio {
		w.header = s.audio
	}
	s.tags = append(s.tags, w)
	s.size += int64(len(t.Raw))
	return nil
}

func (m *memory) AppendHeader(kind flv.Type, payload []byte, _ int64) error {
	s := m.current()
	if kind != flv.Audio {
		m.t.Fatal("only sound can change inside a segment")
	}
	s.audio = version(payload)
	s.inline++
	return nil
}

func (m *memory) Size() int64  { return m.current().size }
func (m *memory) Close() error { m.current().closed = true; return nil }

// ids of one track over all segments.
func (m *memory) ids(kind flv.Type) []uint32 {
	var ids []uint32
	for _, s := range m.segments {
		for _, w := range s.tags {
			if w.kind == kind {
				ids = append(ids, w.id)
			}
		}
	}
	return ids
}

func (m *memory) String() string {
	var b strings.Builder
	for i, s := range m.segments {
		fmt.Fprintf(&b, "segment %d, headers %d/%d:", i, version(s.headers.Video), version(s.headers.Audio))
		for i, w := range s.tags {
			if i == 30 {
				fmt.Fprintf(&b, " … %d in all, until %d", len(s.tags), s.end())
				break
			}
			name := "v"
			if w.kind == flv.Audio {
				name = "a"
			}
			if w.key {
				name = "K"
			}
			fmt.Fprintf(&b, " %s%d@%d", name, w.id, w.ms)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// check holds what is true for every input: order of times, keyframe first, headers that fit, all closed.
func (m *memory) check() {
	m.t.Helper()
	for i, s := range m.segments {
		if !s.closed || len(s.tags) == 0 {
			m.t.Fatalf("segment %d: closed %t, %d tags\n%s", i, s.closed, len(s.tags), m)
		}
		last := map[flv.Type]int64{flv.Audio: -1, flv.Video: -1}
		for n, w := range s.tags {
			if w.ms <= last[w.kind] {
				m.t.Fatalf("segment %d tag %d: %d ms after %d ms\n%s", i, n, w.ms, last[w.kind], m)
			}
			if w.kind == flv.Video && last[flv.Video] < 0 && !w.key {
				m.t.Fatalf("segment %d begins with an ordinary frame\n%s", i, m)
			}
			last[w.kind] = w.ms
			if w.version != w.header {
				m.t.Fatalf("segment %d tag %d was made with header %d and lies behind header %d\n%s", i, n, w.version, w.header, m)
			}
		}
	}
}

// starts returns the time of the first tag of a segment.
func (s *writtenSegment) start() int64 {
	at := s.tags[0].ms
	for _, w := range s.tags {
		at = min(at, w.ms)
	}
	return at
}

func (s *writtenSegment) end() int64 {
	var at int64
	for _, w := range s.tags {
		at = max(at, w.ms)
	}
	return at
}

// sender feeds a Splitter as a connection would, from memory that is used again after every tag.
type sender struct {
	t        tester
	sink     *memory
	splitter *Splitter
	notes    map[string]int
	cut      bool
	next     uint32
	video    byte // version of the header
	audio    byte
	sent     map[flv.Type][]uint32
}

func newSender(t tester, limits Limits) *sender {
	s := &sender{t: t, sink: &memory{t: t}, notes: map[string]int{}, sent: map[flv.Type][]uint32{}}
	note := func(code, _ string) { s.notes[code]++ }
	cut := func() bool { c := s.cut; s.cut = false; return c }
	s.splitter = NewSplitter(limits, s.sink, note, cut)
	return s
}

func (s *sender) write(kind flv.Type, ms int64, payload []byte) {
	s.t.Helper()
	raw := flv.AppendTag(nil, kind, ms, payload)
	if err := s.splitter.Write(flv.Tag{Raw: raw}); err != nil {
		s.t.Fatal(err)
	}
	for i := range raw {
		raw[i] = 0xee
	}
}

func (s *sender) header(kind flv.Type, version byte) {
	if kind == flv.Video {
		s.video = version
	} else {
		s.audio = version
	}
	s.write(kind, 0, header(kind, version))
}

// unexpected media is sent without being counted on.
func (s *sender) unexpected(kind flv.Type, ms int64, key bool) uint32 {
	id := s.next
	s.next++
	v := s.video
	if kind == flv.Audio {
		v = s.audio
	}
	s.write(kind, ms, media(kind, key, id, v, 50))
	return id
}

func (s *sender) media(kind flv.Type, ms int64, key bool) {
	s.sent[kind] = append(s.sent[kind], s.unexpected(kind, ms, key))
}

func (s *sender) key(ms int64)   { s.media(flv.Video, ms, true) }
func (s *sender) frame(ms int64) { s.media(flv.Video, ms, false) }
func (s *sender) sound(ms int64) { s.media(flv.Audio, ms, false) }

func (s *sender) begin(audio bool) {
	s.splitter.Begin(audio)
	s.header(flv.Video, 1)
	if audio {
		s.header(flv.Audio, 1)
	}
}

// gops sends groups of pictures of one second, sound included, from a time on.
func (s *sender) gops(from int64, n int) {
	sound := from
	for i := range 25 * n {
		at := from + int64(i)*40
		s.media(flv.Video, at, i%25 == 0)
		for ; sound < at+40; sound += 20 {
			s.sound(sound)
		}
	}
}

func (s *sender) finish() {
	s.t.Helper()
	if err := s.splitter.Finish(); err != nil {
		s.t.Fatal(err)
	}
	s.sink.check()
}

// wantAll: everything counted on is there, once and in order, in so many segments.
func (s *sender) wantAll(segments int) {
	s.t.Helper()
	s.finish()
	for _, kind := range []flv.Type{flv.Video, flv.Audio} {
		if diff := cmp.Diff(s.sent[kind], s.sink.ids(kind)); diff != "" {
			s.t.Fatalf("type %d (-sent +recorded): %s\n%s", kind, diff, s.sink)
		}
	}
	if len(s.sink.segments) != segments {
		s.t.Fatalf("%d segments, want %d\n%s", len(s.sink.segments), segments, s.sink)
	}
}
