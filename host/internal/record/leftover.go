package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/sdk/recorder"
)

// partSuffix is behind the name of a segment that is not finished.
const partSuffix = ".part"

// mediaFile is the form of a segment's name behind its prefix. Files of other kinds that lie beside segments are none.
var mediaFile = regexp.MustCompile(`^_(\d{3,9})(?:-\d{1,4})?\.(?i:flv|ts|mp4|m4s|m4v|mov|mkv|webm|m4a|aac|mp3)(\.part)?$`)

// listing is what lies under a session's prefix.
type listing struct {
	files []leftFile
	err   error // it could not be read
}

type leftFile struct {
	path     string
	index    int
	finished bool
}

// list reads what lies under a prefix. A folder that is gone has nothing in it.
func list(prefix string) listing {
	folder, base := filepath.Split(prefix)
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return listing{err: fmt.Errorf("read the folder of recordings: %w", err)}
	}
	var found listing
	for _, entry := range entries {
		rest, ok := strings.CutPrefix(entry.Name(), base)
		form := mediaFile.FindStringSubmatch(rest)
		if !ok || form == nil || !entry.Type().IsRegular() {
			continue
		}
		index, _ := strconv.Atoi(form[1])
		found.files = append(found.files, leftFile{path: filepath.Join(folder, entry.Name()), index: index, finished: form[2] == ""})
	}
	slices.SortStableFunc(found.files, func(a, b leftFile) int { return a.index - b.index })
	return found
}

// unknown are the files that are no segments: neither by their name nor by their number. A hook may put a file of its own
// beside a segment, with the same number.
func (l listing) unknown(known []db.SegmentsOfRecordingRow) []leftFile {
	var left []leftFile
	for _, file := range l.files {
		if !slices.ContainsFunc(known, func(row db.SegmentsOfRecordingRow) bool { return row.Path == file.path || int(row.Index) == file.index }) {
			left = append(left, file)
		}
	}
	return left
}

// last is the highest number of a file.
func (l listing) last() int32 {
	if len(l.files) == 0 {
		return 0
	}
	return int32(l.files[len(l.files)-1].index)
}

// names lists files for people.
func names(files []leftFile) string {
	const most = 10
	var shown []string
	for i, file := range files {
		if i == most {
			shown = append(shown, fmt.Sprintf("and %d more", len(files)-most))
			break
		}
		shown = append(shown, filepath.Base(file.path))
	}
	return strings.Join(shown, ", ")
}

// bare describes a finished file without help of a recorder, by what the file system knows.
func bare(file leftFile) (recorder.Segment, error) {
	opened, err := os.Open(file.path)
	if err != nil {
		return recorder.Segment{}, err
	}
	defer func() { _ = opened.Close() }()
	info, err := opened.Stat()
	if err != nil {
		return recorder.Segment{}, err
	}
	length := flvLength(opened)
	return recorder.Segment{
		Index: file.index, Path: file.path, SizeBytes: info.Size(), Duration: length,
		StartedAt: info.ModTime().Add(-length), EndedAt: info.ModTime(), Recovered: true,
	}, nil
}

// flvLength reads the length from the metadata at the beginning of an FLV file; 0: it is not there.
func flvLength(file io.Reader) time.Duration {
	const looked = 4 << 10
	head := make([]byte, looked)
	n, _ := io.ReadFull(file, head)
	head = head[:n]
	if !bytes.HasPrefix(head, []byte("FLV")) {
		return 0
	}
	_, value, found := bytes.Cut(head, []byte("\x00\x08duration\x00")) // its length, the name, and the mark of a number
	if !found || len(value) < 8 {
		return 0
	}
	const longest = 30 * 24 * 3600
	seconds := math.Float64frombits(binary.BigEndian.Uint64(value))
	if !(seconds > 0 && seconds < longest) {
		return 0
	}
	return time.Duration(seconds * float64(time.Second))
}
