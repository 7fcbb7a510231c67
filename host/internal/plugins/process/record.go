package process

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/lubod/lubod/host/internal/folders"
)

// Record is what a host needs to find a recorder process that an earlier one launched.
type Record struct {
	Plugin   string `json:"plugin"`
	Instance string `json:"instance"`
	// Isolate is the key of those for whom the process is; empty: everybody.
	Isolate string `json:"isolate,omitempty"`
	Version string `json:"version"`
	// Protocol is the version of the contract that the process speaks; go-plugin does not keep it.
	Protocol int `json:"protocol"`
	Pid      int `json:"pid"`
	// UID is the user that the process runs as where that is not the host's.
	UID *int `json:"uid,omitempty"`
	// Start tells the process from a later one with the same id; see StartOf.
	Start      string      `json:"start"`
	Socket     string      `json:"socket"`
	Log        string      `json:"log"`
	LaunchedAt time.Time   `json:"launched_at"`
	Print      Fingerprint `json:"fingerprint"`
}

// Fingerprint is what makes two processes of one plugin the same: change any of it and it takes another process.
type Fingerprint struct {
	Path string `json:"path"`
	// File is the SHA-256 of the binary.
	File string `json:"file"`
	// Options is the SHA-256 of the options; they can hold secrets.
	Options string `json:"options"`
}

// NewFingerprint takes the options as JSON.
func NewFingerprint(path, file string, options []byte) Fingerprint {
	digest := sha256.Sum256(options)
	return Fingerprint{Path: path, File: file, Options: hex.EncodeToString(digest[:])}
}

func (d RunDir) recordPath(instance string) string {
	return filepath.Join(d.path, instance+".json")
}

func (d RunDir) placePath(instance string) string {
	return filepath.Join(d.path, instance+".tail")
}

// WriteRecord is atomic: a host that is killed in it leaves the old file or the new one.
func (d RunDir) WriteRecord(r Record) error {
	content, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the re-attach record of %s: %w", r.Plugin, err)
	}
	if err := folders.WriteFile(d.recordPath(r.Instance), content); err != nil {
		return fmt.Errorf("write the re-attach record of %s: %w", r.Plugin, err)
	}
	return nil
}

// Forget removes everything that a process left behind, but its log.
func (d RunDir) Forget(instance string) {
	for _, path := range []string{d.recordPath(instance), d.placePath(instance)} {
		_ = os.Remove(path)
	}
	_ = os.RemoveAll(d.SocketDir(instance))
}

// Records returns every record that can be read, and what is wrong with the others.
func (d RunDir) Records() (records []Record, problems []error) {
	paths, err := filepath.Glob(filepath.Join(d.path, "*.json"))
	if err != nil {
		return nil, []error{fmt.Errorf("list re-attach records: %w", err)}
	}
	for _, path := range paths {
		r, err := readRecord(path)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		records = append(records, r)
	}
	return records, problems
}

// Record returns the record of a process. fs.ErrNotExist: there is none.
func (d RunDir) Record(instance string) (Record, error) { return readRecord(d.recordPath(instance)) }

func readRecord(path string) (Record, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return Record{}, fmt.Errorf("read a re-attach record: %w", err)
	}
	var r Record
	if err := json.Unmarshal(content, &r); err != nil {
		return Record{}, fmt.Errorf("read the re-attach record %s: %w", path, err)
	}
	if r.Plugin == "" || r.Pid <= 1 || r.Instance+".json" != filepath.Base(path) || !filepath.IsAbs(r.Socket) {
		return Record{}, fmt.Errorf("the re-attach record %s is incomplete", path)
	}
	return r, nil
}

// Alive reports whether the process of a record exists.
func (r Record) Alive() bool {
	found := StartOf(r.Pid)
	return found != "" && (r.Start == "" || found == r.Start)
}

// CheckSocket makes sure that what listens on the record's socket is the process of the record, and that nobody else
// could have put it there.
func (r Record) CheckSocket() error {
	owned := os.Geteuid()
	if r.UID != nil {
		owned = *r.UID
	}
	dir, err := os.Lstat(filepath.Dir(r.Socket))
	if err != nil {
		return fmt.Errorf("look at the socket of %s: %w", r.Plugin, err)
	}
	if owner, ok := dir.Sys().(*syscall.Stat_t); !dir.IsDir() || dir.Mode().Perm()&0o077 != 0 || (ok && int(owner.Uid) != owned) {
		return fmt.Errorf("the directory of the socket %s is open to others; lubod does not trust it", r.Socket)
	}
	socket, err := os.Lstat(r.Socket)
	if err != nil {
		return fmt.Errorf("look at the socket of %s: %w", r.Plugin, err)
	}
	if socket.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is no socket", r.Socket)
	}
	connection, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: r.Socket, Net: "unix"})
	if err != nil {
		return fmt.Errorf("connect to %s: %w", r.Plugin, err)
	}
	defer func() { _ = connection.Close() }()
	pid, uid, err := socketOwner(connection)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return err
	}
	if pid != r.Pid || uid != owned {
		return fmt.Errorf("the socket %s belongs to process %d of user %d, not to process %d", r.Socket, pid, uid, r.Pid)
	}
	return nil
}
