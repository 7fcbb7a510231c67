package upload

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/bilibili"
	"github.com/lubod/lubod/host/internal/jobs"
	"github.com/lubod/lubod/host/internal/pipeline"
	"github.com/lubod/lubod/host/internal/reason"
)

// maxLost is how often a submission may be made when the last answer was lost and no archive came of it. Each one
// more could be the second archive.
const maxLost = 10

// fate is what became of the last submit when its archive has to be looked up.
func (w submission) fate() string {
	if w.row.Refusal != 0 {
		return fmt.Sprintf("Bilibili refused the last submit with code %d", w.row.Refusal)
	}
	return "the answer to the last submit was lost"
}

// lookUp decides whether the archive of a lost answer exists. Lists of archives lag for minutes, so it is looked for again and
// again, in growing pauses, and only a look after Pace.LookFor that finds nothing allows another submit. When Bilibili said that
// the archive exists, none does. A submit that was refused made no archive; it is looked for all the same, twice, since the person
// who lets it be tried again may have made one.
func (w submission) lookUp(ctx context.Context) (jobs.Outcome, error) {
	// Jobs are also woken early, after a restart for example; a look that comes too early proves nothing.
	if early := pipeline.Backoff(w.Pace.Lookup, w.Pace.LookupMax, int(w.row.Lookups)) - w.age; early > 0 {
		return jobs.Again(early), nil
	}
	account, err := w.Accounts.Account(ctx, w.row.AccountFile)
	if err != nil {
		return w.stillUnknown(ctx, err)
	}
	accepted, err := w.Archives.Find(ctx, account, w.row.Parts, *w.row.SubmittedAt)
	switch {
	case err == nil:
		return w.accepted(ctx, accepted)
	case loginRefused(err):
		return w.stillUnknown(ctx, w.rejected(ctx, account, err))
	case !errors.Is(err, bilibili.ErrNoArchive):
		return w.stillUnknown(ctx, err)
	case w.row.Lookups == 0, w.row.Refusal == 0 && w.sent < w.Pace.LookFor:
		return w.notYet(ctx)
	case w.row.Proven:
		return w.proven(ctx)
	case w.row.Attempts >= maxLost:
		return w.giveUp(ctx, reason.New(reason.SubmissionLost, "attempts", strconv.Itoa(int(w.row.Attempts))))
	}
	return w.again(ctx)
}

// proven leaves an archive to a person that exists and cannot be found. One who looked, and gave up parts that are in it, wants
// the rest submitted.
func (w submission) proven(ctx context.Context) (jobs.Outcome, error) {
	segments, _, err := due(ctx, w.DB.Queries, w.row)
	if err != nil {
		return jobs.Done(), err
	}
	wanted := func(part string) bool {
		return slices.ContainsFunc(segments, func(segment db.RecordingSegmentsRow) bool { return segment.RemoteName == part })
	}
	for _, part := range w.row.Parts {
		if !wanted(part) {
			return w.again(ctx)
		}
	}
	return w.giveUp(ctx, reason.New(reason.SubmissionProven))
}

// again lets the archive be sent once more.
func (w submission) again(ctx context.Context) (jobs.Outcome, error) {
	why := reason.New(reason.SubmissionAgain, "fate", w.fate())
	err := w.saver().Persist(ctx, "submission", func(ctx context.Context) error {
		return w.Pipeline.NeverMade(ctx, w.row, w.claim, kept(pipeline.Verdict{}, why))
	}, pipeline.ErrLost)
	if err == nil {
		w.logger.Info("there is no archive of the last submit; submitting again", "last_submit", w.fate())
	}
	return jobs.Again(pipeline.Backoff(w.Pace.Retry, w.Pace.RetryMax, int(w.row.Attempts))), err
}

func (w submission) giveUp(ctx context.Context, why reason.Reason) (jobs.Outcome, error) {
	err := w.saver().Persist(ctx, "submission", func(ctx context.Context) error {
		return w.Pipeline.NeverMade(ctx, w.row, w.claim, kept(pipeline.Verdict{Final: true}, why))
	}, pipeline.ErrLost)
	if err == nil {
		w.logger.Error("submission given up", "attempts", w.row.Attempts, "reason", why.Text(reason.English))
	}
	return jobs.Done(), err
}

// notYet commits a look that found nothing, which proves nothing yet.
func (w submission) notYet(ctx context.Context) (jobs.Outcome, error) {
	until := w.row.SubmittedAt.Add(w.Pace.LookFor).Local().Format(time.TimeOnly)
	why := reason.New(reason.SubmissionLooking, "fate", w.fate(), "look", strconv.Itoa(int(w.row.Lookups)+1), "until", until)
	err := w.saver().Persist(ctx, "submission", func(ctx context.Context) error {
		return w.Pipeline.LookedUp(ctx, w.row, w.claim, true, kept(pipeline.Verdict{}, why))
	}, pipeline.ErrLost)
	if err == nil && w.row.Lookups == 0 {
		w.logger.Warn("it is not known whether there is an archive; looking for it", "last_submit", w.fate(), "until", until)
	}
	wait := pipeline.Backoff(w.Pace.Lookup, w.Pace.LookupMax, int(w.row.Lookups)+1)
	if left := w.Pace.LookFor - w.sent; left > 0 {
		wait = min(wait, max(left, w.Pace.Lookup))
	}
	return jobs.Again(wait), err
}

// stillUnknown commits that the archive could not be looked for.
func (w submission) stillUnknown(ctx context.Context, cause error) (jobs.Outcome, error) {
	verdict := w.Pace.Judge(pipeline.Lookup, failureOf(cause, pipeline.Lost), int(w.row.Lookups), 0)
	why := withCause(reason.New(reason.SubmissionLookup, "fate", w.fate()), cause)
	setback := kept(verdict, why)
	err := w.saver().Persist(ctx, "submission", func(ctx context.Context) error {
		return w.Pipeline.LookedUp(ctx, w.row, w.claim, false, setback)
	}, pipeline.ErrLost)
	if err == nil && w.row.Error != setback.Text {
		w.logger.Warn("it is not known whether there is an archive", "last_submit", w.fate(), "lookup", cause)
	}
	return jobs.Again(max(verdict.Wait, w.Pace.Lookup)), err
}
