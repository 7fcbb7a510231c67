package main

import (
	"hash"
	"hash/crc32"
	"io"
	"sync/atomic"
)

// checksum is a CRC-32 of what a request sent. An answer can come while the HTTP client still reads the body: then there is none.
type checksum struct{ sum atomic.Pointer[uint32] }

// of reads a body of size bytes, and takes the checksum when all of it was read.
func (c *checksum) of(body io.Reader, size int64) io.Reader {
	return &summedReader{Reader: body, checksum: c, crc: crc32.NewIEEE(), left: size}
}

// whole returns the checksum of a body that was read to its end.
func (c *checksum) whole() (crc uint32, whole bool) {
	if sum := c.sum.Load(); sum != nil {
		return *sum, true
	}
	return 0, false
}

type summedReader struct {
	io.Reader
	checksum *checksum
	crc      hash.Hash32
	left     int64
}

func (r *summedReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.crc.Write(p[:n])
	if r.left -= int64(n); r.left == 0 {
		sum := r.crc.Sum32()
		r.checksum.sum.Store(&sum)
	}
	return n, err
}
