// Package crash lets lubod record and publish while everything around it fails, and holds what is published against what
// was live. What happens is drawn from a number, so that a run can be made again.
package crash

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/lubod/lubod/sdk/simulator/live"
)

// Options of a series of runs.
type Options struct {
	Lubod    string // the program, with plugins/ beside it
	Runs     int
	Parallel int
	Seed     uint64 // of the first run; the next has the next number. 0: any
	Keep     bool   // the directories of runs that went well, too
	Out      io.Writer
}

var errFailed = errors.New("not every run went well")

// Run makes the runs, and fails when not all of them went well.
func Run(ctx context.Context, o Options) (err error) {
	if o.Seed == 0 {
		o.Seed = 1 + rand.Uint64N(1_000_000) //nolint:gosec // not a secret
	}
	dir, err := os.MkdirTemp("", "lubod-crash-")
	if err != nil {
		return err
	}
	clip, err := live.Encode(ctx, live.Encoding{Length: Broadcast, Width: 640, Height: 360, VideoBitrate: 2_000_000, GOP: 15})
	if err != nil {
		return err
	}
	in, err := install(ctx, o.Lubod, dir)
	if err != nil {
		return fmt.Errorf("prepare an installation: %w", err)
	}
	s := &series{Options: o, in: in, clip: clip, began: time.Now()}
	s.all(ctx)
	return s.end(ctx)
}

// series is a number of runs.
type series struct {
	Options
	in    *installation
	clip  *live.Clip
	began time.Time

	mu      sync.Mutex
	results []Result
}

func (s *series) all(ctx context.Context) {
	seeds := make(chan uint64)
	var players sync.WaitGroup
	for range min(s.Parallel, s.Runs) {
		players.Go(func() {
			for seed := range seeds {
				s.one(ctx, seed)
			}
		})
	}
	for i := range s.Runs {
		select {
		case seeds <- s.Seed + uint64(i):
		case <-ctx.Done():
		}
	}
	close(seeds)
	players.Wait()
}

func (s *series) one(ctx context.Context, seed uint64) {
	plan := Draw(seed)
	result := s.in.play(ctx, plan, s.clip, filepath.Join(s.in.dir, fmt.Sprint(seed)), s.Keep)
	if ctx.Err() != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.results = append(s.results, result)
	verdict := "ok    "
	if len(result.Failures) > 0 {
		verdict = "FAILED"
	}
	fmt.Fprintf(s.Out, "%s run %d of %d, %4.1f s, %s\n%v", verdict, len(s.results), s.Runs, result.Took.Seconds(), result.Summary, plan)
	if len(result.Failures) == 0 {
		return
	}
	for _, line := range result.Log {
		fmt.Fprintln(s.Out, "    "+line)
	}
	fmt.Fprintf(s.Out, "  its data and logs are in %s; again: make crash SEED=%d\n", result.Kept, seed)
}

// end sums up, and removes what is not needed any more.
func (s *series) end(ctx context.Context) error {
	var failed []uint64
	longest := time.Duration(0)
	kept := s.Keep
	for _, result := range s.results {
		if len(result.Failures) > 0 {
			failed = append(failed, result.Plan.Seed)
		}
		kept = kept || result.Kept != ""
		longest = max(longest, result.Took)
	}
	slices.Sort(failed)
	fmt.Fprintf(s.Out, "%d runs in %.0f s, the longest took %.1f s; %d failed: seeds %v\n",
		len(s.results), time.Since(s.began).Seconds(), longest.Seconds(), len(failed), failed)
	if !kept {
		if err := os.RemoveAll(s.in.dir); err != nil {
			return err
		}
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case len(failed) > 0:
		return errFailed
	}
	return nil
}
