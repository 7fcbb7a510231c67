// Package jobs is what the durable jobs of this host have in common, whatever they do: how one is ordered once, and what
// keeps one from being lost when the database goes away under the job library.
package jobs

import (
	"sync"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// Once are options that make a job unique by what it is about. A job is retried for as long as it takes: the limits on
// tries are kept with the row that it is about, where a person sees them.
func Once(queue string) *river.InsertOpts {
	unfinished := []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled,
	}
	return &river.InsertOpts{Queue: queue, MaxAttempts: 1000, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: unfinished}}
}

// Known are the jobs that this process works on, or ended a moment ago. The job library loses a job for good when the
// database goes away just as it hands the job out, or longer than a few tries after the job's end: then the job counts
// as running, and nobody runs it. The zero value is ready.
type Known struct {
	mu    sync.Mutex
	ended map[int64]time.Time // by job; zero while it is being worked on
}

// Begin notes a job; the returned function notes its end.
func (k *Known) Begin(job int64) (end func()) {
	k.note(job, time.Time{})
	return func() { k.note(job, time.Now()) }
}

func (k *Known) note(job int64, at time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended == nil {
		k.ended = make(map[int64]time.Time)
	}
	k.ended[job] = at
}

// List forgets what ended longer than grace ago and returns the rest.
func (k *Known) List(grace time.Duration) []int64 {
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
