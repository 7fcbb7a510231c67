package folders

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMake(t *testing.T) {
	for name, tc := range map[string]struct {
		folder string // ROOT, OTHER and OUT are folders; the last is not allowed
		want   string // "": it is outside
	}{
		"new":                        {"ROOT/a/b", "ROOT/a/b"},
		"the root":                   {"ROOT", "ROOT"},
		"dots that stay":             {"ROOT/a/../b", "ROOT/b"},
		"dots that lead out":         {"ROOT/../x", ""},
		"a name that begins alike":   {"ROOT-evil", ""},
		"link to the inside":         {"ROOT/inner/new", "ROOT/room/new"},
		"relative link":              {"ROOT/relative/new", "ROOT/room/new"},
		"link to another root":       {"ROOT/other/new", "OTHER/new"},
		"link out":                   {"ROOT/out", ""},
		"below a link out":           {"ROOT/out/new/deep", ""},
		"below a link in a folder":   {"ROOT/room/out/new", ""},
		"back in through a link":     {"OUT/back/new", "ROOT/new"},
		"outside":                    {"OUT/new", ""},
		"a root that does not exist": {"LATER/new", "LATER/new"},
	} {
		t.Run(name, func(t *testing.T) {
			base, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			words := strings.NewReplacer("ROOT", base+"/root", "OTHER", base+"/other", "OUT", base+"/out", "LATER", base+"/later/still")
			for _, folder := range []string{"disk/room", "other", "out"} {
				if err := os.MkdirAll(filepath.Join(base, folder), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			// The root is a link itself.
			for link, target := range map[string]string{
				"root": base + "/disk", "disk/inner": base + "/root/room", "disk/relative": "room", "disk/other": base + "/other",
				"disk/out": base + "/out", "disk/room/out": "../../out", "out/back": base + "/disk",
			} {
				if err := os.Symlink(target, filepath.Join(base, link)); err != nil {
					t.Fatal(err)
				}
			}
			roots := []string{base + "/root", base + "/other", base + "/later/still"}
			found, locateErr := Locate(roots, words.Replace(tc.folder))
			made, err := Make(roots, words.Replace(tc.folder))
			if made != found || (err == nil) != (locateErr == nil) {
				t.Errorf("made %q (%v), located %q (%v)", made, err, found, locateErr)
			}
			if made != words.Replace(tc.want) {
				t.Errorf("made %q (%v), want %q", made, err, tc.want)
			}
			var outside *OutsideError
			if tc.want == "" && !errors.As(err, &outside) {
				t.Errorf("error = %v", err)
			}
			if tc.want != "" {
				if info, err := os.Stat(made); err != nil || !info.IsDir() {
					t.Errorf("there is no folder: %v", err)
				}
			}
			if left, err := os.ReadDir(base + "/out"); err != nil || len(left) != 1 {
				t.Errorf("something was made outside: %v %v", left, err)
			}
		})
	}
}

func TestMakeOfLinksThatLeadNowhere(t *testing.T) {
	base := t.TempDir()
	for link, target := range map[string]string{"gone": base + "/nothing", "loop": "loop"} {
		if err := os.Symlink(target, filepath.Join(base, link)); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{link, link + "/new"} {
			if made, err := Make([]string{base}, filepath.Join(base, name)); err == nil {
				t.Errorf("%s: made %s", name, made)
			}
		}
	}
	if _, err := os.Lstat(base + "/nothing"); err == nil {
		t.Error("what a link led to was made")
	}
}
