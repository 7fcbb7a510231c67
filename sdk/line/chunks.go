package line

import "math/bits"

// maxChunks bounds what is shown of one file: a bitmap of 128 KiB.
const maxChunks = 1 << 20

// Chunks says which parts of a file are safe on the other side.
type Chunks struct {
	// SizeBytes of each chunk but the last, which can be shorter.
	SizeBytes int64
	Count     int
	// Done has one bit for each chunk: chunk i is bit i%8, counted from the lowest, of byte i/8.
	Done []byte
}

// NewChunks divides a file of total bytes into chunks of size bytes, none of them done.
func NewChunks(total, size int64) *Chunks {
	count := 0
	if total > 0 && size > 0 {
		count = int((total + size - 1) / size)
	}
	return &Chunks{SizeBytes: size, Count: count, Done: make([]byte, (count+7)/8)}
}

// Mark notes that chunk i, counted from 0, is safe.
func (c *Chunks) Mark(i int) {
	if i >= 0 && i < c.Count {
		c.Done[i/8] |= 1 << (i % 8)
	}
}

// Has tells whether chunk i is safe.
func (c *Chunks) Has(i int) bool {
	return i >= 0 && i < c.Count && i/8 < len(c.Done) && c.Done[i/8]&(1<<(i%8)) != 0
}

// Marked counts the chunks that are safe.
func (c *Chunks) Marked() int {
	n := 0
	for _, b := range c.Done {
		n += bits.OnesCount8(b)
	}
	return n
}

// Clone is a copy that later marks do not change: what is reported is read by another goroutine.
func (c *Chunks) Clone() *Chunks {
	copied := *c
	copied.Done = append([]byte(nil), c.Done...)
	return &copied
}
