package serve

import (
	"os"
	"os/signal"
	"syscall"
)

// ignoreSignals lets the signals pass that a terminal or a service manager sends to a whole process group: the host gets
// them too, and ends its plugins when their work is done. SIGPIPE is among them because a plugin outlives the pipe to a
// host that died: for hours when it is detached, for long enough to finish its files otherwise.
//
// They are caught and dropped rather than set to "ignore", which programs that the plugin starts would inherit.
func ignoreSignals() {
	signal.Notify(make(chan os.Signal, 1), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
}
