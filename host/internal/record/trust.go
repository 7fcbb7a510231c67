package record

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/reason"
	"github.com/lubod/lubod/sdk/recorder"
)

// ownName is what may stand behind a prefix in the name of a finished file.
var ownName = regexp.MustCompile(`^_[0-9]{1,9}(?:-[0-9]{1,4})?\.[0-9A-Za-z]{1,8}$`)

// trusted returns a segment where its file is now, and why it may not become a row; the zero reason: it may. What becomes a row
// is uploaded, moved and removed, so that nothing is taken from a recorder but a file of its own session. A file that is not
// there is for those to tell who want it: it can do no harm.
func trusted(row db.RecorderSession, segment recorder.Segment) (recorder.Segment, reason.Reason) {
	rest, own := strings.CutPrefix(filepath.Base(segment.Path), filepath.Base(row.PathPrefix))
	if folder := filepath.Dir(segment.Path); !own || !ownName.MatchString(rest) || segment.Index < 1 || filepath.Clean(segment.Path) != segment.Path ||
		folder != filepath.Dir(row.PathPrefix) && folder != filepath.Dir(prefixAtStart(row)) {
		return segment, refused(segment, reason.WordFileElsewhere)
	}
	info, err := os.Lstat(segment.Path)
	if errors.Is(err, fs.ErrNotExist) {
		// A recorder that outlives its host knows the folder by the name that it had at the beginning.
		segment.Path = filepath.Join(filepath.Dir(row.PathPrefix), filepath.Base(segment.Path))
		info, err = os.Lstat(segment.Path)
	}
	switch {
	case err != nil:
		return segment, reason.Reason{}
	case !info.Mode().IsRegular():
		return segment, refused(segment, reason.WordFileIrregular)
	case info.Size() != segment.SizeBytes:
		return segment, refused(segment, reason.WordFileSize)
	}
	return segment, reason.Reason{}
}

// prefixAtStart is the prefix that the recorder of a session was given.
func prefixAtStart(row db.RecorderSession) string {
	var known room
	if json.Unmarshal(row.Room, &known) != nil || known.Prefix == "" {
		return row.PathPrefix
	}
	return known.Prefix
}

func refused(segment recorder.Segment, problem string) reason.Reason {
	return reason.New(reason.RecordingUntrusted, "files", filepath.Base(segment.Path), "problem", problem)
}
