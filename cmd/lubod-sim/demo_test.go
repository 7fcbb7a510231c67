package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// buildPrograms builds what a demonstration runs, and returns the path of lubod.
func buildPrograms(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	plugins := filepath.Join(dir, "plugins") + "/"
	if err := os.Mkdir(plugins, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{dir + "/", "./cmd/lubod"},
		{plugins, "./plugins/extractor-direct", "./plugins/recorder-native", "./plugins/line-upos"},
	} {
		command := exec.Command("go", append([]string{"build", "-buildvcs=false", "-o"}, args...)...)
		command.Dir = filepath.Join("..", "..")
		if output, err := command.CombinedOutput(); err != nil {
			t.Fatalf("go build %v: %v\n%s", args, err, output)
		}
	}
	return filepath.Join(dir, "lubod")
}

// leftBehind lists the directories of demonstrations.
func leftBehind(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(os.TempDir(), "lubod-demo-*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestDemoEndsWithAnArchive(t *testing.T) {
	lubod := buildPrograms(t)
	t.Setenv("TMPDIR", shortTempDir(t))
	output, err := ask(t, "demo", "--seconds", "6", "--lubod", lubod)
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	for _, want := range []string{"the archive exists: BV", "on both sides", "180 of 180 video frames", "lubod is stopped"} {
		if !strings.Contains(output, want) {
			t.Errorf("%q is missing in\n%s", want, output)
		}
	}
	if dirs := leftBehind(t); len(dirs) > 0 {
		t.Errorf("left behind: %v", dirs)
	}
}

func TestDemoThatIsInterruptedLeavesNothing(t *testing.T) {
	lubod := buildPrograms(t)
	t.Setenv("TMPDIR", shortTempDir(t))
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	command := newCommand()
	command.SetArgs([]string{"demo", "--seconds", "30", "--lubod", lubod})
	var output bytes.Buffer
	command.SetOut(io.MultiWriter(&output, onText("is being recorded", interrupt)))
	command.SetErr(io.Discard)
	if err := command.ExecuteContext(ctx); err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("demo ended with %v\n%s", err, &output)
	}
	if dirs := leftBehind(t); len(dirs) > 0 {
		t.Errorf("left behind: %v", dirs)
	}
	if processes := processesOf(t, filepath.Dir(lubod)); len(processes) > 0 {
		t.Errorf("still running: %v", processes)
	}
}

func TestDemoWithoutLubodSaysWhatToDo(t *testing.T) {
	_, err := ask(t, "demo", "--lubod", filepath.Join(t.TempDir(), "lubod"))
	if err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("err = %v, want the advice to build", err)
	}
}

// shortTempDir has a short name: the paths of Unix sockets below it are limited.
func shortTempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "demo-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// textWatcher calls found for a write that contains text.
type textWatcher struct {
	text  string
	found func()
}

func onText(text string, found func()) io.Writer { return textWatcher{text, found} }

func (w textWatcher) Write(p []byte) (int, error) {
	if strings.Contains(string(p), w.text) {
		w.found()
	}
	return len(p), nil
}

// processesOf lists what runs from programs below dir.
func processesOf(t *testing.T, dir string) []string {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, dir+"/") {
			found = append(found, target)
		}
	}
	return found
}
