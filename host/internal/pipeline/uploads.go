package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/jobs"
	"github.com/lubod/lubod/host/internal/reason"
)

// ErrLost means that a worker does not hold its row any more, or that the row is past what the worker wants of it: whatever the
// worker found out is not the row's affair.
var ErrLost = errors.New("the row belongs to another worker, or is past this")

// ErrBusy is an ErrLost of a row that is the worker's turn, while another one that lives still holds it: it looks again later.
var ErrBusy = fmt.Errorf("another worker is at it: %w", ErrLost)

func held(changed int64, err error) error {
	if err == nil && changed == 0 {
		return ErrLost
	}
	return err
}

// claimed judges who holds a row after a worker asked for it.
func claimed(claim, holder uuid.UUID, err error) error {
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return ErrLost
	case err == nil && holder != claim:
		return ErrBusy
	}
	return err
}

// ClaimUpload gives an upload to a worker for as long as its claim is among the living ones. ErrLost: it is not its turn, ErrBusy: not yet.
func (p *Pipeline) ClaimUpload(ctx context.Context, job jobs.Transfer, claim uuid.UUID, living []uuid.UUID) error {
	holder, err := p.DB.ClaimUpload(ctx, db.ClaimUploadParams{
		SegmentID: job.SegmentID, Round: job.Round, Claim: claim, Living: living, Publish: string(Wanted), Open: texts(UploadPending, UploadUploading),
	})
	return claimed(claim, holder, err)
}

// LineChoice is the line that an upload goes over, and why it is not the configured one; the zero Why: it is.
type LineChoice struct {
	Name string
	Why  reason.Reason
}

// UploadStarted is told that a line begins with a segment. ErrLost: it was given up, or taken away, meanwhile.
func (p *Pipeline) UploadStarted(ctx context.Context, segmentID int64, claim uuid.UUID, line LineChoice, account string) error {
	return held(p.DB.StartUpload(ctx, db.StartUploadParams{
		SegmentID: segmentID, Claim: claim, State: string(UploadUploading), Line: line.Name, LineReason: line.Why.JSON(), AccountFile: account, Before: before(uploadStates, UploadUploading),
	}))
}

// UploadProgressed keeps where a transfer stands.
func (p *Pipeline) UploadProgressed(ctx context.Context, segmentID int64, claim uuid.UUID, checkpoint []byte, acknowledged int64) error {
	return p.DB.SaveCheckpoint(ctx, db.SaveCheckpointParams{
		SegmentID: segmentID, Claim: claim, State: string(UploadUploading), Checkpoint: checkpoint, AcknowledgedBytes: acknowledged,
	})
}

// Stored is a segment as Bilibili keeps it.
type Stored struct {
	RemoteName string
	RemoteID   int64
	SizeBytes  int64
}

// Uploaded is told that a segment is stored, and orders the submission when it was the last one missing.
func (p *Pipeline) Uploaded(ctx context.Context, recordingID, segmentID int64, claim uuid.UUID, stored Stored) error {
	return p.DB.InTx(ctx, func(tx pgx.Tx, q *db.Queries) error {
		if _, err := p.Lock(ctx, tx, recordingID); err != nil {
			return err
		}
		err := held(q.FinishUpload(ctx, db.FinishUploadParams{
			SegmentID: segmentID, Claim: claim, State: string(UploadUploaded), RemoteName: stored.RemoteName, RemoteID: stored.RemoteID,
			SizeBytes: stored.SizeBytes, Before: before(uploadStates, UploadUploaded),
		}))
		if err != nil {
			return err
		}
		return p.Advance(ctx, tx, recordingID)
	})
}

// Setback is a failed try as a row keeps it.
type Setback struct {
	Verdict Verdict
	Text    string
	Reason  []byte
}

// UploadFailed is told that a try failed; the verdict says whether another one comes.
func (p *Pipeline) UploadFailed(ctx context.Context, segmentID int64, claim uuid.UUID, setback Setback) error {
	state, counted := UploadPending, int32(0)
	if setback.Verdict.Final {
		state = UploadFailed
	}
	if setback.Verdict.Final || setback.Verdict.Counted {
		counted = 1 + int32(setback.Verdict.Skipped)
	}
	return held(p.DB.SetbackUpload(ctx, db.SetbackUploadParams{
		SegmentID: segmentID, Claim: claim, State: string(state), Error: setback.Text, Reason: setback.Reason, Counted: counted, Missing: setback.Verdict.Missing, Before: before(uploadStates, state),
	}))
}

// RestartUpload orders an upload anew, at once: one that failed, or one that waits for its next try. The recording is locked.
func (p *Pipeline) RestartUpload(ctx context.Context, tx pgx.Tx, segmentID int64) error {
	round, err := p.DB.WithTx(tx).RestartUpload(ctx, db.RestartUploadParams{
		SegmentID: segmentID, State: string(UploadPending), Before: texts(UploadFailed, UploadPending),
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // a line is at it
	}
	if err != nil {
		return fmt.Errorf("restart upload: %w", err)
	}
	return p.Orders.Order(ctx, tx, jobs.Transfer{SegmentID: segmentID, Round: round})
}

// Waived is told that a person gave a segment up, or takes it back. The recording is locked. A submission that failed is tried
// again without it, one that nothing is left for goes away.
func (p *Pipeline) Waived(ctx context.Context, tx pgx.Tx, recordingID, segmentID int64, to Publish) error {
	q := p.DB.WithTx(tx)
	from, why := Wanted, decision{segmentID, to, reason.New(reason.SegmentWaived)}
	if to == Wanted {
		from, why.Reason = Waived, reason.Reason{}
	}
	if err := decided(ctx, q, why, from); err != nil {
		return err
	}
	segments, err := q.RecordingSegments(ctx, recordingID)
	if err != nil {
		return fmt.Errorf("read segments: %w", err)
	}
	submissions, err := q.LockSubmissions(ctx, recordingID)
	if err != nil {
		return fmt.Errorf("lock submissions: %w", err)
	}
	for _, row := range submissions {
		left := slices.ContainsFunc(segments, func(segment db.RecordingSegmentsRow) bool {
			return Publish(segment.Publish) == Wanted && !inAnother(submissions, row, segment.RemoteName)
		})
		switch {
		case SubmissionState(row.State) == SubmissionFailed:
			if err := p.RestartSubmission(ctx, tx, row); err != nil {
				return err
			}
		case !left && SubmissionState(row.State) == SubmissionWaiting && row.AID == 0:
			if err := q.DeleteSubmission(ctx, row.ID); err != nil {
				return fmt.Errorf("drop submission: %w", err)
			}
		}
	}
	return p.Advance(ctx, tx, recordingID)
}

// inAnother tells whether a part is in another archive of the recording.
func inAnother(submissions []db.Submission, but db.Submission, part string) bool {
	return slices.ContainsFunc(submissions, func(other db.Submission) bool { return other.ID != but.ID && slices.Contains(other.Parts, part) })
}
