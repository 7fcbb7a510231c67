package plugins

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/lubod/lubod/host/internal/config"
	"github.com/lubod/lubod/host/internal/plugins/process"
	"github.com/lubod/lubod/sdk"
)

// The rights that a user needs of a file.
const (
	mayEnter = 0o1
	mayWrite = 0o3 // and enter
)

// lend gives a process of another user its places: the folder of its socket, one for its log, and for a recorder the recordings.
// It fails where the user cannot get there, with what an operator does about it.
func (m *Manager) lend(l *launch, dir string) error {
	account := l.block.User
	if account == nil {
		return nil
	}
	if err := m.runDir.LendSocketDir(dir, account.UID, account.GID); err != nil {
		return err
	}
	if err := reaches(account, filepath.Dir(dir)); err != nil {
		return err
	}
	if l.block.Kind != sdk.KindRecorder {
		return nil
	}
	logs, err := process.LendLogDir(m.options.LogDir, account.UID, account.GID)
	if err != nil {
		return err
	}
	l.logFile = filepath.Join(logs, filepath.Base(l.logFile))
	return m.lendRecordings(account)
}

// lendRecordings makes sure that a recorder can write where it has to. A folder that is not there yet becomes the recorder's; one
// that is, is somebody's.
func (m *Manager) lendRecordings(account *config.Account) error {
	root := m.options.Recordings
	if root == "" {
		return nil
	}
	if err := os.Mkdir(root, 0o777); err == nil { //nolint:gosec // the umask decides
		if err := os.Chown(root, account.UID, account.GID); err != nil {
			return fmt.Errorf("give the recordings to user %s: %w", account.Name, err)
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the folder for recordings: %w", err)
	}
	real, err := filepath.EvalSymlinks(root)
	if err != nil {
		return fmt.Errorf("find the folder for recordings: %w", err)
	}
	if err := reaches(account, filepath.Dir(real)); err != nil {
		return err
	}
	info, err := os.Stat(real)
	if err != nil {
		return fmt.Errorf("look at the folder for recordings: %w", err)
	}
	if !allows(account, info, mayWrite) {
		return fmt.Errorf("its user %s cannot write to the recordings: chown -R %[1]s %s", account.Name, real)
	}
	return nil
}

// reaches tells whether a user may pass through a folder and all above it.
func reaches(account *config.Account, folder string) error {
	for {
		info, err := os.Stat(folder)
		if err != nil {
			return fmt.Errorf("look at the way to its files: %w", err)
		}
		if !allows(account, info, mayEnter) {
			return fmt.Errorf("its user %s cannot pass through %s: chmod o+x %[2]s", account.Name, folder)
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return nil
		}
		folder = parent
	}
}

// allows tells what the permissions of a file say about a user.
func allows(account *config.Account, info fs.FileInfo, rights fs.FileMode) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	mode := info.Mode().Perm()
	switch {
	case account.UID == 0:
		return true
	case ok && int(stat.Uid) == account.UID:
		mode >>= 6
	case ok && (int(stat.Gid) == account.GID || slices.Contains(account.Groups, stat.Gid)):
		mode >>= 3
	}
	return mode&rights == rights
}
