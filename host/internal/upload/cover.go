package upload

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/accounts"
	"github.com/lubod/lubod/host/internal/bilibili"
	"github.com/lubod/lubod/host/internal/folders"
	"github.com/lubod/lubod/host/internal/reason"
)

// Covers gives pictures an address at Bilibili.
type Covers interface {
	UploadCover(ctx context.Context, account *bilibili.Account, picture []byte) (string, error)
}

// Pictures fetches what is at an address on the web, up to a number of bytes.
type Pictures interface {
	Picture(ctx context.Context, url string, most int64) ([]byte, error)
}

// cover is the address of the picture that a recording's archive gets; empty: Bilibili takes a frame of the video.
//
// The template's cover comes first. Whoever set it wants it, so while it cannot be read the submission waits and says why; but
// a picture is worth less than the archive, so that after Pace.Cover it is submitted without. For trouble that passes by
// itself, and for the cover of the live room, it waits for Pace.CoverAway only.
func (s *Service) cover(ctx context.Context, account *bilibili.Account, recording db.Recording, template db.Template) (string, error) {
	source, patience := strings.TrimSpace(template.Cover), s.Pace.Cover
	what := fmt.Sprintf("the cover %q of template %q", source, template.TemplateName)
	if source == "" {
		configuration, err := s.configuration(ctx, recording.StreamerID)
		if err != nil || !configuration.UseLiveCover || recording.CoverURL == "" {
			return "", err
		}
		source, patience, what = recording.CoverURL, s.Pace.CoverAway, "the cover of the live room"
	}
	if bilibili.IsCoverURL(source) {
		return source, nil
	}
	picture, err := s.picture(ctx, source)
	if err != nil {
		return s.without(recording, patience, what, err)
	}
	address, err := s.uploadCover(ctx, s.about(recording.ID, recording.StreamerID), account, picture)
	if err != nil {
		return s.without(recording, s.Pace.CoverAway, what, err)
	}
	return address, nil
}

// picture reads a file of the data directory, or what is at an address on the web.
func (s *Service) picture(ctx context.Context, source string) ([]byte, error) {
	if !isWebAddress(source) {
		return readCover(s.DataDir, source)
	}
	picture, err := s.Pictures.Picture(ctx, source, bilibili.MaxCover)
	if err != nil {
		return nil, err
	}
	return bilibili.FitCover(picture)
}

func isWebAddress(source string) bool {
	return strings.HasPrefix(source, "https://") || strings.HasPrefix(source, "http://")
}

// without decides about trouble with a cover: a reason to wait, for as long after the end of the recording as patience lasts,
// and then no cover.
func (s *Service) without(recording db.Recording, patience time.Duration, what string, cause error) (string, error) {
	switch {
	case errors.Is(cause, context.Canceled), isMissing(cause):
		return "", cause // the host stops, or the login has to be mended: both have nothing to do with the cover
	case recording.EndedAt != nil && time.Since(*recording.EndedAt) >= patience:
		s.about(recording.ID, recording.StreamerID).Warn("submitting without the cover that was wanted", "cover", what, "error", cause)
		return "", nil
	}
	return "", missing(withCause(reason.New(reason.SubmissionCover, "cover", what, "patience", patience.String()), cause))
}

// uploadCover uploads a picture, unless the account did so a few days ago.
func (s *Service) uploadCover(ctx context.Context, logger *slog.Logger, account *bilibili.Account, picture []byte) (string, error) {
	sum := sha256.Sum256(picture)
	known := db.FindCoverParams{Mid: account.Mid, Sha256: hex.EncodeToString(sum[:])}
	if account.Mid != 0 {
		address, err := s.DB.FindCover(ctx, known)
		if err == nil {
			return address, nil
		}
		if !errors.Is(err, pgx.ErrNoRows) && ctx.Err() == nil {
			logger.Warn("it cannot be told whether a cover is uploaded already; uploading it", "error", err)
		}
	}
	address, err := s.Covers.UploadCover(ctx, account, picture)
	if loginRefused(err) {
		err = s.rejected(ctx, account, err)
	}
	if err != nil || account.Mid == 0 {
		return address, err
	}
	err = s.DB.SaveCover(ctx, db.SaveCoverParams{Mid: known.Mid, Sha256: known.Sha256, URL: address})
	if err == nil {
		err = s.DB.ForgetOldCovers(ctx)
	}
	if err != nil && ctx.Err() == nil {
		logger.Warn("the address of a cover cannot be saved", "error", err) // it is uploaded again if need be
	}
	return address, nil
}

// readCover makes a cover of a picture of the data directory. It never follows a link out of it.
func readCover(dataDir, name string) ([]byte, error) {
	local, err := accounts.LocalName(name)
	if err != nil {
		return nil, fmt.Errorf("%q is no file name inside the data directory", name)
	}
	root, err := os.OpenRoot(dataDir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	picture, err := folders.ReadFile(root, local, bilibili.MaxCover)
	if err != nil {
		return nil, err
	}
	return bilibili.FitCover(picture)
}

// CheckCoverFile tells whether a cover can be made of a file of the data directory. One that is not there yet may still come.
func CheckCoverFile(dataDir, name string) error {
	_, err := readCover(dataDir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
