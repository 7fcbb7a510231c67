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
	hash, err := s.passwords.hash(ctx, request.Body.Password)
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
	keys := []attemptKey{{"address " + who.address, perAddress}, {"user " + body.Username, perUser}}
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
	s.attempts.forget(keys...)
	setCookie, err := s.sessions.begin(ctx, user)
	if err != nil {
		return nil, err
	}
	s.log.Info("logged in", "by", user.Username, "address", who.address)
	answer := LoginUser200JSONResponse{Body: LoggedIn{Username: user.Username}, Headers: LoginUser200ResponseHeaders{SetCookie: setCookie}}
	if next != "" {
		answer.Body.Next = &next
	}
	return answer, nil
}

// authenticate takes as long for a user that does not exist as for a wrong password.
func (s *Server) authenticate(ctx context.Context, username, password string) (db.User, bool, error) {
	user, err := s.db.UserByName(ctx, username)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return user, false, err
	}
	right, err := s.passwords.matches(ctx, password, user.PasswordHash)
	return user, right, err
}

// ChangePassword gives the caller another password and ends all other sessions of theirs.
func (s *Server) ChangePassword(ctx context.Context, request ChangePasswordRequestObject) (ChangePasswordResponseObject, error) {
	who, body := callerOf(ctx), request.Body
	if body.NewPassword == body.CurrentPassword {
		return nil, invalid("new_password", reason.New(reason.APISamePassword))
	}
	keys := []attemptKey{{"address " + who.address, perAddress}, {"user " + who.username, perUser}}
	if wait := s.attempts.attempt(keys...); wait > 0 {
		return nil, tooMany(wait)
	}
	user, right, err := s.authenticate(ctx, who.username, body.CurrentPassword)
	if err != nil {
		s.attempts.undo(keys...)
		return nil, err
	}
	if !right {
		s.log.Info("change of a password refused", "username", who.username, "address", who.address)
		return nil, &problem{status: http.StatusForbidden, code: codeWrongPassword, field: "current_password", why: reason.New(reason.APIWrongPassword)}
	}
	s.attempts.forget(keys...)
	hash, err := s.passwords.hash(ctx, body.NewPassword)
	if err != nil {
		return nil, err
	}
	changed, err := s.db.ChangePassword(ctx, db.ChangePasswordParams{ID: user.ID, OldHash: user.PasswordHash, NewHash: hash})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, conflict("current_password", reason.New(reason.APIPasswordChanged))
	}
	if err != nil {
		return nil, err
	}
	s.wrote(ctx, "password changed")
	setCookie, err := s.sessions.begin(ctx, changed)
	if err != nil {
		return nil, unavailable(err, reason.New(reason.APISessionNotStored))
	}
	return ChangePassword200JSONResponse{Body: User{Username: user.Username}, Headers: ChangePassword200ResponseHeaders{SetCookie: setCookie}}, nil
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
