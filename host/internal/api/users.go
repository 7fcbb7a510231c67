package api

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/jackc/pgx/v5"
	"github.com/oapi-codegen/nullable"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/reason"
	"github.com/lubod/lubod/host/internal/users"
)

// RegisterUser creates a user of the API.
func (s *Server) RegisterUser(ctx context.Context, request RegisterUserRequestObject) (RegisterUserResponseObject, error) {
	who := callerOf(ctx)
	address := attemptKey{"register " + who.address, perAddress}
	if who.userID == 0 {
		if err := s.mayRegister(ctx, who, setupTokenOf(request), address); err != nil {
			return nil, err
		}
	}
	example := false
	if users.Common(request.Body.Username, request.Body.Password) {
		// Who follows the description of the API word for word on this machine gets a user; the log says what is wrong with it.
		if example = who.userID == 0 && who.local && request.Body.Password == users.ExamplePassword; !example {
			return nil, invalid("password", reason.New(reason.APICommonPassword))
		}
	}
	hash, err := s.hash(ctx, request.Body.Password)
	if err != nil {
		return nil, err
	}
	err = s.db.InTx(ctx, func(_ pgx.Tx, q *db.Queries) error {
		if err := q.LockUsers(ctx); err != nil {
			return err
		}
		exists, err := q.AnyUser(ctx)
		if err != nil {
			return err
		}
		if exists && who.userID == 0 {
			return registrationClosed()
		}
		_, err = q.InsertUser(ctx, db.InsertUserParams{Username: request.Body.Username, PasswordHash: hash})
		return err
	})
	if violates(err, "users_username_key") {
		return nil, conflict("", reason.New(reason.APIUserExists, "username", quoted(request.Body.Username)))
	}
	if err != nil {
		return nil, err
	}
	s.attempts.forget(address)
	s.wrote(ctx, "user registered", "username", request.Body.Username)
	if example {
		s.log.Warn("the first user has the password of the documentation, which everybody knows: change it before anybody else can reach this server", "username", request.Body.Username)
	}
	return RegisterUser200JSONResponse{Username: request.Body.Username}, nil
}

// mayRegister lets nobody create a user but a logged-in one, except for the very first.
func (s *Server) mayRegister(ctx context.Context, who *caller, token string, address attemptKey) error {
	exists, err := s.db.AnyUser(ctx)
	if err != nil {
		return err
	}
	if exists {
		return registrationClosed()
	}
	if who.local {
		return nil
	}
	if wait := s.attempts.attempt(address); wait > 0 {
		return tooMany(wait)
	}
	if !sameToken(token, s.setupToken) {
		return &problem{
			status: http.StatusForbidden, code: codeSetupToken,
			field: "setup_token", why: reason.New(reason.APISetupToken),
		}
	}
	return nil
}

func registrationClosed() *problem {
	return &problem{status: http.StatusUnauthorized, code: codeUnauthenticated, why: reason.New(reason.APIRegistrationClosed)}
}

func setupTokenOf(request RegisterUserRequestObject) string {
	if request.Params.XSetupToken != nil {
		return *request.Params.XSetupToken
	}
	return valueOr(request.Body.SetupToken, "")
}

// LoginUser begins a session.
func (s *Server) LoginUser(ctx context.Context, request LoginUserRequestObject) (LoginUserResponseObject, error) {
	who, body := callerOf(ctx), request.Body
	next := valueOr(body.Next, "")
	if next != "" && !isLocalPath(next) {
		return nil, invalid("next", reason.New(reason.APILocalPath))
	}
	known, err := s.knowsDevice(ctx, who.device, body.Username)
	if err != nil {
		return nil, err
	}
	keys := loginKeys(who, body.Username, known)
	if wait := s.attempts.attempt(keys...); wait > 0 {
		return nil, tooMany(wait)
	}
	user, right, err := s.authenticate(ctx, body.Username, body.Password)
	if err != nil {
		s.attempts.undo(keys...)
		return nil, err
	}
	if !right {
		s.log.Info("login refused", "username", body.Username, "address", who.address)
		return nil, &problem{status: http.StatusUnauthorized, code: codeUnauthenticated, why: reason.New(reason.APIWrongLogin)}
	}
	s.attempts.forget(keys[0])
	s.attempts.undo(keys[1:]...)
	session, err := s.sessions.begin(ctx, user)
	if err != nil {
		return nil, err
	}
	cookies := []string{session}
	if who.browser { // a script would keep the last cookie that it gets, and has no use for this one
		device, err := s.rememberDevice(ctx, user.ID, known)
		if err != nil {
			return nil, err
		}
		cookies = append(cookies, device)
	}
	s.log.Info("logged in", "by", user.Username, "address", who.address)
	answer := loginAnswer{LoggedIn{Username: user.Username}, cookies}
	if next != "" {
		answer.body.Next = &next
	}
	return answer, nil
}

// authenticate takes as long for a user that does not exist as for a wrong password.
func (s *Server) authenticate(ctx context.Context, username, password string) (db.User, bool, error) {
	user, err := s.db.UserByName(ctx, username)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return user, false, err
	}
	right, err := s.passwords.Matches(ctx, password, user.PasswordHash)
	return user, right, orBusy(err)
}

// ChangePassword gives the caller another password, ends all other sessions of theirs, and their tokens if that is asked for.
func (s *Server) ChangePassword(ctx context.Context, request ChangePasswordRequestObject) (ChangePasswordResponseObject, error) {
	who, body := callerOf(ctx), request.Body
	switch {
	case body.NewPassword == body.CurrentPassword:
		return nil, invalid("new_password", reason.New(reason.APISamePassword))
	case users.Common(who.username, body.NewPassword):
		return nil, invalid("new_password", reason.New(reason.APICommonPassword))
	}
	// Who is logged in guesses for himself alone, and nobody else for him.
	key := attemptKey{"change " + strconv.FormatInt(who.userID, 10), perLogin}
	if wait := s.attempts.attempt(key); wait > 0 {
		return nil, tooMany(wait)
	}
	user, right, err := s.authenticate(ctx, who.username, body.CurrentPassword)
	if err != nil {
		s.attempts.undo(key)
		return nil, err
	}
	if !right {
		s.log.Info("change of a password refused", "username", who.username, "address", who.address)
		return nil, &problem{status: http.StatusForbidden, code: codeWrongPassword, field: "current_password", why: reason.New(reason.APIWrongPassword)}
	}
	s.attempts.forget(key)
	changed, tokens, err := s.setPassword(ctx, user, body.NewPassword, valueOr(body.RevokeTokens, false))
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, conflict("current_password", reason.New(reason.APIPasswordChanged))
	}
	if err != nil {
		return nil, err
	}
	s.wrote(ctx, "password changed", "tokens_left", tokens)
	setCookie, err := s.sessions.begin(ctx, changed)
	if err != nil {
		return nil, unavailable(err, reason.New(reason.APISessionNotStored))
	}
	return ChangePassword200JSONResponse{
		Body: PasswordChanged{Username: user.Username, Tokens: tokens}, Headers: ChangePassword200ResponseHeaders{SetCookie: setCookie},
	}, nil
}

// setPassword stores a password in place of the one that was checked, and returns how many tokens are left.
func (s *Server) setPassword(ctx context.Context, user db.User, password string, revoke bool) (changed db.User, tokens int64, err error) {
	hash, err := s.hash(ctx, password)
	if err != nil {
		return changed, 0, err
	}
	err = s.db.InTx(ctx, func(_ pgx.Tx, q *db.Queries) error {
		if changed, err = q.ChangePassword(ctx, db.ChangePasswordParams{ID: user.ID, OldHash: user.PasswordHash, NewHash: hash}); err != nil {
			return err
		}
		if err := q.DeleteSessionsOfUser(ctx, &user.ID); err != nil {
			return err
		}
		if revoke {
			if _, err := q.DeleteTokensOfUser(ctx, user.ID); err != nil {
				return err
			}
		}
		tokens, err = q.CountAPITokens(ctx, user.ID)
		return err
	})
	return changed, tokens, err
}

// ListUsers answers everybody who can log in.
func (s *Server) ListUsers(ctx context.Context, _ ListUsersRequestObject) (ListUsersResponseObject, error) {
	rows, err := s.db.ListUsers(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]APIUser, 0, len(rows))
	for _, row := range rows {
		all = append(all, apiUser(callerOf(ctx), row))
	}
	return ListUsers200JSONResponse(all), nil
}

// DeleteUser removes a user with all that could act for him.
func (s *Server) DeleteUser(ctx context.Context, request DeleteUserRequestObject) (DeleteUserResponseObject, error) {
	row, err := users.Remove(ctx, s.db, request.ID)
	if errors.Is(err, users.ErrLast) {
		return nil, conflict("", reason.New(reason.APILastUser))
	}
	if err != nil {
		return nil, orNotFound(err, "user", request.ID)
	}
	s.wrote(ctx, "user removed", "username", row.Username)
	return DeleteUser200JSONResponse(apiUser(callerOf(ctx), db.ListUsersRow(row))), nil
}

func apiUser(who *caller, row db.ListUsersRow) APIUser {
	return APIUser{ID: row.ID, Username: row.Username, Current: row.ID == who.userID, CreatedAt: row.CreatedAt.UTC().Truncate(time.Second)}
}

// GetCurrentUser tells whether the caller is logged in.
func (s *Server) GetCurrentUser(ctx context.Context, _ GetCurrentUserRequestObject) (GetCurrentUserResponseObject, error) {
	who := callerOf(ctx)
	if who.userID == 0 {
		return nil, &problem{status: http.StatusNotFound, code: codeNotLoggedIn, why: reason.New(reason.APINobodyLoggedIn)}
	}
	return GetCurrentUser200JSONResponse{Username: who.username}, nil
}

// LogoutUser ends the session, if there is one.
func (s *Server) LogoutUser(ctx context.Context, _ LogoutUserRequestObject) (LogoutUserResponseObject, error) {
	setCookie, err := s.sessions.end(ctx)
	if err != nil {
		return nil, err
	}
	if callerOf(ctx).userID != 0 {
		s.wrote(ctx, "logged out")
	}
	return LogoutUser303Response{Headers: LogoutUser303ResponseHeaders{Location: "/login", SetCookie: setCookie}}, nil
}

func tooMany(wait time.Duration) *problem {
	return &problem{
		status: http.StatusTooManyRequests, code: codeTooMany, retryAfter: wait,
		why: reason.New(reason.APITooManyAttempts, "seconds", strconv.FormatFloat(math.Max(1, math.Ceil(wait.Seconds())), 'f', 0, 64)),
	}
}

// isLocalPath tells a path of this server from what a browser, or a proxy that decodes it first, takes for another one.
func isLocalPath(path string) bool {
	decoded, err := url.PathUnescape(path)
	if err != nil {
		return false
	}
	for _, form := range []string{path, decoded} {
		if !strings.HasPrefix(form, "/") || strings.HasPrefix(form, "//") || strings.ContainsFunc(form, func(r rune) bool {
			return r == '\\' || unicode.IsControl(r)
		}) {
			return false
		}
	}
	return true
}

// valueOr is what a field holds, or fallback when it is absent or null.
func valueOr[T any](field nullable.Nullable[T], fallback T) T {
	if value, err := field.Get(); err == nil {
		return value
	}
	return fallback
}

// kept is what a field becomes by a change: what it was when absent, the default when null.
func kept[T any](field nullable.Nullable[T], old, byDefault T) T {
	if !field.IsSpecified() {
		return old
	}
	return valueOr(field, byDefault)
}

// orNull is a field of an answer that may be null.
func orNull[T any](value *T) nullable.Nullable[T] {
	if value == nil {
		return nullable.NewNullNullable[T]()
	}
	return nullable.NewNullableWithValue(*value)
}
