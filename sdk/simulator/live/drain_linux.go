package live

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// drain waits until the peer has acknowledged everything: a reset throws away what is still under way, and what was
// recorded as sent must have arrived.
func drain(conn *net.TCPConn) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		waiting := 0
		controlErr := raw.Control(func(fd uintptr) { waiting, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
		if controlErr != nil || err != nil || waiting == 0 {
			return
		}
	}
}
