package serve

import (
	"os"
	"os/signal"
	"syscall"
)

// ignoreSignals lets the signals pass that a terminal or a service manager sends to a whole process group: the host gets
// them too, and ends its plugins when their work is done. Detached plugins also survive writing to a pipe that nobody
// reads any more.
//
// They are caught and dropped rather than set to "ignore", which programs that the plugin starts would inherit.
func ignoreSignals(detached bool) {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}
	if detached {
		signals = append(signals, syscall.SIGPIPE)
	}
	signal.Notify(make(chan os.Signal, 1), signals...)
}
