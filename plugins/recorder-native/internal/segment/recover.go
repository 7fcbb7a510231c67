package segment

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lubod/lubod/plugins/recorder-native/internal/flv"
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/recorder"
)

// Recover finishes what a dead session left under the prefix and returns all finished segments in order, with a
// *recorder.LeftError if there are files that could not be finished. A file without media is removed. It may be called again,
// and after being killed half-way.
func Recover(ctx context.Context, prefix string) ([]recorder.Segment, error) {
	return recovery{newNames(recoverPatience), (*os.File).Sync}.all(ctx, prefix)
}

// recovery is how files are made durable.
type recovery struct {
	names names
	sync  func(*os.File) error
}

func (r recovery) all(ctx context.Context, prefix string) ([]recorder.Segment, error) {
	left, err := list(prefix)
	if err != nil {
		return nil, err
	}
	segments := []recorder.Segment{}
	var failed []recorder.Leftover
	for _, e := range left {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		segment, ok, err := r.finish(e)
		switch {
		case err != nil:
			failed = append(failed, recorder.Leftover{Path: e.path, Err: diskError(sdk.CodeDiskKept, e.path, err)})
		case ok:
			segments = append(segments, segment)
		}
	}
	if len(failed) > 0 {
		return segments, &recorder.LeftError{Files: failed}
	}
	return segments, nil
}

// mostZeros: a file that begins with zeros and is larger than this may have media behind them.
const mostZeros = 1 << 20

// entry is a file that belongs to a session.
type entry struct {
	path    string
	index   int
	again   int // a name was taken: how many times
	partial bool
}

func list(prefix string) ([]entry, error) {
	dir, base := filepath.Split(prefix)
	names, err := os.ReadDir(cmp.Or(dir, "."))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	form := regexp.MustCompile(`^` + regexp.QuoteMeta(base) + `_(\d{3,9})(?:-(\d{1,4}))?` + regexp.QuoteMeta(extension) + `(` + regexp.QuoteMeta(partSuffix) + `)?$`)
	var found []entry
	for _, name := range names {
		m := form.FindStringSubmatch(name.Name())
		if m == nil || !name.Type().IsRegular() {
			continue
		}
		index, _ := strconv.Atoi(m[1])
		again, _ := strconv.Atoi(m[2])
		found = append(found, entry{path: filepath.Join(dir, name.Name()), index: index, again: again, partial: m[3] != ""})
	}
	slices.SortFunc(found, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.index, b.index), cmp.Compare(a.again, b.again), strings.Compare(a.path, b.path))
	})
	return found, nil
}

// finish returns the entry's segment, after finishing it if need be. false: there is no media in it.
func (r recovery) finish(e entry) (recorder.Segment, bool, error) {
	mode := os.O_RDONLY
	if e.partial {
		mode = os.O_RDWR
	}
	f, err := os.OpenFile(e.path, mode, 0)
	if err != nil {
		return recorder.Segment{}, false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return recorder.Segment{}, false, err
	}
	if e.partial {
		return r.recover(e, f, info)
	}
	return e.describe(f, info)
}

// describe reads a finished file: the head is enough when it is ours and agrees with the size.
func (e entry) describe(f *os.File, info fs.FileInfo) (recorder.Segment, bool, error) {
	s, err := readHead(f)
	if err != nil {
		return recorder.Segment{}, false, err
	}
	length := s.meta.Duration
	if !s.own || s.meta.FileSize != info.Size() {
		recovered := s.meta.Recovered
		if s, err = scanFile(f); err != nil {
			return recorder.Segment{}, false, err
		}
		s.meta.Recovered = recovered
		length = s.line.duration()
	}
	return e.segment(e.path, info.Size(), info.ModTime(), s, length, s.meta.Recovered), true, nil
}

func readHead(f *os.File) (*scan, error) {
	const most = 1 << 18
	b := make([]byte, most)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	// A cut inside the media behind the head does no harm here.
	return scanFile(bytes.NewReader(b[:n]))
}

func (e entry) segment(path string, size int64, ended time.Time, s *scan, length time.Duration, recovered bool) recorder.Segment {
	return recorder.Segment{
		Index: e.index, Path: path, SizeBytes: size, Duration: length,
		StartedAt: s.startedAt(ended, length), EndedAt: ended, Recovered: recovered,
	}
}

// recover finishes a file that a dead process was writing.
func (r recovery) recover(e entry, f *os.File, info fs.FileInfo) (recorder.Segment, bool, error) {
	none := recorder.Segment{}
	if err := lock(f); err != nil {
		return none, false, sdk.Errorf(sdk.Unavailable, "%w", err)
	}
	s, err := scanFile(f)
	if err != nil {
		return none, false, err
	}
	if s.media == 0 {
		return none, false, r.discard(e, f, s, info.Size())
	}
	if err := s.repair(f, true); err != nil {
		return none, false, err
	}
	// The time of the last write is when the recording ended; the repair must not move it.
	if err := os.Chtimes(e.path, time.Time{}, info.ModTime()); err != nil {
		return none, false, err
	}
	if err := r.sync(f); err != nil {
		return none, false, err
	}
	path, err := r.names.publish(e.path, strings.TrimSuffix(e.path, partSuffix))
	if err != nil {
		return none, false, err
	}
	return e.segment(path, s.end, info.ModTime(), s, s.line.duration(), true), true, nil
}

// discard removes a file without media: a session died between making the file and its first keyframe. Anything that is
// not the beginning of such a file is left for a person to look at.
func (r recovery) discard(e entry, f *os.File, s *scan, size int64) error {
	const fileHead = flv.FileHeaderSize + flv.TrailerSize
	rest := make([]byte, max(flv.TagHeaderSize, fileHead))
	n, err := f.ReadAt(rest, s.end)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	rest = rest[:n]
	switch {
	case size <= mostZeros && bytes.HasPrefix([]byte("FLV"), bytes.TrimRight(rest, "\x00")): // nothing, or what a power cut leaves of it
	case !s.startsFLV && n < fileHead && bytes.HasPrefix(flv.AppendFileHeader(nil, true, true), rest[:min(n, 4)]):
	case s.startsFLV && n < flv.TagHeaderSize:
	case s.startsFLV && flv.Plausible(rest) && s.end+int64(flv.TagHeaderSize+flv.PayloadSize(rest)+flv.TrailerSize) > size:
	default:
		return sdk.Errorf(sdk.Corrupt, "there is no media in it that could be saved")
	}
	if err := os.Remove(e.path); err != nil {
		return err
	}
	return r.names.syncDir(filepath.Dir(e.path))
}
