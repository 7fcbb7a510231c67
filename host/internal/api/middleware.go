package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/labstack/echo/v4"

	"github.com/lubod/lubod/host/internal/logs"
	"github.com/lubod/lubod/host/internal/reason"
)

// observe logs each request when it is over. Queries and bodies are left out: they can hold secrets.
func (s *Server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		start := time.Now()
		if err := next(c); err != nil {
			c.Error(err)
		}
		s.log.Debug("request", "method", c.Request().Method, "path", c.Path(), "status", c.Response().Status,
			"duration", time.Since(start), "remote", c.Request().RemoteAddr)
		return nil
	}
}

// contain keeps a panic to the request that caused it.
func (s *Server) contain(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			r := recover()
			if r == nil {
				return
			}
			if cause, ok := r.(error); ok && errors.Is(cause, http.ErrAbortHandler) {
				panic(r)
			}
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}()
		return next(c)
	}
}

func secureHeaders(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		header := c.Response().Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cache-Control", "no-store")
		return next(c)
	}
}

// limit bounds the time and the size of a request.
func (s *Server) limit(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		timeout := requestTimeout
		if op := s.operations[c.Request().Method+" "+c.Path()]; op != nil {
			timeout = op.timeout
		}
		r := c.Request()
		if !s.isStream(c) {
			ctx, cancel := context.WithTimeout(r.Context(), timeout)
			defer cancel()
			r = r.WithContext(ctx)
		}
		r.Body = http.MaxBytesReader(c.Response(), r.Body, maxBodyBytes)
		c.SetRequest(r)
		return next(c)
	}
}

// refuseForeignOrigin keeps other web sites from using the session of a browser. SameSite cookies do most of it; this
// holds for other ports and names of the same site too, and for requests that need no session.
func (s *Server) refuseForeignOrigin(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if _, bearer := bearerToken(c.Request()); bearer && s.takesToken(c) {
			// No browser adds a token by itself, and identify looks at nothing else then: there is nothing to abuse.
			return next(c)
		}
		r := c.Request()
		if op := s.operations[r.Method+" "+c.Path()]; s.isStream(c) || op != nil && op.endsSession {
			// A WebSocket is no request whose answer a browser keeps from other sites, and a link or a picture of another
			// site is not to log anybody out: they are held to the rule of those that change something.
			r = r.Clone(r.Context())
			r.Method = http.MethodPost
		}
		if err := s.origins.Check(r); err != nil {
			return &problem{status: http.StatusForbidden, code: codeForeignOrigin, why: reason.New(reason.APIForeignOrigin)}
		}
		return next(c)
	}
}

func (s *Server) takesToken(c echo.Context) bool {
	op := s.operations[c.Request().Method+" "+c.Path()]
	return op != nil && op.takesToken
}

// identify finds out who is calling, and refuses those who are not logged in where that is needed.
func (s *Server) identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		op := s.operations[c.Request().Method+" "+c.Path()]
		if op == nil || op.anonymous {
			return next(c)
		}
		ctx, err := s.recognize(c.Request(), op)
		noteCaller(c.Request().Context(), err == nil && callerOf(ctx).userID != 0)
		if err == nil {
			err = s.mayKnock(ctx, op)
		}
		if err != nil {
			return err
		}
		c.SetRequest(c.Request().WithContext(logs.WithActor(ctx, callerOf(ctx).String())))
		return next(c)
	}
}

// recognize finds out who sent a request and whether they may; the context is for its handler.
func (s *Server) recognize(r *http.Request, op *operation) (context.Context, error) {
	who := newCaller(r)
	if token, ok := bearerToken(r); ok {
		if err := s.identifyToken(r, op, who, token); err != nil {
			return nil, err
		}
		return withCaller(r.Context(), who), nil
	}
	ctx, err := s.sessions.load(r, who)
	if err != nil {
		return nil, err
	}
	if !op.public && who.userID == 0 {
		return nil, &problem{status: http.StatusUnauthorized, code: codeUnauthenticated, why: reason.New(reason.APILogIn)}
	}
	return ctx, nil
}

// mayKnock refuses those who are not logged in where an operation is public only at times, before anything of the request is
// looked at.
func (s *Server) mayKnock(ctx context.Context, op *operation) error {
	who := callerOf(ctx)
	if who.userID != 0 {
		return nil
	}
	switch op.route.Operation.OperationID {
	case "registerUser":
		exists, err := s.db.AnyUser(ctx)
		if err == nil && exists {
			err = registrationClosed()
		}
		return err
	case "getQRCode", "loginByQRCode":
		return s.mayUseQR(who)
	}
	return nil
}

// check holds the request against the contract.
func (s *Server) check(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		op := s.operations[c.Request().Method+" "+c.Path()]
		if op == nil {
			return next(c)
		}
		if op.route.Operation.RequestBody != nil {
			if err := readBody(c.Request()); err != nil {
				return err
			}
		} else {
			c.Request().Body = http.NoBody // nobody reads it: whatever it is, it is not wrong
		}
		s.allowTime(c, op.timeout)
		params := make(map[string]string)
		for i, name := range c.ParamNames() {
			params[name] = c.ParamValues()[i]
		}
		err := openapi3filter.ValidateRequest(c.Request().Context(), &openapi3filter.RequestValidationInput{
			Request: c.Request(), PathParams: params, Route: op.route,
			Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, SkipSettingDefaults: true, KeepValidatedValue: true},
		})
		if err != nil {
			return explain(err)
		}
		if body, ok := c.Request().Body.(interface{ ValidatedValue() any }); ok && holdsNUL(body.ValidatedValue()) {
			return invalid("", reason.New(reason.APIBodyNUL))
		}
		if op.route.Operation.RequestBody != nil {
			if err := dropUnknown(c.Request(), op.route.Operation.RequestBody.Value); err != nil {
				return err
			}
		}
		return next(c)
	}
}

// allowTime lets an operation take longer than the connection's limits for reading a request and writing its answer. It
// comes after the body: that one must not take longer. The limit for reading would end the handler's context otherwise.
func (s *Server) allowTime(c echo.Context, timeout time.Duration) {
	if timeout <= requestTimeout {
		return
	}
	until := time.Now().Add(timeout + 30*time.Second)
	connection := http.NewResponseController(c.Response())
	if err := errors.Join(connection.SetReadDeadline(until), connection.SetWriteDeadline(until)); err != nil {
		s.log.Debug("a request cannot be given more time", "path", c.Path(), "error", err)
	}
}

// readBody reads the whole body, so that what is checked is what is used, and makes sure that it is one JSON value.
func readBody(r *http.Request) error {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get(echo.HeaderContentType))
	if err != nil || mediaType != echo.MIMEApplicationJSON {
		return &problem{status: http.StatusUnsupportedMediaType, code: codeMediaType, why: reason.New(reason.APIBodyMediaType)}
	}
	raw, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return &problem{status: http.StatusRequestEntityTooLarge, code: codeTooLarge, why: reason.New(reason.APIBodyTooLarge, "bytes", strconv.Itoa(maxBodyBytes))}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &problem{status: http.StatusRequestTimeout, code: codeTimeout, why: reason.New(reason.APIBodyTimeout)}
	case err != nil:
		return invalid("", reason.New(reason.APIBodyUnreadable))
	case len(bytes.TrimSpace(raw)) == 0:
		return invalid("", reason.New(reason.APIBodyMissing))
	case !utf8.Valid(raw):
		return invalid("", reason.New(reason.APIBodyUTF8))
	}
	var value json.RawMessage
	if err := json.Unmarshal(raw, &value); err != nil {
		return invalid("", reason.New(reason.APIBodyJSON, "cause", strings.TrimPrefix(err.Error(), "json: ")))
	}
	if key, repeated := repeatedKey(raw); repeated {
		return invalid(fmt.Sprintf("%.100s", key), reason.New(reason.APITwice))
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(raw)), int64(len(raw))
	return nil
}

// holdsNUL tells whether a text in a JSON value has the one character that PostgreSQL cannot store.
func holdsNUL(value any) bool {
	switch v := value.(type) {
	case string:
		return strings.ContainsRune(v, 0)
	case []any:
		for _, item := range v {
			if holdsNUL(item) {
				return true
			}
		}
	case map[string]any:
		for key, item := range v {
			if strings.ContainsRune(key, 0) || holdsNUL(item) {
				return true
			}
		}
	}
	return false
}

// dropUnknown leaves of the body what the contract knows.
func dropUnknown(r *http.Request, contract *openapi3.RequestBody) error {
	media := contract.GetMediaType(echo.MIMEApplicationJSON)
	if media == nil || media.Schema == nil {
		return nil
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if raw, err = onlyKnown(raw, media.Schema.Value); err != nil {
		return err
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(raw)), int64(len(raw))
	return nil
}

// bodyBinder decodes the body and nothing else: echo's own binder would also let query parameters set fields.
type bodyBinder struct{}

func (bodyBinder) Bind(target any, c echo.Context) error {
	if err := json.NewDecoder(c.Request().Body).Decode(target); err != nil {
		return explainDecode(err)
	}
	return nil
}
