package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// identity is the user that PostgreSQL's programs run as. They refuse to run as root, and initdb also refuses a user
// without an entry in /etc/passwd.
type identity struct {
	name     string
	uid, gid int
	how      identityKind
}

type identityKind int

const (
	// asSelf: the user of the host.
	asSelf identityKind = iota
	// asOther: another user; the host is root and gives its rights up.
	asOther
	// asNamed: the user of the host, who looks like another one inside a user namespace. This serves containers whose
	// only user is root, or a number without a name.
	asNamed
)

func (id *identity) String() string { return id.name }

// chooseIdentity prefers the user who owns the cluster already, so that one data directory works for root today and
// for its owner tomorrow.
func chooseIdentity(ctx context.Context, data string) (*identity, error) {
	if uid := os.Geteuid(); uid != 0 {
		self := &identity{name: strconv.Itoa(uid), uid: uid, gid: os.Getegid()}
		if u, err := user.LookupId(self.name); err == nil {
			self.name = u.Username
			return self, nil
		}
		if named := namedIdentity(); named.probe(ctx) == nil {
			return named, nil
		}
		return self, nil // enough for a cluster that exists
	}
	other, err := unprivileged(data)
	if err != nil {
		return nil, err
	}
	refused := other.probe(ctx)
	if refused == nil {
		return other, nil
	}
	named := namedIdentity()
	if err := named.probe(ctx); err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root, and this process may neither become user %s (%w) nor "+
			"open a user namespace (%w): run lubod as another user, or name a database with --database-url", other, refused, err)
	}
	return named, nil
}

// unprivileged is whom root runs PostgreSQL as.
func unprivileged(data string) (*identity, error) {
	info, err := os.Stat(data)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil {
		if owner, ok := info.Sys().(*syscall.Stat_t); ok && owner.Uid != 0 {
			return &identity{name: userNameOf(int(owner.Uid)), uid: int(owner.Uid), gid: int(owner.Gid), how: asOther}, nil
		}
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.Atoi(u.Uid)
		gid, gidErr := strconv.Atoi(u.Gid)
		if uidErr == nil && gidErr == nil && uid != 0 {
			return &identity{name: name, uid: uid, gid: gid, how: asOther}, nil
		}
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as: " +
		"create one (adduser --system postgres), or name a database with --database-url")
}

func namedIdentity() *identity {
	id := &identity{name: "nobody", uid: 65534, gid: 65534, how: asNamed}
	if u, err := user.Lookup(id.name); err == nil {
		if uid, err := strconv.Atoi(u.Uid); err == nil && uid != 0 {
			id.uid = uid
		}
	}
	return id
}

func userNameOf(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}

// probe tells whether this process may start others as that user.
func (id *identity) probe(ctx context.Context) error {
	return id.command(ctx, "/bin/sh", "-c", ":").Run()
}

// command prepares a program to run as that user, in a session of its own: Ctrl-C in the terminal is for the host,
// which ends its database last. Of the environment it gets only what it needs, since variables such as PGDATA and
// PGOPTIONS would change what the programs do.
func (id *identity) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = []string{"PATH=" + filepath.Dir(program) + ":/usr/bin:/bin", "LC_ALL=C", "TZ=GMT"}
	cmd.Dir = "/"
	attr := &syscall.SysProcAttr{Setsid: true}
	switch id.how {
	case asSelf:
	case asOther:
		attr.Credential = &syscall.Credential{Uid: uint32(id.uid), Gid: uint32(id.gid)}
	case asNamed:
		attr.Cloneflags = syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: id.uid, HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: id.gid, HostID: os.Getegid(), Size: 1}}
	}
	cmd.SysProcAttr = attr
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // its children too
	return cmd
}

// lend gives cmd a directory to work in and returns the path of it that cmd can use. Another user may be unable to
// walk there, for example below /root, which only root may enter; through a descriptor that root opened it gets to this
// one directory and to nothing beside it.
func (id *identity) lend(cmd *exec.Cmd, dir *os.File) string {
	if id.how != asOther {
		return dir.Name()
	}
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		return dir.Name()
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, dir)
	return fmt.Sprintf("/proc/self/fd/%d", 2+len(cmd.ExtraFiles))
}

// own makes a file or directory that the host created belong to the user that PostgreSQL runs as.
func (id *identity) own(path string) error {
	if id.how != asOther {
		return nil
	}
	if err := os.Lchown(path, id.uid, id.gid); err != nil {
		return fmt.Errorf("%w: PostgreSQL runs as user %s and has to own its files; put the data directory on a file "+
			"system that knows owners", err, id)
	}
	return nil
}

// ownAll repairs a cluster that was copied as root.
func (id *identity) ownAll(dir string) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return id.own(path)
	})
}
