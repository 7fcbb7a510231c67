package settings

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"

	"github.com/lubod/lubod/host/internal/folders"
)

// Modes are FileMode and FolderMode of a configuration that was checked.
func (c Configuration) Modes() folders.Modes {
	file, _ := fileMode(c.FileMode)
	folder, _ := folderMode(c.FolderMode)
	return folders.Modes{File: file, Folder: folder}
}

// fileMode reads octal text; empty is 0. Nothing that is recorded is a program, and lubod itself has to read and write it.
func fileMode(text string) (fs.FileMode, error) {
	mode, err := octal(text)
	if err != nil || text != "" && (mode&0o600 != 0o600 || mode&^0o666 != 0) {
		return 0, errors.New(`must be empty (as the umask says) or octal text from "0600" to "0666" that lets the owner read and write, such as "0664"`)
	}
	return fs.FileMode(mode), nil
}

// folderMode reads octal text; empty is 0. The bit 02000 hands the folder's group on to what is made in it.
func folderMode(text string) (fs.FileMode, error) {
	mode, err := octal(text)
	if err != nil || text != "" && (mode&0o700 != 0o700 || mode&^0o2777 != 0) {
		return 0, errors.New(`must be empty (as the umask says) or octal text from "0700" to "0777" that lets the owner do everything, such as "0775"; "2775" also hands the group on`)
	}
	folder := fs.FileMode(mode).Perm()
	if mode&0o2000 != 0 {
		folder |= fs.ModeSetgid
	}
	return folder, nil
}

func octal(text string) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	return strconv.ParseUint(strings.TrimPrefix(text, "0o"), 8, 12)
}
