package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"sync/atomic"

	"github.com/lubod/lubod/sdk"
)

// sampled is how much of each end of a file goes into its identity.
const sampled = 64 << 10

// fileIdentity tells whether a file is still the one that was begun with.
type fileIdentity struct {
	Size    int64 `json:"size"`
	MtimeNS int64 `json:"mtime_ns"`
	// Ends is a hash of the first and the last 64 KiB, in hex.
	Ends string `json:"ends_sha256"`
}

// source is the open file of one transfer.
type source struct {
	path     string
	file     *os.File
	identity fileIdentity
}

// openSource refuses what cannot be uploaded before anybody is asked for a place to put it.
func openSource(path string) (*source, error) {
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
	s := &source{path: path, file: file}
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

func (s *source) close() error { return s.file.Close() }

func identify(file *os.File) (fileIdentity, error) {
	info, err := file.Stat()
	if err != nil {
		return fileIdentity{}, sdk.Errorf(sdk.Unavailable, "look at file: %w", err)
	}
	hash := sha256.New()
	for _, start := range []int64{0, max(info.Size()-sampled, 0)} {
		if _, err := io.Copy(hash, io.NewSectionReader(file, start, sampled)); err != nil {
			return fileIdentity{}, sdk.Errorf(sdk.Unavailable, "read file: %w", err)
		}
	}
	return fileIdentity{Size: info.Size(), MtimeNS: info.ModTime().UnixNano(), Ends: hex.EncodeToString(hash.Sum(nil))}, nil
}

// unchanged fails with Corrupt when the file is not what it was at the start, or when its path now names another one.
// A file that was moved away meanwhile is fine: the open one was sent whole, and may be all that is left of it.
func (s *source) unchanged() error {
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

func (s *source) changed() error {
	return sdk.Errorf(sdk.Corrupt, "%s changed while it was being uploaded; upload it again when nothing writes to it any more", s.path)
}

// section is a block of the file that a request can read more than once. It remembers a failure to read, which the HTTP
// client reports as just another broken connection.
type section struct {
	source      *source
	start, size int64
	failure     atomic.Pointer[sdk.Error]
	sum         atomic.Pointer[uint32]
}

func (c *section) open() io.Reader {
	c.sum.Store(nil)
	return &sectionReader{section: c, data: io.NewSectionReader(c.source.file, c.start, c.size), crc: crc32.NewIEEE()}
}

// sent returns the CRC-32 of the block, if it was read to its end.
func (c *section) sent() (crc uint32, whole bool) {
	if sum := c.sum.Load(); sum != nil {
		return *sum, true
	}
	return 0, false
}

// failed returns why the file could not be read, nil when it could.
func (c *section) failed() error {
	if err := c.failure.Load(); err != nil {
		return err
	}
	return nil
}

type sectionReader struct {
	section *section
	data    *io.SectionReader
	crc     hash.Hash32
	read    int64
}

func (r *sectionReader) Read(p []byte) (int, error) {
	n, err := r.data.Read(p)
	r.read += int64(n)
	r.crc.Write(p[:n])
	if r.read == r.section.size {
		sum := r.crc.Sum32()
		r.section.sum.Store(&sum)
		return n, err
	}
	if err == nil {
		return n, nil
	}
	kind := sdk.Unavailable // the disk may answer again
	if errors.Is(err, io.EOF) {
		kind, err = sdk.Corrupt, io.ErrUnexpectedEOF // it was cut meanwhile
	}
	failure := sdk.Errorf(kind, "read %s at byte %d: %w", r.section.source.path, r.section.start+r.read, err)
	// A body that is read after the transfer closed its file belongs to a request that was given up.
	if !errors.Is(err, os.ErrClosed) {
		r.section.failure.Store(failure)
	}
	return n, failure
}
