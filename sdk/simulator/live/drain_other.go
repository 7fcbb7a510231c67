//go:build !linux

package live

import (
	"net"
	"time"
)

// drain gives what is under way the time to arrive, where nobody can tell whether it has.
func drain(*net.TCPConn) { time.Sleep(100 * time.Millisecond) }
