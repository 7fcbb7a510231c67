package folders

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
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
			made, err := Make(roots, words.Replace(tc.folder), 0)
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
			if made, err := Make([]string{base}, filepath.Join(base, name), 0); err == nil {
				t.Errorf("%s: made %s", name, made)
			}
		}
	}
	if _, err := os.Lstat(base + "/nothing"); err == nil {
		t.Error("what a link led to was made")
	}
}

// A name is looked at first and made afterwards. Whoever may write into the folder can put a link in its way in between.
func TestLinkThatIsPutInBetweenLeadsNowhere(t *testing.T) {
	for name, swap := range map[string]func(root, out string) error{
		"a folder on the way": func(root, out string) error {
			return errors.Join(os.Remove(root+"/room"), os.Symlink(out, root+"/room"))
		},
		"a folder on the way, by a relative link": func(root, _ string) error {
			return errors.Join(os.Remove(root+"/room"), os.Symlink("../out", root+"/room"))
		},
		"the folder itself": func(root, out string) error { return os.Symlink(out+"/new", root+"/room/new") },
		"a folder to be made, by a chain of links": func(root, out string) error {
			return errors.Join(os.Symlink(out, root+"/room/far"), os.Symlink("far/new", root+"/room/new"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			base := t.TempDir()
			root, out := base+"/root", base+"/out"
			if err := errors.Join(os.MkdirAll(root+"/room", 0o700), os.Mkdir(out, 0o700)); err != nil {
				t.Fatal(err)
			}
			found, local, err := locate([]string{root}, root+"/room/new/deep")
			if err != nil || found != root {
				t.Fatalf("located %s %s: %v", found, local, err)
			}
			if err := swap(root, out); err != nil {
				t.Fatal(err)
			}
			if err := makeBelow(found, local, 0o777); err == nil {
				t.Error("made")
			}
			info, err := os.Stat(out)
			if err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("what the link leads to became %v, %v", info.Mode(), err)
			}
			if left, err := os.ReadDir(out); err != nil || len(left) > 0 {
				t.Errorf("made outside: %v, %v", left, err)
			}
		})
	}
}

func TestMakeWhereAFileIs(t *testing.T) {
	base := t.TempDir()
	if err := os.WriteFile(base+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, root := range map[string]string{"/file": base, "/file/below": base, "/file/": base + "/file", "/file/new": base + "/file"} {
		if made, err := Make([]string{root}, base+name, 0); err == nil || !errors.Is(Explain(err), syscall.ENOTDIR) {
			t.Errorf("%s: made %q, %v", name, made, err)
		}
	}
}

// Only what is made gets the permissions: what is there is somebody's choice.
func TestModesOfFolders(t *testing.T) {
	old := syscall.Umask(0o027)
	defer syscall.Umask(old)
	base := t.TempDir()
	if err := os.Mkdir(base+"/there", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		root, folder string
		mode         fs.FileMode
		want         map[string]fs.FileMode
	}{
		{"", "/there/as/umask", 0, map[string]fs.FileMode{"/there": 0o700, "/there/as": 0o750, "/there/as/umask": 0o750}},
		{"", "/there/set", 0o775, map[string]fs.FileMode{"/there": 0o700, "/there/set": 0o775}},
		{"/new", "/new/deep/er", 0o775 | fs.ModeSetgid, map[string]fs.FileMode{"/new": 0o775 | fs.ModeSetgid, "/new/deep": 0o775 | fs.ModeSetgid, "/new/deep/er": 0o775 | fs.ModeSetgid}},
	} {
		if _, err := Make([]string{base + test.root}, base+test.folder, test.mode); err != nil {
			t.Fatal(err)
		}
		for name, want := range test.want {
			info, err := os.Stat(base + name)
			if err != nil || info.Mode()&^fs.ModeDir != want {
				t.Errorf("%s has %v, want %v (%v)", name, info.Mode(), want, err)
			}
		}
	}
}

// What root makes belongs to the owner of the folder above: a recorder of another user writes there.
func TestMakeFollowsTheOwnerOfTheFolderAbove(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root makes folders for others")
	}
	root := t.TempDir()
	const uid, gid = 65534, 65534
	if err := os.Chown(root, uid, gid); err != nil {
		t.Fatal(err)
	}
	made, err := Make([]string{root}, filepath.Join(root, "room", "2026"), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{made, filepath.Dir(made)} {
		info, err := os.Stat(folder)
		if err != nil {
			t.Fatal(err)
		}
		if owner := info.Sys().(*syscall.Stat_t); owner.Uid != uid || owner.Gid != gid {
			t.Errorf("%s belongs to %d:%d", folder, owner.Uid, owner.Gid)
		}
	}
}
