package plugins

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// launchFailure applies one block on a first load and returns what its status says.
func launchFailure(t *testing.T, w *world, source string) Status {
	t.Helper()
	m := w.load(source)
	return m.Status()[0]
}

func TestLaunchErrorsExplainThemselves(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		label   string
		prepare func(w *world)
		block   string
		state   State
		want    string
	}{
		"missing": {
			label: "line-a", prepare: func(*world) {}, state: Failed,
			want: `plugins\.hcl:2,1-16: plugin line-a: there is no file .*/plugs/line-a; put the plugin there, or set path in its block`,
		},
		"directory": {
			label: "line-a", prepare: func(w *world) { _ = os.MkdirAll(filepath.Join(w.dir, "plugs", "line-a"), 0o700) }, state: Failed,
			want: `line-a is not a regular file; path must name the plugin's binary`,
		},
		"not executable": {
			label: "line-a", prepare: func(w *world) { w.write("plugs/line-a", "#!/bin/sh\n", 0o600) }, state: Failed,
			want: `line-a is not executable by lubod: its mode is -rw-------, its owner \S+, lubod runs as \S+; chmod \+x makes a file executable`,
		},
		"no program": {
			label: "line-a", prepare: func(w *world) { w.write("plugs/line-a", "\x00\x01\x02", 0o700) }, state: Failed,
			want: `is no program for this machine \(\w+\)`,
		},
		"interpreter missing": {
			label: "line-a", prepare: func(w *world) { w.write("plugs/line-a", "#!/no/such/interpreter\n", 0o700) }, state: Failed,
			want: `needs an interpreter or a loader that does not exist here`,
		},
		"garbage": {
			label: "line-a", prepare: func(w *world) { w.write("plugs/line-a", "#!/bin/sh\necho usage: line-a FILE\nsleep 60\n", 0o700) }, state: Failed,
			want: `is not a lubod plugin: instead of shaking hands it printed "usage: line-a FILE"`,
		},
		"exits": {
			label: "line-a", prepare: func(w *world) { w.install("line-a", "FAKE_KIND=exits") }, state: Backoff,
			want: `ended \(exit status 7\) without shaking hands; it may not be a lubod plugin; its last words: cannot find my shoes`,
		},
		"hangs": {
			label: "line-a", prepare: func(w *world) {
				w.options.StartTimeout = 200 * time.Millisecond
				w.write("plugs/line-a", "#!/bin/sh\nsleep 60 & wait\n", 0o700)
			}, state: Backoff,
			want: `did not shake hands within [\d.]+m?s; it may not be a lubod plugin, or the machine is too busy`,
		},
		"other protocol": {
			label: "line-a", prepare: func(w *world) {
				w.write("plugs/line-a", "#!/bin/sh\necho '1|7|unix|/nowhere|grpc|'\nsleep 60\n", 0o700)
			}, state: Failed,
			want: `line-a speaks version 7 of the plugin protocol, this lubod speaks version 1`,
		},
		"other kind": {
			label: "line-a", prepare: func(w *world) { w.install("line-a", "FAKE_KIND=extractor") }, state: Failed,
			want: `is the plugin extractor-a; name the block extractor-a, or set path to the file of line-a`,
		},
		"other name": {
			label: "line-a", prepare: func(w *world) { w.install("line-a", "FAKE_NAME=b") }, state: Failed,
			want: `is the plugin line-b; name the block line-b`,
		},
		"unknown option": {
			label: "line-a", prepare: func(w *world) { w.install("line-a") }, block: "options {\n cout = 1\n }", state: Failed,
			want: `plugins\.hcl:4,2-6: line-a has no option "cout"; its options are .*; did you mean "count"\?`,
		},
		"refused option": {
			label: "line-a", prepare: func(w *world) { w.install("line-a") }, block: "options {\n refuse = true\n }", state: Failed,
			want: `plugins\.hcl:2,1-16: plugin line-a: refuses its options: .*count: I refuse 1`,
		},
		"not healthy": {
			label: "line-a", prepare: func(w *world) { w.install("line-a") }, block: "options {\n sick = \"/\"\n }", state: Backoff,
			want: `is not healthy: the cookie has expired`,
		},
		"bad checksum": {
			label: "line-a", prepare: func(w *world) { w.install("line-a") }, block: `sha256 = "` + strings.Repeat("a", 64) + `"`, state: Failed,
			want: `the checksum of .*line-a is [0-9a-f]{64}, plugins\.hcl says a{64}; install the right file`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.options.clock = newTestClock() // no second try
			c.prepare(w)
			s := launchFailure(t, w, "plugin \""+c.label+"\" {\n"+c.block+"\n}")
			if s.State != c.state || !regexp.MustCompile(c.want).MatchString(s.LastError) {
				t.Errorf("state %s: %s\nwant %s", s.State, s.LastError, c.want)
			}
			if left, _ := filepath.Glob(filepath.Join(w.options.RunDir, "*")); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestFirstLoadKeepsTheGoodBesideTheBad(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("extractor-good")
	m := w.load("plugin \"extractor-bad\" {}\nplugin \"extractor-good\" {}")
	w.mustResolve(m, "good", "")
	_, err := w.resolve(m, "bad", "")
	if !errors.Is(err, ErrNoExtractor) || !strings.Contains(err.Error(), "not running:") || !strings.Contains(err.Error(), "there is no file") {
		t.Errorf("err = %v", err)
	}
	w.install("extractor-bad")
	if err := m.Apply(w.ctx(), w.plugins("plugin \"extractor-bad\" {}\nplugin \"extractor-good\" {}")); err != nil {
		t.Fatal(err)
	}
	w.mustResolve(m, "bad", "")
}

// go-plugin's SecureConfig keeps the hash of what it has read; a second start with the same one always fails.
func TestChecksumHoldsForTheSecondStartToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := newTestClock()
	w.options.clock = clock
	w.install("extractor-a")
	content, err := os.ReadFile(filepath.Join(w.dir, "plugs", "extractor-a"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	m := w.load("plugin \"extractor-a\" {\n sha256 = \"" + hex.EncodeToString(sum[:]) + "\"\n }")
	_, _ = w.resolve(m, "a", "exit")
	clock.elapse(clock.next(t))
	w.log.await(t, 2, "plugin is ready")
	w.mustResolve(m, "a", "")

	w.write("plugs/extractor-a", string(content)+"# changed\n", 0o700)
	_, _ = w.resolve(m, "a", "exit")
	clock.elapse(clock.next(t))
	clock.next(t)
	if s := status(t, m, "extractor-a"); s.State != Backoff || !strings.Contains(s.LastError, "the checksum of") {
		t.Errorf("a changed file was started: %+v", s)
	}
}

// AutoMTLS is on for attached plugins: nobody else can talk to one, not even who can reach its socket.
func TestAttachedPluginSpeaksTLS(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("extractor-a")
	m := w.load(`plugin "extractor-a" {}`)
	env := w.mustResolve(m, "a", "env")
	if !strings.Contains(env, "PLUGIN_CLIENT_CERT=") {
		t.Error("the plugin got no certificate of its host")
	}
}

func TestSocketsArePrivateAndNotInTheSystemsTemporaryDirectory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("extractor-a")
	m := w.load(`plugin "extractor-a" {}`)
	dir := m.runDir.SocketDir(status(t, m, "extractor-a").Process.Instance)
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("%v, %v", info, err)
	}
	if sockets, _ := filepath.Glob(filepath.Join(dir, "plugin*")); len(sockets) == 0 {
		t.Error("the socket is not there")
	}
	m.Close()
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the directory of the socket is still there: %v", err)
	}
}

// A plugin that writes for ever to the descriptor of its handshake is read, and does not stop in the middle of it.
func TestOutputBehindTheHandshakeDoesNotBlockThePlugin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("extractor-a")
	m := w.load(`plugin "extractor-a" {}`)
	w.mustResolve(m, "a", "fd1")
}

func TestProgramsThatAPluginStartedEndWithIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.options.clock = newTestClock()
	w.write("plugs/line-a", "#!/bin/sh\nsleep 600 &\necho $! > '"+w.dir+"/child'\nexit 1\n", 0o700)
	launchFailure(t, w, `plugin "line-a" {}`)
	content, err := os.ReadFile(filepath.Join(w.dir, "child"))
	if err != nil {
		t.Fatal(err)
	}
	pid := atoi(t, strings.TrimSpace(string(content)))
	w.await("the end of the program", gone(pid))
}
