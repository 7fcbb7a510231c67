package hosttest

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"
)

// PID is the daemon's own process.
func (d *Daemon) PID() int { return d.process.command.Process.Pid }

// CPU is the time that processes have computed so far, as proc(5) counts it: in hundredths of a second.
func CPU(t testing.TB, pids ...int) time.Duration {
	t.Helper()
	var ticks int64
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			t.Fatal(err)
		}
		// The name of the program, in brackets, may hold anything. utime and stime are the 12th and 13th fields behind it.
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		for _, field := range fields[11:13] {
			n, err := strconv.ParseInt(string(field), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			ticks += n
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
