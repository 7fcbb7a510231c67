package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/bilibili"
)

// ListAccounts answers all Bilibili accounts.
func (s *Server) ListAccounts(ctx context.Context, _ ListAccountsRequestObject) (ListAccountsResponseObject, error) {
	rows, err := s.db.ListAccounts(ctx)
	if err != nil {
		return nil, err
	}
	accounts := make([]Account, 0, len(rows))
	for _, row := range rows {
		accounts = append(accounts, s.account(row))
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
		return nil, conflict("value: there is an account with the file %q already", file)
	}
	if err != nil {
		return nil, err
	}
	s.uploads.PublishingChanged()
	return AddAccount200JSONResponse{AccountJSONResponse(s.account(row))}, nil
}

// DeleteAccount forgets an account; its file stays.
func (s *Server) DeleteAccount(ctx context.Context, request DeleteAccountRequestObject) (DeleteAccountResponseObject, error) {
	row, err := s.db.DeleteAccount(ctx, request.ID)
	if err != nil {
		return nil, orNotFound(err, "account", request.ID)
	}
	s.uploads.PublishingChanged()
	return DeleteAccount200JSONResponse{AccountJSONResponse(s.account(row))}, nil
}

// account says what is known of an account without asking Bilibili. Nothing of the file's content is answered.
func (s *Server) account(row db.Account) Account {
	account := Account{ID: row.ID, Name: row.File, Value: row.File, Platform: row.Platform, Valid: true}
	if _, err := bilibili.LoadAccount(s.dataDir, row.File); err != nil {
		message := err.Error()
		if errors.Is(err, fs.ErrNotExist) {
			message = fmt.Sprintf("there is no file %s in the data directory yet", row.File)
		}
		account.Valid, account.Error = false, &message
	}
	return account
}

// cookieFile is the one name under which a cookie file is known: relative to the data directory, with slashes.
func (s *Server) cookieFile(field, name string) (string, error) {
	if filepath.IsAbs(name) {
		relative, err := filepath.Rel(s.dataDir, name)
		if err != nil || !filepath.IsLocal(relative) {
			return "", invalid(field, "must be a file inside the data directory")
		}
		name = relative
	}
	local, err := bilibili.LocalName(name)
	if err != nil {
		return "", invalid(field, "must be a file inside the data directory, such as cookies.json")
	}
	return local, nil
}
