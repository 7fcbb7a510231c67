package bilibili

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// object is one file that was granted by preupload.
type object struct {
	mid       int64
	line      string
	name      string // what a submission calls it
	path      string // "/bucket/name.ext"
	bucket    string
	fileName  string
	profile   string
	auth      string
	size      int64
	chunkSize int64
	bizID     int64
	endpoints []string
	granted   time.Time

	uploads   map[string]*upload // by upload id
	completed *upload
	failed    bool      // to fail transcoding
	kodo      *kodoFile // of files that go to a bucket first

	joining sync.Mutex
	sum     string // SHA-256 of the whole, once it was asked for
}

// upload is one multi-part upload of an object; there are several when init was repeated.
type upload struct {
	id      string
	host    string // Host header of init
	expired bool
	parts   map[int]*part
	puts    map[int]int // stored attempts by part number
}

// part is what is stored of a chunk.
type part struct {
	size int64
	sum  string
	file string // "" when the bytes were discarded
}

// ErrNoBytes is returned for the content of a file that is not complete or whose bytes were discarded.
var ErrNoBytes = errors.New("the bytes of this file are not kept")

func (o *object) parts() int { return int((o.size + o.chunkSize - 1) / o.chunkSize) }

// partSize is the length of the chunk with this number, from 1.
func (o *object) partSize(number int) int64 {
	return min(o.chunkSize, o.size-int64(number-1)*o.chunkSize)
}

// Object is a file that was granted by preupload, as far as it has arrived.
type Object struct {
	// Name is what a submission calls the file.
	Name string `json:"name"`
	// Path is bucket and key on the storage host.
	Path     string `json:"path"`
	MID      int64  `json:"mid"`
	Line     string `json:"line"`
	FileName string `json:"file_name"`
	Profile  string `json:"profile"`
	BizID    int64  `json:"biz_id"`
	// Size in bytes as announced; ChunkSize as granted.
	Size      int64     `json:"size"`
	ChunkSize int64     `json:"chunk_size"`
	Granted   time.Time `json:"granted"`
	// Inits counts the multi-part uploads that were begun.
	Inits int `json:"inits"`
	// Bucket is where a file of the kodo line goes first, Blocks counts those that were stored there, and Fetches how often the
	// service fetched it from there.
	Bucket   string `json:"bucket,omitempty"`
	Blocks   int    `json:"blocks,omitempty"`
	Fetches  int    `json:"fetches,omitempty"`
	Complete bool   `json:"complete"`
	// Parts of the completed upload, else of the one that has most; in ascending order.
	Parts []Part `json:"parts"`
}

// Part is a stored chunk.
type Part struct {
	Number int    `json:"number"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	// Puts is how often the chunk was stored.
	Puts int `json:"puts"`
}

// StoredBytes is the sum of the parts.
func (o Object) StoredBytes() int64 {
	var n int64
	for _, p := range o.Parts {
		n += p.Size
	}
	return n
}

func (o *object) snapshot() Object {
	out := Object{
		Name: o.name, Path: o.path, MID: o.mid, Line: o.line, FileName: o.fileName, Profile: o.profile, BizID: o.bizID,
		Size: o.size, ChunkSize: o.chunkSize, Granted: o.granted, Inits: len(o.uploads), Complete: o.completed != nil,
		Parts: []Part{},
	}
	if o.kodo != nil {
		out.Bucket, out.Blocks, out.Fetches = o.kodo.bucket, len(o.kodo.blocks), o.kodo.fetches
	}
	for number, p := range o.best().parts {
		out.Parts = append(out.Parts, Part{Number: number, Size: p.size, SHA256: p.sum, Puts: o.best().puts[number]})
	}
	slices.SortFunc(out.Parts, func(a, b Part) int { return a.Number - b.Number })
	return out
}

func (o *object) best() *upload {
	if o.completed != nil {
		return o.completed
	}
	best := &upload{}
	for _, u := range o.uploads {
		if len(u.parts) > len(best.parts) {
			best = u
		}
	}
	return best
}

// Objects lists all granted files in the order they were granted.
func (s *Server) Objects() []Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Object, len(s.state.objects))
	for i, o := range s.state.objects {
		out[i] = o.snapshot()
	}
	return out
}

// Object looks a file up by the name that submissions use.
func (s *Server) Object(name string) (Object, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.state.byName[name]
	if !ok {
		return Object{}, false
	}
	return o.snapshot(), true
}

// WaitObjects blocks until at least n files are complete, and returns the complete ones.
func (s *Server) WaitObjects(ctx context.Context, n int) ([]Object, error) {
	var complete []Object
	err := s.Wait(ctx, func() bool {
		complete = slices.DeleteFunc(s.Objects(), func(o Object) bool { return !o.Complete })
		return len(complete) >= n
	})
	return complete, err
}

// ExpireUploads makes the service forget every multi-part upload that is not complete: its upload id is answered with 404.
func (s *Server) ExpireUploads() {
	s.update(func(st *state) {
		for _, o := range st.objects {
			for _, u := range o.uploads {
				u.expired = u.expired || u != o.completed
			}
		}
	})
}

// FailTranscode makes a file fail its transcoding; the archive that contains it ends in state -16.
func (s *Server) FailTranscode(name string) {
	s.update(func(st *state) {
		if o, ok := st.byName[name]; ok {
			o.failed = true
		}
	})
}

// SHA256 of a complete file, in lower-case hexadecimal.
func (s *Server) SHA256(name string) (string, error) {
	s.mu.Lock()
	o := s.state.byName[name]
	s.mu.Unlock()
	if o == nil {
		return "", fmt.Errorf("hash of %q: no such file", name)
	}
	return s.sum(o)
}

// sum joins the parts once. It must not be called with the state locked, as reading a large file takes a while.
func (s *Server) sum(o *object) (string, error) {
	o.joining.Lock()
	defer o.joining.Unlock()
	if o.sum != "" {
		return o.sum, nil
	}
	r, err := s.openObject(o)
	if err != nil {
		return "", fmt.Errorf("hash of %s: %w", o.name, err)
	}
	defer r.Close()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", fmt.Errorf("hash of %s: %w", o.name, err)
	}
	o.sum = hex.EncodeToString(h.Sum(nil))
	return o.sum, nil
}

// Open reads the content of a complete file.
func (s *Server) Open(name string) (io.ReadCloser, error) {
	s.mu.Lock()
	o := s.state.byName[name]
	s.mu.Unlock()
	if o == nil {
		return nil, fmt.Errorf("open %q: no such file", name)
	}
	return s.openObject(o)
}

func (s *Server) openObject(o *object) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.completed == nil {
		return nil, ErrNoBytes
	}
	numbers := make([]int, 0, len(o.completed.parts))
	for number := range o.completed.parts {
		numbers = append(numbers, number)
	}
	slices.Sort(numbers)
	files := &fileChain{}
	for _, number := range numbers {
		file := o.completed.parts[number].file
		if file == "" {
			return nil, ErrNoBytes
		}
		files.names = append(files.names, file)
	}
	return files, nil
}

// fileChain reads files one after the other, with one open at a time.
type fileChain struct {
	names []string
	open  *os.File
}

func (c *fileChain) Read(p []byte) (int, error) {
	for {
		if c.open == nil {
			if len(c.names) == 0 {
				return 0, io.EOF
			}
			f, err := os.Open(c.names[0])
			if err != nil {
				return 0, err
			}
			c.open, c.names = f, c.names[1:]
		}
		n, err := c.open.Read(p)
		if n > 0 || err != io.EOF {
			return n, err
		}
		c.open.Close()
		c.open = nil
	}
}

func (c *fileChain) Close() error {
	c.names = nil
	if c.open == nil {
		return nil
	}
	err := c.open.Close()
	c.open = nil
	return err
}

// discard hashes a completed file and removes its bytes.
func (s *Server) discard(o *object) {
	if _, err := s.sum(o); err != nil {
		s.options.Logger.Error("cannot hash a completed file", "file", o.name, "error", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o.removeBytes()
}

func (o *object) removeBytes() {
	for _, u := range o.uploads {
		for _, p := range u.parts {
			p.remove()
		}
	}
	if o.kodo != nil {
		for _, b := range o.kodo.blocks {
			b.part.remove()
		}
	}
}

func (p *part) remove() {
	if p.file != "" {
		os.Remove(p.file) // what is left goes with the folder
		p.file = ""
	}
}

// receive stores a body in a file of its own, so that an attempt that breaks off cannot damage an earlier one.
func (s *Server) receive(body io.Reader) (p *part, err error) {
	f, err := os.CreateTemp(s.dir, "part-")
	if err != nil {
		return nil, fmt.Errorf("store a chunk: %w", err)
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	h := sha256.New()
	buffer := make([]byte, 128<<10)
	n, err := io.CopyBuffer(io.MultiWriter(f, h), struct{ io.Reader }{body}, buffer)
	if err != nil {
		return nil, fmt.Errorf("store a chunk: %w", err)
	}
	return &part{size: n, sum: sumOf(h), file: filepath.Clean(f.Name())}, nil
}

func sumOf(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }
