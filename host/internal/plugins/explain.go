package plugins

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/lubod/lubod/host/internal/config"
	"github.com/lubod/lubod/host/internal/plugins/process"
	"github.com/lubod/lubod/sdk/wire"
)

// explainFile says what is wrong with a plugin's file.
func explainFile(block config.Plugin, err error) error {
	launch := &LaunchError{Plugin: block.Name, Where: where(block), Permanent: true, Err: err}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		launch.Problem = "there is no file " + block.Path + "; put the plugin there, or set path in its block"
	case errors.Is(err, fs.ErrPermission):
		launch.Problem = block.Path + " cannot be read or executed: " + access(block.Path)
	case errors.Is(err, errNotAFile):
		launch.Problem = block.Path + " is not a regular file; path must name the plugin's binary"
	default:
		launch.Problem = fmt.Sprintf("read %s: %v", block.Path, err)
		launch.Permanent = false
	}
	return launch
}

// explainStart says why there was no handshake.
func (m *Manager) explainStart(ctx context.Context, l *launch, err error, took time.Duration) error {
	launch := &LaunchError{Plugin: l.block.Name, Where: where(l.block), Err: err}
	if ctx.Err() != nil {
		launch.Problem, launch.Err = "the start was interrupted", ctx.Err()
		return launch
	}
	switch {
	case l.child.Pid() == 0:
		explainExec(launch, l.block, err)
		return launch
	case l.offersOtherProtocol():
		launch.Permanent = true
		launch.Problem = fmt.Sprintf("%s speaks version %s of the plugin protocol, this lubod speaks version %d; %s",
			l.block.Path, l.offered(), wire.ProtocolVersion, "install a plugin built for it")
	case l.child.Greeting() != "" && !strings.Contains(l.child.Greeting(), "|"):
		launch.Permanent = true
		launch.Problem = fmt.Sprintf("%s is not a lubod plugin: instead of shaking hands it printed %q", l.block.Path, excerpt(l.child.Greeting()))
	case l.ended():
		launch.Problem = fmt.Sprintf("%s ended (%s) without shaking hands; it may not be a lubod plugin", l.block.Path, l.child.Reason())
	default:
		launch.Problem = fmt.Sprintf("%s did not shake hands within %s; it may not be a lubod plugin, or the machine is too busy",
			l.block.Path, took.Round(100*time.Millisecond))
	}
	if words := l.lines.tail(); words != "" {
		launch.Problem += "; its last words: " + words
	}
	return launch
}

func explainExec(launch *LaunchError, block config.Plugin, err error) {
	launch.Permanent = true
	switch {
	case errors.Is(err, fs.ErrPermission):
		launch.Problem = block.Path + " is not executable by lubod: " + access(block.Path)
	case errors.Is(err, syscall.ENOEXEC):
		launch.Problem = block.Path + " is no program for this machine (" + runtime.GOARCH + ")" + architecture(block.Path)
	case errors.Is(err, fs.ErrNotExist):
		launch.Problem = block.Path + " needs an interpreter or a loader that does not exist here"
	default:
		launch.Permanent = false
		launch.Problem = fmt.Sprintf("start %s: %v", block.Path, err)
	}
}

// ended reports whether the process ended by itself. go-plugin kills it on any error, so its exit status, not its being
// gone, tells.
func (l *launch) ended() bool {
	select {
	case <-l.child.Exited():
	case <-time.After(process.PipeGrace): // cut off by go-plugin, and about to be gone
		return false
	}
	return !strings.Contains(l.child.Reason(), "killed")
}

// offered returns the protocol version in the handshake "1|<version>|unix|…", empty when there was none.
func (l *launch) offered() string {
	parts := strings.Split(l.child.Greeting(), "|")
	if len(parts) < 4 || parts[0] != "1" {
		return ""
	}
	return parts[1]
}

func (l *launch) offersOtherProtocol() bool {
	version, err := strconv.Atoi(l.offered())
	if err != nil {
		return false
	}
	_, known := wire.VersionedPlugins()[version]
	return !known
}

// withLastWords adds what a process said before it ended.
func withLastWords(err error, inst *instance, l *launch) error {
	var launch *LaunchError
	if !errors.As(err, &launch) || launch.Permanent {
		return err
	}
	if errors.Is(err, wire.ErrPluginDown) {
		launch.Problem += " (" + inst.process.Reason() + ")"
	}
	if words := l.lines.tail(); words != "" {
		launch.Problem += "; its last words: " + words
	}
	return launch
}

// access describes who may do what with a file, and who we are.
func access(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return err.Error()
	}
	text := "its mode is " + info.Mode().String()
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		text += ", its owner " + userName(stat.Uid) + ", lubod runs as " + userName(uint32(os.Geteuid()))
	}
	return text + "; chmod +x makes a file executable"
}

func userName(id uint32) string {
	text := strconv.FormatUint(uint64(id), 10)
	if found, err := user.LookupId(text); err == nil {
		return found.Username
	}
	return text
}

func architecture(path string) string {
	file, err := elf.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }()
	return ", it is one for " + strings.TrimPrefix(file.Machine.String(), "EM_")
}

func excerpt(text string) string {
	if len(text) > keptLength {
		return text[:keptLength] + "…"
	}
	return text
}
