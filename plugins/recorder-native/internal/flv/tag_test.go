package flv

import (
	"bytes"
	"encoding/hex"
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestClassifyKnowsOldAndEnhancedSignalling(t *testing.T) {
	for _, c := range []struct {
		name    string
		kind    Type
		payload string // hex
		want    Kind
		codec   uint32
	}{
		{"AVC sequence header", Video, "1700000000", Header, 7},
		{"AVC keyframe", Video, "1701000000", Key, 7},
		{"AVC inter frame", Video, "2701000000", Frame, 7},
		{"AVC end of sequence", Video, "1702000000", Ignored, 7},
		{"AVC without packet type", Video, "17", Ignored, 7},
		{"HEVC id 12 header", Video, "1c00000000", Header, 12},
		{"HEVC id 12 keyframe", Video, "1c01000000", Key, 12},
		{"HEVC id 12 inter frame", Video, "2c01000000", Frame, 12},
		{"AV1 id 13 header", Video, "1d00000000", Header, 13},
		{"H.263 keyframe", Video, "12aabb", Key, 2},
		{"H.263 disposable frame", Video, "32aabb", Frame, 2},
		{"seek command", Video, "5700", Ignored, 7},
		{"enhanced HEVC header", Video, "9068766331", Header, 0x68766331},
		{"enhanced HEVC keyframe", Video, "9168766331", Key, 0x68766331},
		{"enhanced HEVC frame without composition time", Video, "a368766331", Frame, 0x68766331},
		{"enhanced AV1 header", Video, "9061763031", Header, 0x61763031},
		{"enhanced end of sequence", Video, "9268766331", Ignored, 0x68766331},
		{"enhanced command", Video, "d168766331", Ignored, 0x68766331},
		{"AAC header", Audio, "af001210", Header, 10},
		{"AAC frame", Audio, "af0121", Frame, 10},
		{"AAC without packet type", Audio, "af", Ignored, 10},
		{"MP3", Audio, "2fff", Frame, 2},
		{"enhanced Opus header", Audio, "904f707573", Header, 0x4f707573},
		{"enhanced Opus frame", Audio, "914f707573", Frame, 0x4f707573},
		{"empty video", Video, "", Ignored, 0},
		{"empty audio", Audio, "", Ignored, 0},
		{"script", Script, "02", Data, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			payload, err := hex.DecodeString(c.payload)
			if err != nil {
				t.Fatal(err)
			}
			tag := Tag{Raw: AppendTag(nil, c.kind, 0, payload)}
			if got := tag.Kind(); got != c.want {
				t.Errorf("kind %d, want %d", got, c.want)
			}
			if got := tag.CodecID(); got != c.codec {
				t.Errorf("codec %#x, want %#x", got, c.codec)
			}
		})
	}
}

func TestTimesAreSigned32BitsWithTheExtensionByteLast(t *testing.T) {
	for _, c := range []struct {
		ms   int64
		want []byte // bytes 4 to 7
	}{
		{0, []byte{0, 0, 0, 0}},
		{1, []byte{0, 0, 1, 0}},
		{1<<24 - 1, []byte{0xff, 0xff, 0xff, 0}},
		{1 << 24, []byte{0, 0, 0, 1}},
		{-68, []byte{0xff, 0xff, 0xbc, 0xff}},
		{math.MaxInt32, []byte{0xff, 0xff, 0xff, 0x7f}},
	} {
		tag := Tag{Raw: AppendTag(nil, Video, c.ms, []byte{0x17, 1})}
		if got := tag.Raw[4:8]; !bytes.Equal(got, c.want) {
			t.Errorf("%d ms is % x, want % x", c.ms, got, c.want)
		}
		if got := int64(tag.Time()); got != c.ms {
			t.Errorf("%d ms reads as %d", c.ms, got)
		}
	}
}

func TestStampTouchesOnlyTheFrameOfATag(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		payload := rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "payload")
		before, after := rapid.Int32().Draw(t, "before"), rapid.Int32().Draw(t, "after")
		tag := Tag{Raw: AppendTag(nil, Audio, int64(before), payload)}
		clear(tag.Raw[len(tag.Raw)-TrailerSize:])
		tag.Stamp(int64(after))
		if !bytes.Equal(tag.Raw, AppendTag(nil, Audio, int64(after), payload)) {
			t.Fatalf("% x", tag.Raw)
		}
	})
}
