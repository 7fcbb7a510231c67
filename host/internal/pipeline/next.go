package pipeline

import (
	"slices"
	"strconv"

	"github.com/lubod/lubod/host/internal/reason"
)

// snapshot is what is known of a recording, as its transaction sees it.
type snapshot struct {
	Ended bool
	// Threshold is filtering_threshold in bytes, ThresholdMB the same as people wrote it.
	Threshold   int64
	ThresholdMB float64
	Segments    []segment // in order
	// Steps tells whether the room has steps at a stage.
	Steps map[Stage]bool
	// Downloaded and Post are the runs of the whole recording; empty: none was ordered.
	Downloaded, Post RunState
	Submissions      []submission // by number
}

type segment struct {
	ID      int64
	Size    int64
	Publish Publish
	Ready   bool     // its segment_processor is over, or there is none
	Hook    RunState // of its segment_processor; empty: none was ordered
	Upload  UploadState
	Remote  string
}

type submission struct {
	ID     int64
	Number int32
	State  SubmissionState
	Parts  []string
	Full   bool
}

// published tells whether a segment is a part of an archive, as far as one was made or sent.
func (s *snapshot) published(g segment) bool {
	return slices.ContainsFunc(s.Submissions, func(made submission) bool { return slices.Contains(made.Parts, g.Remote) })
}

// plan is what is due next.
type plan struct {
	Decided []decision
	// SegmentHooks are segments whose segment_processor is due, Ready those that are done with it, Uploads those to transfer.
	SegmentHooks, Ready, Uploads []int64
	// Hook is the stage of the whole recording that is due; empty: none.
	Hook Stage
	// Submit is the number of a submission that is to be made; 0: none.
	Submit int32
	// Append is a submission whose archive lacks parts; 0: none.
	Append int64
}

// decision is what becomes of a piece.
type decision struct {
	Segment int64
	Publish Publish
	Reason  reason.Reason
}

// strayShare is how much of a recording's bytes pieces may be to be left out: filtering_threshold is there for fragments, not
// for broadcasts that a bad connection cut up.
const strayShare = 0.02

// next says what a recording needs. It only looks: the same snapshot always has the same plan, and a plan that was carried out
// leads to a snapshot whose plan is what follows, so that it does not matter how often it is asked.
func next(s snapshot) plan {
	var p plan
	s.Segments = slices.Clone(s.Segments)
	if s.Ended {
		p.Decided = decide(&s)
	}
	settled := p.segments(s)
	if !s.Ended || !settled {
		return p
	}
	if s.Downloaded == "" && s.Steps[DownloadedProcessor] && len(s.Segments) > 0 {
		p.Hook = DownloadedProcessor
		return p
	}
	if s.Downloaded != "" && s.Downloaded != RunDone {
		return p
	}
	p.publication(s)
	return p
}

// decide settles the pieces of a recording that ended. What was left out before counts as much as what comes now: a file that
// was found late may turn the fragments of before into a broadcast.
func decide(s *snapshot) (decided []decision) {
	var all, pieces int64
	settled := len(s.Submissions) > 0 // what is published stays as it is, until something is added to it
	for _, g := range s.Segments {
		switch g.Publish {
		case Undecided, Filtered:
			pieces += g.Size
			all += g.Size
			settled = settled && g.Publish == Filtered
		case Wanted, Waived:
			all += g.Size
			settled = settled && (g.Publish == Waived || s.published(g))
		}
	}
	to, why := Wanted, reason.Reason{}
	switch mb := strconv.FormatFloat(s.ThresholdMB, 'g', -1, 64); {
	case settled:
		return nil
	case all < s.Threshold:
		to, why = Filtered, reason.New(reason.PieceFragment, "mb", mb)
	case float64(pieces) <= strayShare*float64(all):
		to, why = Filtered, reason.New(reason.PieceStray, "mb", mb)
	}
	for i, g := range s.Segments {
		if g.Publish == Undecided || g.Publish == Filtered && to == Wanted {
			s.Segments[i].Publish = to
			decided = append(decided, decision{g.ID, to, why})
		}
	}
	return decided
}

// segments finds what single segments need, and tells whether nothing has to be done to any of them before the recording is
// submitted, but for their transfers.
func (p *plan) segments(s snapshot) (settled bool) {
	settled = true
	for _, g := range s.Segments {
		switch g.Publish {
		case Undecided, Filtered: // what is too short to be published is too short to be worked on
			continue
		}
		ready := g.Ready
		switch {
		case ready:
		case g.Hook == RunDone, g.Hook == "" && !s.Steps[SegmentProcessor]:
			p.Ready = append(p.Ready, g.ID)
			ready = true
		case g.Hook == "":
			p.SegmentHooks = append(p.SegmentHooks, g.ID)
			settled = false
		default:
			settled = false
		}
		if ready && g.Publish == Wanted && g.Upload == "" {
			p.Uploads = append(p.Uploads, g.ID)
		}
	}
	return settled
}

// publication finds what the archives of a recording need. Nothing of its segments stands in the way but their transfers.
func (p *plan) publication(s snapshot) {
	parts, waived := 0, 0
	var missing []string
	for _, g := range s.Segments {
		switch {
		case g.Publish == Waived:
			waived++
		case g.Publish != Wanted:
		case g.Upload != UploadUploaded:
			return // never a silent hole
		default:
			parts++
			if !s.published(g) {
				missing = append(missing, g.Remote)
			}
		}
	}
	switch {
	case parts == 0 && waived > 0:
		return // a person may take that back
	case parts == 0:
		p.post(s)
		return
	case len(s.Submissions) == 0:
		p.Submit = 1
		return
	}
	last := s.Submissions[len(s.Submissions)-1]
	for _, made := range s.Submissions {
		if made.State != SubmissionAccepted {
			return // it is being worked on, or waits for a person
		}
	}
	switch {
	case len(missing) == 0:
		p.post(s)
	case last.Full:
		p.Submit = last.Number + 1
	default:
		p.Append = last.ID
	}
}

func (p *plan) post(s snapshot) {
	if s.Post == "" && s.Steps[Postprocessor] && len(s.Segments) > 0 {
		p.Hook = Postprocessor
	}
}
