package embedded

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	serverLogName = "server.log"
	maxServerLog  = 4 << 20

	tailBytes = 4 << 10
	tailLines = 8
)

// openServerLog opens the file that PostgreSQL writes to by itself, so that it needs no living host for it. A large one
// is put aside first; PostgreSQL says little.
func openServerLog(dir string) (*os.File, error) {
	path := filepath.Join(dir, serverLogName)
	info, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil && info.Size() > maxServerLog {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|unix.O_NOFOLLOW, 0o600)
}

// serverLogTail returns the last lines that were written behind from, ready to be appended to an error.
func serverLogTail(dir string, from int64) string {
	path := filepath.Join(dir, serverLogName)
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return ""
	}
	from = max(from, info.Size()-tailBytes)
	content, err := io.ReadAll(io.NewSectionReader(file, from, tailBytes))
	if err != nil || len(bytes.TrimSpace(content)) == 0 {
		return ""
	}
	return "; its log " + path + " ends with" + indent(content)
}

// indent sets the last lines of a program's output under the sentence that mentions it.
func indent(output []byte) string {
	text := strings.TrimSpace(string(output))
	if text == "" {
		return ""
	}
	lines := strings.Split(text, "\n")
	lines = lines[max(0, len(lines)-tailLines):]
	return ":\n\t" + strings.Join(lines, "\n\t")
}

func firstLine(output []byte) string {
	line, _, _ := bytes.Cut(output, []byte("\n"))
	return string(line)
}
