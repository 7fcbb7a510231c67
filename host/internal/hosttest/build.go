package hosttest

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/lubod/lubod/db/dbtest"
)

// programs is what a daemon needs beside it: built once per test binary, from the sources that are being tested.
var programs builder

type builder struct {
	once sync.Once
	dir  string
	err  error
}

// Programs returns the directory that holds lubod, and plugins/ below it.
func Programs(t testing.TB) string {
	t.Helper()
	programs.once.Do(func() { programs.dir, programs.err = buildPrograms() })
	if programs.err != nil {
		t.Fatal(programs.err)
	}
	return programs.dir
}

func buildPrograms() (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "lubod-programs-")
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Join(dir, "plugins"), 0o755); err != nil {
		return "", err
	}
	sources, err := filepath.Glob(filepath.Join(root, "plugins", "*-*"))
	if err != nil {
		return "", err
	}
	if err := build(root, dir+"/", "./cmd/lubod"); err != nil {
		return "", err
	}
	packages := make([]string, 0, len(sources))
	for _, source := range sources {
		packages = append(packages, "./plugins/"+filepath.Base(source))
	}
	if err := build(root, filepath.Join(dir, "plugins")+"/", packages...); err != nil {
		return "", err
	}
	example := filepath.Join(root, "plugins", "example", "extractor-acme")
	return dir, build(example, filepath.Join(dir, "plugins", "extractor-acme"), ".")
}

func build(dir, output string, packages ...string) error {
	command := exec.Command("go", append([]string{"build", "-buildvcs=false", "-o", output}, packages...)...)
	command.Dir = dir
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %v: %w\n%s", packages, err, out)
	}
	return nil
}

func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.mod above the working directory")
		}
	}
}

// atOnce is how many daemon tests run at once: they wait for broadcasts in real time far more than they compute.
const atOnce = 4

// Main wraps the tests of a binary, runs more of them at once than there are cores, unless -parallel says how many, and
// deletes in the end what Programs built.
func Main(m dbtest.Tests) dbtest.Tests { return main{m} }

type main struct{ tests dbtest.Tests }

func (m main) Run() int {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen && runtime.GOMAXPROCS(0) < atOnce {
		_ = flag.Set("test.parallel", strconv.Itoa(atOnce)) // a number is never refused
	}
	code := m.tests.Run()
	if programs.dir != "" {
		_ = os.RemoveAll(programs.dir)
	}
	return code
}
