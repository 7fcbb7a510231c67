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
	// trashFolder is where removed files lie for a while, in the root that they were in.
	trashFolder = ".trash"
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
	name := fmt.Sprintf("%s-%d-%s", time.Now().UTC().Format(stampLayout), segmentID, filepath.Base(path))
	err := into(s.rootOf(path), path, name)
	if errors.Is(err, syscall.EXDEV) { // another disk is mounted below the root
		err = into(filepath.Dir(path), path, name)
	}
	return err
}

// into renames a file into the trash of a root.
func into(root, path, name string) error {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	folder, err := folders.Make([]string{root}, filepath.Join(root, trashFolder), 0)
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
		keep, err := s.trashTime(ctx)
		if err == nil {
			for _, root := range s.moveRoots() {
				err = errors.Join(err, s.emptyTrash(root, time.Now().Add(-keep)))
			}
		}
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

// emptyTrash removes what was removed before a time, and as much of the rest, oldest first, as a short disk needs.
func (s *Service) emptyTrash(root string, before time.Time) error {
	folder := filepath.Join(root, trashFolder)
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the trash: %w", err)
	}
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, entry := range entries {
		stamp, _, _ := strings.Cut(entry.Name(), "-")
		removed, err := time.Parse(stampLayout, stamp)
		if err != nil || !entry.Type().IsRegular() {
			continue // not ours
		}
		early := removed.After(before)
		if early && !s.short(folder) {
			return nil
		}
		if err := forget(filepath.Join(folder, entry.Name())); err != nil {
			return err
		}
		s.Logger.Info("file removed from the trash", "file", filepath.Join(folder, entry.Name()), "disk_short", early)
	}
	return nil
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
