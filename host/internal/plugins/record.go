package plugins

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// record is what a host needs to find a recorder process that an earlier one launched.
type record struct {
	Plugin   string `json:"plugin"`
	Instance string `json:"instance"`
	// Isolate is the key of those for whom the process is; empty: everybody.
	Isolate string `json:"isolate,omitempty"`
	Version string `json:"version"`
	// Protocol is the version of the contract that the process speaks; go-plugin does not keep it.
	Protocol int `json:"protocol"`
	Pid      int `json:"pid"`
	// Start tells the process from a later one with the same id; see processStart.
	Start      string      `json:"start"`
	Socket     string      `json:"socket"`
	Log        string      `json:"log"`
	LaunchedAt time.Time   `json:"launched_at"`
	Print      fingerprint `json:"fingerprint"`
}

func (d runDir) recordPath(instance string) string {
	return filepath.Join(d.path, instance+".json")
}

func (d runDir) placePath(instance string) string {
	return filepath.Join(d.path, instance+".tail")
}

// writeRecord is atomic: a host that is killed in it leaves the old file or the new one.
func (d runDir) writeRecord(r record) error {
	content, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the re-attach record of %s: %w", r.Plugin, err)
	}
	path := d.recordPath(r.Instance)
	temporary := path + ".new"
	file, err := os.OpenFile(temporary, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err == nil {
		_, writeErr := file.Write(content)
		err = errors.Join(writeErr, file.Sync(), file.Close())
	}
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return fmt.Errorf("write the re-attach record of %s: %w", r.Plugin, err)
	}
	return nil
}

// forget removes everything that a process left behind, but its log.
func (d runDir) forget(instance string) {
	for _, path := range []string{d.recordPath(instance), d.recordPath(instance) + ".new", d.placePath(instance)} {
		_ = os.Remove(path)
	}
	_ = os.RemoveAll(d.socketDir(instance))
}

// readRecords returns every record that can be read, and what is wrong with the others.
func (d runDir) readRecords() (records []record, problems []error) {
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

func readRecord(path string) (record, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return record{}, fmt.Errorf("read a re-attach record: %w", err)
	}
	var r record
	if err := json.Unmarshal(content, &r); err != nil {
		return record{}, fmt.Errorf("read the re-attach record %s: %w", path, err)
	}
	if r.Plugin == "" || r.Pid <= 1 || r.Instance+".json" != filepath.Base(path) || !filepath.IsAbs(r.Socket) {
		return record{}, fmt.Errorf("the re-attach record %s is incomplete", path)
	}
	return r, nil
}

// alive reports whether the process of a record exists.
func (r record) alive() bool {
	found := processStart(r.Pid)
	return found != "" && (r.Start == "" || found == r.Start)
}

// checkSocket makes sure that what listens on the record's socket is the process of the record, and that nobody else
// could have put it there.
func (r record) checkSocket() error {
	dir, err := os.Lstat(filepath.Dir(r.Socket))
	if err != nil {
		return fmt.Errorf("look at the socket of %s: %w", r.Plugin, err)
	}
	if owner, ok := dir.Sys().(*syscall.Stat_t); !dir.IsDir() || dir.Mode().Perm()&0o077 != 0 || (ok && int(owner.Uid) != os.Geteuid()) {
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
	if pid != r.Pid || uid != os.Geteuid() {
		return fmt.Errorf("the socket %s belongs to process %d of user %d, not to process %d", r.Socket, pid, uid, r.Pid)
	}
	return nil
}
