package bilibili

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Call names what a request asks for, so that faults and logs need not know paths.
type Call string

// The calls that the simulator answers.
const (
	CallProbe      Call = "probe"       // list of candidate lines
	CallLineProbe  Call = "line_probe"  // one line's /OK
	CallPreupload  Call = "preupload"   // permission to send one file
	CallInit       Call = "init"        // start of a multi-part upload
	CallPart       Call = "part"        // one chunk
	CallComplete   Call = "complete"    // end of a multi-part upload
	CallBlock      Call = "mkblk"       // one block, to Qiniu
	CallMakeFile   Call = "mkfile"      // end of an upload to Qiniu
	CallFetch      Call = "fetch"       // the service takes a file over from Qiniu
	CallObject     Call = "object"      // HEAD or GET of a stored file
	CallSubmit     Call = "submit"      // a new archive
	CallEdit       Call = "edit"        // change of an archive
	CallList       Call = "list"        // an account's archives
	CallView       Call = "view"        // one archive
	CallTokenInfo  Call = "token_info"  // check of a token
	CallRefresh    Call = "refresh"     // new session for an old token
	CallQRCode     Call = "qr_code"     // new QR login
	CallQRPoll     Call = "qr_poll"     // its state
	CallQRConfirm  Call = "qr_confirm"  // confirmed by a web session
	CallMyInfo     Call = "myinfo"      // who am I
	CallNav        Call = "nav"         // am I logged in
	CallCover      Call = "cover"       // upload of a cover
	CallArchivePre Call = "archive_pre" // categories
	CallTagCheck   Call = "tag_check"   // is a tag allowed
	CallPublicView Call = "public_view" // an archive as visitors see it
	CallOther      Call = "other"       // anything else
)

// route is how one path is answered.
type route struct {
	method string // "": any
	call   Call
	// handle runs with the state locked, with the whole body in x.body.
	handle func(*exchange) *answer
	// stream runs unlocked and reads the body itself; set instead of handle.
	stream func(*exchange) *answer
}

// exchange is one request on its way through the simulator.
type exchange struct {
	s     *Server
	r     *http.Request
	query url.Values
	body  []byte // of calls that are not streamed
	log   *Request

	host   string  // the line whose listener it came in on; "" is the main one
	object *object // of storage calls, when the path names a known one
	part   int     // of CallPart
	edits  []Action

	violations []Violation // what has to be refused; logged when the request is finished
}

// answer is what goes back.
type answer struct {
	status int
	header http.Header
	body   []byte
	file   func(w http.ResponseWriter, r *http.Request) // instead of status and body
}

// smallBody is more than any JSON or form body needs; a cover is the largest.
const smallBody = 32 << 20

var errReset = errors.New("connection reset by a fault")

// serve takes a request from the listener of a line ("" is the main one) to its answer.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, host string) {
	if !s.admit() {
		panic(http.ErrAbortHandler)
	}
	defer s.handling.Done()
	if strings.HasPrefix(r.URL.Path, inspectPrefix) || r.URL.Path == "/" {
		s.inspect(w, r)
		return
	}
	x := &exchange{s: s, r: r, query: r.URL.Query(), host: host}
	to, plan := s.begin(x)
	a, reset := x.run(to, plan)
	s.finish(x, a, reset)
	if reset {
		resetConnection(w)
		return
	}
	x.write(w, a)
}

// admit counts a request in, unless the simulator is closing.
func (s *Server) admit() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	s.handling.Add(1)
	return true
}

// begin routes and logs a request, counts it in and picks the faults that apply.
func (s *Server) begin(x *exchange) (route, plan) {
	var to route
	var p plan
	s.update(func(st *state) {
		to = s.route(x)
		x.log = st.logRequest(x, to.call, s.now(), s.options.RequestLog)
		st.enter(x)
		p = st.plan(x)
	})
	return to, p
}

// finish counts a request out and records what became of it, before the client can see the answer and ask again.
func (s *Server) finish(x *exchange, a *answer, reset bool) {
	s.update(func(st *state) {
		st.leave(x)
		x.log.Done, x.log.Reset = true, reset
		if a != nil && !reset {
			x.log.Status = a.status
		}
		for _, v := range x.violations {
			v.Time, v.Request, v.Method, v.URL = x.log.Time, x.log.Number, x.log.Method, x.r.URL.String()
			x.log.Violations = append(x.log.Violations, v)
			st.violations = append(st.violations, v)
			s.options.Logger.Warn("a client departed from the protocol", "violation", v)
		}
	})
}

// run applies faults around the real work. The answer is nil when the connection has to be reset without one.
func (x *exchange) run(to route, p plan) (a *answer, reset bool) {
	if !p.before() {
		return nil, true
	}
	if to.stream != nil && x.r.ContentLength != 0 {
		x.r.Body = p.body(x.r.Body)
	} else if !x.readAll(p) {
		return nil, true
	}
	if a = p.instead(); a == nil {
		a = x.work(to)
	}
	if p.failed() || a == nil {
		return nil, true
	}
	if _, err := io.Copy(io.Discard, x.r.Body); err != nil && p.failed() {
		return nil, true // the body was not wanted, but its reading was to be cut
	}
	return p.after(x, a)
}

// readAll takes in the body of a call that is not streamed. A stall comes after that, whatever its mark: only then is a
// client noticed that does not want to wait.
func (x *exchange) readAll(p plan) bool {
	body := io.Reader(x.r.Body)
	if !p.does(DoStall) {
		body = p.body(x.r.Body)
	}
	var err error
	if x.body, err = io.ReadAll(io.LimitReader(body, smallBody)); err != nil {
		return false
	}
	return !p.does(DoStall) || p.hold() == nil
}

func (x *exchange) work(to route) (a *answer) {
	switch {
	case to.method != "" && to.method != x.r.Method:
		x.check(false, RuleUnknownCall, "%s %s: this call wants %s", x.r.Method, x.r.URL.Path, to.method)
		return text(http.StatusMethodNotAllowed, "")
	case to.stream != nil:
		return to.stream(x)
	}
	x.s.update(func(*state) { a = to.handle(x) })
	return a
}

// write sends an answer with the edits of faults applied.
func (x *exchange) write(w http.ResponseWriter, a *answer) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	if a.file != nil {
		a.file(w, x.r)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	if length := a.header.Get("Content-Length"); length != "" && x.r.Method == http.MethodHead {
		w.Header().Set("Content-Length", length)
	}
	w.WriteHeader(a.status)
	if x.r.Method != http.MethodHead {
		w.Write(a.body) // a client that went away is its own business
	}
}

// resetConnection drops a connection the way a crashed middle box does: with RST, not with an orderly end.
func resetConnection(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // without it the client sees an orderly end, which tests notice
	}
	conn.Close()
}

// check reports whether a condition holds. When it does not, the deviation is recorded and the request has to be refused,
// unless the mode forgives it.
func (x *exchange) check(holds bool, rule Rule, format string, args ...any) bool {
	if holds || (x.s.options.Mode == Lenient && !rule.live()) {
		return true
	}
	x.violations = append(x.violations, Violation{Rule: rule, Detail: fmt.Sprintf(format, args...)})
	return false
}

// refused reports whether a deviation was found that has to be refused.
func (x *exchange) refused() bool { return len(x.violations) > 0 }

// only records every query parameter that is sent more than once: which of them counts is anybody's guess.
func (x *exchange) only(parameters url.Values) {
	for name, values := range parameters {
		x.check(len(values) == 1, RuleRepeated, "parameter %s is sent %d times", name, len(values))
	}
}

// form parses a form-encoded body.
func (x *exchange) form() url.Values {
	kind := x.r.Header.Get("Content-Type")
	x.check(strings.HasPrefix(kind, "application/x-www-form-urlencoded"), RuleContentType, "Content-Type is %q, a form was expected", kind)
	values, err := url.ParseQuery(string(x.body))
	x.check(err == nil, RuleBody, "body is not a form: %v", err)
	return values
}

func jsonAnswer(status int, body any) *answer {
	encoded, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("encode an answer: %v", err)) // all answers are made of maps, slices and numbers
	}
	return &answer{status: status, body: encoded, header: http.Header{"Content-Type": {"application/json; charset=utf-8"}}}
}

func text(status int, body string) *answer {
	return &answer{status: status, body: []byte(body), header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}}}
}

// success is the envelope of the creator, account and passport roles.
func success(data any) *answer {
	return jsonAnswer(http.StatusOK, map[string]any{"code": 0, "message": "0", "ttl": 1, "data": data})
}

// failure is the same for a business error. The reasons found in the request are put behind the message for the reader of
// a client's log.
func (x *exchange) failure(code int, message string) *answer {
	return jsonAnswer(http.StatusOK, map[string]any{"code": code, "message": x.explain(message), "ttl": 1})
}

// uposFailure is the error of the preupload and storage calls.
func (x *exchange) uposFailure(status, code int, message string) *answer {
	return jsonAnswer(status, map[string]any{"OK": 0, "code": code, "message": x.explain(message)})
}

func (x *exchange) explain(message string) string {
	for _, v := range x.violations {
		message += "; " + v.Detail
	}
	return message
}

// decodeJSON keeps numbers as they were written.
func decodeJSON(body []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return errors.New("more than one JSON value")
	}
	return nil
}

// route finds who answers a request.
func (s *Server) route(x *exchange) route {
	path := x.r.URL.Path
	if to, ok := s.routes[path]; ok {
		return to
	}
	switch {
	case path == "/preupload":
		return s.routePreupload(x)
	case path == "/OK":
		return route{call: CallLineProbe, handle: (*exchange).lineProbe}
	case strings.HasPrefix(path, mkblkPath), strings.HasPrefix(path, mkfilePath):
		return s.routeKodo(x)
	case slices.ContainsFunc(buckets, func(bucket string) bool { return strings.HasPrefix(path, "/"+bucket+"/") }):
		return s.routeStorage(x)
	}
	return route{call: CallOther, handle: func(x *exchange) *answer {
		x.check(false, RuleUnknownCall, "%s %s is not a call of the service", x.r.Method, path)
		return text(http.StatusNotFound, "404 page not found")
	}}
}

func (s *Server) routeTable() map[string]route {
	return map[string]route{
		"/x/vu/app/edit/full":                    {"POST", CallEdit, (*exchange).appEdit, nil},
		"/x/vu/mvp/add":                          {"POST", CallSubmit, (*exchange).bcutAdd, nil},
		"/x/vu/mvp/pc/add":                       {"POST", CallSubmit, (*exchange).webAdd, nil},
		"/x/vu/web/add":                          {"POST", CallSubmit, (*exchange).webAdd, nil},
		"/x/vu/web/add/v3":                       {"POST", CallSubmit, (*exchange).webAddV3, nil},
		"/x/vu/web/edit":                         {"POST", CallEdit, (*exchange).webEdit, nil},
		"/x/vu/client/add":                       {"POST", CallSubmit, (*exchange).clientAdd, nil},
		"/x/geetest/pre/add":                     {"GET", CallOther, (*exchange).preAdd, nil},
		"/x/vupre/web/topic/tag/check":           {"GET", CallTagCheck, (*exchange).tagCheck, nil},
		"/x/web-interface/view":                  {"GET", CallPublicView, (*exchange).publicView, nil},
		"/x/passport-tv-login/h5/qrcode/confirm": {"POST", CallQRConfirm, (*exchange).qrConfirm, nil},
		"/x/vu/app/add":                          {"POST", CallSubmit, (*exchange).appAdd, nil},
		"/x/web/archives":                        {"GET", CallList, (*exchange).list, nil},
		"/x/client/archive/view":                 {"GET", CallView, (*exchange).clientView, nil},
		"/x/vupre/web/archive/view":              {"GET", CallView, (*exchange).webView, nil},
		"/x/vu/web/cover/up":                     {"POST", CallCover, (*exchange).coverUp, nil},
		"/x/vupre/web/archive/pre":               {"GET", CallArchivePre, (*exchange).archivePre, nil},
		"/x/space/myinfo":                        {"GET", CallMyInfo, (*exchange).myInfo, nil},
		"/x/web-interface/nav":                   {"GET", CallNav, (*exchange).nav, nil},
		"/x/passport-login/oauth2/info":          {"GET", CallTokenInfo, (*exchange).tokenInfo, nil},
		"/x/passport-login/oauth2/refresh_token": {"POST", CallRefresh, (*exchange).refreshToken, nil},
		"/x/passport-tv-login/qrcode/auth_code":  {"POST", CallQRCode, (*exchange).qrCode, nil},
		"/x/passport-tv-login/qrcode/poll":       {"POST", CallQRPoll, (*exchange).qrPoll, nil},
		facePath:                                 {"GET", CallOther, (*exchange).face, nil},
	}
}
