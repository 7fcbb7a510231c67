package folders

import (
	"errors"
	"io/fs"
	"syscall"
)

// explained is an error with a text for people.
type explained struct {
	text  string
	cause error
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.cause }

// Explain gives an error of the file system a text without names of system calls; whoever shows it says which file it is
// about. What it wraps stays.
func Explain(err error) error {
	var number syscall.Errno
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return &explained{"there is no such file", err}
	case errors.Is(err, syscall.ENOTDIR):
		return &explained{"a file is where a folder should be", err}
	case errors.Is(err, fs.ErrPermission):
		return &explained{"the server has no permission", err}
	case errors.Is(err, syscall.ELOOP):
		return &explained{"it is a link that leads nowhere", err}
	case errors.As(err, &number):
		return &explained{number.Error(), err}
	}
	var path *fs.PathError
	if errors.As(err, &path) { // os.Root has no name for this error
		return &explained{"it is a link that leads out of the folder", err}
	}
	return err
}
