package live_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lubod/lubod/sdk/simulator/live"
)

func file(t testing.TB, c *live.Clip) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestClipSurvivesAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clip.flv")
	if err := clip(t).WriteFile(path); err != nil {
		t.Fatal(err)
	}
	loaded, err := live.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, track := range []live.Track{live.Video, live.Audio} {
		if want := clip(t).Hashes(track); !slices.Equal(loaded.Hashes(track), want) || !slices.Equal(probe(t, path, track), want) {
			t.Errorf("%s differs", track)
		}
	}
	if loaded.Duration() != clip(t).Duration() || loaded.Keyframes() != 4 || (loaded.Duration()-4*time.Second).Abs() > 100*time.Millisecond {
		t.Errorf("%v, %d keyframes", loaded.Duration(), loaded.Keyframes())
	}
	if _, err := live.Load(path + "x"); err == nil {
		t.Error("a file that does not exist was loaded")
	}
}

func TestRefusesFilesWithAnyFlaw(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"not FLV":       func(b []byte) []byte { b[0] = 'X'; return b },
		"version":       func(b []byte) []byte { b[3] = 2; return b },
		"cut":           func(b []byte) []byte { return b[:len(b)-7] },
		"stream id":     func(b []byte) []byte { b[13+10] = 1; return b },
		"trailer":       func(b []byte) []byte { b[len(b)-1]++; return b },
		"tag type":      func(b []byte) []byte { b[13] = 7; return b },
		"header only":   func(b []byte) []byte { return b[:13] },
		"nothing":       func([]byte) []byte { return nil },
		"file header":   func(b []byte) []byte { b[8] = 10; return b },
		"size of a tag": func(b []byte) []byte { b[13+3]++; return b },
	} {
		if _, err := live.Parse(damage(file(t, clip(t)))); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestMetadataOfALiveStreamHasNoDuration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clip.flv")
	if err := clip(t).WriteFile(path); err != nil {
		t.Fatal(err)
	}
	whole := filepath.Join(t.TempDir(), "whole.flv") // ffmpeg adds what it knows at the end
	program(t, "ffmpeg", "-v", "error", "-i", path, "-c", "copy", whole)
	b, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.Index(b, []byte("duration\x00"))
	if i < 0 || bytes.Equal(b[i+9:i+17], make([]byte, 8)) {
		t.Fatal("the file has no duration")
	}
	if _, err := live.Parse(b); err != nil || !bytes.Equal(b[i+9:i+17], make([]byte, 8)) {
		t.Errorf("%v, duration % x", err, b[i+9:i+17])
	}
}

func TestAudioAlone(t *testing.T) {
	audio, err := live.Encode(t.Context(), live.Encoding{Length: time.Second, NoVideo: true})
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, live.Options{Clip: audio, GOPCache: time.Millisecond})
	s.AddFault(live.Cut(live.AfterTags(20)))
	get(t, s)
	body := get(t, s).body
	if n := len(probe(t, store(t, body), live.Audio)); n == 0 || n > 30 || !slices.Equal(s.Expected(live.Audio), audio.Hashes(live.Audio)) {
		t.Errorf("%d frames", n)
	}
}

func TestMissingFFmpegIsNamed(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := live.Encode(t.Context(), live.Encoding{}); err == nil || !strings.Contains(err.Error(), "install ffmpeg") {
		t.Errorf("error %v", err)
	}
}

// Wherever a connection is cut, and whatever the cache, it joins at a keyframe and both connections together send each frame
// from the first to the last unless the cache is too small.
func TestConnectionsOverlapAsFarAsTheCacheGoes(t *testing.T) {
	all := len(clip(t).Hashes(live.Video)) + len(clip(t).Hashes(live.Audio))
	rapid.Check(t, func(r *rapid.T) {
		cut := rapid.IntRange(1, all-1).Draw(r, "cut")
		cache := time.Duration(rapid.IntRange(1, 5000).Draw(r, "cache")) * time.Millisecond
		s, err := live.Start(live.Options{Clip: clip(t), GOPCache: cache})
		if err != nil {
			r.Fatal(err)
		}
		defer s.Close()
		s.AddFault(live.Cut(live.AfterTags(cut)))
		get(t, s)
		if got := get(t, s); got.err != nil {
			r.Fatal(got.err)
		}
		first, second := sentFrames(s, 1), sentFrames(s, 2)
		if !second[0].Key || second[0].Media > 0 && second[0].Media > max(0, first[cut-1].Media-cache) {
			r.Errorf("joined at %v after %v with a cache of %v", second[0].Media, first[cut-1].Media, cache)
		}
		if !slices.Equal(s.Expected(live.Video), clip(t).Hashes(live.Video)) || !slices.Equal(s.Expected(live.Audio), clip(t).Hashes(live.Audio)) {
			r.Error("frames are missing")
		}
	})
}

func FuzzParse(f *testing.F) {
	tiny, err := live.Encode(f.Context(), live.Encoding{Length: 200 * time.Millisecond, Width: 32, Height: 32})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file(f, tiny))
	f.Add([]byte("FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00\x09\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00\x17\x01\x00\x00\x00\x41\x00\x00\x00\x11"))
	f.Add([]byte("FLV\x01\x01\x00\x00\x00\x09\x00\x00\x00\x00\x09\x00\x00\x09\x00\x00\x00\x00\x00\x00\x00\x91hvc1\x00\x00\x00\x41\x00\x00\x00\x14"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := live.Parse(b)
		if err != nil {
			return
		}
		again, err := live.Parse(file(t, c))
		if err != nil || again.Duration() != c.Duration() || again.Keyframes() != c.Keyframes() || c.Keyframes() == 0 || c.Duration() <= 0 {
			t.Errorf("a clip changes when it is written and read: %v", err)
		}
	})
}
