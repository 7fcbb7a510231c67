package embedded

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can become other users")
	}
}

// useAndKill starts a host, uses its database, kills it, and lets another one take over and stop in order.
func useAndKill(t *testing.T, prepare func(dir string) *exec.Cmd, dir string) {
	t.Helper()
	s := newSetup(t, dir)
	first := launchHost(t, prepare(dir))
	execSQL(t, first.ready(t), "CREATE TABLE kept (id int)")
	pid := s.pid()
	first.kill()
	second := launchHost(t, prepare(dir))
	execSQL(t, second.ready(t), "SELECT id FROM kept")
	if now := s.pid(); now != pid {
		t.Errorf("process %d was running, and was replaced by %d", pid, now)
	}
	second.end(t)
}

func TestRootBelowADirectoryThatOnlyRootEnters(t *testing.T) {
	needRoot(t)
	t.Parallel()
	private := filepath.Join(t.TempDir(), "private")
	if err := os.Mkdir(private, 0o700); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(private, "data", "postgres")
	useAndKill(t, func(dir string) *exec.Cmd { return hostCommand(t, dir) }, dir)
	info, err := os.Stat(filepath.Join(dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Sys().(*syscall.Stat_t).Uid == 0 {
		t.Error("the cluster belongs to root")
	}
}

// A container gives its root a few capabilities only; these are Docker's.
func TestRootOfAContainer(t *testing.T) {
	needRoot(t)
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Skip("setpriv is not installed")
	}
	t.Parallel()
	private := filepath.Join(t.TempDir(), "private")
	if err := os.Mkdir(private, 0o700); err != nil {
		t.Fatal(err)
	}
	useAndKill(t, func(dir string) *exec.Cmd {
		cmd := hostCommand(t, dir)
		cmd.Args = []string{setpriv, "--bounding-set", "-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid," +
			"+setpcap,+net_bind_service,+net_raw,+sys_chroot,+mknod,+audit_write,+setfcap", cmd.Path}
		cmd.Path = setpriv
		return cmd
	}, filepath.Join(private, "postgres"))
}

func TestPlainUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Parallel()
		useAndKill(t, func(dir string) *exec.Cmd { return hostCommand(t, dir) }, filepath.Join(t.TempDir(), "postgres"))
		return
	}
	t.Parallel()
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip(err)
	}
	useAndKill(t, commandAs(t, nobody.Uid), dirOf(t, nobody.Uid))
}

// Some container platforms run programs as a number that no user has.
func TestUserWithoutAName(t *testing.T) {
	needRoot(t)
	needUserNamespaces(t)
	t.Parallel()
	useAndKill(t, commandAs(t, "54321"), dirOf(t, "54321"))
}

// In a container that knows one user, root cannot become another one.
func TestRootWhoIsAlone(t *testing.T) {
	needUserNamespaces(t)
	t.Parallel()
	useAndKill(t, func(dir string) *exec.Cmd {
		cmd := hostCommand(t, dir)
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
		return cmd
	}, filepath.Join(t.TempDir(), "postgres"))
}

// needUserNamespaces skips where the kernel or a container forbids them: there lubod has no use for them either.
func needUserNamespaces(t *testing.T) {
	t.Helper()
	if err := namedIdentity().probe(t.Context()); err != nil {
		t.Skip("user namespaces:", err)
	}
}

func TestRootContinuesWhatAUserBegan(t *testing.T) {
	needRoot(t)
	t.Parallel()
	dir := dirOf(t, "nobody")
	first := launchHost(t, commandAs(t, "nobody")(dir))
	execSQL(t, first.ready(t), "CREATE TABLE kept (id int)")
	first.end(t)
	s := newSetup(t, dir)
	server := s.start()
	execSQL(t, server.URL(), "SELECT id FROM kept")
	s.stop(server)
	again := launchHost(t, commandAs(t, "nobody")(dir))
	execSQL(t, again.ready(t), "SELECT id FROM kept")
	again.end(t)
}

func TestUserCannotUseWhatRootMade(t *testing.T) {
	needRoot(t)
	t.Parallel()
	dir := filepath.Join(publicDir(t), "postgres")
	s := newSetup(t, dir)
	s.stop(s.start())
	h := launchHost(t, commandAs(t, "nobody")(dir))
	_, err := h.answer(t)
	if err == nil || !strings.Contains(err.Error(), "permission denied") || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v, want permission denied for %s", err, dir)
	}
}

func TestClusterThatWasCopiedAsRoot(t *testing.T) {
	needRoot(t)
	t.Parallel()
	s := newSetup(t, t.TempDir())
	s.stop(s.start())
	root := &identity{name: "root", how: asOther}
	if err := root.ownAll(filepath.Join(s.options.Dir, "data")); err != nil {
		t.Fatal(err)
	}
	s.stop(s.start())
}

// commandAs makes hosts that run as a user, given by name or number.
func commandAs(t *testing.T, name string) func(dir string) *exec.Cmd {
	t.Helper()
	uid := numberOf(t, name)
	return func(dir string) *exec.Cmd {
		cmd := hostCommand(t, dir)
		cmd.Dir = "/"
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: uid}
		return cmd
	}
}

func dirOf(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(publicDir(t), "postgres")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	uid := int(numberOf(t, name))
	if err := os.Chown(dir, uid, uid); err != nil {
		t.Fatal(err)
	}
	return dir
}

func numberOf(t *testing.T, name string) uint32 {
	t.Helper()
	if u, err := user.Lookup(name); err == nil {
		name = u.Uid
	}
	uid, err := strconv.ParseUint(name, 10, 32)
	if err != nil {
		t.Fatal(fmt.Errorf("user %s: %w", name, err))
	}
	return uint32(uid)
}
