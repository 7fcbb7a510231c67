package host_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
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

// A room whose recorder cannot be started says so, and is recorded as soon as it can.
func TestRoomWhoseRecorderIsDownSaysSo(t *testing.T) {
	t.Parallel()
	daemon := hosttest.New(t, hosttest.Options{})
	binary, err := os.ReadFile(filepath.Join(hosttest.Programs(t), "plugins", "recorder-native"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(daemon.Dir, "recorder")
	install := func(content []byte) {
		t.Helper()
		// A program that another test's fork holds open for writing is busy: nobody forks meanwhile.
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
		if err := os.WriteFile(path+".new", content, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	install(binary)
	daemon.WritePlugins(fmt.Sprintf("plugin_dir = %q\nplugin \"extractor-direct\" {}\nplugin \"recorder-native\" {\n path = %q\n }\nplugin \"line-upos\" {}\n",
		filepath.Join(hosttest.Programs(t), "plugins"), path))
	prepare(t, daemon)
	source := live.New(t, live.Options{Clip: loadClip(t), Speed: 1, Loop: true, Clients: -1, GOPCache: time.Second})
	daemon.Client.Do(http.MethodPost, "/streamers", map[string]any{"url": source.URL(), "remark": "room"}, http.StatusOK, nil)
	daemon.Log().Wait(1, "segment opened")

	install([]byte("#!/bin/sh\nexit 1\n"))
	running := regexp.MustCompile(`msg="plugin is ready" plugin=recorder-native .*pid=(\d+)`).FindStringSubmatch(daemon.Log().Text())
	if running == nil {
		t.Fatal("no recorder is running")
	}
	pid, err := strconv.Atoi(running[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	hosttest.Until(t, "the room says that its recorder is down", func() bool {
		_, answer := daemon.Client.Raw(http.MethodGet, "/streamers", nil)
		return strings.Contains(string(answer), `"plugin.down"`) && strings.Contains(string(answer), "recorder-native is down") && !strings.Contains(string(answer), `"Working"`)
	}, daemon.Log().Tail)

	install(binary)
	daemon.Log().Wait(2, "segment opened")
	hosttest.Until(t, "the room is recorded again and says nothing", func() bool {
		_, answer := daemon.Client.Raw(http.MethodGet, "/streamers", nil)
		return strings.Contains(string(answer), `"Working"`) && !strings.Contains(string(answer), "plugin.down")
	}, daemon.Log().Tail)
	daemon.Log().Wait(1, "segment closed", "recovered=true")
	if found := regexp.MustCompile(`msg="plugin is ready" plugin=recorder-native .*pid=(\d+)`).FindAllStringSubmatch(daemon.Log().Text(), -1); len(found) > 0 {
		t.Cleanup(func() { // it does not lie where the harness looks for what is left
			if pid, err := strconv.Atoi(found[len(found)-1][1]); err == nil {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		})
	}
}
