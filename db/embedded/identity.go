package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// identity is the user that PostgreSQL runs as. It refuses to run as root, so a host that is root lends it another one.
type identity struct {
	name     string
	uid, gid int
	// switches is set when the host has to change users.
	switches bool
	// reaches is set when the user may not even walk to the directory, as below /root: then the process keeps the one
	// capability that lets it pass.
	reaches bool
}

// findIdentity chooses the user that PostgreSQL in dir runs as.
func findIdentity(dir string) (*identity, error) {
	if os.Geteuid() != 0 {
		return &identity{name: "uid " + strconv.Itoa(os.Geteuid()), uid: os.Geteuid(), gid: os.Getegid()}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(found.Uid)
		gid, err2 := strconv.Atoi(found.Gid)
		if errors.Join(err1, err2) != nil {
			continue
		}
		return &identity{name: name, uid: uid, gid: gid, switches: true, reaches: !mayWalk(dir)}, nil
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody: create one, or name a database with --database-url")
}

// mayWalk tells whether everybody may pass through all parents of dir.
func mayWalk(dir string) bool {
	for parent := filepath.Dir(dir); ; parent = filepath.Dir(parent) {
		info, err := os.Stat(parent)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if parent == filepath.Dir(parent) {
			return true
		}
	}
}

func (id *identity) String() string { return id.name }

// command prepares a program of PostgreSQL: as the right user, in a session of its own so that Ctrl-C in the host's
// terminal does not end it before the host is done with it, and with an environment that says nothing of the host's.
func (id *identity) command(ctx context.Context, program string, arguments ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, arguments...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TZ=" + os.Getenv("TZ")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if id.switches {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(id.uid), Gid: uint32(id.gid)} //nolint:gosec // from the password file
		if id.reaches {
			cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_DAC_OVERRIDE}
		}
	}
	return cmd
}

// own gives a directory to the user, readable by nobody else.
func (id *identity) own(dir string) error {
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a directory
		return err
	}
	if !id.switches {
		return nil
	}
	return os.Chown(dir, id.uid, id.gid)
}

func indent(output []byte) string {
	output = bytes.TrimSpace(output)
	if len(output) == 0 {
		return ""
	}
	return "\n  " + strings.ReplaceAll(string(output), "\n", "\n  ")
}

func firstLine(output []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(output)), "\n")
	return line
}

func errorWithOutput(what string, err error, output []byte) error {
	return fmt.Errorf("%s: %w%s", what, err, indent(output))
}
