package upload

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/settings"
)

// rankingAge is how long a measurement of the lines is believed.
const rankingAge = 30 * time.Minute

// probeTimeout bounds one measurement of all lines.
const probeTimeout = 60 * time.Second

// ranking remembers the measured lines, best first.
type ranking struct {
	mu    sync.Mutex
	names []string // what could be used
	best  []string // the same, measured
	at    time.Time
}

// chooseLine picks the line for the next try. A transfer that was interrupted goes on where it was; one that keeps
// failing moves on to the next best line.
func (s *Service) chooseLine(ctx context.Context, configuration settings.Configuration, upload db.Upload) (string, error) {
	names, err := s.Lines.Names(ctx)
	if err != nil {
		return "", fmt.Errorf("list lines: %w", err)
	}
	if upload.Error == "" && len(upload.Checkpoint) > 0 && slices.Contains(names, upload.Line) {
		return upload.Line, nil
	}
	turn := int(upload.Attempts) / failuresPerLine
	wanted := configuration.Line(names)
	fixed := wanted != settings.LineAuto
	switch {
	case fixed && !slices.Contains(names, wanted):
		return "", &operatorError{fmt.Sprintf("no running plugin serves the line %q; set lines to one of %v", wanted, names)}
	case fixed && turn == 0:
		return wanted, nil
	case !fixed && !turns(upload.Attempts) && len(upload.Checkpoint) > 0 && slices.Contains(names, upload.Line):
		return upload.Line, nil // it may fail a little more before all that it took is thrown away
	}
	ranked, err := s.rankLines(ctx, names)
	if err != nil {
		return "", err
	}
	if fixed {
		ranked = append([]string{wanted}, without(ranked, wanted)...)
	}
	return ranked[turn%len(ranked)], nil
}

// turns tells whether the last failure was one too many for its line.
func turns(attempts int32) bool { return attempts > 0 && attempts%failuresPerLine == 0 }

func without(names []string, left string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == left })
}

// rankLines measures all lines, or returns the last measurement of the same ones.
func (s *Service) rankLines(ctx context.Context, names []string) ([]string, error) {
	s.ranking.mu.Lock()
	defer s.ranking.mu.Unlock()
	if len(s.ranking.best) > 0 && slices.Equal(names, s.ranking.names) && time.Since(s.ranking.at) < rankingAge {
		return s.ranking.best, nil
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var ranked []string
	probed := make(map[string]bool)
	for _, name := range names {
		plugin, found, err := s.probe(ctx, name, probed)
		if err != nil {
			s.Logger.Warn("lines cannot be measured", "plugin", plugin, "error", err)
		}
		for _, line := range found {
			// What no process serves, or was measured already, is not for use.
			if slices.Contains(names, line) && !slices.Contains(ranked, line) {
				ranked = append(ranked, line)
			}
		}
	}
	if len(ranked) == 0 {
		if len(names) == 0 {
			return nil, &operatorError{"no line plugin is running; name one in plugins.hcl"}
		}
		return names, nil // nothing could be measured: any line is better than none, and the next try measures again
	}
	s.ranking.names, s.ranking.best, s.ranking.at = slices.Clone(names), ranked, time.Now()
	return ranked, nil
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
