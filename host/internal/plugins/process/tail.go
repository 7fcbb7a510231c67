package process

import (
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"syscall"
	"time"
)

// tailInterval is how often a detached plugin's log file is looked at.
const tailInterval = 250 * time.Millisecond

// Sink takes what is read of a log.
type Sink interface {
	io.Writer
	// Flush takes a last line that has no end for a whole one.
	Flush()
	// Pending is how many bytes of a line without an end it keeps back.
	Pending() int
}

// Follow forwards the log of the detached process behind an instance id to a sink, from where the last call for it stopped,
// until the process has exited and its log is read to the end, or ctx ends.
func (d RunDir) Follow(ctx context.Context, instance, log string, sink Sink, exited <-chan struct{}) {
	(&tail{path: log, placePath: d.placePath(instance), lines: sink}).follow(ctx, exited)
}

// tail forwards the log file of a detached plugin. The place it has reached is kept in a file of its own, so that the
// next host goes on from there.
type tail struct {
	path, placePath string
	lines           Sink
	file            *os.File
	place           place
}

// place is how far a log was read: which file (it is renamed when it gets large), and how many bytes of it. A file is
// known again by its inode and by a checksum of its beginning, because a file system soon reuses the inode of a file that
// was removed.
type place struct {
	Inode  uint64
	Offset int64
	Head   uint32
}

// headSize is how much of a file's beginning goes into the checksum: a log line with its timestamp.
const headSize = 128

// follow forwards lines until the process has exited and its log is read to the end, or ctx ends.
func (t *tail) follow(ctx context.Context, exited <-chan struct{}) {
	t.place = readPlace(t.placePath)
	defer t.close()
	ticker := time.NewTicker(tailInterval)
	defer ticker.Stop()
	for {
		t.catchUp()
		select {
		case <-ctx.Done():
			t.catchUp()
			return
		case <-exited:
			t.catchUp()
			t.lines.Flush()
			return
		case <-ticker.C:
		}
	}
}

// catchUp reads what is there, across a rotation.
func (t *tail) catchUp() {
	for {
		if t.file == nil && !t.open() {
			return
		}
		n, err := t.read()
		if n > 0 {
			t.savePlace()
		}
		if err != nil || !t.rotated() {
			return
		}
		// What was written between the last read and the rename is still in the open file.
		if n, _ := t.read(); n > 0 {
			t.savePlace()
		}
		t.close()
		t.place = place{}
	}
}

// open opens the file that the place names: the log, or its predecessor when it was rotated meanwhile. When neither is
// the one, it was rotated more than once, and both are new.
func (t *tail) open() bool {
	for _, path := range []string{t.path + ".1", t.path} {
		if file, err := openLog(path); err == nil {
			if t.place.Inode != 0 && t.place.names(file) {
				return t.startAt(file, t.place)
			}
			_ = file.Close()
		}
	}
	paths := []string{t.path}
	if t.place.Inode != 0 {
		paths = []string{t.path + ".1", t.path}
	}
	for _, path := range paths {
		if file, err := openLog(path); err == nil {
			inode, _ := identity(file)
			return t.startAt(file, place{Inode: inode})
		}
	}
	return false
}

// openLog opens a file and nothing else: in a folder of another user, a link or a pipe may have taken its place.
func openLog(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		_ = file.Close()
		return nil, fmt.Errorf("the log %s is no file", path)
	}
	return file, nil
}

func (t *tail) startAt(file *os.File, from place) bool {
	if _, err := file.Seek(from.Offset, io.SeekStart); err != nil {
		_ = file.Close()
		return false
	}
	t.file, t.place = file, from
	return true
}

// names reports whether a file is the one that the place is in.
func (p place) names(file *os.File) bool {
	inode, size := identity(file)
	return inode == p.Inode && size >= p.Offset && head(file, p.Offset) == p.Head
}

// head is a checksum of the beginning of a file, as far as it was read.
func head(file *os.File, read int64) uint32 {
	beginning := make([]byte, min(read, headSize))
	n, _ := file.ReadAt(beginning, 0)
	return crc32.ChecksumIEEE(beginning[:n])
}

func (t *tail) read() (int64, error) {
	n, err := io.Copy(t.lines, t.file)
	t.place.Offset += n
	if err != nil {
		return n, fmt.Errorf("read the log %s: %w", t.path, err)
	}
	return n, nil
}

func (t *tail) rotated() bool {
	info, err := os.Stat(t.path)
	return err == nil && inodeOf(info) != t.place.Inode
}

func (t *tail) close() {
	if t.file != nil {
		_ = t.file.Close()
		t.file = nil
	}
}

// savePlace is best effort: without it the next host repeats some lines.
func (t *tail) savePlace() {
	// A line that is not complete yet is read again as a whole.
	complete := t.place.Offset - int64(t.lines.Pending())
	text := fmt.Sprintf("%d %d %d\n", t.place.Inode, complete, head(t.file, complete))
	_ = os.WriteFile(t.placePath, []byte(text), 0o600)
}

func readPlace(path string) place {
	content, err := os.ReadFile(path)
	if err != nil {
		return place{}
	}
	var p place
	if _, err := fmt.Sscanf(string(content), "%d %d %d", &p.Inode, &p.Offset, &p.Head); err != nil || p.Offset < 0 {
		return place{}
	}
	return p
}

func identity(file *os.File) (inode uint64, size int64) {
	info, err := file.Stat()
	if err != nil {
		return 0, 0
	}
	return inodeOf(info), info.Size()
}

func inodeOf(info os.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Ino
	}
	return 0
}
