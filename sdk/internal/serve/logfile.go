package serve

import (
	"fmt"
	"os"
	"sync"
)

// maxLogFile is the size in bytes at which a detached plugin's log becomes <name>.1 and a new one begins.
const maxLogFile = 8 << 20

// logFile is the log of a detached plugin. Its host can be away for hours, so nobody would read a pipe.
type logFile struct {
	path  string
	limit int64

	mu   sync.Mutex
	file *os.File
	size int64
	// takeStdio: file descriptors 1 and 2 follow the file, also when it is rotated.
	takeStdio bool
}

func openLogFile(path string, limit int64) (*logFile, error) {
	l := &logFile{path: path, limit: limit}
	return l, l.open()
}

func (l *logFile) open() error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log file: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return fmt.Errorf("open log file: %w", err)
	}
	l.file, l.size = f, info.Size()
	return nil
}

// Write appends one line. It reports success whatever happens: a full disk must not disturb a recording, and there is
// nowhere to complain.
func (l *logFile) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size > 0 && l.size+int64(len(line)) > l.limit {
		l.rotate()
	}
	n, _ := l.file.Write(line)
	l.size += int64(n)
	return len(line), nil
}

// rotate keeps writing to the old file when anything fails.
func (l *logFile) rotate() {
	old := l.file
	if os.Rename(l.path, l.path+".1") != nil {
		return
	}
	if l.open() != nil {
		return
	}
	_ = old.Close()
	if l.takeStdio {
		_ = redirectStdio(l.file)
	}
}

// becomeStdio makes the file the process's standard output and error: a stray print or the runtime's last words on a
// crash then land there, and no pipe to a dead host can break or fill up.
func (l *logFile) becomeStdio() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.takeStdio = true
	return redirectStdio(l.file)
}

// Close closes the file.
func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Close()
}
