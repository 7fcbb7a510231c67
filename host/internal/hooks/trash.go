package hooks

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lubod/lubod/host/internal/folders"
	"github.com/lubod/lubod/host/internal/settings"
)

const (
	// longestName is what file systems take, in bytes.
	longestName = 255
	// trashMemory is how long folders that files were removed from are looked at after the time of the trash.
	trashMemory = 60 * 24 * time.Hour
	// stampLayout begins the name of a file in the trash: when it was removed, in UTC. The names sort by it.
	stampLayout = "20060102T150405Z"
	// lowShare and lowBytes say when a disk runs short: the trash is emptied then, oldest files first.
	lowShare = 0.05
	lowBytes = 10 << 30
)

// trashTime is how long removed files are kept.
func (s *Service) trashTime(ctx context.Context) (time.Duration, error) {
	row, err := s.DB.RoomConfiguration(ctx, nil)
	if err != nil {
		return 0, fmt.Errorf("read configuration: %w", err)
	}
	configuration, err := settings.Layered(row.Global)
	if err != nil {
		s.Logger.Error("the configuration cannot be used; removed files are kept as long as the default says", "error", err)
		configuration = settings.DefaultConfiguration()
	}
	return configuration.TrashTime(), nil
}

// discard puts a file into the trash, or removes it when nothing is kept there. That it is gone already is fine.
func (s *Service) discard(path string, segmentID int64, keep time.Duration) error {
	if keep <= 0 {
		return forget(path)
	}
	name := trashName(time.Now(), segmentID, filepath.Base(path))
	err := into(s.rootOf(path), path, name)
	if errors.Is(err, syscall.EXDEV) { // another disk is mounted below the root
		err = into(filepath.Dir(path), path, name)
	}
	return err
}

// trashName is the name of a file in the trash; of a long one the end is kept.
func trashName(removed time.Time, segmentID int64, name string) string {
	stamp := fmt.Sprintf("%s-%d-", removed.UTC().Format(stampLayout), segmentID)
	if over := len(stamp) + len(name) - longestName; over > 0 {
		name = strings.ToValidUTF8(name[over:], "")
	}
	return stamp + name
}

// into renames a file into the trash of a root.
func into(root, path, name string) error {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	folder, err := folders.Make([]string{root}, filepath.Join(root, folders.Trash), 0)
	if err != nil {
		return fmt.Errorf("make the trash: %w", folders.Explain(err))
	}
	if err := os.Rename(path, filepath.Join(folder, name)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("move the file into the trash: %w", err)
	}
	return errors.Join(syncDir(filepath.Dir(path)), syncDir(folder))
}

// rootOf is the root that a file is in: the innermost one, or its own folder outside all of them.
func (s *Service) rootOf(path string) string {
	best := ""
	for _, root := range s.moveRoots() {
		if below, err := filepath.Rel(root, path); err == nil && filepath.IsLocal(below) && len(root) > len(best) {
			best = root
		}
	}
	if best == "" {
		return filepath.Dir(path)
	}
	return best
}

// Run empties the trash of what is too old, and earlier when a disk runs short, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	sweep := time.NewTicker(s.Pace.Sweep)
	defer sweep.Stop()
	for {
		err := s.emptyTrashes(ctx)
		if err != nil && ctx.Err() == nil {
			s.Logger.Warn("the trash cannot be emptied, trying again later", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-sweep.C:
		}
	}
}

// emptyTrashes empties the trash of each root, and of each folder that files were removed from: what is on another disk than its
// root has its trash there.
func (s *Service) emptyTrashes(ctx context.Context) error {
	keep, err := s.trashTime(ctx)
	if err != nil {
		return err
	}
	places, err := s.DB.FoldersOfRemoved(ctx, (keep + trashMemory).Seconds())
	if err != nil {
		return fmt.Errorf("look for folders of removed files: %w", err)
	}
	places = append(places, s.moveRoots()...)
	slices.Sort(places)
	var errs []error
	for _, root := range slices.Compact(places) {
		errs = append(errs, s.emptyTrash(root, time.Now().Add(-keep)))
	}
	return errors.Join(errs...)
}

// emptyTrash removes what was removed before a time, and as much of the rest, oldest first, as a short disk needs. A link in the
// place of the trash leads nowhere outside.
func (s *Service) emptyTrash(place string, before time.Time) error {
	folder, entries, err := openTrash(place)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the trash of %s: %w", place, err)
	}
	defer func() { _ = folder.Close() }()
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, entry := range entries {
		stamp, _, _ := strings.Cut(entry.Name(), "-")
		removed, err := time.Parse(stampLayout, stamp)
		if err != nil || !entry.Type().IsRegular() {
			continue // not ours
		}
		early := removed.After(before)
		if early && !s.short(place) {
			return nil
		}
		if err := folder.Remove(entry.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("empty the trash of %s: %w", place, err)
		}
		s.Logger.Info("file removed from the trash", "folder", place, "file", entry.Name(), "disk_short", early)
	}
	return nil
}

func openTrash(place string) (*os.Root, []os.DirEntry, error) {
	root, err := os.OpenRoot(place)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = root.Close() }()
	folder, err := root.OpenRoot(folders.Trash)
	if err != nil {
		return nil, nil, err
	}
	entries, err := fs.ReadDir(folder.FS(), ".")
	if err != nil {
		_ = folder.Close()
		return nil, nil, err
	}
	return folder, entries, nil
}

// diskShort tells whether the disk of a folder runs short.
func diskShort(folder string) bool {
	var disk unix.Statfs_t
	if unix.Statfs(folder, &disk) != nil {
		return false // what cannot be measured removes nothing
	}
	free, all := disk.Bavail*uint64(disk.Bsize), disk.Blocks*uint64(disk.Bsize)
	return free < min(uint64(lowShare*float64(all)), lowBytes)
}
