package upload

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/bilibili"
	"github.com/lubod/lubod/host/internal/jobs"
	"github.com/lubod/lubod/host/internal/pipeline"
)

// append adds parts to an archive that exists: those beyond the number that one request takes, and those that came after it was
// accepted. An edit can be repeated, since it begins with a look at the archive: a lost answer needs no look-up of its own.
func (w submission) append(ctx context.Context) (jobs.Outcome, error) {
	recording, err := w.DB.GetRecording(ctx, w.row.RecordingID)
	if err != nil {
		return jobs.Done(), fmt.Errorf("read recording: %w", err)
	}
	// The archive is what it was made as, by the account that made it, whatever the template says by now.
	account, err := w.Accounts.Account(ctx, w.row.AccountFile)
	if err != nil {
		return w.held(ctx, pipeline.Edit, err)
	}
	template := ""
	if recording.TemplateName != nil {
		template = *recording.TemplateName
	}
	parts, err := w.parts(ctx, w.DB.Queries, w.row, account, template)
	if err != nil {
		return w.held(ctx, pipeline.Edit, err)
	}
	missing := slices.DeleteFunc(parts, func(part bilibili.Part) bool { return slices.Contains(w.row.Parts, part.Filename) })
	missing = missing[:min(len(missing), int(w.row.PartLimit))]
	if len(missing) == 0 {
		return w.appended(ctx, nil, false)
	}
	err = w.Pipeline.Appends(ctx, w.row, w.claim, filenames(missing), func(ctx context.Context, q *db.Queries) error {
		return stillRemaining(ctx, q, w.row, filenames(missing))
	})
	switch {
	case errors.Is(err, errPartsChanged):
		return jobs.Again(0), nil
	case err != nil:
		return jobs.Done(), fmt.Errorf("mark edit: %w", err)
	}
	w.row.Attempts++
	via, err := w.via(ctx, recording)
	if err != nil {
		return jobs.Done(), err
	}
	err = w.Archives.Edit(ctx, account, via, bilibili.Accepted{AID: w.row.AID, BVID: w.row.BVID}, missing)
	switch {
	case err == nil:
		return w.appended(ctx, filenames(missing), false)
	case tooMany(err):
		return w.appended(ctx, nil, true)
	case loginRefused(err):
		err = w.rejected(ctx, account, err)
	}
	return w.refused(ctx, pipeline.Edit, err, len(missing))
}

// stillRemaining finds out whether a part was given up that is about to be added. The recording is locked.
func stillRemaining(ctx context.Context, q *db.Queries, row db.Submission, parts []string) error {
	left, err := remaining(ctx, q, row)
	if err != nil {
		return err
	}
	for _, part := range parts {
		if !slices.Contains(left, part) {
			return errPartsChanged
		}
	}
	return nil
}

func tooMany(err error) bool {
	var refused *bilibili.RefusedError
	return errors.As(err, &refused) && refused.Code == bilibili.CodeTooManyParts
}

// appended commits what the archive has now.
func (w submission) appended(ctx context.Context, added []string, full bool) (jobs.Outcome, error) {
	parts := append(slices.Clone(w.row.Parts), added...)
	err := w.saver().PersistLonger(ctx, "parts of an archive", func(ctx context.Context) error {
		return w.Pipeline.Appended(ctx, w.row, w.claim, parts, full)
	}, pipeline.ErrLost)
	switch {
	case err != nil:
	case full:
		w.logger.Info("the archive takes no more parts; the rest becomes another one", "bvid", w.row.BVID, "parts", len(parts))
	case len(added) > 0:
		w.logger.Info("parts added to the archive", "bvid", w.row.BVID, "added", len(added), "parts", len(parts))
	}
	return jobs.Done(), err
}
