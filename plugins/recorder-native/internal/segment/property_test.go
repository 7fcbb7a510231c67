package segment

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lubod/lubod/plugins/recorder-native/internal/flv"
)

// life is a random stream: groups of pictures of random length with sound, and everything that senders do in between.
type life struct {
	*sender
	r       *rapid.T
	picture bool
	sound   bool
	clock   int64 // of the picture
	lag     int64 // of the sound behind it
	heard   int64 // time of the next sound
	jumped  bool
	began   bool // the first keyframe of this connection was sent
	pending bool // the picture's header changed and no keyframe came yet
}

func (l *life) connect() {
	l.splitter.Begin(l.sound || rapid.Bool().Draw(l.r, "announced"))
	l.began, l.pending = false, false
	l.clock = rapid.Int64Range(-100_000, 1<<31).Draw(l.r, "start")
	l.heard = l.clock - l.lag
	if l.picture {
		l.header(flv.Video, 1)
	}
	if l.sound {
		l.header(flv.Audio, 1)
	}
	if l.picture && rapid.Bool().Draw(l.r, "joined late") {
		l.unexpected(flv.Video, l.clock, false)
		l.step(40)
	}
}

// step lets time pass and sends the sound that is due.
func (l *life) step(ms int64) {
	l.clock += ms
	for l.sound && l.heard <= l.clock-l.lag {
		if l.picture && !l.began {
			l.unexpected(flv.Audio, l.heard, false) // may or may not belong to the first picture
		} else {
			l.sender.sound(l.heard)
		}
		l.heard += 23
	}
}

func (l *life) group() {
	l.media(flv.Video, l.clock, true)
	l.began, l.pending = true, false
	l.step(40)
	for range rapid.IntRange(0, 15).Draw(l.r, "frames") {
		l.frame()
	}
}

func (l *life) frame() {
	if l.pending {
		l.unexpected(flv.Video, l.clock, false)
	} else {
		l.sender.frame(l.clock)
	}
	l.step(40)
}

func (l *life) event() {
	switch rapid.SampledFrom([]string{"none", "repeat", "video", "audio", "cut", "script", "end", "jump", "flap", "reconnect"}).Draw(l.r, "event") {
	case "repeat":
		if l.picture {
			l.write(flv.Video, 0, header(flv.Video, l.video))
		}
		if l.sound {
			l.write(flv.Audio, 0, header(flv.Audio, l.audio))
		}
	case "video":
		if !l.picture {
			return
		}
		l.header(flv.Video, l.video%3+1)
		l.pending = true
		for range rapid.IntRange(0, 2).Draw(l.r, "orphans") {
			l.frame()
		}
	case "audio":
		if l.sound {
			l.header(flv.Audio, l.audio%3+1)
			l.step(40)
		}
	case "cut":
		l.cut = true
	case "script":
		l.write(flv.Script, 0, []byte("\x02\x00\x0aonTextData\x08"))
	case "end":
		l.write(flv.Video, l.clock, []byte{0x17, 2, 0, 0, 0})
	case "jump":
		by := rapid.SampledFrom([]int64{-70_000, 20_000, 400}).Draw(l.r, "by")
		l.clock += by
		l.heard += by
		l.jumped = true
	case "flap":
		if l.picture && !l.pending {
			l.write(flv.Video, 0, header(flv.Video, 9))
			l.write(flv.Video, 0, header(flv.Video, l.video))
		}
	case "reconnect":
		l.finish()
		l.connect()
	}
}

// Whatever a sender does, every media tag after the first keyframe of a connection is in exactly one segment and in order,
// and segments begin with a keyframe at 0 behind the headers that it was made with.
func TestSplitterKeepsEverything(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		limits := Limits{
			Duration: time.Duration(rapid.SampledFrom([]int{0, 1, 3}).Draw(r, "seconds")) * time.Second,
			Size:     rapid.SampledFrom([]int64{0, 3000, 20_000}).Draw(r, "bytes"),
		}
		l := &life{sender: newSender(r, limits), r: r}
		l.picture = rapid.IntRange(0, 4).Draw(r, "picture") > 0
		l.sound = !l.picture || rapid.IntRange(0, 4).Draw(r, "sound") > 0
		l.lag = rapid.SampledFrom([]int64{0, 0, 60, 700, -300}).Draw(r, "lag")
		l.connect()
		for range rapid.IntRange(1, 12).Draw(r, "groups") {
			l.event()
			if l.picture {
				l.group()
			} else {
				l.step(rapid.Int64Range(1, 3000).Draw(r, "sound only"))
			}
		}
		l.finish()
		l.checkSent(r)
	})
}

func (l *life) checkSent(r *rapid.T) {
	for _, kind := range []flv.Type{flv.Video, flv.Audio} {
		got := l.sink.ids(kind)
		if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
			r.Fatalf("type %d is out of order or doubled: %v\n%s", kind, got, l.sink)
		}
		for _, id := range l.sent[kind] {
			if _, found := slices.BinarySearch(got, id); !found {
				r.Fatalf("type %d, number %d is lost\n%s", kind, id, l.sink)
			}
		}
		if kind == flv.Video && len(got) != len(l.sent[kind]) {
			r.Fatalf("%d frames were recorded, %d can be decoded\n%s", len(got), len(l.sent[kind]), l.sink)
		}
	}
	for i, s := range l.sink.segments {
		if s.start() > 1000 {
			r.Fatalf("segment %d begins at %d\n%s", i, s.start(), l.sink)
		}
		if l.picture && !l.jumped && s.end() > 60_000 {
			r.Fatalf("segment %d ends at %d\n%s", i, s.end(), l.sink)
		}
	}
}
