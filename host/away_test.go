package host_test

import (
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/lubod/lubod/host/internal/hosttest"
)

// seal makes a folder one in which nothing can be made, renamed or removed, as a network share does that is away, also for
// root; the function that it returns ends that.
func seal(t *testing.T, folder string) (unseal func()) {
	t.Helper()
	if out, err := exec.Command("chattr", "+i", folder).CombinedOutput(); err != nil {
		t.Skipf("this file system cannot do that: %s", out)
	}
	unseal = func() {
		if out, err := exec.Command("chattr", "-i", folder).CombinedOutput(); err != nil {
			t.Errorf("chattr -i: %s", out)
		}
	}
	t.Cleanup(func() { _ = exec.Command("chattr", "-i", folder).Run() })
	return unseal
}

// The folder of a room cannot be written to for some seconds, while segments end and begin, and while the last one does. Every
// packet is in a row's file and in the one archive.
func TestFolderThatIsAwayForAMomentCostsNothing(t *testing.T) {
	t.Parallel()
	clip := hosttest.EncodeClip(t, 24)
	daemon := hosttest.New(t, hosttest.Options{})
	prepare(t, daemon)
	source := hosttest.ServeLive(t, clip)
	addStreamer(daemon, source.URL, 5)
	daemon.Log().Wait(1, "segment opened")
	folder := roomFolder(t, daemon)
	unseal := seal(t, folder)
	away(5 * time.Second)
	unseal()
	daemon.Log().Wait(4, "segment opened")
	unseal = seal(t, folder)
	away(5 * time.Second)
	unseal()
	source.Wait(t)
	if paths := checkPublished(t, daemon, clip); len(paths) < 5 {
		t.Errorf("%d segments, want some of at most 5 s", len(paths))
	}
	daemon.Stop()
}

// away is as long as nobody can write: nothing tells when that is long enough.
func away(length time.Duration) { <-time.After(length) }

// roomFolder is the only folder of recordings.
func roomFolder(t *testing.T, daemon *hosttest.Daemon) string {
	t.Helper()
	parts, err := filepath.Glob(filepath.Join(daemon.DataDir, "recordings", "*", "*.part"))
	if err != nil || len(parts) == 0 {
		t.Fatalf("no segment is being recorded: %v", err)
	}
	return filepath.Dir(parts[0])
}
