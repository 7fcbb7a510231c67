package hooks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/pipeline"
)

const (
	// maxLine and maxLines bound what a command says into the log.
	maxLine, maxLines = 1000, 1000
	// killAfter is how long a command that is to end may take to do so in order, and how long what a command leaves in the
	// background may go on writing into the log.
	killAfter = 2 * time.Second
)

// attempt is one try of one step.
type attempt struct {
	*Service
	run    db.HookRun
	step   Step
	facts  facts
	logger *slog.Logger
}

// errRunForbidden tells why no command is run.
var errRunForbidden = &hopelessError{"commands are switched off on this server; start it with --allow-run-hooks"}

// command runs the step's command with the payload on its standard input. What the command did to the files is looked at
// afterwards.
func (a attempt) command(ctx context.Context) error {
	if err := a.runCommand(ctx, a.step.Value, a.facts.payload, a.logger); err != nil {
		return err
	}
	for _, segment := range a.facts.segments {
		if err := a.noteSize(ctx, segment); err != nil {
			return err
		}
	}
	return nil
}

// noteSize commits the size of a file that a command may have rewritten.
func (a attempt) noteSize(ctx context.Context, segment db.Segment) error {
	info, err := os.Stat(segment.Path)
	switch {
	case errors.Is(err, os.ErrNotExist) && pipeline.Publish(segment.Publish) == pipeline.Wanted && pipeline.UploadState(a.facts.uploads[segment.ID]) != pipeline.UploadUploaded:
		return fmt.Errorf("after the command %s is gone, and it is still to be published; put it back, or let a step mv move it", segment.Path)
	case errors.Is(err, os.ErrNotExist):
		a.logger.Warn("a file of the recording is gone", "segment", segment.ID, "path", segment.Path)
		return nil
	case err != nil:
		return fmt.Errorf("look at the file after the command: %w", err)
	case info.Size() == segment.SizeBytes:
		return nil
	}
	return a.saver().Persist(ctx, "size of a segment", func(ctx context.Context) error {
		return a.DB.ResizeSegment(ctx, db.ResizeSegmentParams{ID: segment.ID, SizeBytes: info.Size()})
	})
}

// runCommand hands a command to the shell.
func (s *Service) runCommand(ctx context.Context, command string, payload Payload, logger *slog.Logger) error {
	if !s.AllowRun {
		return errRunForbidden
	}
	input, err := payload.encode()
	if err != nil {
		return err
	}
	output := &lineLog{logger: logger}
	shell := group(ctx, "sh", "-c", command)
	shell.Dir, shell.Env, shell.Stdin, shell.Stdout, shell.Stderr = s.Root, payload.environment(), bytes.NewReader(input), output, output
	err = runGroup(ctx, shell)
	output.flush()
	return output.explain(err)
}

// group prepares a program in a process group of its own, which ends as a whole when ctx does.
func group(ctx context.Context, name string, arguments ...string) *exec.Cmd {
	program := exec.CommandContext(ctx, name, arguments...)
	program.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	program.WaitDelay = killAfter
	program.Cancel = func() error { return syscall.Kill(-program.Process.Pid, syscall.SIGTERM) }
	return program
}

// runGroup runs a program, and leaves nothing of its group running when ctx ends.
func runGroup(ctx context.Context, program *exec.Cmd) error {
	err := program.Run()
	if err == nil || ctx.Err() == nil {
		return err
	}
	if program.Process != nil {
		_ = syscall.Kill(-program.Process.Pid, syscall.SIGKILL)
	}
	return context.Cause(ctx)
}

// lineLog writes what a program says into the log, line by line, and remembers the last line.
type lineLog struct {
	logger *slog.Logger
	mu     sync.Mutex
	line   []byte
	cut    bool // the rest of the line is left out
	lines  int
	last   string
}

var _ io.Writer = (*lineLog)(nil)

func (l *lineLog) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range text {
		switch {
		case b == '\n':
			l.end()
		case len(l.line) < maxLine:
			l.line = append(l.line, b)
		default:
			l.cut = true
		}
	}
	return len(text), nil
}

func (l *lineLog) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end()
}

// end is for callers that hold the lock.
func (l *lineLog) end() {
	line := db.Text(strings.TrimRight(string(l.line), "\r"))
	if l.cut {
		line += " …"
	}
	l.line, l.cut = l.line[:0], false
	if strings.TrimSpace(line) == "" {
		return
	}
	l.last = line
	switch l.lines++; {
	case l.lines <= maxLines:
		l.logger.Info("hook says", "line", line)
	case l.lines == maxLines+1:
		l.logger.Warn("the hook says more than fits into the log; the rest is left out", "lines", maxLines)
	}
}

// explain adds to a program's end what it said last.
func (l *lineLog) explain(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay): // something goes on in the background: that is its own affair
		return nil
	case l.last == "":
		return err
	}
	return fmt.Errorf("%w: %.300s", err, l.last)
}
