package health

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/lubod/lubod/host/internal/reason"
)

// What a recording of 6 Mbit/s writes in two hours, and in twenty minutes.
const (
	lowBytes  = 5 << 30
	fullBytes = 1 << 30
)

// Space is what a file system has.
type Space struct{ FreeBytes, TotalBytes int64 }

// Disk looks at the file systems of folders. Two folders of one file system are one finding, under the first.
func Disk(folders func() []string) Probe {
	return Probe{
		Code: CodeDisk, Every: 10 * time.Second, Patience: 5 * time.Second,
		Look: func(context.Context) ([]Finding, error) {
			var findings []Finding
			seen := make(map[uint64]bool)
			for _, folder := range folders() {
				info, err := os.Stat(folder)
				if errors.Is(err, fs.ErrNotExist) {
					continue // made when it is needed
				}
				if err != nil {
					findings = append(findings, Finding{Level: Failing, Subject: folder, Reason: reason.New(reason.HealthFolder, "folder", folder, "cause", cause(err))})
					continue
				}
				if stat, ok := info.Sys().(*syscall.Stat_t); ok {
					if seen[stat.Dev] {
						continue
					}
					seen[stat.Dev] = true
				}
				space, err := SpaceOf(folder)
				if err != nil {
					return nil, err
				}
				findings = append(findings, judge(folder, space))
			}
			return findings, nil
		},
	}
}

// SpaceOf asks the file system of a folder.
func SpaceOf(folder string) (Space, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(folder, &stat); err != nil {
		return Space{}, fmt.Errorf("look for free space of %s: %w", folder, err)
	}
	return Space{FreeBytes: int64(stat.Bavail) * stat.Bsize, TotalBytes: int64(stat.Blocks) * stat.Bsize}, nil
}

// judge is about what is left. A small disk, as of a test or a small machine, is not low from the start: a tenth of it counts.
func judge(folder string, space Space) Finding {
	finding := Finding{Level: OK, Subject: folder}
	switch {
	case space.FreeBytes < min(fullBytes, space.TotalBytes/50):
		finding.Level = Failing
	case space.FreeBytes < min(lowBytes, space.TotalBytes/10):
		finding.Level = Warning
	default:
		return finding
	}
	finding.Reason = reason.New(reason.HealthDiskLow, "folder", folder, "free_mb", strconv.FormatInt(space.FreeBytes/1_000_000, 10))
	return finding
}

// cause is what the system says, without the path that is told already.
func cause(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}
