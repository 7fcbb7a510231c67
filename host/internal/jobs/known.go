package jobs

import (
	"sync"
	"time"

	"github.com/google/uuid"
)

// known are the jobs that this process works on, or ended a moment ago. The job library loses a job for good when the
// database goes away just as it hands the job out, or longer than a few tries after the job's end: then the job counts
// as running, and nobody runs it. The zero value is ready.
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

// Claims are the workers of this process. Each holds its row under a name that no other worker ever had, so that a row whose
// holder is not among the living ones is free. The zero value is ready.
type Claims struct {
	mu     sync.Mutex
	living map[uuid.UUID]bool
}

// Begin makes the claim of a worker; end tells that it is over.
func (c *Claims) Begin() (claim uuid.UUID, end func()) {
	claim = uuid.New()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.living == nil {
		c.living = make(map[uuid.UUID]bool)
	}
	c.living[claim] = true
	return claim, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.living, claim)
	}
}

// Living lists the workers that live, but for one.
func (c *Claims) Living(but uuid.UUID) []uuid.UUID {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]uuid.UUID, 0, len(c.living))
	for claim := range c.living {
		if claim != but {
			list = append(list, claim)
		}
	}
	return list
}
