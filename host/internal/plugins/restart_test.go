package plugins

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lubod/lubod/host/internal/reason"
	"github.com/lubod/lubod/sdk/wire"
)

// works are the plugins whose leases are live work, as a test needs them.
var works = map[string]func(w *world, m *Manager) (*Lease, error){
	"recorder-r": func(w *world, m *Manager) (*Lease, error) {
		lease, err := m.Recorder(w.ctx())
		if err != nil {
			return nil, err
		}
		return &lease.Lease, nil
	},
	"line-l": func(w *world, m *Manager) (*Lease, error) {
		lease, err := m.Line(w.ctx(), "l")
		if err != nil {
			return nil, err
		}
		return &lease.Lease, nil
	},
}

// kill ends the process behind a lease and waits until that is known.
func (w *world) kill(lease *Lease) {
	w.t.Helper()
	if err := syscall.Kill(lease.inst.process.Pid(), syscall.SIGKILL); err != nil {
		w.t.Fatal(err)
	}
	w.await("Done of the lease", lease.Done())
}

func TestPluginWithLiveWorkIsStartedAgainWithinTwoSecondsForEver(t *testing.T) {
	for label, take := range works {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			clock := newTestClock()
			w.options.clock = clock
			w.install(label)
			m := w.load(`plugin "` + label + `" {}`)
			for death := 1; death <= maxFailures+3; death++ {
				lease, err := take(w, m)
				if err != nil {
					t.Fatalf("after %d deaths: %v", death-1, err)
				}
				w.kill(lease)
				if death > 1 { // the first time nothing is waited for
					wait := clock.next(t)
					if wait.d > liveDelay {
						t.Fatalf("death %d is followed by a wait of %s", death, wait.d)
					}
					if s := status(t, m, label); s.State != Backoff || s.LastError == "" {
						t.Fatalf("status = %+v", s)
					}
					clock.elapse(wait)
				}
				w.awaitState(m, label, Ready) // nobody has asked for it yet
				lease.Release()
			}
			if s := status(t, m, label); s.LastError == "" {
				t.Error("the status keeps silent about a plugin that dies again and again")
			}
			clock.advance(steadyAfter)
			if s := status(t, m, label); s.LastError != "" {
				t.Errorf("after a while without a failure the status says %q", s.LastError)
			}
		})
	}
}

// A process that ran well for a while comes back without a pause, however often.
func TestPluginWithLiveWorkThatRanForAWhileIsStartedAgainAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := newTestClock()
	w.options.clock = clock
	w.install("recorder-r")
	m := w.load(`plugin "recorder-r" {}`)
	for range maxFailures + 3 {
		lease, err := m.Recorder(w.ctx())
		if err != nil {
			t.Fatal(err)
		}
		clock.advance(steadyAfter)
		w.kill(&lease.Lease)
		w.awaitState(m, "recorder-r", Ready)
		lease.Release()
	}
}

func TestWorkThatWaitsBringsTheNextStartForward(t *testing.T) {
	for label, take := range works {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			clock := newTestClock()
			w.options.clock, w.options.jitter = clock, -1
			w.install(label)
			m := w.load(`plugin "` + label + `" {}`)
			// Without work it is worth less and less haste, and in the end little.
			want := firstDelay
			for death := 1; death < maxFailures; death++ {
				if err := syscall.Kill(status(t, m, label).Process.PID, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				wait := clock.next(t)
				if wait.d != min(want, maxDelay) {
					t.Fatalf("death %d without work is followed by a wait of %s, want %s", death, wait.d, want)
				}
				want *= 2
				clock.elapse(wait)
				w.awaitState(m, label, Ready)
			}
			if err := syscall.Kill(status(t, m, label).Process.PID, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if wait := clock.next(t); wait.d != brokenDelay {
				t.Fatalf("the last death is followed by a wait of %s", wait.d)
			}
			w.awaitState(m, label, Failed)
			taken := make(chan error, 1)
			go func() {
				lease, err := take(w, m)
				if err == nil {
					lease.Release()
				}
				taken <- err
			}()
			wait := clock.next(t)
			if wait.d > liveDelay {
				t.Fatalf("work waits for %s", wait.d)
			}
			clock.elapse(wait)
			if err := <-taken; err != nil {
				t.Error(err)
			}
		})
	}
}

// What cannot be started is tried again as long as work waits for it, and each try that failed says so.
func TestRecorderThatCannotBeStartedIsTriedAgainAsLongAsWorkWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := newTestClock()
	w.options.clock = clock
	m := w.load(`plugin "recorder-r" {}`) // it has no file
	broken := clock.next(t)
	if s := status(t, m, "recorder-r"); s.State != Failed || broken.d != brokenDelay {
		t.Fatalf("waits %s, status = %+v", broken.d, s)
	}
	ask := func() error {
		_, s, next, err := m.tryLease(func() (*slot, error) { return sharedSlot(m.firstRecorderLocked()) })
		if err != nil {
			t.Fatal(err)
		}
		wait := clock.next(t)
		if wait.d > liveDelay {
			t.Fatalf("work waits for %s", wait.d)
		}
		clock.elapse(wait)
		w.await("the outcome of a start", next.done)
		m.mu.Lock()
		defer m.mu.Unlock()
		s.waiting--
		return next.err
	}
	for range maxFailures + 2 {
		err := ask()
		var down *DownError
		if !errors.As(err, &down) || !errors.Is(err, wire.ErrPluginDown) || down.Next.IsZero() {
			t.Fatalf("err = %v", err)
		}
		if why := reason.Of(err); why.Code != reason.PluginDown || why.Args["plugin"] != "recorder-r" || !strings.Contains(why.Args["cause"], "there is no file") {
			t.Fatalf("reason = %+v", why)
		}
		if err := m.RecorderTrouble(""); !errors.Is(err, wire.ErrPluginDown) {
			t.Fatalf("trouble = %v", err)
		}
	}
	w.install("recorder-r")
	if err := ask(); err != nil {
		t.Error(err)
	}
	clock.advance(steadyAfter)
	if err := m.RecorderTrouble("recorder-r"); err != nil {
		t.Errorf("trouble = %v", err)
	}
}

func TestRecorderOfALabelAlsoWhenItIsNotTheFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("recorder-new")
	w.install("recorder-old")
	m := w.load("plugin \"recorder-new\" {}\nplugin \"recorder-old\" {}")
	for label, want := range map[string]string{"recorder-new": "recorder-new", "recorder-old": "recorder-old"} {
		lease, err := m.RecorderOf(w.ctx(), label)
		if err != nil || lease.Plugin != want {
			t.Fatalf("RecorderOf(%s) = %+v, %v", label, lease, err)
		}
		lease.Release()
	}
	if err := m.Apply(w.ctx(), w.plugins(`plugin "recorder-new" {}`)); err != nil {
		t.Fatal(err)
	}
	for _, label := range []string{"recorder-old", "extractor-a", ""} {
		if _, err := m.RecorderOf(w.ctx(), label); !errors.Is(err, ErrUnknownPlugin) {
			t.Errorf("RecorderOf(%q): %v", label, err)
		}
	}
}

func TestIsolatedRecorderDiesAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("recorder-r")
	m := w.load(`plugin "recorder-r" {}`)
	shared, err := m.Recorder(w.ctx())
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Release()
	for range 3 {
		alone, err := m.IsolatedRecorder(w.ctx(), "recorder-r", "room-7")
		if err != nil {
			t.Fatal(err)
		}
		again, err := m.IsolatedRecorder(w.ctx(), "recorder-r", "room-7")
		if err != nil || again.Instance != alone.Instance || alone.Instance == shared.Instance {
			t.Fatalf("shared %s, alone %s, again %+v, %v", shared.Instance, alone.Instance, again, err)
		}
		again.Release()
		if s := status(t, m, "recorder-r"); len(s.Isolated) != 1 || s.Isolated[0].Key != "room-7" || s.Isolated[0].Process == nil || s.Process.Instance != shared.Instance {
			t.Errorf("status = %+v", s)
		}
		w.kill(&alone.Lease)
		alone.Release()
		if _, err := m.RecorderInstance(w.ctx(), "recorder-r", alone.Instance); !errors.Is(err, ErrGone) {
			t.Errorf("err = %v", err)
		}
	}
	select {
	case <-shared.Done():
		t.Error("it took the shared process with it")
	default:
	}
	if _, err := m.IsolatedRecorder(w.ctx(), "recorder-z", "room-7"); !errors.Is(err, ErrUnknownPlugin) {
		t.Errorf("err = %v", err)
	}
}

func TestIsolatedRecorderEndsWhenNothingUsesIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := newTestClock()
	w.options.clock, w.options.pingInterval = clock, 10*time.Millisecond
	w.install("recorder-r")
	m := w.load(`plugin "recorder-r" {}`)
	alone, err := m.IsolatedRecorder(w.ctx(), "recorder-r", "room-7")
	if err != nil {
		t.Fatal(err)
	}
	clock.advance(2 * isolatedIdle)
	w.log.await(t, 1, "plugin is ready", alone.Instance)
	alone.Release()
	over := alone.Done()
	clock.advance(2 * isolatedIdle)
	w.await("the end of the process", over)
	w.log.await(t, 1, "plugin process has ended")
	if s := status(t, m, "recorder-r"); len(s.Isolated) != 0 || s.State != Ready || s.LastError != "" {
		t.Errorf("status = %+v", s)
	}
}

// A process of one's own that dies without work is not started again: who needs it asks for it.
func TestIsolatedRecorderThatDiesUnusedStaysAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := newTestClock()
	w.options.clock = clock
	w.install("recorder-r")
	m := w.load(`plugin "recorder-r" {}`)
	alone, err := m.IsolatedRecorder(w.ctx(), "recorder-r", "room-7")
	if err != nil {
		t.Fatal(err)
	}
	alone.Release()
	clock.advance(2 * workMemory)
	w.kill(&alone.Lease)
	w.log.await(t, 1, "plugin has failed")
	if s := status(t, m, "recorder-r"); len(s.Isolated) != 0 || s.State != Ready || s.LastError != "" {
		t.Errorf("status = %+v", s)
	}
	again, err := m.IsolatedRecorder(w.ctx(), "recorder-r", "room-7")
	if err != nil || again.Instance == alone.Instance {
		t.Fatalf("IsolatedRecorder = %+v, %v", again, err)
	}
	again.Release()
}

// The next host finds a recorder of one's own where it was, and never takes it for everybody's.
func TestIsolatedRecorderIsFoundAgain(t *testing.T) {
	t.Parallel()
	for name, shared := range map[string]bool{"beside the shared one": true, "without the shared one": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.install("recorder-r")
			first := w.load(`plugin "recorder-r" {}`)
			alone, err := first.IsolatedRecorder(w.ctx(), "recorder-r", "room-7")
			if err != nil {
				t.Fatal(err)
			}
			if err := alone.Start(w.ctx(), request("11111111-1111-1111-1111-111111111111")); err != nil {
				t.Fatal(err)
			}
			alone.Release()
			var everybodys string
			if shared {
				lease, _ := w.recording(first)
				everybodys = lease.Instance
				lease.Release()
			}
			first.Close()

			second := w.load(`plugin "recorder-r" {}`)
			lease, err := second.Recorder(w.ctx())
			if err != nil || lease.Instance == alone.Instance || (shared && lease.Instance != everybodys) {
				t.Fatalf("Recorder = %+v, %v; it was %s", lease, err, everybodys)
			}
			lease.Release()
			again, err := second.IsolatedRecorder(w.ctx(), "recorder-r", "room-7")
			if err != nil || again.Instance != alone.Instance {
				t.Fatalf("IsolatedRecorder = %+v, %v", again, err)
			}
			again.Release()
		})
	}
}

func TestIsolatedRecorderOfOtherOptionsIsNotTakenOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("recorder-r")
	first := w.load(`plugin "recorder-r" {}`)
	alone, err := first.IsolatedRecorder(w.ctx(), "recorder-r", "room-7")
	if err != nil {
		t.Fatal(err)
	}
	if err := alone.Start(w.ctx(), request("11111111-1111-1111-1111-111111111111")); err != nil {
		t.Fatal(err)
	}
	alone.Release()
	first.Close()

	second := w.load("plugin \"recorder-r\" {\n options {\n count = 2\n }\n }")
	fresh, err := second.IsolatedRecorder(w.ctx(), "recorder-r", "room-7")
	if err != nil || fresh.Instance == alone.Instance {
		t.Fatalf("IsolatedRecorder = %+v, %v", fresh, err)
	}
	fresh.Release()
	old, err := second.RecorderInstance(w.ctx(), "recorder-r", alone.Instance)
	if err != nil {
		t.Fatal(err)
	}
	w.end(old, "11111111-1111-1111-1111-111111111111")
	w.await("the end of the old recorder", old.Done())
	old.Release()
}

func TestReplacedIsolatedRecorderFinishesItsSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("recorder-r", "FAKE_VERSION=1")
	m := w.load(`plugin "recorder-r" {}`)
	alone, err := m.IsolatedRecorder(w.ctx(), "recorder-r", "room-7")
	if err != nil {
		t.Fatal(err)
	}
	session := "11111111-1111-1111-1111-111111111111"
	if err := alone.Start(w.ctx(), request(session)); err != nil {
		t.Fatal(err)
	}
	w.install("recorder-r", "FAKE_VERSION=2")
	if err := m.Apply(w.ctx(), w.plugins(`plugin "recorder-r" {}`)); err != nil {
		t.Fatal(err)
	}
	fresh, err := m.IsolatedRecorder(w.ctx(), "recorder-r", "room-7")
	if err != nil || fresh.Version() != "2" {
		t.Fatalf("IsolatedRecorder = %+v, %v", fresh, err)
	}
	fresh.Release()
	w.end(alone, session)
	w.await("the end of the replaced recorder", alone.Done())
	alone.Release()
}

func TestWhoWaitsForAStartIsToldWhenTheManagerCloses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.options.clock = newTestClock()
	m := w.load(`plugin "recorder-r" {}`)
	answer := make(chan error, 1)
	go func() {
		_, err := m.Recorder(context.Background())
		answer <- err
	}()
	w.options.clock.(*testClock).next(t)
	w.options.clock.(*testClock).next(t)
	m.Close()
	select {
	case err := <-answer:
		if !errors.Is(err, ErrClosed) {
			t.Errorf("err = %v", err)
		}
	case <-time.After(patience):
		t.Error("it waits on")
	}
}

func TestFailuresAreWaitedForWithJitterUpToACap(t *testing.T) {
	for range 20 {
		f := newFailures(jitterShare)
		for n := range maxFailures - 1 {
			want := min(firstDelay<<n, maxDelay)
			got, broken := f.add(0, false)
			if broken || got > maxDelay || float64(got) < float64(want)*(1-jitterShare)-1 || float64(got) > float64(want)*(1+jitterShare)+1 {
				t.Errorf("failure %d is followed by %s, want about %s", n+1, got, want)
			}
		}
		if got, broken := f.add(0, false); !broken || got != brokenDelay {
			t.Errorf("the last failure is followed by %s, %v", got, broken)
		}
		for range 2 * maxFailures {
			if got, broken := f.add(0, true); broken || got > liveDelay {
				t.Errorf("with work %s, %v", got, broken)
			}
		}
		if got, broken := f.add(healthyAfter, false); broken || got > 2*firstDelay {
			t.Errorf("after a long healthy time %s, %v", got, broken)
		}
	}
}
