package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const pidFileName = "postmaster.pid"

// readPIDFile returns the process that PostgreSQL's lock file names, 0 when there is no such file or it is unusable:
// PostgreSQL writes it first and truncates it never, so a torn one can only stem from a machine that lost its power.
func readPIDFile(data string) (int, error) {
	content, err := os.ReadFile(filepath.Join(data, pidFileName))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return parsePIDFile(content), nil
}

// parsePIDFile reads the first line; src/include/utils/pidfile.h of PostgreSQL describes the others.
func parsePIDFile(content []byte) int {
	line, _, _ := bytes.Cut(content, []byte("\n"))
	pid, err := strconv.Atoi(strings.TrimSpace(string(line)))
	if err != nil || pid <= 1 {
		return 0
	}
	return pid
}

// clusterToken is a name for the cluster in data that its processes carry in their command lines. It tells them from
// a process that got the number of a dead one, without the right to look into another user's processes that
// /proc/PID/cwd would need and root in a container does not have.
func clusterToken(data string) (string, error) {
	info, err := os.Stat(data)
	if err != nil {
		return "", err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", fmt.Errorf("%s has no inode number", data)
	}
	return fmt.Sprintf("lubod-%x-%x", stat.Dev, stat.Ino), nil
}

// isPostmaster tells whether process pid is the main process of the cluster. It is false for one that has ended and
// was not waited for.
func isPostmaster(pid int, token string) bool {
	for arg := range bytes.SplitSeq(commandLine(pid), []byte{0}) {
		if string(arg) == "cluster_name="+token {
			return true
		}
	}
	return false
}

// clusterProcesses lists all processes of the cluster: besides the main one those that name themselves
// "postgres: <token>: …", and new ones that did not get to that.
func clusterProcesses(token string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if line := commandLine(pid); bytes.HasPrefix(line, []byte("postgres: "+token+": ")) || isPostmaster(pid, token) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// commandLine is empty for a process that is gone.
func commandLine(pid int) []byte {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return nil
	}
	return line
}
