package plugins

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// nobody is a world whose plugins can run as the user nobody.
func nobody(t *testing.T) *world {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can run plugins as other users")
	}
	if _, err := user.Lookup("nobody"); err != nil {
		t.Skip("there is no user nobody")
	}
	w := newWorld(t)
	w.options.Recordings = filepath.Join(w.dir, "recordings")
	w.install("extractor-a")
	w.install("recorder-r")
	// The test binary lies where only root gets to: it needs another name.
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	named := filepath.Join(w.dir, "plugs", "self")
	for _, label := range []string{"extractor-a", "recorder-r"} {
		path := filepath.Join(w.dir, "plugs", label)
		script, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		w.write(filepath.Join("plugs", label), strings.ReplaceAll(string(script), self, named), 0o755)
	}
	if err := os.Link(self, named); err != nil { // a copy could be busy: another test may be starting a process just now
		t.Skipf("the test binary lies on another file system: %v", err)
	}
	for _, dir := range []string{w.dir, filepath.Join(w.dir, "plugs")} {
		if err := os.Chmod(dir, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func ownerOf(t *testing.T, path string) int {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Sys().(*syscall.Stat_t).Uid)
}

const asNobody = "plugin \"extractor-a\" {\n user = \"nobody\"\n}\nplugin \"recorder-r\" {\n user = \"nobody\"\n}"

// A plugin with a user of its own runs as that one, with what belongs to it, and a recorder is found again by the next host.
func TestPluginsOfAnotherUser(t *testing.T) {
	w := nobody(t)
	first := w.load(asNobody)
	wanted := w.plugins(asNobody).Blocks[0].User
	if home := w.mustResolve(first, "a", "env"); !strings.Contains(home, "HOME="+wanted.Home+"\n") {
		t.Errorf("the environment of the plugin: %s", home)
	}
	lease, session := w.recording(first)
	instance := lease.Instance
	recorder := status(t, first, "recorder-r").Process
	for _, pid := range []int{status(t, first, "extractor-a").Process.PID, recorder.PID} {
		if uid := ownerOf(t, filepath.Join("/proc", strconv.Itoa(pid))); uid != wanted.UID {
			t.Errorf("process %d runs as user %d, want %d", pid, uid, wanted.UID)
		}
	}
	if uid := ownerOf(t, w.options.Recordings); uid != wanted.UID {
		t.Errorf("the recordings belong to user %d", uid)
	}
	logs, err := filepath.Glob(filepath.Join(w.options.LogDir, "user-*", "recorder-r-*.log"))
	if err != nil || len(logs) != 1 {
		t.Errorf("logs %v, %v", logs, err)
	}
	lease.Release()
	first.Close()

	second := w.load(asNobody)
	again, err := second.RecorderInstance(w.ctx(), "recorder-r", instance)
	if err != nil {
		t.Fatal(err)
	}
	if now := status(t, second, "recorder-r").Process; now.PID != recorder.PID {
		t.Errorf("another process: %+v", now)
	}
	// The other way round it is another plugin.
	third := "plugin \"extractor-a\" {}\nplugin \"recorder-r\" {}"
	if err := second.Apply(w.ctx(), w.plugins(third)); err != nil {
		t.Fatal(err)
	}
	if uid := ownerOf(t, filepath.Join("/proc", strconv.Itoa(status(t, second, "recorder-r").Process.PID))); uid != 0 {
		t.Errorf("the new recorder runs as user %d", uid)
	}
	w.end(again, session)
	w.await("the end of the old recorder", again.Done())
	again.Release()
}

// Where its user cannot get, a plugin does not start, and the operator reads what to do.
func TestPluginsOfAnotherUserSayWhatTheyLack(t *testing.T) {
	w := nobody(t)
	refused := func(words ...string) {
		t.Helper()
		m := w.manager()
		defer m.Close()
		err := m.Apply(w.ctx(), w.plugins(asNobody))
		if err == nil {
			_, err = m.Recorder(w.ctx())
		}
		for _, word := range words {
			if err == nil || !strings.Contains(err.Error(), word) {
				t.Errorf("%v, want %q in it", err, word)
			}
		}
	}
	if err := os.Mkdir(w.options.Recordings, 0o755); err != nil {
		t.Fatal(err)
	}
	refused("recorder-r", "chown -R nobody "+w.options.Recordings, "plugins.hcl:")
	if err := os.Chmod(w.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	refused("chmod o+x "+w.dir, "nobody")
}
