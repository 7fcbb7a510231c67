package upload

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lubod/lubod/host/internal/bilibili"
	"github.com/lubod/lubod/host/internal/reason"
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/line"
	simulator "github.com/lubod/lubod/sdk/simulator/bilibili"
)

// reasonCode is the code in a column.
func reasonCode(column []byte) string { return reason.Parse(column).Code }

// hasReason checks that what a row says has a code, and the same text in its two columns.
func hasReason(t *testing.T, text string, column []byte, code string) {
	t.Helper()
	why := reason.Parse(column)
	if why.Code != code || !why.Known() {
		t.Errorf("reason %s, want the code %s; error %q", column, code, text)
	}
	if why.Text(reason.English) != text || text == "" {
		t.Errorf("error %q, its reason says %q", text, why.Text(reason.English))
	}
	if chinese := why.Text(reason.Chinese); chinese == "" || chinese == text {
		t.Errorf("there is no Chinese text: %q", chinese)
	}
}

// Whatever keeps a segment from being uploaded has a code and a text in both languages.
func TestEachFailureOfATransferHasAReason(t *testing.T) {
	t.Parallel()
	says := func(err error) func(h *harness, s *Service, segment int64) {
		return func(h *harness, _ *Service, _ int64) {
			h.lines.upload = func(context.Context, line.File, func(line.Progress) error) (line.Result, error) {
				return line.Result{}, err
			}
		}
	}
	sql := func(statement string) func(h *harness, s *Service, segment int64) {
		return func(h *harness, _ *Service, _ int64) { h.exec(statement, nil) }
	}
	byHand := func(h *harness, segment int64) (path string) {
		file := h.file("by hand.mp4", "content", newYear)
		h.exec("UPDATE segments SET path = $2, modified_at = $3, size_bytes = 7 WHERE id = $1", []any{segment, file.Path, file.ModifiedAt})
		return file.Path
	}
	for name, test := range map[string]struct {
		code  string
		arise func(h *harness, s *Service, segment int64)
	}{
		"no template":   {reason.UploadNoTemplate, sql("UPDATE recordings SET template_name = NULL")},
		"template gone": {reason.UploadTemplateGone, sql("DELETE FROM templates")},
		"field":         {reason.UploadField, sql("UPDATE templates SET tag = ''")},
		"no account":    {reason.UploadNoAccount, sql("UPDATE templates SET user_cookie = ''")},
		"account gone":  {reason.UploadAccount, sql("UPDATE templates SET user_cookie = 'missing.json'")},
		"login refused": {reason.UploadLogin, func(h *harness, s *Service, segment int64) {
			h.accounts.(*fakeAccounts).rejected = func(*bilibili.Account) {}
			says(sdk.Errorf(sdk.LoginRequired, "not logged in"))(h, s, segment)
		}},
		"account away": {reason.SubmissionNotSent, func(_ *harness, s *Service, _ int64) { s.Accounts = failingAccounts{bilibili.ErrNotSent} }},
		"line down": {reason.UploadLineDown, func(h *harness, _ *Service, _ int64) {
			h.lines.lease = func(string) error { return errors.New("down") }
		}},
		"no line": {reason.UploadNoLine, func(h *harness, _ *Service, _ int64) {
			h.configure(map[string]any{})
			h.lines.names = func() []string { return nil }
		}},
		"file gone": {reason.UploadFileGone, func(h *harness, _ *Service, segment int64) {
			if err := os.Remove(byHand(h, segment)); err != nil {
				h.t.Fatal(err)
			}
		}},
		"file changed": {reason.UploadFileChanged, func(h *harness, _ *Service, segment int64) {
			if err := os.WriteFile(byHand(h, segment), []byte("something else"), 0o600); err != nil {
				h.t.Fatal(err)
			}
		}},
		"file unreadable": {reason.UploadFileUnread, func(h *harness, _ *Service, segment int64) {
			h.exec("UPDATE segments SET path = $2, modified_at = now() WHERE id = $1", []any{segment, filepath.Join(h.dir, "a.json", "below a file.mp4")})
		}},
		"rate limited":     {reason.ErrorRateLimited, says(sdk.Errorf(sdk.RateLimited, "too fast"))},
		"corrupt":          {reason.ErrorCorrupt, says(sdk.Errorf(sdk.Corrupt, "no video"))},
		"refused by a CDN": {sdk.CodeRefused, says(&sdk.Error{Kind: sdk.Unavailable, Code: sdk.CodeRefused, Args: map[string]string{"where": "upos"}, Message: "connection refused"})},
		"no kind":          {reason.ErrorBug, says(errors.New("something"))},
		"no name":          {reason.ErrorBug, says(nil)},
		"this host":        {reason.UploadHost, func(h *harness, _ *Service, _ int64) { h.exec("ALTER TABLE templates RENAME TO gone", nil) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			s := h.service()
			segment := h.closed(s, h.recording("recording"), 1)
			test.arise(h, s, segment)
			h.transfer(t.Context(), s, segment)
			upload := h.upload(segment)
			hasReason(t, upload.Error, upload.Reason, test.code)
		})
	}
}

// failingAccounts cannot be asked.
type failingAccounts struct{ cause error }

func (f failingAccounts) Account(context.Context, string) (*bilibili.Account, error) {
	return nil, f.cause
}
func (f failingAccounts) Rejected(context.Context, *bilibili.Account) error { return f.cause }

// So has whatever keeps a recording from being an archive.
func TestEachFailureOfASubmissionHasAReason(t *testing.T) {
	t.Parallel()
	sql := func(statement string) func(h *harness, s *Service) {
		return func(h *harness, _ *Service) { h.exec(statement, nil) }
	}
	submits := func(err error) func(h *harness, s *Service) {
		return func(_ *harness, s *Service) {
			s.Archives = &fakeArchives{submit: func(context.Context, *bilibili.Account, bilibili.Archive) (bilibili.Accepted, error) {
				return bilibili.Accepted{}, err
			}}
		}
	}
	finds := func(state string, err error) func(h *harness, s *Service) {
		return func(h *harness, s *Service) {
			h.exec("UPDATE submissions SET account_file = 'a.json', submitted_at = now() - interval '1 day', updated_at = now() - interval '1 day', state = 'unknown'"+state, nil)
			s.Archives = &fakeArchives{find: func(context.Context, *bilibili.Account, []string) (bilibili.Accepted, error) {
				return bilibili.Accepted{}, err
			}}
		}
	}
	edits := func(err error) func(h *harness, s *Service) {
		return func(h *harness, s *Service) {
			h.exec("UPDATE submissions SET account_file = 'a.json', submitted_at = now(), aid = 1, bvid = 'BV1', state = 'appending'", nil)
			s.Archives = &fakeArchives{edit: func(context.Context, bilibili.Accepted, []bilibili.Part) error { return err }}
		}
	}
	for name, test := range map[string]struct {
		code, state string
		arise       func(h *harness, s *Service)
	}{
		"template gone":    {reason.UploadTemplateGone, "waiting", sql("DELETE FROM templates")},
		"no template":      {reason.UploadNoTemplate, "waiting", sql("UPDATE recordings SET template_name = NULL")},
		"field":            {reason.UploadField, "waiting", sql("UPDATE templates SET tag = ''")},
		"no account":       {reason.UploadNoAccount, "waiting", sql("UPDATE templates SET user_cookie = ''")},
		"account gone":     {reason.UploadAccount, "waiting", sql("UPDATE templates SET user_cookie = 'missing.json'")},
		"account away":     {reason.SubmissionNotSent, "waiting", func(_ *harness, s *Service) { s.Accounts = failingAccounts{bilibili.ErrNotSent} }},
		"account unclear":  {reason.SubmissionNoAnswer, "waiting", func(_ *harness, s *Service) { s.Accounts = failingAccounts{bilibili.ErrAnswerLost} }},
		"account refused":  {reason.SubmissionRefused, "waiting", func(_ *harness, s *Service) { s.Accounts = failingAccounts{&bilibili.RefusedError{Code: -400}} }},
		"cover":            {reason.SubmissionCover, "waiting", sql("UPDATE templates SET cover = 'missing.jpg'")},
		"not uploaded":     {reason.SubmissionNotReady, "waiting", sql("UPDATE uploads SET state = 'pending'")},
		"other account":    {reason.SubmissionOther, "waiting", sql("UPDATE uploads SET account_file = 'other.json'")},
		"refused":          {reason.SubmissionRefused, "failed", submits(&bilibili.RefusedError{Code: 21103, Message: "title"})},
		"refused for now":  {reason.SubmissionRefused, "waiting", submits(&bilibili.RefusedError{Code: -352, Message: "risk"})},
		"login refused":    {reason.UploadLogin, "waiting", submits(&bilibili.RefusedError{Code: bilibili.CodeNotLoggedIn})},
		"not sent":         {reason.SubmissionNotSent, "waiting", submits(fmt.Errorf("%w: no network", bilibili.ErrNotSent))},
		"lost":             {reason.SubmissionNoAnswer, "unknown", submits(fmt.Errorf("%w: cut", bilibili.ErrAnswerLost))},
		"looking":          {reason.SubmissionLooking, "unknown", finds("", bilibili.ErrNoArchive)},
		"look-up":          {reason.SubmissionLookup, "unknown", finds("", bilibili.ErrAnswerLost)},
		"look-up refused":  {reason.SubmissionLookup, "unknown", finds("", &bilibili.RefusedError{Code: -702})},
		"submitting again": {reason.SubmissionAgain, "waiting", finds(", lookups = 1", bilibili.ErrNoArchive)},
		"proven":           {reason.SubmissionProven, "failed", finds(", lookups = 1, proven = true", bilibili.ErrNoArchive)},
		"lost for good":    {reason.SubmissionLost, "failed", finds(", lookups = 1, attempts = 10", bilibili.ErrNoArchive)},
		"edit refused":     {reason.SubmissionRefused, "failed", edits(&bilibili.RefusedError{Code: -400})},
		"edit lost":        {reason.SubmissionNoAnswer, "appending", edits(bilibili.ErrAnswerLost)},
		"edit not sent":    {reason.SubmissionNotSent, "appending", edits(bilibili.ErrNotSent)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.pace.Cover = time.Hour
			h.accounts.(*fakeAccounts).rejected = func(*bilibili.Account) {}
			sim := h.real(simulator.Options{})
			s := h.service()
			recording, _ := h.stored(sim, 1)
			h.end(s, recording)
			test.arise(h, s)
			h.submit(t.Context(), s, recording)
			submission, _ := h.submission(recording)
			hasReason(t, submission.Error, submission.Reason, test.code)
			if submission.State != test.state || len(sim.Archives()) > 0 {
				t.Errorf("submission %+v", submission)
			}
		})
	}
}

func TestASegmentThatIsGivenUpHasAReason(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.service()
	segment := h.closed(s, h.recording("recording"), 1)
	if err := s.WaiveSegment(t.Context(), segment); err != nil {
		t.Fatal(err)
	}
	row, err := h.db.GetSegment(t.Context(), segment)
	if err != nil {
		t.Fatal(err)
	}
	hasReason(t, row.Reason, row.ReasonData, reason.SegmentWaived)
	if err := s.RetrySegment(t.Context(), segment); err != nil {
		t.Fatal(err)
	}
	if row, err := h.db.GetSegment(t.Context(), segment); err != nil || row.Reason != "" || row.ReasonData != nil {
		t.Errorf("%v, segment %+v", err, row)
	}
}
