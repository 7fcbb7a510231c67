package line

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"

	"github.com/lubod/lubod/sdk"
)

// sampled is how much of each end of a file goes into its identity.
const sampled = 64 << 10

// Identity tells whether a file is still the one that a transfer began with. It belongs into a checkpoint: a transfer goes on only
// with the same file.
type Identity struct {
	Size    int64 `json:"size"`
	MtimeNS int64 `json:"mtime_ns"`
	// HeadTailSHA256 is over the first and the last 64 KiB, in hex.
	HeadTailSHA256 string `json:"head_tail_sha256"`
}

// Source is the open file of one transfer. Several goroutines may read sections of it at once.
type Source struct {
	path     string
	file     *os.File
	identity Identity
}

// OpenSource opens File.Path. It refuses what cannot be uploaded before anybody is asked for a place to put it.
func OpenSource(path string) (*Source, error) {
	info, err := os.Stat(path) // before opening: opening a named pipe would wait for its writer
	if err != nil {
		return nil, unreadable(err)
	}
	if !info.Mode().IsRegular() {
		return nil, sdk.Errorf(sdk.Corrupt, "%s is not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, unreadable(err)
	}
	s := &Source{path: path, file: file}
	if s.identity, err = identify(file); err == nil && s.identity.Size == 0 {
		err = sdk.Errorf(sdk.Corrupt, "%s is empty, there is nothing to upload", path)
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return s, nil
}

// unreadable: what is not there is not there. Anything else, a network disk that is away above all, can pass.
func unreadable(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return sdk.Errorf(sdk.NotFound, "open file: %w", err)
	}
	return sdk.Errorf(sdk.Unavailable, "open file: %w", err)
}

// Close closes the file.
func (s *Source) Close() error { return s.file.Close() }

// Path is where it was opened.
func (s *Source) Path() string { return s.path }

// Size in bytes, at least 1.
func (s *Source) Size() int64 { return s.identity.Size }

// Identity is what the file was when it was opened.
func (s *Source) Identity() Identity { return s.identity }

// Section is a part of the file, from start on.
func (s *Source) Section(start, size int64) *Section {
	return &Section{source: s, start: start, size: size}
}

func identify(file *os.File) (Identity, error) {
	info, err := file.Stat()
	if err != nil {
		return Identity{}, sdk.Errorf(sdk.Unavailable, "look at file: %w", err)
	}
	size := info.Size()
	hash := sha256.New()
	for _, start := range []int64{0, max(size-sampled, 0)} {
		if _, err := io.Copy(hash, io.NewSectionReader(file, start, sampled)); err != nil {
			return Identity{}, sdk.Errorf(sdk.Unavailable, "read file: %w", err)
		}
	}
	return Identity{Size: size, MtimeNS: info.ModTime().UnixNano(), HeadTailSHA256: hex.EncodeToString(hash.Sum(nil))}, nil
}

// Unchanged is asked before a transfer is completed. It fails with sdk.Corrupt when the file is not what it was at the start, or when its path now names another one.
// A file that was moved away meanwhile is fine: the open one was sent whole, and may be all that is left of it.
func (s *Source) Unchanged() error {
	now, err := identify(s.file)
	if err != nil {
		return err
	}
	if now != s.identity {
		return s.changed()
	}
	atPath, err := os.Stat(s.path)
	if err != nil {
		return nil //nolint:nilerr // renamed or deleted: the opened file is still whole
	}
	if opened, err := s.file.Stat(); err != nil || !os.SameFile(opened, atPath) {
		return s.changed()
	}
	return nil
}

func (s *Source) changed() error {
	return sdk.Errorf(sdk.Corrupt, "%s changed while it was being uploaded; upload it again when nothing writes to it any more", s.path)
}

// Section is a part of the file that a request can read more than once. It remembers a failure to read, which an HTTP
// client reports as just another broken connection.
type Section struct {
	source      *Source
	start, size int64
	failure     atomic.Pointer[sdk.Error]
}

// Open reads the section from its beginning.
func (c *Section) Open() io.Reader {
	return &sectionReader{section: c, data: io.NewSectionReader(c.source.file, c.start, c.size)}
}

// Failed returns why the file could not be read, nil when it could.
func (c *Section) Failed() error {
	if err := c.failure.Load(); err != nil {
		return err
	}
	return nil
}

type sectionReader struct {
	section *Section
	data    *io.SectionReader
	read    int64
}

func (r *sectionReader) Read(p []byte) (int, error) {
	n, err := r.data.Read(p)
	r.read += int64(n)
	if err != nil && r.read < r.section.size {
		kind := sdk.Unavailable // the disk may answer again
		if errors.Is(err, io.EOF) {
			kind, err = sdk.Corrupt, io.ErrUnexpectedEOF // it was cut meanwhile
		}
		failure := sdk.Errorf(kind, "%w", fmt.Errorf("read %s at byte %d: %w", r.section.source.path, r.section.start+r.read, err))
		// A body that is read after the transfer closed its file belongs to a request that was given up.
		if !errors.Is(err, os.ErrClosed) {
			r.section.failure.Store(failure)
		}
		return n, failure
	}
	return n, err
}
