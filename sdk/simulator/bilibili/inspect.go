package bilibili

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// inspectPrefix is where other processes read and steer the simulator.
const inspectPrefix = "/_sim/"

// longPoll is the longest that ?wait= may take.
const longPoll = 10 * time.Minute

// inspect answers the calls below /_sim/. They are neither logged nor hit by faults.
func (s *Server) inspect(w http.ResponseWriter, r *http.Request) {
	mux := http.NewServeMux()
	for pattern, handle := range map[string]func(*http.Request) (any, error){
		"GET /{$}":                         s.inspectIndex,
		"GET /_sim/{$}":                    s.inspectIndex,
		"GET /_sim/accounts":               func(*http.Request) (any, error) { return s.Accounts(), nil },
		"POST /_sim/accounts":              s.inspectAddAccount,
		"GET /_sim/accounts/{mid}/cookies": s.inspectCookies,
		"POST /_sim/accounts/{mid}/{what}": s.inspectChangeAccount,
		"GET /_sim/objects":                s.inspectObjects,
		"GET /_sim/archives":               s.inspectArchives,
		"POST /_sim/archives/{aid}/state":  s.inspectArchiveState,
		"POST /_sim/archives/clock":        s.inspectArchiveClock,
		"POST /_sim/archives/lag":          s.inspectListLag,
		"GET /_sim/fates":                  func(*http.Request) (any, error) { return s.Fates(), nil },
		"POST /_sim/fates":                 s.inspectAddFate,
		"DELETE /_sim/fates":               func(*http.Request) (any, error) { s.ClearFates(); return done, nil },
		"GET /_sim/submits":                func(*http.Request) (any, error) { return s.Submits(), nil },
		"GET /_sim/covers":                 func(*http.Request) (any, error) { return s.Covers(), nil },
		"GET /_sim/requests":               func(*http.Request) (any, error) { return s.Requests(), nil },
		"DELETE /_sim/requests":            func(*http.Request) (any, error) { s.ClearLog(); return done, nil },
		"GET /_sim/violations":             s.inspectViolations,
		"DELETE /_sim/violations":          func(*http.Request) (any, error) { s.ClearLog(); return done, nil },
		"GET /_sim/faults":                 func(*http.Request) (any, error) { return s.Faults(), nil },
		"POST /_sim/faults":                s.inspectAddFault,
		"DELETE /_sim/faults":              func(*http.Request) (any, error) { s.ClearFaults(); return done, nil },
		"DELETE /_sim/faults/{id}":         s.inspectFault(s.RemoveFault),
		"POST /_sim/faults/{id}/release":   s.inspectFault(s.ReleaseFault),
		"GET /_sim/clock":                  func(*http.Request) (any, error) { return s.inspectNow(), nil },
		"POST /_sim/clock":                 s.inspectAdvance,
		"GET /_sim/qr":                     func(*http.Request) (any, error) { return s.QRLogins(), nil },
		"POST /_sim/qr":                    s.inspectQR,
		"POST /_sim/uploads/expire":        func(*http.Request) (any, error) { s.ExpireUploads(); return done, nil },
		"POST /_sim/reset":                 func(*http.Request) (any, error) { s.Reset(); return done, nil },
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { writeInspected(w, r, handle) })
	}
	mux.HandleFunc("GET /_sim/objects/{name}/data", s.inspectData)
	mux.ServeHTTP(w, r)
}

var done = map[string]any{"ok": true}

// notFoundError is answered with 404 instead of 400.
type notFoundError struct{ error }

func writeInspected(w http.ResponseWriter, r *http.Request, handle func(*http.Request) (any, error)) {
	status := http.StatusOK
	value, err := handle(r)
	if err != nil {
		status = http.StatusBadRequest
		switch notFound := (notFoundError{}); {
		case errors.As(err, &notFound):
			status = http.StatusNotFound
		case errors.Is(err, context.DeadlineExceeded):
			status = http.StatusRequestTimeout
		}
		value = map[string]any{"error": err.Error()}
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(value) // a client that went away is its own business
}

func (s *Server) inspectIndex(*http.Request) (any, error) {
	lines := map[string]string{}
	for _, line := range s.options.Lines {
		lines[line] = s.LineURL(line)
	}
	return map[string]any{
		"service": "simulated bilibili", "mode": s.options.Mode, "url": s.URL(), "lines": lines, "probe_lines": s.options.ProbeLines,
		"now": s.Now(),
	}, nil
}

// body decodes the request's JSON body and refuses fields that do not exist; no body at all leaves the value alone.
func inspectBody(r *http.Request, into any) error {
	decoder := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 1<<20))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("body: %w", err)
	}
	return nil
}

func (s *Server) inspectAddAccount(r *http.Request) (any, error) {
	var options AccountOptions
	if err := inspectBody(r, &options); err != nil {
		return nil, err
	}
	a := s.AddAccount(options)
	return map[string]any{"account": a, "cookie_file": a.CookieFile()}, nil
}

func (s *Server) inspectAccount(r *http.Request) (Account, error) {
	mid, err := strconv.ParseInt(r.PathValue("mid"), 10, 64)
	if err != nil {
		return Account{}, fmt.Errorf("account %q is not a number", r.PathValue("mid"))
	}
	a, ok := s.Account(mid)
	if !ok {
		return a, notFoundError{fmt.Errorf("there is no account %d", mid)}
	}
	return a, nil
}

func (s *Server) inspectCookies(r *http.Request) (any, error) {
	a, err := s.inspectAccount(r)
	if err != nil {
		return nil, err
	}
	return a.CookieFile(), nil
}

func (s *Server) inspectChangeAccount(r *http.Request) (any, error) {
	a, err := s.inspectAccount(r)
	if err != nil {
		return nil, err
	}
	switch what := r.PathValue("what"); what {
	case "revoke":
		s.Revoke(a.MID)
	case "require_refresh":
		s.RequireRefresh(a.MID)
	default:
		return nil, notFoundError{fmt.Errorf("%q is not known: use revoke or require_refresh", what)}
	}
	a, _ = s.Account(a.MID)
	return a, nil
}

// inspectObject adds the hash, which the Go API leaves to an extra call as it takes a while for a large file.
type inspectObject struct {
	Object
	SHA256 string `json:"sha256,omitempty"`
}

func (s *Server) inspectObjects(r *http.Request) (any, error) {
	err := waitFor(r, func(ctx context.Context, n int) error {
		_, err := s.WaitObjects(ctx, n)
		return err
	})
	out := []inspectObject{}
	for _, o := range s.Objects() {
		entry := inspectObject{Object: o}
		if o.Complete {
			entry.SHA256, _ = s.SHA256(o.Name) // empty when the simulator was reset meanwhile
		}
		out = append(out, entry)
	}
	return out, err
}

func (s *Server) inspectData(w http.ResponseWriter, r *http.Request) {
	content, err := s.Open(r.PathValue("name"))
	if err != nil {
		writeInspected(w, r, func(*http.Request) (any, error) { return nil, notFoundError{err} })
		return
	}
	defer content.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = io.Copy(w, content) // a client that went away is its own business
}

func (s *Server) inspectArchives(r *http.Request) (any, error) {
	err := waitFor(r, func(ctx context.Context, n int) error {
		_, err := s.WaitArchives(ctx, n)
		return err
	})
	return s.Archives(), err
}

// waitFor holds a call with ?wait=n back until so many exist, for at most ?timeout= (a Go duration, default 30s).
func waitFor(r *http.Request, wait func(context.Context, int) error) error {
	text := r.URL.Query().Get("wait")
	if text == "" {
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("wait %q is not a number", text)
	}
	timeout := 30 * time.Second
	if text := r.URL.Query().Get("timeout"); text != "" {
		if timeout, err = time.ParseDuration(text); err != nil {
			return fmt.Errorf("timeout: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), min(timeout, longPoll))
	defer cancel()
	return wait(ctx, n)
}

func (s *Server) inspectViolations(*http.Request) (any, error) {
	return append([]Violation{}, s.Violations()...), nil
}

// inspectAddFault takes a whole fault; or the name of a ready-made one, or the code of a business error (with "made": although
// the archive was made), on which the other fields are laid.
func (s *Server) inspectAddFault(r *http.Request) (any, error) {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	var asked struct {
		Name string `json:"name"`
		Code int    `json:"code"`
		Made bool   `json:"made"`
		Fault
	}
	if err := json.Unmarshal(body, &asked); err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	switch {
	case asked.Name != "":
		asked.Fault, err = NamedFault(asked.Name)
	case asked.Code != 0 && asked.Made:
		asked.Fault = CodeButMade(asked.Code)
	case asked.Code != 0:
		asked.Fault = Code(asked.Code)
	}
	if err == nil {
		err = json.Unmarshal(body, &asked)
	}
	if err != nil {
		return nil, err
	}
	id, err := s.addFault(asked.Fault)
	if err != nil {
		return nil, err
	}
	return ActiveFault{ID: id, Fault: asked.Fault}, nil
}

func (s *Server) inspectFault(do func(FaultID)) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		id, err := strconv.Atoi(r.PathValue("id"))
		if err != nil {
			return nil, fmt.Errorf("fault %q is not a number", r.PathValue("id"))
		}
		do(FaultID(id))
		return done, nil
	}
}

func (s *Server) inspectNow() any { return map[string]any{"now": s.Now()} }

func (s *Server) inspectAdvance(r *http.Request) (any, error) {
	var body struct {
		Advance string `json:"advance"`
	}
	if err := inspectBody(r, &body); err != nil {
		return nil, err
	}
	d, err := time.ParseDuration(body.Advance)
	if err != nil {
		return nil, fmt.Errorf("advance: %w", err)
	}
	s.Advance(d)
	return s.inspectNow(), nil
}

func (s *Server) inspectQR(r *http.Request) (any, error) {
	var body struct {
		AuthCode string  `json:"auth_code"`
		State    QRState `json:"state"`
		MID      int64   `json:"mid"`
	}
	if err := inspectBody(r, &body); err != nil {
		return nil, err
	}
	switch body.State {
	case QRPending, QRScanned, QRConfirmed, QRExpired:
		if err := s.moveQR(body.AuthCode, body.State, body.MID); err != nil {
			return nil, notFoundError{err}
		}
		return s.QRLogins(), nil
	}
	return nil, fmt.Errorf("state %q is not known: use pending, scanned, confirmed or expired", body.State)
}
