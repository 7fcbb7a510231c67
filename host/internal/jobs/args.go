package jobs

import "github.com/riverqueue/river"

// Args are what a job is about, and its kind. The same arguments are one job until it has ended: whoever wants it done anew
// gives it another round.
type Args = river.JobArgs

// Transfer carries a segment to Bilibili.
type Transfer struct {
	SegmentID int64 `json:"segment_id"`
	Round     int32 `json:"round"`
}

// Kind names the job.
func (Transfer) Kind() string { return "transfer" }

// Submit makes an archive, or adds parts to it.
type Submit struct {
	SubmissionID int64 `json:"submission_id"`
	Round        int32 `json:"round"`
}

// Kind names the job.
func (Submit) Kind() string { return "submit" }

// Follow asks what became of an archive until it is public.
type Follow struct {
	SubmissionID int64 `json:"submission_id"`
	Round        int32 `json:"round"`
}

// Kind names the job.
func (Follow) Kind() string { return "follow" }

// Hook works a run of hooks off.
type Hook struct {
	RunID int64 `json:"run_id"`
	Round int32 `json:"round"`
}

// Kind names the job.
func (Hook) Kind() string { return "hook" }
