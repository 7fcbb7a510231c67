package line

import (
	"testing"

	linev1 "github.com/lubod/lubod/sdk/internal/gen/lubod/line/v1"
)

func TestChunksCoverTheWholeFile(t *testing.T) {
	for total, want := range map[int64]int{0: 0, 1: 1, 4: 1, 5: 2, 33: 9} {
		c := NewChunks(total, 4)
		for i := range c.Count {
			c.Mark(i)
		}
		c.Mark(-1)
		c.Mark(c.Count)
		if c.Count != want || c.Marked() != want || want > 0 && !c.Has(want-1) || c.Has(want) || c.Has(-1) {
			t.Errorf("%d bytes: %+v", total, c)
		}
	}
}

func TestClonedChunksDoNotChange(t *testing.T) {
	c := NewChunks(16, 4)
	told := c.Clone()
	c.Mark(2)
	if told.Has(2) || !c.Has(2) {
		t.Errorf("told %+v, have %+v", told, c)
	}
}

// What cannot be a picture of a file is left out, and the progress with it is used all the same.
func TestNonsenseAboutChunksIsDropped(t *testing.T) {
	for name, wire := range map[string]*linev1.Chunks{
		"none":          nil,
		"size":          {Count: 1, Done: []byte{1}},
		"count":         {SizeBytes: 4, Count: -1},
		"huge":          {SizeBytes: 4, Count: 1<<31 - 1},
		"too many bits": {SizeBytes: 4, Count: 8, Done: []byte{1, 1}},
	} {
		got := fromProgress(&linev1.UploadProgress{AcknowledgedBytes: 7, Chunks: wire})
		if got.Chunks != nil || got.AcknowledgedBytes != 7 {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}
