package upload

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/pipeline"
	"github.com/lubod/lubod/host/internal/reason"
	"github.com/lubod/lubod/host/internal/settings"
)

// rankingAge is how long a measurement of the lines is believed.
const rankingAge = 30 * time.Minute

// rankingPause is how long lines that could not be measured are left alone.
const rankingPause = time.Minute

// probeTimeout bounds one measurement of all lines.
const probeTimeout = 60 * time.Second

// probePatience is how long a transfer waits for a measurement that is under way. One that takes longer serves later transfers:
// any line now is better than the best one in a minute.
const probePatience = 150 * time.Millisecond

// ranking remembers the measured lines, best first.
type ranking struct {
	mu    sync.Mutex
	names []string // what could be used
	best  []string // the same, measured
	at    time.Time
	// tried is what was measured last, whatever came of it, and ended when that was.
	tried []string
	ended time.Time
	// measured is closed when the measurement that is under way has ended; nil: none is.
	measured chan struct{}
	// running are the measurements, base what ends them.
	running sync.WaitGroup
	base    context.Context
	stop    context.CancelFunc
}

// Run keeps measurements of lines from outliving the service: it ends them when ctx does.
func (s *Service) Run(ctx context.Context) error {
	<-ctx.Done()
	s.ranking.mu.Lock() // no measurement begins while they are waited for
	s.ranking.stop()
	s.ranking.mu.Unlock()
	s.ranking.running.Wait()
	return nil
}

// chooseLine picks the line for the next try, and says why it is not the one of the configuration. A transfer that was
// interrupted goes on where it was; one that keeps failing, or is refused, moves on to the next best line.
func (s *Service) chooseLine(ctx context.Context, configuration settings.Configuration, upload db.Upload) (pipeline.LineChoice, error) {
	names, err := s.Lines.Names(ctx)
	if err != nil {
		return pipeline.LineChoice{}, fmt.Errorf("list lines: %w", err)
	}
	resumable := len(upload.Checkpoint) > 0 && slices.Contains(names, upload.Line)
	if resumable && pipeline.UploadState(upload.State) == pipeline.UploadUploading {
		return pipeline.LineChoice{Name: upload.Line, Why: reason.Parse(upload.LineReason)}, nil
	}
	wanted := configuration.Line(names)
	fixed, turn := wanted != settings.LineAuto, int(upload.Attempts)/pipeline.FailuresPerLine
	why := whyLine(configuration, names, upload)
	switch {
	case fixed && turn == 0:
		return pipeline.LineChoice{Name: wanted}, nil
	case !fixed && !turns(upload.Attempts) && resumable:
		return pipeline.LineChoice{Name: upload.Line, Why: why}, nil // it may fail a little more before all that it took is thrown away
	}
	ranked, err := s.rankLines(ctx, names)
	if err != nil {
		return pipeline.LineChoice{}, err
	}
	if fixed {
		ranked = append([]string{wanted}, without(ranked, wanted)...)
	}
	choice := pipeline.LineChoice{Name: ranked[turn%len(ranked)]}
	if choice.Name != wanted {
		choice.Why = why
	}
	return choice, nil
}

// whyLine is why an upload goes over another line than the configuration names: none serves that one, or it did not take the
// file. What the row says of that already stays: its last failure is that of another line.
func whyLine(configuration settings.Configuration, names []string, upload db.Upload) reason.Reason {
	wanted := configuration.Lines
	switch known := reason.Parse(upload.LineReason); {
	case wanted == settings.LineAuto:
		return reason.Reason{}
	case !slices.Contains(names, wanted):
		return reason.New(reason.UploadLineAuto, "line", wanted, "lines", strings.Join(names, ", "))
	case known.Code == reason.UploadLineLeft && known.Args["line"] == wanted:
		return known
	}
	return reason.New(reason.UploadLineLeft, "line", wanted, "cause", upload.Error)
}

// turns tells whether the last failure was one too many for its line.
func turns(attempts int32) bool { return attempts > 0 && attempts%pipeline.FailuresPerLine == 0 }

func without(names []string, left string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == left })
}

// rankLines returns the last measurement of these lines, and has them measured when there is none or it is old.
func (s *Service) rankLines(ctx context.Context, names []string) ([]string, error) {
	if len(names) == 0 {
		return nil, missing(reason.New(reason.UploadNoLine))
	}
	best, measured := s.ranked(names)
	if measured == nil {
		return best, nil
	}
	patience := time.NewTimer(probePatience)
	defer patience.Stop()
	select {
	case <-measured:
	case <-patience.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	best, _ = s.ranked(names)
	return best, nil
}

// ranked returns what is known of the lines; a channel that is closed when more will be, if that is worth waiting for.
func (s *Service) ranked(names []string) (best []string, measured <-chan struct{}) {
	r := &s.ranking
	r.mu.Lock()
	defer r.mu.Unlock()
	known := len(r.best) > 0 && slices.Equal(names, r.names)
	if known && time.Since(r.at) < rankingAge {
		return r.best, nil
	}
	recently := slices.Equal(names, r.tried) && time.Since(r.ended) < rankingPause
	if r.measured == nil && r.base.Err() == nil && !recently {
		r.measured = make(chan struct{})
		r.running.Go(func() { s.measure(names) })
	}
	if known {
		return r.best, nil // a new measurement is on its way
	}
	return names, r.measured // until something is measured, any line is better than none
}

// measure measures all lines.
func (s *Service) measure(names []string) {
	ctx, cancel := context.WithTimeout(s.ranking.base, probeTimeout)
	defer cancel()
	var best []string
	probed := make(map[string]bool)
	for _, name := range names {
		plugin, found, err := s.probe(ctx, name, probed)
		if err != nil && s.ranking.base.Err() == nil {
			s.Logger.Warn("lines cannot be measured", "plugin", plugin, "error", err)
		}
		for _, line := range found {
			// What no process serves, or was measured already, is not for use.
			if slices.Contains(names, line) && !slices.Contains(best, line) {
				best = append(best, line)
			}
		}
	}
	r := &s.ranking
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(best) > 0 {
		r.names, r.best, r.at = slices.Clone(names), best, time.Now()
	}
	r.tried, r.ended = slices.Clone(names), time.Now()
	close(r.measured)
	r.measured = nil
}

// probe asks the plugin behind a line, once per plugin.
func (s *Service) probe(ctx context.Context, name string, probed map[string]bool) (plugin string, ranked []string, err error) {
	lease, err := s.Lines.Lease(ctx, name)
	if err != nil {
		return "", nil, err
	}
	defer lease.Release()
	if probed[lease.Plugin()] {
		return lease.Plugin(), nil, nil
	}
	probed[lease.Plugin()] = true
	results, err := lease.Probe(ctx)
	for _, result := range results {
		ranked = append(ranked, result.Line)
	}
	return lease.Plugin(), ranked, err
}
