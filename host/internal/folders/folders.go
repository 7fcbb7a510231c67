// Package folders keeps what is written for users of the API inside the folders that are meant for it. What a name really
// leads to counts, links followed, not what it looks like.
package folders

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Trash is the folder, in the one that it is for, where removed files lie for a while. Nobody lists or publishes them.
const Trash = ".trash"

// OutsideError is a name that leads out of every folder that it may be in.
type OutsideError struct {
	Name string // as it was given
	Real string // where it leads
}

func (e *OutsideError) Error() string {
	if e.Real == e.Name {
		return e.Name + " is outside"
	}
	return e.Name + " leads to " + e.Real
}

// Locate returns the one name, below one of the roots, of the place that name leads to; nothing needs to be there yet. All
// are absolute. A root may itself be a link: its owner chose where it leads. The error is an *OutsideError for a place below
// none of them.
func Locate(roots []string, name string) (string, error) {
	root, local, err := locate(roots, name)
	if err != nil {
		return "", err
	}
	return filepath.Join(root, local), nil
}

// Modes are the permissions of what is made for users; 0: as the umask says.
type Modes struct{ File, Folder fs.FileMode }

// Make is Locate, and makes the folder, with these permissions where it makes one. Nothing is made outside of the roots,
// whatever somebody does to a folder meanwhile.
func Make(roots []string, name string, mode fs.FileMode) (string, error) {
	root, local, err := locate(roots, name)
	if err != nil {
		return "", err
	}
	if err := makeBelow(root, local, mode); err != nil {
		return "", err
	}
	return filepath.Join(root, local), nil
}

// makeBelow makes a folder that was located. Between the two, somebody may have put a link in its way: it leads nowhere.
func makeBelow(root, local string, mode fs.FileMode) error {
	if err := makeRoot(root, mode); err != nil {
		return err
	}
	opened, err := os.OpenRoot(root)
	if err != nil {
		return err
	}
	defer func() { _ = opened.Close() }()
	return makeAll(opened, local, mode)
}

func makeRoot(root string, mode fs.FileMode) error {
	if info, err := os.Stat(root); err == nil {
		return folder(root, info)
	}
	if err := os.MkdirAll(root, 0o777); err != nil || mode == 0 { //nolint:gosec // the umask decides
		return err
	}
	return os.Chmod(root, mode)
}

// makeAll makes the folders of a path that are missing. Those that are there keep their permissions: somebody chose them.
func makeAll(root *os.Root, local string, mode fs.FileMode) error {
	if local == "." {
		return nil
	}
	err := root.Mkdir(local, 0o777)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeAll(root, filepath.Dir(local), mode); err != nil {
			return err
		}
		err = root.Mkdir(local, 0o777)
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		info, err := root.Stat(local)
		if err != nil {
			return err
		}
		return folder(filepath.Join(root.Name(), local), info)
	case err != nil:
		return err
	}
	if err := ownLikeParent(root, local); err != nil || mode == 0 {
		return err
	}
	return root.Chmod(local, mode)
}

// ownLikeParent gives a new folder that root made to the owner of the one above: a recorder of another user writes into it.
func ownLikeParent(root *os.Root, local string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := root.Stat(filepath.Dir(local))
	if err != nil {
		return err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && owner.Uid != 0 {
		return root.Lchown(local, int(owner.Uid), int(owner.Gid))
	}
	return nil
}

// folder is an error for what is none.
func folder(path string, info fs.FileInfo) error {
	if info.IsDir() {
		return nil
	}
	return &fs.PathError{Op: "mkdir", Path: path, Err: syscall.ENOTDIR}
}

// locate returns the root that a name is below, and the rest of its name without any link in it.
func locate(roots []string, name string) (root, local string, err error) {
	place, err := resolve(name)
	if err != nil {
		return "", "", err
	}
	for _, root := range roots {
		base, err := resolve(root)
		if err != nil {
			continue // a root that cannot be looked at holds nothing
		}
		if local, err := filepath.Rel(base, place); err == nil && filepath.IsLocal(local) {
			return root, local, nil
		}
	}
	return "", "", &OutsideError{name, place}
}

// resolve follows the links of a path, of which only the beginning may exist.
func resolve(path string) (string, error) {
	path = filepath.Clean(path)
	place, err := filepath.EvalSymlinks(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return place, err
	}
	if _, err := os.Lstat(path); err == nil {
		return "", fmt.Errorf("%s is a link that leads nowhere", path)
	}
	parent := filepath.Dir(path)
	if parent == path {
		return "", err
	}
	if parent, err = resolve(parent); err != nil {
		return "", err
	}
	return filepath.Join(parent, filepath.Base(path)), nil
}
