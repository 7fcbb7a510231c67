package crash

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/lubod/lubod/sdk/simulator/bilibili"
)

// fileWatch looks at the finished files of recordings all the time, so that it sees when one is removed.
type fileWatch struct {
	run     *run
	ended   chan struct{}
	looking sync.WaitGroup

	mu   sync.Mutex
	sums map[string]string // by path
	gone map[string]string // removed files: path → sum
}

func watchFiles(r *run) *fileWatch {
	w := &fileWatch{run: r, ended: make(chan struct{}), sums: map[string]string{}, gone: map[string]string{}}
	w.looking.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			w.look()
			select {
			case <-tick.C:
			case <-w.ended:
				return
			}
		}
	})
	return w
}

func (w *fileWatch) stop() {
	select {
	case <-w.ended:
	default:
		close(w.ended)
	}
	w.looking.Wait()
}

func (w *fileWatch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := map[string]bool{}
	for _, path := range finished(w.run.disks.recordings) {
		now[path] = true
		if w.sums[path] == "" {
			w.sums[path] = sumOf(path)
		}
	}
	early := map[string]int{} // files by what their archive was
	for path, sum := range w.sums {
		if now[path] || sum == "" || w.gone[path] != "" || exists(path) {
			continue
		}
		w.gone[path] = sum
		if state, known := w.run.publishedAs(sum); !known || state != bilibili.StatePublic {
			early[fmt.Sprintf("in an archive: %v, state %d", known, state)]++
		}
	}
	for where, files := range early {
		w.run.fail("%d file(s) were removed early: %s", files, where)
	}
}

// finished lists the media files that are not being written, without those in the trash.
func finished(root string) []string {
	var paths []string
	_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil //nolint:nilerr // gone meanwhile, or not readable at the moment
		case entry.IsDir() && path != root && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case !entry.IsDir() && strings.HasSuffix(path, ".flv"):
			paths = append(paths, path)
		}
		return nil
	})
	return paths
}

// sumOf is the SHA-256 of a file; "" when it cannot be read now.
func sumOf(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// publishedAs is the state of the archive that has a part of this content. Rooms that send the same can have equal files: then
// one that is public counts.
func (r *run) publishedAs(sum string) (state int, known bool) {
	for _, archive := range r.bili.Archives() {
		for _, video := range archive.Videos {
			if have, err := r.bili.SHA256(video.Filename); err != nil || have != sum {
				continue
			}
			if archive.State == bilibili.StatePublic {
				return archive.State, true
			}
			state, known = archive.State, true
		}
	}
	return state, known
}
