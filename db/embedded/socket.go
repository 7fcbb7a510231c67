package embedded

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// socketName is the file that PostgreSQL makes for its default port, which is only a name here.
const socketName = ".s.PGSQL.5432"

// maxSocketPath is what fits into sockaddr_un with its final zero byte, see unix(7).
const maxSocketPath = 107

// socketDirFor is beside the data, or in the folder for temporary files when the path would be too long for a socket.
// The result depends on nothing but dir and that folder, so that the next host finds the socket of the last one.
func socketDirFor(dir string) string {
	if beside := filepath.Join(dir, "socket"); len(filepath.Join(beside, socketName)) <= maxSocketPath {
		return beside
	}
	sum := sha256.Sum256([]byte(dir))
	name := "lubod-" + hex.EncodeToString(sum[:8])
	if short := filepath.Join(os.TempDir(), name); len(filepath.Join(short, socketName)) <= maxSocketPath {
		return short
	}
	return filepath.Join("/tmp", name)
}

// prepareSocketDir makes the folder that is the only guard of the socket: whoever reaches the socket is the database's
// superuser, and only the user that PostgreSQL runs as, and root, may enter. A folder of that name that somebody else
// made is refused.
func prepareSocketDir(path string, id *identity) error {
	err := os.Mkdir(path, 0o700)
	if err == nil {
		return id.own(path)
	}
	if !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("create folder for its socket: %w", err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is needed for the socket, and is no directory: remove it", path)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s has no owner", path)
	}
	wanted := id.uid
	if id.how == asNamed {
		wanted = os.Geteuid()
	}
	switch int(stat.Uid) {
	case wanted:
	case os.Geteuid(): // made by a root that had no time to give it away, or that runs PostgreSQL as somebody new
		if err := id.own(path); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%s is needed for the socket, and belongs to user %s: remove it", path, userNameOf(int(stat.Uid)))
	}
	if info.Mode().Perm() != 0o700 {
		return os.Chmod(path, 0o700) //nolint:gosec // a directory is no use without x
	}
	return nil
}

// removeSocketDir leaves nothing in the folder for temporary files. One that is not empty is needed after all.
func removeSocketDir(dir, socketDir string) {
	if filepath.Dir(socketDir) != dir {
		_ = os.Remove(socketDir)
	}
}
