package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/lubod/lubod/sdk/line"
)

const (
	benchSize  = 1 << 30
	benchChunk = 10 << 20
)

// sink grants every upload and throws the bytes away, to leave the machine to the client.
func sink(t testing.TB) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/preupload":
			_ = json.NewEncoder(w).Encode(map[string]any{
				"OK": 1, "auth": "a", "biz_id": 1, "chunk_size": benchChunk, "endpoint": "//" + r.Host, "upos_uri": "upos://ugc/n1.mp4",
			})
		case r.Method == http.MethodPut:
			_, _ = io.Copy(io.Discard, r.Body)
		default:
			_, _ = io.WriteString(w, `{"OK":1,"upload_id":"u"}`)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

func sparseFile(t testing.TB, size int64) string {
	path := writeFile(t, 1)
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	return path
}

func uploadTo(u *upos, path string, threads int) error {
	_, err := u.Upload(context.Background(), line.File{Line: "tx", Path: path, Name: "a.mp4", Threads: threads}, func(line.Progress) error { return nil })
	return err
}

func BenchmarkUpload(b *testing.B) {
	server, path := sink(b), sparseFile(b, benchSize)
	u := newTestUpos(b, server.URL)
	b.SetBytes(benchSize)
	b.ReportAllocs()
	for b.Loop() {
		if err := uploadTo(u, path, 3); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBarePUT sends the same chunks with nothing around them: the measure for BenchmarkUpload.
func BenchmarkBarePUT(b *testing.B) {
	server, path := sink(b), sparseFile(b, benchSize)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 3}}
	defer client.CloseIdleConnections()
	file, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	b.SetBytes(benchSize)
	b.ReportAllocs()
	for b.Loop() {
		var group errgroup.Group
		group.SetLimit(3)
		for start := int64(0); start < benchSize; start += benchChunk {
			group.Go(func() error { return barePUT(client, server.URL, file, start) })
		}
		if err := group.Wait(); err != nil {
			b.Fatal(err)
		}
	}
}

func barePUT(client *http.Client, url string, file io.ReaderAt, start int64) error {
	size := min(benchChunk, benchSize-start)
	req, err := http.NewRequest(http.MethodPut, fmt.Sprintf("%s/ugc/n1.mp4?partNumber=%d", url, start/benchChunk+1), io.NewSectionReader(file, start, size))
	if err != nil {
		return err
	}
	req.ContentLength = size
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.Body.Close()
}

// A transfer may allocate for each request, but not for each byte.
func TestMemoryDoesNotGrowWithTheFile(t *testing.T) {
	u := newTestUpos(t, sink(t).URL)
	allocated := func(size int64) int64 {
		path := sparseFile(t, size)
		return testing.Benchmark(func(b *testing.B) {
			for b.Loop() {
				if err := uploadTo(u, path, 3); err != nil {
					b.Fatal(err)
				}
			}
		}).AllocedBytesPerOp()
	}
	if n := allocated(20 * benchChunk); n > 20*benchChunk/20 {
		t.Errorf("%d bytes were allocated for a file of %d", n, 20*benchChunk)
	}
}
