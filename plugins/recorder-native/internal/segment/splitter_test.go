package segment

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lubod/lubod/plugins/recorder-native/internal/flv"
)

func TestSplitterBeginsAtTheFirstKeyframe(t *testing.T) {
	s := newSender(t, Limits{})
	s.begin(true)
	s.unexpected(flv.Video, 1000, false)
	s.unexpected(flv.Audio, 1010, false)
	s.unexpected(flv.Audio, 1030, false)
	s.sound(1050)
	s.key(1060)
	s.sound(1070)
	s.frame(1100)
	s.wantAll(1)
	if got := s.sink.segments[0].tags[0].ms; got != 0 {
		t.Errorf("begins at %d ms", got)
	}
	if s.notes["before-first-keyframe"] != 1 {
		t.Errorf("notes %v", s.notes)
	}
}

func TestSplitterKeepsTheDistanceOfSoundAndPicture(t *testing.T) {
	for _, start := range []int64{0, 9_000_000, -48_807, 1<<31 - 500, -1 << 31} {
		s := newSender(t, Limits{})
		s.begin(true)
		s.key(start)
		s.sound(start + 13)
		s.frame(start + 40)
		s.wantAll(1)
		var ms []int64
		for _, w := range s.sink.segments[0].tags {
			ms = append(ms, w.ms)
		}
		if diff := cmp.Diff([]int64{0, 13, 40}, ms); diff != "" {
			t.Errorf("start %d: %s", start, diff)
		}
	}
}

func TestSplitterFollowsClocksThatWrap(t *testing.T) {
	for name, wrap := range map[string]int64{"24 bits without extension byte": 1 << 24, "32 bits": 1 << 32} {
		t.Run(name, func(t *testing.T) {
			s := newSender(t, Limits{})
			s.begin(true)
			start := wrap - 1000
			for i := range int64(50) {
				at := (start + i*40) % wrap
				s.media(flv.Video, at, i%25 == 0)
				s.sound((start + i*40 + 15) % wrap)
			}
			s.wantAll(1)
			if end := s.sink.segments[0].end(); end != 49*40+15 {
				t.Errorf("ends at %d ms, want %d", end, 49*40+15)
			}
			if len(s.notes) > 0 {
				t.Errorf("notes %v", s.notes)
			}
		})
	}
}

func TestSplitterCutsByTimeBeforeTheLimit(t *testing.T) {
	s := newSender(t, Limits{Duration: 3 * time.Second})
	s.begin(true)
	s.gops(5000, 10)
	s.wantAll(4)
	for i, one := range s.sink.segments {
		if one.end() > 3000 || one.start() > 25 {
			t.Errorf("segment %d runs from %d to %d ms", i, one.start(), one.end())
		}
	}
}

func TestSplitterCutsBySizeBeforeTheLimit(t *testing.T) {
	s := newSender(t, Limits{Size: 20_000})
	s.begin(true)
	s.gops(0, 20)
	s.finish()
	if len(s.sink.segments) < 4 {
		t.Fatalf("%d segments", len(s.sink.segments))
	}
	for i, one := range s.sink.segments {
		if one.size > 20_000 {
			t.Errorf("segment %d has %d bytes", i, one.size)
		}
	}
}

func TestSplitterWaitsForAKeyframeWhereGroupsAreLongerThanTheLimit(t *testing.T) {
	s := newSender(t, Limits{Duration: 300 * time.Millisecond, Size: 10})
	s.begin(true)
	s.gops(0, 3)
	s.wantAll(3)
}

func TestSplitterCutsOnRequestAtTheNextKeyframe(t *testing.T) {
	s := newSender(t, Limits{})
	s.begin(true)
	s.gops(0, 1)
	s.cut = true
	s.frame(1000)
	s.gops(1040, 2)
	s.wantAll(2)
	if n := len(s.sink.segments[0].tags); n != 25+50+1 {
		t.Errorf("%d tags in the first segment", n)
	}
}

func TestSplitterIgnoresRepeatedHeaders(t *testing.T) {
	s := newSender(t, Limits{})
	s.begin(true)
	for i := range int64(5) {
		s.header(flv.Video, 1)
		s.header(flv.Audio, 1)
		s.gops(i*1000, 1)
	}
	s.wantAll(1)
}

func TestSplitterBeginsASegmentWithChangedParameterSets(t *testing.T) {
	s := newSender(t, Limits{})
	s.begin(true)
	s.gops(0, 2)
	s.header(flv.Video, 2)
	s.unexpected(flv.Video, 2000, false) // cannot be decoded with anything
	s.sound(2010)
	s.gops(2040, 2)
	s.wantAll(2)
	if s.notes["header-change"] != 1 || s.notes["header-change-orphans"] != 1 {
		t.Errorf("notes %v", s.notes)
	}
}

func TestSplitterTakesASuddenlyOtherHeaderThatGoesBackForNothing(t *testing.T) {
	s := newSender(t, Limits{})
	s.begin(true)
	s.gops(0, 1)
	for range 20 {
		s.header(flv.Video, 2)
		s.header(flv.Video, 1)
	}
	s.gops(1000, 1)
	s.wantAll(1)
}

func TestSplitterKeepsSoundWithItsOwnHeader(t *testing.T) {
	s := newSender(t, Limits{})
	s.begin(true)
	s.gops(0, 1)
	s.header(flv.Audio, 2)
	s.sound(1000)
	s.frame(1000)
	s.sound(1020)
	s.gops(1040, 1)
	s.wantAll(2)
}

func TestSplitterChangesSoundInsideASegmentThatNoKeyframeEnds(t *testing.T) {
	s := newSender(t, Limits{})
	s.begin(true)
	s.gops(0, 1)
	s.header(flv.Audio, 2)
	for at := int64(1000); at < 1_000_000; at += 20 {
		s.sound(at)
	}
	s.wantAll(1)
	if s.sink.segments[0].inline != 1 {
		t.Errorf("%d headers inside the segment", s.sink.segments[0].inline)
	}
}

func TestSplitterLosesNoKeyframeToAHeaderThatChangesAtTheStart(t *testing.T) {
	t.Run("picture", func(t *testing.T) {
		s := newSender(t, Limits{})
		s.begin(true)
		s.key(0)
		s.frame(40)
		s.header(flv.Video, 2)
		s.gops(80, 1)
		s.wantAll(2)
	})
	t.Run("sound", func(t *testing.T) {
		s := newSender(t, Limits{})
		s.begin(true)
		s.key(0)
		s.frame(40)
		s.header(flv.Audio, 2)
		s.gops(80, 1)
		s.wantAll(1)
	})
	t.Run("only sound", func(t *testing.T) {
		s := newSender(t, Limits{})
		s.splitter.Begin(true)
		s.header(flv.Audio, 1)
		s.sound(0)
		s.sound(20)
		s.header(flv.Audio, 2)
		s.sound(40)
		s.wantAll(2)
	})
}

func TestSplitterRecordsSoundWithoutPicture(t *testing.T) {
	s := newSender(t, Limits{Duration: 10 * time.Second})
	s.splitter.Begin(true)
	s.header(flv.Audio, 1)
	for at := int64(700); at < 30_700; at += 20 {
		s.sound(at)
	}
	s.wantAll(3)
}

func TestSplitterRecordsSoundOfASenderThatAnnouncesAPictureAndSendsNone(t *testing.T) {
	s := newSender(t, Limits{Duration: 10 * time.Second})
	s.begin(true)
	for at := int64(0); at < 30_000; at += 20 {
		s.sound(at)
	}
	s.wantAll(3)
}

func TestSplitterTakesThePictureThatComesAfterALongTimeOfSound(t *testing.T) {
	s := newSender(t, Limits{})
	s.splitter.Begin(true)
	s.header(flv.Audio, 1)
	for at := int64(0); at < 8000; at += 20 {
		s.sound(at)
	}
	s.header(flv.Video, 1)
	s.gops(8000, 2)
	s.wantAll(2)
}

func TestSplitterRecordsAPictureWithoutSound(t *testing.T) {
	for _, announced := range []bool{false, true} {
		s := newSender(t, Limits{})
		s.splitter.Begin(announced)
		s.header(flv.Video, 1)
		for i := range int64(100) {
			s.media(flv.Video, i*40, i%25 == 0)
		}
		s.wantAll(1)
	}
}

func TestSplitterTakesSoundWhoseHeaderComesLate(t *testing.T) {
	s := newSender(t, Limits{})
	s.splitter.Begin(true)
	s.header(flv.Video, 1)
	for i := range int64(75) {
		s.media(flv.Video, i*40, i%25 == 0)
	}
	s.header(flv.Audio, 1)
	s.gops(3000, 2)
	s.wantAll(1)
	if s.sink.segments[0].inline != 1 {
		t.Error("the header is missing in the segment")
	}
}

func TestSplitterDropsNothingWhenSoundPauses(t *testing.T) {
	s := newSender(t, Limits{})
	s.begin(true)
	s.gops(0, 1)
	for i := range int64(200) { // eight seconds of picture only
		s.media(flv.Video, 1000+i*40, i%25 == 0)
	}
	s.cut = true
	s.gops(9000, 1)
	s.wantAll(2)
	if at := s.sink.segments[1].start(); at != 0 {
		t.Errorf("the second segment begins at %d ms", at)
	}
}

func TestSplitterBridgesAClockThatJumpsAndCutsAtTheNextKeyframe(t *testing.T) {
	for name, by := range map[string]int64{"forward": 13_000, "back": -60_000} {
		t.Run(name, func(t *testing.T) {
			s := newSender(t, Limits{})
			s.begin(true)
			s.gops(100_000, 1)
			s.frame(101_000 + by)
			s.sound(101_000 + by)
			s.frame(101_040 + by)
			s.gops(101_080+by, 1)
			s.wantAll(2)
			for i, one := range s.sink.segments {
				if one.end() > 1200 || one.start() > 80 {
					t.Errorf("segment %d runs from %d to %d ms", i, one.start(), one.end())
				}
			}
			if s.notes["clock-jump"] == 0 {
				t.Errorf("notes %v", s.notes)
			}
		})
	}
}

func TestSplitterKeepsSmallStepsBack(t *testing.T) {
	s := newSender(t, Limits{})
	s.begin(false)
	for _, at := range []int64{0, 40, 80, 12, 120, 120, 160} {
		s.media(flv.Video, at, at == 0)
	}
	s.wantAll(1)
}

func TestSplitterDoesNotTrustAHugeFirstTime(t *testing.T) {
	s := newSender(t, Limits{})
	s.begin(true)
	s.sound(2_000_000_000)
	s.gops(0, 3)
	s.wantAll(2)
	for i, one := range s.sink.segments {
		if one.end() > 3000 {
			t.Errorf("segment %d ends at %d ms", i, one.end())
		}
	}
}

// Picture and sound on clocks that have nothing to do with each other must not lead to a segment for every keyframe.
func TestSplitterLivesWithTracksFarApart(t *testing.T) {
	for _, distance := range []int64{49_000, -49_000, 9000, -9000} {
		s := newSender(t, Limits{Duration: 15 * time.Second})
		s.begin(true)
		for i := range int64(500) {
			s.media(flv.Video, 100_000+i*40, i%25 == 0)
			s.sound(100_000 + distance + i*40)
		}
		s.finish()
		if n := len(s.sink.segments); n < 2 || n > 4 {
			t.Errorf("distance %d: %d segments\n%v", distance, n, s.notes)
		}
	}
}

func TestSplitterKeepsLateSound(t *testing.T) {
	s := newSender(t, Limits{Duration: 4 * time.Second})
	s.begin(true)
	for i := range int64(300) {
		s.media(flv.Video, 10_000+i*40, i%25 == 0)
		s.sound(10_000 + i*40 - 3000)
	}
	s.finish()
	for i, one := range s.sink.segments {
		v, a := int64(-1), int64(-1)
		for _, w := range one.tags {
			if w.kind == flv.Video && v < 0 {
				v = w.ms
			}
			if w.kind == flv.Audio && a < 0 {
				a = w.ms
			}
		}
		if v-a < 2950 || v-a > 3050 {
			t.Errorf("segment %d: picture begins at %d, sound at %d; the sender had 3000 between them", i, v, a)
		}
	}
}

func TestSplitterRecordsASenderThatMarksNoKeyframes(t *testing.T) {
	s := newSender(t, Limits{Duration: 40 * time.Second})
	s.begin(true)
	for at := int64(0); at < 300_000; at += 40 {
		s.unexpected(flv.Video, at, false)
		s.unexpected(flv.Audio, at, false)
	}
	if err := s.splitter.Finish(); err != nil {
		t.Fatal(err)
	}
	if n := len(s.sink.segments); n < 3 {
		t.Fatalf("%d segments of five minutes without a mark", n)
	}
	got := len(s.sink.ids(flv.Video))
	if want := (300_000 - keyframeWait) / 40; got != want {
		t.Errorf("%d frames, want %d", got, want)
	}
}

func TestSplitterCutsWhenThePictureStopped(t *testing.T) {
	s := newSender(t, Limits{Duration: 20 * time.Second})
	s.begin(true)
	s.gops(0, 2)
	for at := int64(2000); at < 300_000; at += 20 {
		s.sound(at)
	}
	s.finish()
	if n := len(s.sink.segments); n < 4 {
		t.Errorf("%d segments in five minutes", n)
	}
}

func TestSplitterHoldsABoundedAmount(t *testing.T) {
	feed := func(name string, kind flv.Type, begin func(*sender), key bool) {
		t.Run(name, func(t *testing.T) {
			s := newSender(t, Limits{})
			begin(s)
			if key {
				s.key(0)
			}
			most := 0
			for i := range 2000 {
				s.write(kind, 1, media(kind, false, uint32(i), 1, 10_000)) // a clock that stands still
				most = max(most, s.splitter.heldSize)
			}
			if most > maxHeldStart+20_000 {
				t.Errorf("%d bytes were held", most)
			}
		})
	}
	feed("sound before a keyframe", flv.Audio, func(s *sender) { s.begin(true); s.unexpected(flv.Video, 0, false) }, false)
	feed("picture before sound", flv.Video, func(s *sender) { s.begin(true) }, true)
	feed("sound alone", flv.Audio, func(s *sender) { s.splitter.Begin(true); s.header(flv.Audio, 1) }, false)
}

func TestSplitterBeginsANewSegmentWithEveryConnection(t *testing.T) {
	s := newSender(t, Limits{})
	s.begin(true)
	s.gops(50_000, 2)
	s.finish()
	s.begin(true)
	s.gops(49_000, 2)
	s.wantAll(2)
}

func TestSplitterKeepsTheTailAtAnyEnd(t *testing.T) {
	t.Run("keyframe that waits for sound", func(t *testing.T) {
		s := newSender(t, Limits{})
		s.begin(true)
		s.key(0)
		s.frame(40)
		s.wantAll(1)
	})
	t.Run("a little sound", func(t *testing.T) {
		s := newSender(t, Limits{})
		s.splitter.Begin(true)
		s.header(flv.Audio, 1)
		s.sound(0)
		s.wantAll(1)
	})
	t.Run("sound that waits for a keyframe", func(t *testing.T) {
		s := newSender(t, Limits{})
		s.begin(true)
		s.gops(0, 1)
		s.header(flv.Audio, 2)
		s.sound(1000)
		s.wantAll(1)
	})
	t.Run("nothing", func(t *testing.T) {
		s := newSender(t, Limits{})
		s.begin(true)
		s.wantAll(0)
	})
}

func TestSplitterPassesHEVCWithID12Through(t *testing.T) {
	sink := &memory{t: t}
	var keys, frames int
	s := NewSplitter(Limits{}, sink, func(string, string) {}, func() bool { return false })
	s.Begin(false)
	write := func(ms int64, payload ...byte) {
		if err := s.Write(flv.Tag{Raw: flv.AppendTag(nil, flv.Video, ms, payload)}); err != nil {
			t.Fatal(err)
		}
	}
	write(0, 0x1c, 0, 0, 0, 0, 1)
	for i := range int64(50) {
		first := byte(0x2c)
		if i%25 == 0 {
			first = 0x1c
		}
		write(i*40, first, 1, 0, 0, 0, 0, 0, 0, byte(i), 1, 9)
	}
	if err := s.Finish(); err != nil {
		t.Fatal(err)
	}
	for _, w := range sink.segments[0].tags {
		frames++
		if w.key {
			keys++
		}
	}
	if keys != 2 || frames != 50 || sink.segments[0].headers.VideoCodec != 12 {
		t.Errorf("%d keyframes of %d, codec %d", keys, frames, sink.segments[0].headers.VideoCodec)
	}
}

func TestSplitterAllocatesNothingPerTag(t *testing.T) {
	s := NewSplitter(Limits{Duration: time.Hour, Size: 1 << 40}, discard{}, func(string, string) {}, func() bool { return false })
	s.Begin(true)
	tags := make([]flv.Tag, 0, 500)
	for i := range int64(250) {
		tags = append(tags,
			flv.Tag{Raw: flv.AppendTag(nil, flv.Video, 0, media(flv.Video, i%25 == 0, uint32(i), 0, 100))},
			flv.Tag{Raw: flv.AppendTag(nil, flv.Audio, 0, media(flv.Audio, false, uint32(i), 0, 100))})
	}
	at := int64(0)
	feed := func() {
		for i, tag := range tags {
			tag.Stamp(at)
			if err := s.Write(tag); err != nil {
				t.Fatal(err)
			}
			at += int64(i%2) * 40
		}
	}
	feed()
	if n := testing.AllocsPerRun(50, feed); n != 0 {
		t.Errorf("%v allocations per %d tags", n, len(tags))
	}
}

// discard is a Sink that keeps nothing.
type discard struct{}

func (discard) Open(Headers) error                         { return nil }
func (discard) Append(flv.Tag, int64, bool) error          { return nil }
func (discard) AppendHeader(flv.Type, []byte, int64) error { return nil }
func (discard) Size() int64                                { return 1 }
func (discard) Close() error                               { return nil }

// A sender that stops marking keyframes gets its segments cut at ordinary frames, late, and the log says so; one that takes its
// time with a keyframe does not.
func TestSplitterSaysWhenItCutsWithoutAKeyframe(t *testing.T) {
	for _, test := range []struct {
		seconds, segments, notes int
	}{{58, 1, 0}, {70, 2, 1}} {
		s := newSender(t, Limits{Duration: 20 * time.Second})
		s.begin(false)
		s.key(0)
		for i := 1; i < 10*test.seconds; i++ {
			s.frame(int64(100 * i))
		}
		if err := s.splitter.Finish(); err != nil {
			t.Fatal(err)
		}
		if len(s.sink.segments) != test.segments || s.notes["no-keyframe"] != test.notes {
			t.Errorf("%d s without a keyframe are %d segments and %d notes, want %d and %d", test.seconds, len(s.sink.segments), s.notes["no-keyframe"], test.segments, test.notes)
		}
	}
}
