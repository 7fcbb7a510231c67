package host_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lubod/lubod/host/internal/hosttest"
	"github.com/lubod/lubod/sdk/simulator/live"
)

// writing lists the recorder processes that have an unfinished file open.
func writing(daemon *hosttest.Daemon) []int {
	var found []int
	for _, pid := range daemon.PluginPIDs("recorder-native") {
		files, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "fd", "*"))
		if err != nil {
			continue
		}
		for _, file := range files {
			if target, err := os.Readlink(file); err == nil && strings.HasSuffix(target, ".part") {
				found = append(found, pid)
				break
			}
		}
	}
	return found
}

// However often their recorder is killed, rooms are recorded on at once; and those that were there each time do not share a
// process for longer than three crashes.
func TestRecorderThatIsKilledAgainAndAgain(t *testing.T) {
	daemon := hosttest.New(t, hosttest.Options{})
	prepare(t, daemon)
	const rooms = 2
	for range rooms {
		source := live.New(t, live.Options{Clip: loadClip(t), Speed: 1, Loop: true, Clients: -1, GOPCache: time.Second})
		daemon.Client.Do(http.MethodPost, "/streamers", map[string]any{"url": source.URL(), "remark": "room"}, http.StatusOK, nil)
	}
	daemon.Log().Wait(rooms, "segment opened")
	kill := func(pids ...int) {
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
	const crashes = 12 // the tenth was the last one, once
	for crash := 1; crash <= crashes; crash++ {
		began := time.Now()
		kill(writing(daemon)...)
		daemon.Log().Wait(rooms*(crash+1), "segment opened")
		t.Logf("crash %d: both rooms are recorded on after %s", crash, time.Since(began).Round(time.Millisecond))
		if crash < 3 && len(writing(daemon)) != 1 {
			t.Errorf("after %d crashes processes %v record", crash, writing(daemon))
		}
		if crash >= 3 {
			hosttest.Until(t, "a process for each room", func() bool { return len(writing(daemon)) == rooms }, daemon.Log().Tail)
		}
	}
	// From now on one takes only its own room down.
	lost := daemon.Log().Count("the recorder lost a session")
	pids := writing(daemon)
	kill(pids[0])
	daemon.Log().Wait(rooms*(crashes+1)+1, "segment opened")
	if n := daemon.Log().Count("the recorder lost a session") - lost; n != 1 {
		t.Errorf("%d sessions were lost with the process of one room", n)
	}
	if err := syscall.Kill(pids[1], 0); err != nil {
		t.Errorf("the process of the other room: %v", err)
	}
}
