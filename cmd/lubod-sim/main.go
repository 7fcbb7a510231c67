// Command lubod-sim is the outside world on the loopback interface: a strict Bilibili and a live stream fed by a file, for
// demonstrations, scripts and tests in other processes.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "lubod-sim:", err)
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "lubod-sim",
		Short:         "Bilibili and live streams, simulated on the loopback interface / 在本机环回接口上模拟 Bilibili 与直播流",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newServeCommand(), newArchivesCommand(), newObjectsCommand(), newViolationsCommand(), newRequestsCommand(),
		newFaultCommand(), newDemoCommand(), newCrashCommand())
	return root
}
