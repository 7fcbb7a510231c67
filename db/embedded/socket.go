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

// socketName is PostgreSQL's name for the socket of its default port, the only one used here: the directory tells
// clusters apart.
const socketName = ".s.PGSQL.5432"

// maxSocketPath is what the kernel allows for the path of a Unix socket, without the final NUL (unix(7)). PostgreSQL's
// lock file beside it has a longer name and no such limit.
const maxSocketPath = 107

// socketDirFor returns where the socket of the cluster in dir lies: below it, or where that path would be too long in a
// short directory that is found again by the hash of the long one.
func socketDirFor(dir string) string {
	below := filepath.Join(dir, "socket")
	if len(filepath.Join(below, socketName)) <= maxSocketPath {
		return below
	}
	sum := sha256.Sum256([]byte(dir))
	return filepath.Join(os.TempDir(), "lubod-pg-"+hex.EncodeToString(sum[:8]))
}

// prepareSocketDir creates the socket's directory for the user. One that somebody else put there is refused: in a shared
// temporary directory anybody can.
func prepareSocketDir(dir string, id *identity) error {
	err := os.Mkdir(dir, 0o700)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make socket directory: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("make socket directory: %w", err)
	}
	owner, known := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !known || (int(owner.Uid) != id.uid && int(owner.Uid) != os.Geteuid()) {
		return fmt.Errorf("%s belongs to somebody else; remove it", dir)
	}
	return id.own(dir)
}
