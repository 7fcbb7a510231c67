package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lubod/lubod/host"
)

func serverCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "server",
		Short: "Run the daemon / 运行守护进程",
		Args:  cobra.NoArgs,
	}
	given := settingFlags(command.Flags())
	level := command.Flags().String("log-level", "info", "debug, info, warn or error / 日志级别")
	command.RunE = func(command *cobra.Command, _ []string) error {
		config, err := host.LoadConfig(given, os.Getenv)
		if err != nil {
			return err
		}
		var threshold slog.Level
		if err := threshold.UnmarshalText([]byte(*level)); err != nil {
			return fmt.Errorf("--log-level %q: must be debug, info, warn or error", *level)
		}
		logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: threshold}))
		return serve(command.Context(), config, logger)
	}
	return command
}

// settingFlags adds the flags of settings, of those that are named or of all, and returns what was given of them.
func settingFlags(flags *pflag.FlagSet, names ...string) (given func(name string) (string, bool)) {
	for _, setting := range host.Settings() {
		if setting.Flag == "" || len(names) > 0 && !slices.Contains(names, setting.Flag) {
			continue
		}
		flags.String(setting.Flag, setting.Default, fmt.Sprintf("%s / %s [%s]", setting.Usage, setting.UsageZH, setting.Env))
		if setting.Switch {
			flags.Lookup(setting.Flag).NoOptDefVal = "true"
		}
	}
	return func(name string) (string, bool) {
		flag := flags.Lookup(name)
		if flag == nil {
			return "", false
		}
		return flag.Value.String(), flag.Changed
	}
}

// echo is how long after the first signal a second one counts as the same: some wrappers signal both the process and its
// group.
const echo = 300 * time.Millisecond

// serve runs the host until the first SIGINT or SIGTERM; a second one ends the process at once. SIGHUP reads plugins.hcl
// again.
func serve(ctx context.Context, config host.Config, logger *slog.Logger) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)

	daemon := host.New(config, version, logger)
	var first time.Time
	done := make(chan error, 1)
	go func() { done <- daemon.Run(ctx, func(string) {}) }()
	for {
		select {
		case err := <-done:
			return err
		case received := <-signals:
			switch {
			case received == syscall.SIGHUP:
				go func() { _ = daemon.Reload(ctx) }() // the outcome is in the log
			case ctx.Err() != nil && time.Since(first) < echo:
			case ctx.Err() != nil:
				os.Exit(130)
			default:
				first = time.Now()
				logger.Info("stopping; once more to stop at once", "signal", received.String())
				cancel()
			}
		}
	}
}
