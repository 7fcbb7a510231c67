package main

import (
	"context"
	"encoding/binary"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/lubod/lubod/sdk/recorder"
)

// burstSize is how much media one operation of the benchmarks takes in.
const burstSize = 256 << 20

// burst serves a 6 Mbit/s stream as fast as it is read: 30 frames and 43 sounds a second, a keyframe every two seconds.
func burst(b *testing.B) *httptest.Server {
	b.Helper()
	var group []byte
	for frame := range 60 {
		size, first := 22_000, byte(0x27)
		if frame == 0 {
			size, first = 180_000, 0x17
		}
		group = appendTag(group, 9, frame*33, first, size)
		group = appendTag(group, 8, frame*33, 0xaf, 280)
		if frame%2 == 0 {
			group = appendTag(group, 8, frame*33+11, 0xaf, 280)
		}
	}
	head := []byte("FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(head)
		buffer := slices.Clone(group)
		for sent := 0; sent < burstSize; sent += len(buffer) {
			if _, err := w.Write(buffer); err != nil {
				return
			}
			forward(buffer, 60*33)
		}
	}))
	b.Cleanup(server.Close)
	b.SetBytes(int64((burstSize + len(group) - 1) / len(group) * len(group)))
	return server
}

func appendTag(dst []byte, kind byte, ms int, first byte, size int) []byte {
	dst = append(dst, kind, byte(size>>16), byte(size>>8), byte(size), byte(ms>>16), byte(ms>>8), byte(ms), byte(ms>>24), 0, 0, 0, first, 1)
	dst = append(dst, make([]byte, size-2)...)
	return binary.BigEndian.AppendUint32(dst, uint32(size+11))
}

// forward moves the times of all tags in b.
func forward(b []byte, ms uint32) {
	for at := 0; at < len(b); {
		t := b[at+4 : at+8]
		v := uint32(t[3])<<24 | uint32(t[0])<<16 | uint32(t[1])<<8 | uint32(t[2]) + ms
		t[0], t[1], t[2], t[3] = byte(v>>16), byte(v>>8), byte(v), byte(v>>24)
		at += 15 + (int(b[at+1])<<16 | int(b[at+2])<<8 | int(b[at+3]))
	}
}

// BenchmarkBurst is one stream to disk at full speed. Compare it with BenchmarkBurstCopy of the same run: the aim is at
// least 0.8 of its rate.
func BenchmarkBurst(b *testing.B) {
	server := burst(b)
	n := &native{options: testOptions()}
	b.ReportAllocs()
	for b.Loop() {
		dir := b.TempDir()
		err := n.Record(context.Background(), recorder.Request{
			Streams: at(server.URL), PathPrefix: filepath.Join(dir, "burst"), FirstIndex: 1,
		}, newSession())
		if err != nil {
			b.Fatal(err)
		}
		empty(b, dir)
	}
}

// BenchmarkBurstCopy is what a plain copy of the body costs, synced as a recording is.
func BenchmarkBurstCopy(b *testing.B) {
	server := burst(b)
	b.ReportAllocs()
	for b.Loop() {
		dir := b.TempDir()
		response, err := http.Get(server.URL)
		if err != nil {
			b.Fatal(err)
		}
		f, err := os.Create(filepath.Join(dir, "burst"))
		if err != nil {
			b.Fatal(err)
		}
		// The file must not take the body over in a way of its own: the copy to compare with is a plain one.
		if _, err := io.Copy(struct{ io.Writer }{f}, response.Body); err != nil {
			b.Fatal(err)
		}
		_ = response.Body.Close()
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		_ = f.Close()
		empty(b, dir)
	}
}

// empty frees the space at once: hundreds of runs would fill a disk.
func empty(b *testing.B, dir string) {
	b.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range entries {
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			b.Fatal(err)
		}
	}
}
