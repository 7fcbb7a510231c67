package upload

import (
	"context"
	"sync"
	"time"
)

// known are the jobs that this process works on, or ended a moment ago. The job library loses a job for good when the
// database goes away just as it hands the job out, or longer than a few tries after the job's end: then the job counts
// as running, and nobody runs it.
type known struct {
	mu    sync.Mutex
	ended map[int64]time.Time // by job; zero while it is being worked on
}

// begin notes a job; the returned function notes its end.
func (k *known) begin(job int64) (end func()) {
	k.note(job, time.Time{})
	return func() { k.note(job, time.Now()) }
}

func (k *known) note(job int64, at time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended == nil {
		k.ended = make(map[int64]time.Time)
	}
	k.ended[job] = at
}

// list forgets what ended longer than grace ago and returns the rest.
func (k *known) list(grace time.Duration) []int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	jobs := make([]int64, 0, len(k.ended))
	for job, at := range k.ended {
		if !at.IsZero() && time.Since(at) > grace {
			delete(k.ended, job)
			continue
		}
		jobs = append(jobs, job)
	}
	return jobs
}

// releaseLost lets jobs run again that count as running here while nobody runs them.
func (s *Service) releaseLost(ctx context.Context) error {
	released, err := s.DB.ReleaseLostJobs(ctx, s.HostID, s.known.list(s.Pace.Sweep), s.Pace.Sweep)
	if released > 0 {
		s.Logger.Warn("jobs were lost while the database was away; running them again", "jobs", released)
	}
	return err
}
