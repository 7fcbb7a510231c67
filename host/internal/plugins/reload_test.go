package plugins

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/lubod/lubod/host/internal/config"
)

func TestReloadOfTheSameChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("extractor-a")
	w.install("recorder-r")
	source := "plugin \"extractor-a\" {\n options {\n greeting = \"x\"\n }\n }\nplugin \"recorder-r\" {}"
	m := w.load(source)
	before := []string{status(t, m, "extractor-a").Process.Instance, status(t, m, "recorder-r").Process.Instance}
	// Another order, another place in the file, another spelling of the same options.
	again := "plugin \"recorder-r\" {}\n\n\nplugin \"extractor-a\" {\n limits {\n idle_stop = \"1h\"\n }\n options {\n count = 1\n greeting = \"x\"\n }\n }"
	if err := m.Apply(w.ctx(), w.plugins(again)); err != nil {
		t.Fatal(err)
	}
	if status(t, m, "extractor-a").Process.Instance != before[0] || status(t, m, "recorder-r").Process.Instance != before[1] {
		t.Error("a reload without a change replaced a process")
	}
}

// Sixteen callers never see a failed call while binary and options are replaced under them.
func TestReloadUnderLoadLosesNoCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("extractor-a", "FAKE_VERSION=0")
	m := w.load(`plugin "extractor-a" {}`)
	var (
		calls   atomic.Int64
		callers sync.WaitGroup
		stop    = make(chan struct{})
	)
	for range 16 {
		callers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := w.resolve(m, "a", "slow:10ms"); err != nil {
					t.Errorf("call %d: %v", calls.Load(), err)
					return
				}
				calls.Add(1)
			}
		})
	}
	seen := map[string]bool{}
	for _, version := range []string{"1", "2", "3", "4"} {
		w.install("extractor-a", "FAKE_VERSION="+version)
		if err := m.Apply(w.ctx(), w.plugins(`plugin "extractor-a" {}`)); err != nil {
			t.Error(err)
		}
		seen[status(t, m, "extractor-a").Version] = true
	}
	if err := m.Apply(w.ctx(), w.plugins("plugin \"extractor-a\" {\n options {\n count = 5\n }\n }")); err != nil {
		t.Error(err)
	}
	close(stop)
	callers.Wait()
	if len(seen) != 4 || calls.Load() == 0 {
		t.Errorf("%d versions, %d calls", len(seen), calls.Load())
	}
	w.log.await(t, 5, "plugin process has ended") // the replaced ones, all of them
}

func TestReloadFailureLeavesTheOldInPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("extractor-a")
	w.install("extractor-b")
	w.install("extractor-new")
	m := w.load("plugin \"extractor-a\" {}\nplugin \"extractor-b\" {}")
	a, b := w.mustResolve(m, "a", ""), w.mustResolve(m, "b", "")
	for name, source := range map[string]string{
		"bad option":  "plugin \"extractor-a\" {\n options {\n count = \"x\"\n }\n }\nplugin \"extractor-new\" {}",
		"refused":     "plugin \"extractor-a\" {\n options {\n refuse = true\n }\n }\nplugin \"extractor-new\" {}",
		"missing":     "plugin \"extractor-a\" {}\nplugin \"extractor-b\" {}\nplugin \"extractor-new\" {}\nplugin \"line-none\" {}",
		"bad sum":     "plugin \"extractor-new\" {}\nplugin \"extractor-b\" {\n sha256 = \"" + strings.Repeat("0", 64) + "\"\n }",
		"wrong label": "plugin \"extractor-new\" {}\nplugin \"extractor-x\" {\n path = \"plugs/extractor-a\"\n }",
	} {
		t.Run(name, func(t *testing.T) {
			err := m.Apply(w.ctx(), w.plugins(source))
			var launch *LaunchError
			if !errors.As(err, &launch) {
				t.Fatalf("err = %v", err)
			}
			if w.mustResolve(m, "a", "") != a || w.mustResolve(m, "b", "") != b {
				t.Error("a process was replaced")
			}
			if err := m.AcceptsURL(w.ctx(), "fake://new/"); !errors.Is(err, ErrNoExtractor) {
				t.Errorf("a plugin of the refused file is there: %v", err)
			}
		})
	}
}

func TestReloadErrorNamesEveryPluginThatFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.load("")
	w.install("line-b")
	err := m.Apply(w.ctx(), w.plugins("plugin \"line-a\" {}\nplugin \"line-b\" {\n options {\n coun = 1\n }\n }"))
	if err == nil || !strings.Contains(err.Error(), "line-a") || !strings.Contains(err.Error(), `line-b has no option "coun"`) {
		t.Errorf("err = %v", err)
	}
}

func TestRemovedPluginDrainsAndEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("extractor-a")
	m := w.load(`plugin "extractor-a" {}`)
	lease, err := m.Extractor(w.ctx(), "fake://a/")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Apply(w.ctx(), w.plugins("")); err != nil {
		t.Fatal(err)
	}
	if err := m.AcceptsURL(w.ctx(), "fake://a/"); !errors.Is(err, ErrNoExtractor) {
		t.Errorf("err = %v", err)
	}
	if _, err := lease.Resolve(w.ctx(), ref("fake://a/")); err != nil {
		t.Errorf("a leased process was taken away: %v", err)
	}
	select {
	case <-lease.Done():
		t.Error("the process ended under a lease")
	default:
	}
	lease.Release()
	w.await("the end of the process", lease.Done())
}

func TestDrainIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.options.ExtractorDrain = 1 // nanosecond
	w.install("extractor-a")
	m := w.load(`plugin "extractor-a" {}`)
	lease, err := m.Extractor(w.ctx(), "fake://a/")
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release()
	if err := m.Apply(w.ctx(), config.Plugins{}); err != nil {
		t.Fatal(err)
	}
	w.await("the end of the process", lease.Done())
	w.log.await(t, 1, "plugin is stopped with calls under way")
}

func TestLimitsApplyWithoutARestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := newTestClock()
	w.options.clock, w.options.pingInterval = clock, 10e6
	w.install("extractor-a")
	m := w.load(`plugin "extractor-a" {}`)
	first := w.mustResolve(m, "a", "")
	if err := m.Apply(w.ctx(), w.plugins("plugin \"extractor-a\" {\n limits {\n idle_stop = \"5s\"\n }\n }")); err != nil {
		t.Fatal(err)
	}
	if w.mustResolve(m, "a", "") != first {
		t.Error("new limits restarted the process")
	}
	clock.advance(6e9)
	w.log.await(t, 1, "plugin has stopped")
}
