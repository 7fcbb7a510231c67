package recorder_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/lubod/lubod/sdk/recorder"
)

// An author makes files as the umask says; whoever is told of one finds it with the mode that the host asked for.
func TestFilesHaveTheModeThatWasAskedForWhenTheyAreEmitted(t *testing.T) {
	for _, want := range []fs.FileMode{0, 0o660} {
		var seen []fs.FileMode
		in := serveToy(t, &toy{record: func(_ context.Context, r recorder.Request, s recorder.Session) error {
			part := r.PathPrefix + "_001.flv.part"
			if err := os.WriteFile(part, nil, 0o600); err != nil {
				return err
			}
			look := func(path string) {
				info, err := os.Stat(path)
				if err != nil {
					t.Error(err)
					return
				}
				seen = append(seen, info.Mode())
			}
			s.Emit(recorder.SegmentOpened{Index: 1, Path: part})
			look(part)
			// A recorder that makes its final file anew.
			final := r.PathPrefix + "_001.flv"
			if err := os.WriteFile(final, nil, 0o600); err != nil {
				return err
			}
			s.Emit(recorder.SegmentClosed{Segment: recorder.Segment{Index: 1, Path: final}})
			look(final)
			s.Emit(recorder.SegmentClosed{Segment: recorder.Segment{Index: 2, Path: final + ".gone"}}) // is no reason to fail
			return nil
		}})
		r := request(t)
		r.PathPrefix, r.FileMode = filepath.Join(t.TempDir(), "x"), want
		if events := watch(t, in, begin(t, in, r), 0); endOf(t, events).Reason != recorder.EndEOF || len(events) != 4 {
			t.Errorf("events: %+v", events)
		}
		if want == 0 {
			want = 0o600
		}
		if len(seen) != 2 || seen[0] != want || seen[1] != want {
			t.Errorf("files have %v, want %v", seen, want)
		}
	}
}
