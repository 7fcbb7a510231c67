package folders

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// ErrNoFile is the error of ReadFile for what is there and is no file.
var ErrNoFile = errors.New("it is no file")

// ReadFile reads a file of at most so many bytes (whole MiB) below a root, and never waits: a named pipe could do so for ever. What it looks
// at is what it reads, whoever changes the folder meanwhile.
func ReadFile(root *os.Root, name string, most int64) ([]byte, error) {
	file, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, Explain(err)
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, ErrNoFile
	}
	raw, err := io.ReadAll(io.LimitReader(file, most+1))
	if err != nil {
		return nil, Explain(err)
	}
	if int64(len(raw)) > most {
		return nil, fmt.Errorf("it has more than %d MiB", most>>20)
	}
	return raw, nil
}
