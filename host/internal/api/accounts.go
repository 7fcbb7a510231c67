package api

import (
	"context"
	"path/filepath"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/accounts"
	"github.com/lubod/lubod/host/internal/reason"
)

// ListAccounts answers all Bilibili accounts.
func (s *Server) ListAccounts(ctx context.Context, _ ListAccountsRequestObject) (ListAccountsResponseObject, error) {
	rows, err := s.db.ListAccounts(ctx)
	if err != nil {
		return nil, err
	}
	accounts, err := s.describeAccounts(ctx, rows...)
	if err != nil {
		return nil, err
	}
	return ListAccounts200JSONResponse(accounts), nil
}

// AddAccount adds an account by its cookie file, which may not be there yet.
func (s *Server) AddAccount(ctx context.Context, request AddAccountRequestObject) (AddAccountResponseObject, error) {
	file, err := s.cookieFile("value", request.Body.Value)
	if err != nil {
		return nil, err
	}
	row, err := s.db.InsertAccount(ctx, db.InsertAccountParams{Platform: string(request.Body.Key), File: file})
	if violates(err, "accounts_platform_file_key") {
		return nil, conflict("value", reason.New(reason.APIAccountExists, "file", quoted(file)))
	}
	if err != nil {
		return nil, err
	}
	s.wrote(ctx, "account added", "id", row.ID, "file", row.File)
	s.accounts.Look()
	s.uploads.PublishingChanged()
	accounts, err := s.describeAccounts(ctx, row)
	if err != nil {
		return nil, err
	}
	return AddAccount200JSONResponse{AccountJSONResponse(accounts[0])}, nil
}

// DeleteAccount forgets an account; its file stays.
func (s *Server) DeleteAccount(ctx context.Context, request DeleteAccountRequestObject) (DeleteAccountResponseObject, error) {
	row, err := s.db.DeleteAccount(ctx, request.ID)
	if err != nil {
		return nil, orNotFound(err, "account", request.ID)
	}
	s.wrote(ctx, "account deleted", "id", row.ID, "file", row.File)
	s.uploads.PublishingChanged()
	accounts, err := s.describeAccounts(ctx, row)
	if err != nil {
		return nil, err
	}
	return DeleteAccount200JSONResponse{AccountJSONResponse(accounts[0])}, nil
}

// describeAccounts says what is known of accounts without asking Bilibili. Nothing of a file's content is answered but whose
// login it is.
func (s *Server) describeAccounts(ctx context.Context, rows ...db.Account) ([]Account, error) {
	files := make([]string, 0, len(rows))
	for _, row := range rows {
		files = append(files, row.File)
	}
	states, err := s.accounts.States(ctx, files...)
	if err != nil {
		return nil, err
	}
	accounts := make([]Account, 0, len(rows))
	for i, row := range rows {
		state := states[i]
		fails, warns := accountReasons(row.File, state)
		in := languageOf(ctx)
		one := Account{
			ID: row.ID, Name: row.File, Value: row.File, Platform: row.Platform, Valid: state.Error == "",
			Mid: unlessZero(state.Mid), Uname: unlessZero(state.Uname), Error: tell(in, fails).textOrNil(), Warning: tell(in, warns).textOrNil(),
			Expires: unlessZero(state.Expires), CheckedAt: unlessZero(state.Checked),
		}
		first := fails
		if first.IsZero() {
			first = warns
		}
		why := tell(in, first)
		one.ReasonCode, one.ReasonArgs, one.Action = why.code, why.args, why.action
		accounts = append(accounts, one)
	}
	return accounts, nil
}

// accountReasons are why a login cannot be used, and why it will not be for long.
func accountReasons(file string, state accounts.State) (fails, warns reason.Reason) {
	if state.Error != "" {
		fails = reason.New(reason.AccountUnusable, "file", file, "cause", state.Error)
	}
	if state.Warning != "" {
		warns = reason.New(reason.AccountExpires, "file", file, "cause", state.Warning)
	}
	return fails, warns
}

// unlessZero leaves out of an answer what is not known.
func unlessZero[T comparable](value T) *T {
	var zero T
	if value == zero {
		return nil
	}
	return &value
}

// cookieFile is the one name under which a cookie file is known: relative to the data directory, with slashes.
func (s *Server) cookieFile(field, name string) (string, error) {
	return s.dataFile(field, name, "cookies.json")
}

// dataFile is the one name of a file in the data directory, whatever form a person names it in.
func (s *Server) dataFile(field, name, example string) (string, error) {
	if filepath.IsAbs(name) {
		relative, err := filepath.Rel(s.dataDir, name)
		if err != nil || !filepath.IsLocal(relative) {
			return "", invalid(field, reason.New(reason.APIDataFile, "example", example))
		}
		name = relative
	}
	local, err := accounts.LocalName(name)
	if err != nil {
		return "", invalid(field, reason.New(reason.APIDataFile, "example", example))
	}
	return local, nil
}
