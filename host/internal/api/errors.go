package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/labstack/echo/v4"

	"github.com/lubod/lubod/host/internal/health"
	"github.com/lubod/lubod/host/internal/reason"
)

// Codes of error answers, for programs. They are part of the contract: new ones may come, these stay.
const (
	codeInvalid         = "invalid_request"
	codeUnauthenticated = "unauthenticated"
	codeForeignOrigin   = "foreign_origin"
	codeUnknownHost     = "unknown_host"
	codeSetupToken      = "setup_token_required"
	codeWrongPassword   = "wrong_password"
	codeTokenRefused    = "token_not_allowed"
	codeTokenScope      = "insufficient_scope"
	codeNotFound        = "not_found"
	codeNotLoggedIn     = "not_logged_in"
	codeMethod          = "method_not_allowed"
	codeTimeout         = "request_timeout"
	codeConflict        = "conflict"
	codeClosed          = "closed"
	codeQRPending       = "qr_pending"
	codeQRExpired       = "qr_expired"
	codeTooLarge        = "too_large"
	codeMediaType       = "unsupported_media_type"
	codePlugins         = "invalid_plugins"
	codeAccount         = "account_unusable"
	codeFile            = "file_unusable"
	codeTooMany         = "too_many_attempts"
	// What the proxy fetches.
	codeForbiddenAddress = "forbidden_address"
	codeUpstreamUnusable = "upstream_unusable"
	codeUpstreamFailed   = "upstream_failed"
	codeUpgrade          = "upgrade_required"
	codeInternal         = "internal"
	codeUnavailable      = "unavailable"
)

// problem is an error that has an HTTP answer of its own. Its text is written for the person who sent the request.
type problem struct {
	status int
	code   string
	// field is the one that is wrong; empty when it is the request as a whole.
	field string
	why   reason.Reason
	// retryAfter, when positive, says when another try makes sense.
	retryAfter time.Duration
	cause      error
}

func (p *problem) Error() string { return p.text(reason.English) }
func (p *problem) Unwrap() error { return p.cause }

func (p *problem) text(in reason.Language) string {
	if p.field == "" {
		return p.why.Text(in)
	}
	return p.field + ": " + p.why.Text(in)
}

// within is the same problem of an object that is a field itself.
func (p *problem) within(field string) *problem {
	inside := *p
	inside.field = field
	if p.field != "" {
		inside.field += "." + p.field
	}
	return &inside
}

// said is the reason that an error carries, or one of the code with its text.
func said(err error, code string) reason.Reason {
	var carrier *reason.Error
	if errors.As(err, &carrier) {
		return carrier.Reason
	}
	return reason.New(code, "text", err.Error(), "cause", err.Error())
}

// quoted is a text of a client or of a file system as a sentence can hold it between quotation marks.
func quoted(text string) string {
	between := strconv.Quote(text)
	return between[1 : len(between)-1]
}

// invalid says what is wrong with one field of the request; field is empty when it is the request as a whole.
func invalid(field string, why reason.Reason) *problem {
	return &problem{status: http.StatusBadRequest, code: codeInvalid, field: field, why: why}
}

func notFound(what string, id int64) *problem {
	return &problem{status: http.StatusNotFound, code: codeNotFound, why: reason.New("api.no_"+what, "id", strconv.FormatInt(id, 10))}
}

func conflict(field string, why reason.Reason) *problem {
	return &problem{status: http.StatusConflict, code: codeConflict, field: field, why: why}
}

func unavailable(cause error, why reason.Reason) *problem {
	return &problem{status: http.StatusServiceUnavailable, code: codeUnavailable, why: why, cause: cause}
}

// violates tells whether err is the database refusing a row because of the named unique constraint.
func violates(err error, constraint string) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == "23505" && refused.ConstraintName == constraint
}

// orNotFound turns "no row" into a 404.
func orNotFound(err error, what string, id int64) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return notFound(what, id)
	}
	return err
}

// answerError writes every error answer there is, so that all of them have one shape and none tells more than it may.
func (s *Server) answerError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	p := s.classify(err, c)
	header := c.Response().Header()
	if p.retryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(int(math.Ceil(p.retryAfter.Seconds()))))
	}
	if p.status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", "Bearer")
	}
	if p.status == http.StatusRequestEntityTooLarge || p.status == http.StatusRequestTimeout {
		// The rest of the body is not read.
		header.Set("Connection", "close")
	}
	in := languageOf(c.Request().Context())
	why := tell(in, p.why)
	body, err := json.Marshal(Error{Error: p.text(in), Code: p.code, ReasonCode: why.code, ReasonArgs: why.args, Action: why.action})
	if err == nil {
		err = c.Blob(p.status, echo.MIMEApplicationJSON, body)
	}
	if err != nil {
		s.log.Debug("error answer could not be sent", "error", err)
	}
}

func (s *Server) classify(err error, c echo.Context) *problem {
	var p *problem
	if errors.As(err, &p) {
		if p.cause != nil {
			// What is wrong with a request is its sender's business.
			level := slog.LevelInfo
			if p.status >= http.StatusInternalServerError {
				level = slog.LevelWarn
			}
			s.log.Log(c.Request().Context(), level, "request refused", "path", c.Path(), "answer", p.Error(), "error", p.cause)
		}
		return p
	}
	var framework *echo.HTTPError
	if errors.As(err, &framework) {
		return fromFramework(framework, c)
	}
	if databaseIsAway(err) {
		s.health.Look(health.CodeDatabase)
		s.log.Warn("request failed: the database does not answer", "path", c.Path(), "error", err)
		return &problem{status: http.StatusServiceUnavailable, code: codeUnavailable, retryAfter: 5 * time.Second, why: s.databaseReason(err)}
	}
	incident := incidentID()
	s.log.Error("request failed", "incident", incident, "method", c.Request().Method, "path", c.Path(), "error", err)
	return &problem{
		status: http.StatusInternalServerError, code: codeInternal, why: reason.New(reason.APIInternal, "incident", incident),
	}
}

// databaseReason says what is known of a database that did not do what it was asked for.
func (s *Server) databaseReason(err error) reason.Reason {
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "53100" {
		return reason.New(reason.APIDatabaseFull)
	}
	if down := s.databaseDown(); down != nil {
		return reason.New(reason.APIDatabaseAwaySince, "since", instant(down.Since))
	}
	return reason.New(reason.APIDatabaseAway)
}

func fromFramework(e *echo.HTTPError, c echo.Context) *problem {
	switch e.Code {
	case http.StatusNotFound:
		return &problem{status: e.Code, code: codeNotFound, why: reason.New(reason.APINoPath, "path", quoted(fmt.Sprintf("%.200s", c.Request().URL.Path)))}
	case http.StatusMethodNotAllowed:
		return &problem{status: e.Code, code: codeMethod, why: reason.New(reason.APIMethod, "method", fmt.Sprintf("%.20s", c.Request().Method), "allowed", c.Response().Header().Get("Allow"))}
	}
	return &problem{status: http.StatusBadRequest, code: codeInvalid, why: reason.New(reason.APIRefused, "text", fmt.Sprint(e.Message))}
}

// databaseIsAway tells a database that cannot be reached, is starting or stopping, or takes too long, from one that
// refused a query.
func databaseIsAway(err error) bool {
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return true
	}
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		switch refused.Code[:min(2, len(refused.Code))] {
		// Connection exceptions, out of resources, operator intervention (shutdown, statement timeout), lock timeout.
		case "08", "53", "57", "55":
			return true
		}
		return false
	}
	return pgconn.SafeToRetry(err) || pgconn.Timeout(err) || isNetworkError(err)
}

func incidentID() string {
	var raw [4]byte
	_, _ = rand.Read(raw[:]) // never fails
	return hex.EncodeToString(raw[:])
}
