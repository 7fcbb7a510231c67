package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/lubod/lubod/cmd/lubod-sim/internal/crash"
)

func newCrashCommand() *cobra.Command {
	var o crash.Options
	c := &cobra.Command{
		Use:   "crash",
		Short: "Let lubod record and publish while everything around it fails / 崩溃测试：在各种故障中录制和投稿",
		Long: `Each run lets a real lubod record one or two broadcasts and publish them to a simulated Bilibili, while its processes are
killed, answers get lost, disks fill up and streams break off. Then every frame that was sent is looked for in the
archives. What happens is drawn from the run's seed. As root it makes small disks, and runs lubod as nobody.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if o.Runs < 1 || o.Parallel < 1 {
				return fmt.Errorf("--runs %d and --parallel %d: must be at least 1", o.Runs, o.Parallel)
			}
			if o.Lubod, err = findLubod(o.Lubod); err != nil {
				return err
			}
			o.Out = c.OutOrStdout()
			return crash.Run(c.Context(), o)
		},
	}
	f := c.Flags()
	f.IntVar(&o.Runs, "runs", 1, "how many runs / 运行次数")
	f.IntVar(&o.Parallel, "parallel", 2, "how many at once / 同时运行的数量")
	f.Uint64Var(&o.Seed, "seed", 0, "of the first run; default: any / 第一次运行的种子")
	f.BoolVar(&o.Keep, "keep", false, "leave data and logs of all runs for a look / 保留全部数据与日志")
	f.StringVar(&o.Lubod, "lubod", "", "the daemon's program; default: lubod beside this one, with plugins/ / lubod 程序的路径")
	return c
}
