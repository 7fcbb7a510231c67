package process

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// maxSocketDir is the longest path of the directory under which sockets can be made. A Unix socket's address holds 108
// bytes on Linux, 104 on other systems, with a zero at the end (unix(7)); below the directory come "/", eight letters,
// "/plugin" and up to ten digits.
const maxSocketDir = 104 - 1 - len("/12345678/plugin1234567890")

// RunDir is where a manager keeps what outlives it.
type RunDir struct {
	// path holds the re-attach records.
	path string
	// sockets holds one directory per plugin process.
	sockets string
}

// OpenRunDir makes the directories. The one for sockets is path itself, or, when that is too long, a directory in
// temporary whose name follows from path, so that the next host finds it again.
func OpenRunDir(path, temporary string) (RunDir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return RunDir{}, fmt.Errorf("make %q absolute: %w", path, err)
	}
	if err := PrivateDir(path); err != nil {
		return RunDir{}, err
	}
	if len(path) <= maxSocketDir {
		return RunDir{path: path, sockets: path}, nil
	}
	digest := sha256.Sum256([]byte(path))
	short := filepath.Join(temporary, "lubod-"+strconv.Itoa(os.Getuid())+"-"+hex.EncodeToString(digest[:6]))
	if len(short) > maxSocketDir {
		return RunDir{}, fmt.Errorf("the paths %s and %s are both too long for Unix sockets (%d letters at most); choose a shorter data directory or TMPDIR",
			path, short, maxSocketDir)
	}
	if err := PrivateDir(short); err != nil {
		return RunDir{}, err
	}
	return RunDir{path: path, sockets: short}, nil
}

// Close removes a short directory that nobody uses any more. It fails, as it should, while a recorder has its socket in it.
func (d RunDir) Close() {
	if d.sockets != d.path {
		_ = os.Remove(d.sockets)
	}
}

// passable lets others through to what is theirs in a directory; they can neither list nor change it.
const passable = 0o711

// LendSocketDir gives the directory of a socket to the user whose process makes it.
func (d RunDir) LendSocketDir(dir string, uid, gid int) error {
	return lendDir(d.sockets, dir, uid, gid)
}

// LendLogDir makes a directory for the logs of processes of a user: they rename them.
func LendLogDir(logs string, uid, gid int) (string, error) {
	dir := filepath.Join(logs, "user-"+strconv.Itoa(uid))
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("make a directory for logs: %w", err)
	}
	return dir, lendDir(logs, dir, uid, gid)
}

func lendDir(parent, dir string, uid, gid int) error {
	if err := os.Chmod(parent, passable); err != nil {
		return fmt.Errorf("open a directory for plugins to other users: %w", err)
	}
	if err := os.Lchown(dir, uid, gid); err != nil {
		return fmt.Errorf("give a directory to the user of a plugin: %w", err)
	}
	return nil
}

// PrivateDir makes a directory that only we can enter, or checks that an existing one is that. Others may write to the
// parent (/tmp), so a directory that somebody else prepared there must not be used.
func PrivateDir(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return fmt.Errorf("make a directory for plugins: %w", err)
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make a directory for plugins: %w", err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("make a directory for plugins: %w", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s must be a directory for plugin sockets, and is a %s; remove it", path, info.Mode().Type())
	case ok && int(stat.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to user %d, lubod runs as user %d; remove it", path, stat.Uid, os.Geteuid())
	case info.Mode().Perm() != 0o700 && info.Mode().Perm() != passable:
		if err := os.Chmod(path, 0o700); err != nil { //nolint:gosec // a directory needs the x bits
			return fmt.Errorf("make %s private: %w", path, err)
		}
	}
	return nil
}

// SocketDir is where the process with an instance id makes its socket.
func (d RunDir) SocketDir(instance string) string {
	return filepath.Join(d.sockets, ShortID(instance))
}

// MakeSocketDir makes the directory for a new process.
func (d RunDir) MakeSocketDir(instance string) (string, error) {
	if err := PrivateDir(d.sockets); err != nil { // a short one lies where others clean up
		return "", err
	}
	dir := d.SocketDir(instance)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the directory of a socket: %w", err)
	}
	return dir, nil
}

// ShortID is enough of an instance id to tell the processes of one host apart.
func ShortID(instance string) string {
	return instance[:min(8, len(instance))]
}

// Clean removes the socket directories of processes that are gone, and what a host that died left of records that it was
// writing. keep holds the directories of living ones; a socket
// that somebody still listens on stays whatever the records say.
func (d RunDir) Clean(keep map[string]bool) []error {
	entries, err := os.ReadDir(d.sockets)
	if err != nil {
		return []error{fmt.Errorf("clean the sockets of plugins: %w", err)}
	}
	problems := d.cleanHalfWritten()
	for _, entry := range entries {
		path := filepath.Join(d.sockets, entry.Name())
		if !entry.IsDir() || !isShortID(entry.Name()) || keep[path] || listening(path) {
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			problems = append(problems, fmt.Errorf("clean the sockets of plugins: %w", err))
		}
	}
	return problems
}

// halfWritten match the temporary files of records: those of today and of earlier versions.
var halfWritten = []string{".*.json*", "*.json.new"}

func (d RunDir) cleanHalfWritten() (problems []error) {
	for _, pattern := range halfWritten {
		left, _ := filepath.Glob(filepath.Join(d.path, pattern))
		for _, path := range left {
			if err := os.Remove(path); err != nil {
				problems = append(problems, fmt.Errorf("clean the records of plugins: %w", err))
			}
		}
	}
	return problems
}

// logFileName matches the log files of detached plugins and nothing else that may lie beside them.
var logFileName = regexp.MustCompile(`^recorder-[a-z0-9-]+-[0-9a-f]{8}\.log(\.1)?$`)

// logsKeptFor is how long the log of a recorder that has ended stays, for a person who asks what happened. Its lines are
// in the host's log too.
const logsKeptFor = 7 * 24 * time.Hour

// CleanLogs removes old log files, but those that are in use.
func CleanLogs(dir string, keep map[string]bool, now time.Time) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		if entry.IsDir() && strings.HasPrefix(entry.Name(), "user-") {
			CleanLogs(path, keep, now)
		}
		info, err := entry.Info()
		if err == nil && logFileName.MatchString(entry.Name()) && !keep[strings.TrimSuffix(path, ".1")] && now.Sub(info.ModTime()) > logsKeptFor {
			_ = os.Remove(path)
		}
	}
}

func isShortID(name string) bool {
	_, err := hex.DecodeString(name)
	return err == nil && len(name) == 8
}

// listening reports whether any socket in a directory has a process behind it.
func listening(dir string) bool {
	sockets, _ := filepath.Glob(filepath.Join(dir, "plugin*"))
	for _, socket := range sockets {
		connection, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
		if err == nil {
			_ = connection.Close()
			return true
		}
		// A living process that is slow to accept has a full queue; a dead one refuses.
		if !errors.Is(err, syscall.ECONNREFUSED) && isSocket(socket) {
			return true
		}
	}
	return false
}

func isSocket(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().Type() == fs.ModeSocket
}
