// Command lubod records live streams and publishes them to Bilibili, unattended.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// version is set by the build.
var version = "dev"

func main() {
	hidePassword(os.Args)
	root := &cobra.Command{
		Use:           "lubod",
		Short:         "Record live streams and publish them to Bilibili / 录制直播并投稿到 B 站",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(serverCommand(), userCommand())
	if err := root.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "lubod:", err)
		os.Exit(1)
	}
}
