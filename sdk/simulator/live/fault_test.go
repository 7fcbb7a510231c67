package live_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lubod/lubod/sdk/simulator/live"
)

// hit serves one connection with one fault and checks that what arrived is what was noted.
func hit(t *testing.T, fault live.Fault) (*live.Server, answer) {
	t.Helper()
	s := serve(t, live.Options{})
	id := s.AddFault(fault)
	got := get(t, s)
	if err := s.WaitFault(t.Context(), id, 1); err != nil {
		t.Fatal(err)
	}
	for _, c := range s.Connections() {
		if c.Bytes != int64(len(got.body)) {
			t.Errorf("%d bytes arrived of %d that were sent", len(got.body), c.Bytes)
		}
	}
	return s, got
}

func TestFaultsInsteadOfTheStream(t *testing.T) {
	for name, test := range map[string]struct {
		fault  live.Fault
		status int
		body   string
		header string
	}{
		"not found": {live.NotFound(), 404, "Not Found", ""},
		"forbidden": {live.Forbidden(), 403, "Forbidden", ""},
		"status":    {live.Status(503), 503, "Service Unavailable", ""},
		"page":      {live.HTML(), 200, "<!DOCTYPE html>", "text/html; charset=utf-8"},
		"playlist":  {live.Answer("application/vnd.apple.mpegurl", "#EXTM3U\n"), 200, "#EXTM3U", "application/vnd.apple.mpegurl"},
		"redirect":  {live.Redirect("/elsewhere.flv"), 302, "Found", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, got := hit(t, test.fault)
			if got.status != test.status || !strings.HasPrefix(string(got.body), test.body) || got.err != nil {
				t.Errorf("status %d, %q, %v", got.status, got.body, got.err)
			}
			if test.header != "" && got.header.Get("Content-Type") != test.header || test.status == 302 && got.header.Get("Location") != "/elsewhere.flv" {
				t.Errorf("header %v", got.header)
			}
			if r := s.Requests()[0]; r.Status != test.status || r.Connection != 0 || len(r.Faults) != 1 || len(s.Connections()) != 0 {
				t.Errorf("request %+v", r)
			}
			if got := get(t, s); got.status != 200 || got.err != nil {
				t.Errorf("the next request: status %d, %v", got.status, got.err)
			}
		})
	}
}

func TestRefuse(t *testing.T) {
	if _, got := hit(t, live.Refuse()); !errors.Is(got.err, syscall.ECONNRESET) {
		t.Errorf("the request ended with %v", got.err)
	}
}

func TestEnds(t *testing.T) {
	proper, early, reset := error(nil), io.ErrUnexpectedEOF, error(syscall.ECONNRESET)
	for name, test := range map[string]struct {
		fault  live.Fault
		ending live.Ending
		err    error
	}{
		"close":            {live.Close(live.AfterTags(30)), live.ByClose, proper},
		"close in a tag":   {live.Close(live.AfterTags(30)).InMidTag(), live.ByClose, proper},
		"cut":              {live.Cut(live.AfterTags(30)), live.ByCut, early},
		"cut in a tag":     {live.Cut(live.AfterTags(30)).InMidTag(), live.ByCut, early},
		"reset":            {live.Reset(live.AfterTags(30)), live.ByReset, reset},
		"reset in a tag":   {live.Reset(live.AfterTags(30)).InMidTag(), live.ByReset, reset},
		"close at the top": {live.Close(live.At{}), live.ByClose, proper},
	} {
		t.Run(name, func(t *testing.T) {
			s, got := hit(t, test.fault)
			c := s.Connections()[0]
			if !errors.Is(got.err, test.err) || c.Ending != test.ending || c.Frames != test.fault.At.Tags {
				t.Errorf("%v, ending %q after %d frames", got.err, c.Ending, c.Frames)
			}
			tags, rest := read(got.body)
			whole := slices.DeleteFunc(slices.Clone(c.Tags), func(t live.Sent) bool { return !t.Whole })
			if len(tags) != len(whole) || (len(rest) > 0) != test.fault.Action.MidTag || len(c.Tags)-len(whole) != min(1, len(rest)) {
				t.Errorf("%d tags and %d bytes received, %d tags noted, %d whole", len(tags), len(rest), len(c.Tags), len(whole))
			}
			if got := get(t, s); got.status != http.StatusOK || got.err != nil {
				t.Errorf("the next connection: status %d, %v", got.status, got.err)
			}
		})
	}
}

func TestPlaces(t *testing.T) {
	s, _ := hit(t, live.Close(live.AfterKeyframes(2)))
	c := s.Connections()[0]
	if last := c.Tags[len(c.Tags)-1]; c.Keyframes != 2 || last.Media < 1900*time.Millisecond {
		t.Errorf("after keyframes: %d keyframes, the last frame is at %v", c.Keyframes, last.Media)
	}
	s, _ = hit(t, live.Close(live.AtMedia(1500*time.Millisecond)))
	frames := sentFrames(s, 1)
	if last := frames[len(frames)-1].Media; last >= 1500*time.Millisecond || last < 1400*time.Millisecond {
		t.Errorf("at a time: the last frame is at %v", last)
	}
}

func TestFaultsCountConnections(t *testing.T) {
	s := serve(t, live.Options{FromStart: true})
	id := s.AddFault(live.Cut(live.AfterTags(5)).After(1).For(2))
	s.AddFault(live.NotFound().OfRequest(5))
	s.AddFault(live.Cut(live.AfterTags(9)).Always().OfPath("/live/*").After(2)) // the first and the fourth
	var frames, statuses []int
	for range 7 {
		statuses = append(statuses, get(t, s).status)
	}
	for _, c := range s.Connections() {
		frames = append(frames, c.Frames)
	}
	all := len(clip(t).Hashes(live.Video)) + len(clip(t).Hashes(live.Audio))
	if !slices.Equal(frames, []int{all, 5, 5, all, 9, 9}) || !slices.Equal(statuses, []int{200, 200, 200, 200, 404, 200, 200}) {
		t.Errorf("frames %v, statuses %v", frames, statuses)
	}
	if f := s.Faults(); len(f) != 3 || f[0].ID != id || f[0].Hits != 2 {
		t.Errorf("faults %v", f)
	}
	s.RemoveFault(id)
	if f := s.Faults(); len(f) != 2 {
		t.Errorf("faults %v", f)
	}
}

func TestHolds(t *testing.T) {
	for name, fault := range map[string]live.Fault{"hang": live.Hang(), "stall": live.Stall(live.AfterTags(10))} {
		for how, release := range map[string]func(*live.Server, live.FaultID){
			"fault": (*live.Server).ReleaseFault, "all": func(s *live.Server, _ live.FaultID) { s.Release() },
			"removed": (*live.Server).RemoveFault, "by itself": nil,
		} {
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				s, fault := serve(t, live.Options{}), fault
				if release == nil {
					fault = fault.Lasting(10 * time.Millisecond)
				}
				id := s.AddFault(fault)
				got := watch(t, s)
				if err := s.WaitFault(t.Context(), id, 1); err != nil {
					t.Fatal(err)
				}
				if release != nil {
					select {
					case <-got:
						t.Fatal("it is not held")
					default:
					}
					for _, c := range s.Connections() {
						if c.Frames != 10 {
							t.Errorf("%d frames before it is held", c.Frames)
						}
					}
					release(s, id)
				}
				if a := <-got; a.err != nil || !slices.Equal(s.Expected(live.Video), clip(t).Hashes(live.Video)) {
					t.Errorf("after it was released: %v", a.err)
				}
			})
		}
		t.Run(name+" until the end", func(t *testing.T) {
			s := serve(t, live.Options{})
			id := s.AddFault(fault)
			got := watch(t, s)
			if err := s.WaitFault(t.Context(), id, 1); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			<-got
		})
	}
}

func TestDrip(t *testing.T) {
	s := serve(t, live.Options{})
	s.AddFault(live.Drip(live.AfterTags(3), 100))
	got := watch(t, s)
	if err := s.Wait(t.Context(), func(c []live.Connection) bool { return len(c) == 1 && c[0].Frames == 3 && c[0].Bytes > 0 }); err != nil {
		t.Fatal(err)
	}
	before := s.Connections()[0].Bytes
	if err := s.Wait(t.Context(), func(c []live.Connection) bool { return c[0].Bytes > before+15 }); err != nil {
		t.Fatal(err)
	}
	s.Break()
	a := <-got
	if sent := s.Connections()[0]; !errors.Is(a.err, io.ErrUnexpectedEOF) || sent.Frames != 3 || sent.Tags[len(sent.Tags)-1].Whole {
		t.Errorf("%v after %d frames", a.err, sent.Frames)
	}
}

func TestGarbageLiesBetweenTags(t *testing.T) {
	s, got := hit(t, live.Garbage(live.AfterTags(30), 3000))
	tags, rest := read(got.body)
	next := sentFrames(s, 1)[30]
	if len(frames(tags)) != 30 || len(got.body)-len(rest)+3000 != int(next.Offset) {
		t.Fatalf("%d frames, then %d bytes; the next frame is at %d", len(frames(tags)), len(rest), next.Offset)
	}
	after, rest := read(append(slices.Clone(got.body[:13]), got.body[next.Offset:]...))
	if len(rest) > 0 || len(frames(after)) != len(sentFrames(s, 1))-30 {
		t.Errorf("%d frames behind it", len(after))
	}
}

func TestDamage(t *testing.T) {
	s, got := hit(t, live.Damage(live.AfterTags(30), 4))
	sent, want := live.Hashes(s.Connections()[0].Tags, live.Video), clip(t).Hashes(live.Video)
	audio, wantAudio := live.Hashes(s.Connections()[0].Tags, live.Audio), clip(t).Hashes(live.Audio)
	differ := 0
	for _, pair := range [][2][]string{{sent, want}, {audio, wantAudio}} {
		for i := range pair[1] {
			if pair[0][i] != pair[1][i] {
				differ++
			}
		}
	}
	if differ != 1 {
		t.Errorf("%d frames differ from the clip", differ)
	}
	if path := store(t, got.body); !slices.Equal(probe(t, path, live.Video), sent) || !slices.Equal(probe(t, path, live.Audio), audio) {
		t.Error("what was noted is not what arrived")
	}
	if !slices.Equal(clip(t).Hashes(live.Video), want) {
		t.Error("the clip itself is damaged")
	}
}

func TestWrongSize(t *testing.T) {
	s, got := hit(t, live.WrongSize(live.AfterTags(30), 1<<24-1))
	tags, rest := read(got.body)
	bad := sentFrames(s, 1)[30]
	if len(frames(tags)) != 30 || len(rest) == 0 || bad.Whole || !bytes.Equal(rest[1:4], []byte{0xff, 0xff, 0xff}) {
		t.Errorf("%d frames, then %d bytes; noted %+v", len(frames(tags)), len(rest), bad)
	}
}

func TestNoTrailers(t *testing.T) {
	s, got := hit(t, live.NoTrailers(live.AfterTags(30)))
	tags, rest := read(got.body)
	if len(frames(tags)) != 30 || len(rest) == 0 || len(sentFrames(s, 1)) < 31 {
		t.Errorf("%d frames, then %d bytes", len(frames(tags)), len(rest))
	}
	for _, sent := range sentFrames(s, 1)[30:] {
		end := int(sent.Offset) + 11 + sent.Size
		if !bytes.Equal(got.body[end:end+4], make([]byte, 4)) {
			t.Fatalf("% x behind a tag", got.body[end:end+4])
		}
	}
}

func TestChangeHeader(t *testing.T) {
	_, got := hit(t, live.ChangeHeader(live.AfterKeyframes(2)))
	tags, _ := read(got.body)
	var headers [][]byte
	for i, tag := range tags {
		if tag.kind == 9 && tag.config() {
			headers = append(headers, tag.body)
			if len(headers) == 2 && (tags[i+1].body[0] != 0x17 || tags[i+1].ms != tag.ms) {
				t.Errorf("the changed header is at %d ms, in front of a tag at %d ms", tag.ms, tags[i+1].ms)
			}
		}
	}
	if len(headers) != 2 || bytes.Equal(headers[0], headers[1]) || len(headers[0]) != len(headers[1]) {
		t.Fatalf("headers %x", headers)
	}
	path := store(t, got.body)
	if n := len(probe(t, path, live.Video)); n < 60 {
		t.Errorf("ffprobe reads %d frames", n)
	}
	program(t, "ffmpeg", "-v", "error", "-xerror", "-i", path, "-f", "null", "-")
}

func TestRepeatHeaders(t *testing.T) {
	_, got := hit(t, live.RepeatHeaders(live.AfterTags(30)))
	tags, _ := read(got.body)
	for i, kind := range []byte{18, 9, 8} {
		if again := tags[33+i]; again.kind != kind || !bytes.Equal(again.body, tags[i].body) {
			t.Errorf("tag %d is of type %d", 33+i, again.kind)
		}
	}
	if len(frames(tags)) != len(tags)-6 {
		t.Errorf("%d headers", len(tags)-len(frames(tags)))
	}
}

func TestSwitch(t *testing.T) {
	s, got := hit(t, live.Switch(live.AtMedia(1500*time.Millisecond), otherClip(t)))
	sent := live.Hashes(s.Connections()[0].Tags, live.Video)
	if want := slices.Concat(clip(t).Hashes(live.Video)[:30], otherClip(t).Hashes(live.Video)); !slices.Equal(sent, want) || !slices.Equal(s.Expected(live.Video), want) {
		t.Errorf("%d frames were sent, want %d", len(sent), len(want))
	}
	tags, rest := read(got.body)
	headers := len(tags) - len(frames(tags))
	if len(rest) > 0 || headers != 6 {
		t.Errorf("%d headers, %d bytes too many", headers, len(rest))
	}
	for i, tag := range sentFrames(s, 1)[1:] {
		if before := sentFrames(s, 1)[i]; tag.Media < before.Media || tag.Media > before.Media+100*time.Millisecond {
			t.Errorf("frame %d is at %v, the one before at %v", i+1, tag.Media, before.Media)
		}
	}
	// The second part is a stream of its own.
	for i, tag := range s.Connections()[0].Tags[3:] {
		if tag.Config {
			part := append(slices.Clone(got.body[:13]), got.body[s.Connections()[0].Tags[3+i].Offset:]...)
			if n := len(probe(t, store(t, part), live.Video)); n != 30 {
				t.Errorf("ffprobe reads %d frames behind the switch", n)
			}
			break
		}
	}
}

func TestClockFaults(t *testing.T) {
	const at = 2 * time.Second
	for name, test := range map[string]struct {
		fault        live.Fault
		video, audio int64 // what is added
	}{
		"forward":  {live.Jump(live.AtMedia(at), 13*time.Second), 13000, 13000},
		"back":     {live.Jump(live.AtMedia(at), -500*time.Millisecond), -500, -500},
		"one":      {live.Jump(live.AtMedia(at), 5*time.Second).OfTrack(live.Audio), 0, 5000},
		"overflow": {live.Jump(live.AtMedia(at), (1<<32)*time.Millisecond), 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s, got := hit(t, test.fault)
			tags, _ := read(got.body)
			for i, tag := range frames(tags) {
				sent := sentFrames(s, 1)[i]
				want := sent.Media.Milliseconds()
				if sent.Media >= at {
					want += map[live.Track]int64{live.Video: test.video, live.Audio: test.audio}[sent.Track]
				}
				if tag.ms != uint32(want) || sent.Timestamp != tag.ms {
					t.Fatalf("frame %d at %v says %d, want %d", i, sent.Media, tag.ms, want)
				}
			}
			if !slices.Equal(s.Expected(live.Video), clip(t).Hashes(live.Video)) {
				t.Error("frames are missing")
			}
		})
	}
	t.Run("restart", func(t *testing.T) {
		s, _ := hit(t, live.Restart(live.AtMedia(at)))
		for i, tag := range sentFrames(s, 1) {
			if tag.Media >= at {
				if before := sentFrames(s, 1)[i-1]; tag.Timestamp != 0 || before.Timestamp < 1900 {
					t.Errorf("%d ms follow %d ms", tag.Timestamp, before.Timestamp)
				}
				break
			}
		}
	})
	t.Run("below 0", func(t *testing.T) {
		s := serve(t, live.Options{StartAt: -68 * time.Millisecond})
		tags, _ := read(get(t, s).body)
		if first := int32(frames(tags)[0].ms); first != -68 {
			t.Errorf("the first time is %d", first)
		}
	})
}

func TestRepeatGOP(t *testing.T) {
	s, got := hit(t, live.RepeatGOP(live.AfterKeyframes(2)))
	sent, want := live.Hashes(s.Connections()[0].Tags, live.Video), clip(t).Hashes(live.Video)
	if !slices.Equal(sent, slices.Concat(want[:30], want[15:])) {
		t.Errorf("%d frames were sent", len(sent))
	}
	if !slices.Equal(s.Expected(live.Video), want) || !slices.Equal(s.Expected(live.Audio), clip(t).Hashes(live.Audio)) {
		t.Error("repeated frames are expected twice")
	}
	tags, _ := read(got.body)
	count := map[string][]uint32{}
	for _, tag := range frames(tags) {
		count[string(tag.body)] = append(count[string(tag.body)], tag.ms)
	}
	twice := 0
	for _, times := range count {
		if len(times) == 2 && times[0] == times[1] {
			twice++
		}
	}
	if twice < 15+30 {
		t.Errorf("%d frames came twice with the same time", twice)
	}
}

func TestSkipGOP(t *testing.T) {
	s, got := hit(t, live.SkipGOP(live.AfterKeyframes(2)))
	sent, want := live.Hashes(s.Connections()[0].Tags, live.Video), clip(t).Hashes(live.Video)
	if !slices.Equal(sent, slices.Concat(want[:30], want[45:])) || !slices.Equal(s.Expected(live.Video), sent) {
		t.Errorf("%d frames were sent", len(sent))
	}
	if !slices.Equal(probe(t, store(t, got.body), live.Video), sent) {
		t.Error("ffprobe reads something else")
	}
}

func TestWrongFaultsAreMistakesOfTheTest(t *testing.T) {
	s := serve(t, live.Options{})
	for _, action := range []live.Action{
		{}, {Do: "nothing"}, {Do: live.DoAnswer}, {Do: live.DoGarbage}, {Do: live.DoSwitch}, {Do: live.DoWrongSize, Bytes: 1 << 24},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v was accepted", action)
				}
			}()
			s.AddFault(live.Fault{Action: action})
		}()
	}
}
