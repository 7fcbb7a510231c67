package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strconv"
	"time"

	"github.com/lubod/lubod/host/internal/bilibili"
	"github.com/lubod/lubod/host/internal/reason"
)

// GetMyInfo answers what Bilibili says about the account of a cookie file.
func (s *Server) GetMyInfo(ctx context.Context, request GetMyInfoRequestObject) (GetMyInfoResponseObject, error) {
	account, err := s.loadAccount(ctx, request.Params.User)
	if err != nil {
		return nil, err
	}
	info, err := s.askBilibili(ctx, "myinfo", account, s.bilibili.MyInfo)
	if err != nil {
		return nil, err
	}
	info["uname"] = info["name"]
	return GetMyInfo200JSONResponse(info), nil
}

// GetArchivePre answers what there is to choose from in a submission.
func (s *Server) GetArchivePre(ctx context.Context, request GetArchivePreRequestObject) (GetArchivePreResponseObject, error) {
	account, err := s.accountOrAny(ctx, request.Params.User)
	if err != nil {
		return nil, err
	}
	pre, err := s.askBilibili(ctx, "archive_pre", account, s.bilibili.ArchivePre)
	if err != nil {
		return nil, err
	}
	if _, ok := pre["archive_tags"]; !ok { // promised by the API, and no longer sent by Bilibili
		pre["archive_tags"] = json.RawMessage("[]")
	}
	return GetArchivePre200JSONResponse(pre), nil
}

// askBilibili asks with an account's login, unless the answer is known. A refused login is checked before its next use.
func (s *Server) askBilibili(
	ctx context.Context, what string, account *bilibili.Account, ask func(context.Context, *bilibili.Account) (bilibili.Fields, error),
) (bilibili.Fields, error) {
	answer, err := s.answers.get(ctx, what+" "+account.Fingerprint, func(ctx context.Context) (bilibili.Fields, error) {
		ctx, cancel := context.WithTimeout(ctx, bilibiliTimeout)
		defer cancel()
		return ask(ctx, account)
	})
	var refused *bilibili.RefusedError
	if errors.As(err, &refused) && refused.Code == bilibili.CodeNotLoggedIn {
		if err := s.accounts.Rejected(ctx, account); err != nil {
			return nil, err
		}
		s.accounts.Look()
	}
	if err != nil {
		return nil, fromBilibili(err, account.File)
	}
	return answer, nil
}

// bilibiliTimeout bounds one question, well within a request.
const bilibiliTimeout = 12 * time.Second

// accountOrAny is the account that was named, or else one that can be used.
func (s *Server) accountOrAny(ctx context.Context, user *string) (*bilibili.Account, error) {
	if user != nil {
		return s.loadAccount(ctx, *user)
	}
	account, err := s.accounts.Any(ctx)
	if errors.Is(err, bilibili.ErrNoAccount) {
		return nil, unusable(nil, "", reason.New(reason.APINoUsableAccount))
	}
	return account, err
}

// loadAccount returns the login of the cookie file that the parameter user names. It need not be in the list of accounts: what a login
// answers can be tried before it is added.
func (s *Server) loadAccount(ctx context.Context, user string) (*bilibili.Account, error) {
	file, err := s.cookieFile("user", user)
	if err != nil {
		return nil, err
	}
	account, err := s.accounts.Account(ctx, file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &problem{status: http.StatusNotFound, code: codeNotFound, field: "user", why: reason.New(reason.APINoDataFile, "file", file)}
	case errors.Is(err, bilibili.ErrNoAccount):
		return nil, unusable(err, "user", said(err, reason.APIAccountUnusable))
	}
	return account, err
}

func unusable(cause error, field string, why reason.Reason) *problem {
	return &problem{status: http.StatusUnprocessableEntity, code: codeAccount, field: field, why: why, cause: cause}
}

// fromBilibili turns an error of Bilibili into an answer. What Bilibili says is text from outside: it is quoted, and cut.
func fromBilibili(err error, file string) error {
	var refused *bilibili.RefusedError
	switch {
	case errors.As(err, &refused) && refused.Code == bilibili.CodeNotLoggedIn:
		return unusable(err, "", reason.New(reason.APILoginInvalid, "file", file))
	case errors.As(err, &refused):
		return unavailable(err, reason.New(reason.APIBilibiliRefused, "code", strconv.FormatInt(int64(refused.Code), 10), "message", quoted(fmt.Sprintf("%.200s", refused.Message))))
	case errors.Is(err, bilibili.ErrNotSent), errors.Is(err, bilibili.ErrAnswerLost):
		return unavailable(err, reason.New(reason.APIBilibiliAway))
	}
	return err
}
