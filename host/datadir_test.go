package host_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lubod/lubod/host/internal/hosttest"
)

// mounted is a command that mounts something at a folder for what it runs, and for nobody else.
func mounted(t *testing.T, options, folder string) []string {
	t.Helper()
	wrap := []string{"unshare", "--mount", "sh", "-c", "mount -t tmpfs -o " + options + " none " + folder + ` && exec "$@"`, "sh"}
	if err := exec.Command(wrap[0], append(wrap[1:], "true")...).Run(); err != nil {
		t.Skip("nothing can be mounted here:", err)
	}
	return wrap
}

// Whatever is wrong with the data directory, the start says what, in a sentence with its name and the flag.
func TestDataDirectoryThatCannotBeUsedIsExplained(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		below string
		mount string // options of a file system that the directory is on
		spoil func(t *testing.T, dataDir string)
		says  []string
	}{
		"a file":                   {spoil: replaceByFile(""), says: []string{"DATA (--data-dir) has to be a folder that lubod may write to: a file is where a folder should be"}},
		"below a file":             {below: "/x", spoil: replaceByFile(""), says: []string{"DATA/x (--data-dir) cannot be made: a file is where a folder should be"}},
		"read-only":                {mount: "ro", says: []string{"DATA (--data-dir) has to be a folder that lubod may write to", "read-only file system"}},
		"below a read-only one":    {below: "/x", mount: "ro", says: []string{"DATA/x (--data-dir) cannot be made", "read-only file system"}},
		"full":                     {mount: "size=4k", says: []string{"DATA (--data-dir) cannot be written to", "no space left"}},
		"too small":                {mount: "size=50m", says: []string{"no space left: it takes 100 MB, and DATA/postgres has 49 MB"}},
		"no folder for recordings": {spoil: replaceByFile("recordings"), says: []string{"the folder for recordings, DATA/recordings, cannot be used: a file is where a folder should be"}},
		"recordings lead nowhere": {spoil: func(t *testing.T, dataDir string) {
			if err := os.Symlink("/nowhere/at/all", filepath.Join(dataDir, "recordings")); err != nil {
				t.Fatal(err)
			}
		}, says: []string{"DATA/recordings is a link that leads nowhere"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := hosttest.Options{}
			daemon := hosttest.New(t, options)
			if test.mount != "" {
				daemon.Wrap(mounted(t, test.mount, daemon.DataDir)...)
			}
			if test.spoil != nil {
				test.spoil(t, daemon.DataDir)
			}
			words := strings.NewReplacer("DATA", daemon.DataDir)
			daemon.DataDir += test.below
			text := refusedStart(t, daemon)
			for _, says := range test.says {
				wantAll(t, text, words.Replace(says))
			}
			if strings.Contains(text, "another lubod") || strings.Contains(text, "panic") {
				t.Errorf("says: %s", text)
			}
		})
	}
}

// replaceByFile puts a file where the directory, or a folder in it, should be.
func replaceByFile(folder string) func(t *testing.T, dataDir string) {
	return func(t *testing.T, dataDir string) {
		t.Helper()
		path := filepath.Join(dataDir, folder)
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
