package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/reason"
)

const (
	// tokenPrefix lets people and scanners of secrets recognize a token.
	tokenPrefix = "lubod_"
	tokenBytes  = 32
	// maxTokens bounds what one user can store.
	maxTokens = 100
)

// tokenLength is that of every token that this program makes.
var tokenLength = len(tokenPrefix) + base64.RawURLEncoding.EncodedLen(tokenBytes)

// ListTokens answers the tokens of the caller.
func (s *Server) ListTokens(ctx context.Context, _ ListTokensRequestObject) (ListTokensResponseObject, error) {
	rows, err := s.db.ListAPITokens(ctx, callerOf(ctx).userID)
	if err != nil {
		return nil, err
	}
	tokens := make([]Token, 0, len(rows))
	for _, row := range rows {
		tokens = append(tokens, token(row))
	}
	return ListTokens200JSONResponse(tokens), nil
}

// CreateToken makes a token for the caller.
func (s *Server) CreateToken(ctx context.Context, request CreateTokenRequestObject) (CreateTokenResponseObject, error) {
	who, body := callerOf(ctx), request.Body
	scope := TokenScopeRead
	if body.Scope != nil {
		scope = *body.Scope
	}
	var expiresIn *int64
	if seconds := valueOr(body.ExpiresIn, 0); seconds > 0 {
		expiresIn = &seconds
	}
	secret := newAPIToken()
	var row db.APIToken
	err := s.db.InTx(ctx, func(_ pgx.Tx, q *db.Queries) error {
		if _, err := q.LockUser(ctx, who.userID); err != nil {
			return err
		}
		n, err := q.CountAPITokens(ctx, who.userID)
		if err != nil {
			return err
		}
		if n >= maxTokens {
			return conflict("", reason.New(reason.APITooManyTokens, "count", strconv.FormatInt(n, 10)))
		}
		row, err = q.InsertAPIToken(ctx, db.InsertAPITokenParams{
			UserID: who.userID, Name: body.Name, TokenHash: hashToken(secret), Scope: string(scope), ExpiresInS: expiresIn,
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	s.wrote(ctx, "API token created", "id", row.ID, "name", row.Name, "scope", row.Scope)
	t := token(row)
	return CreateToken200JSONResponse{
		ID: t.ID, Name: t.Name, Scope: t.Scope, CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt, LastUsedAt: t.LastUsedAt, Token: secret,
	}, nil
}

// DeleteToken revokes a token of the caller.
func (s *Server) DeleteToken(ctx context.Context, request DeleteTokenRequestObject) (DeleteTokenResponseObject, error) {
	who := callerOf(ctx)
	row, err := s.db.DeleteAPIToken(ctx, db.DeleteAPITokenParams{ID: request.ID, UserID: who.userID})
	if err != nil {
		return nil, orNotFound(err, "token", request.ID)
	}
	s.wrote(ctx, "API token deleted", "id", row.ID, "name", row.Name)
	return DeleteToken200JSONResponse(token(row)), nil
}

// identifyToken finds out whose token it is, and refuses what it cannot do.
func (s *Server) identifyToken(r *http.Request, op *operation, who *caller, secret string) error {
	if !op.takesToken {
		return &problem{status: http.StatusForbidden, code: codeTokenRefused, why: reason.New(reason.APITokenRefused)}
	}
	ctx := r.Context()
	row, err := s.findToken(ctx, secret)
	if errors.Is(err, pgx.ErrNoRows) {
		return s.refuseToken(who)
	}
	if err != nil {
		return err
	}
	if row.Scope != string(TokenScopeWrite) && r.Method != http.MethodGet && r.Method != http.MethodHead {
		return &problem{status: http.StatusForbidden, code: codeTokenScope, why: reason.New(reason.APITokenScope)}
	}
	if row.Stale {
		// Knowing when a token was used is not worth an error.
		if _, err := s.db.NoteAPITokenUse(ctx, row.ID); err != nil {
			s.log.Warn("the use of an API token could not be noted", "id", row.ID, "error", err)
		}
	}
	who.userID, who.username, who.tokenName = row.UserID, row.Username, row.Name
	return nil
}

// findToken looks a token up in the database each time, so that a revoked one is worth nothing at once.
func (s *Server) findToken(ctx context.Context, secret string) (db.APITokenByHashRow, error) {
	if len(secret) != tokenLength || !strings.HasPrefix(secret, tokenPrefix) {
		return db.APITokenByHashRow{}, pgx.ErrNoRows
	}
	return s.db.APITokenByHash(ctx, hashToken(secret))
}

// refuseToken counts unknown tokens for their address. One that is known works from that address all the same: a script
// with a revoked token must not lock out the others on its machine, and 256 bits are not guessed.
func (s *Server) refuseToken(who *caller) error {
	if wait := s.attempts.attempt(attemptKey{"token " + who.address, perAddress}); wait > 0 {
		return tooMany(wait)
	}
	return &problem{status: http.StatusUnauthorized, code: codeUnauthenticated, why: reason.New(reason.APITokenUnknown)}
}

// bearerToken is the token that a request carries. Other kinds of Authorization are not for this server: a proxy in front
// of it may ask for a password of its own.
func bearerToken(r *http.Request) (string, bool) {
	for _, value := range r.Header.Values("Authorization") {
		if scheme, secret, _ := strings.Cut(value, " "); strings.EqualFold(scheme, "Bearer") {
			return strings.TrimSpace(secret), true
		}
	}
	return "", false
}

func newAPIToken() string {
	var raw [tokenBytes]byte
	_, _ = rand.Read(raw[:]) // never fails
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(raw[:])
}

func hashToken(secret string) []byte {
	hash := sha256.Sum256([]byte(secret))
	return hash[:]
}

func token(row db.APIToken) Token {
	return Token{
		ID: row.ID, Name: row.Name, Scope: TokenScope(row.Scope), CreatedAt: row.CreatedAt.UTC().Truncate(time.Second),
		ExpiresAt: orNull(utc(row.ExpiresAt)), LastUsedAt: orNull(utc(row.LastUsedAt)),
	}
}
