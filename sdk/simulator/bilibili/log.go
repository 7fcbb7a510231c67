package bilibili

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"
)

// Rule names what a request got wrong.
type Rule string

// The rules. Those marked live are refused by the real service as well, hence also in Lenient mode.
const (
	RuleUnknownCall   Rule = "call.unknown"         // live: path or method that does not exist
	RuleRepeated      Rule = "parameter.repeated"   // a parameter is sent more than once
	RuleContentType   Rule = "content_type"         // missing or wrong Content-Type
	RuleBody          Rule = "body"                 // live: body that cannot be decoded, or a body where none belongs
	RuleCookie        Rule = "cookie"               // live: session cookies missing or of different sessions
	RuleUserAgent     Rule = "user_agent"           // User-Agent that gives the program away
	RuleCSRF          Rule = "csrf"                 // live: csrf is not bili_jct
	RuleSign          Rule = "sign"                 // live: appkey, sign, ts or parameters of a signed call
	RulePlatformKey   Rule = "sign.platform"        // live: key pair of another platform than the token's
	RuleProbeBody     Rule = "probe.body"           // line measured with a body of the wrong size
	RulePreupload     Rule = "preupload"            // live: parameters of preupload
	RuleAuth          Rule = "upos.auth"            // live: X-Upos-Auth missing, unknown or of another object
	RuleHost          Rule = "upos.host"            // other storage host than offered, or changed after init
	RuleInit          Rule = "upos.init"            // parameters of init
	RuleUploadID      Rule = "upos.upload_id"       // live: upload id that was never given for this object
	RulePartNumbers   Rule = "upos.part.numbers"    // numbers of a chunk that do not add up
	RulePartLength    Rule = "upos.part.length"     // live: body is not as long as announced
	RuleParallel      Rule = "upos.part.parallel"   // too many chunks of one file at once
	RuleCompleted     Rule = "upos.completed"       // call for a file that is complete
	RuleComplete      Rule = "upos.complete"        // parameters of complete
	RuleParts         Rule = "upos.complete.parts"  // part list unsorted, incomplete or of the wrong types
	RuleMissingPart   Rule = "upos.complete.stored" // complete although a part never arrived
	RuleSubmission    Rule = "submit"               // live: field of a submission that the service refuses
	RuleSubmitRequest Rule = "submit.request"       // query, headers or cookies of a submission
	RuleEdit          Rule = "edit"                 // edit that does not send back what the view of the archive showed
	RuleToken         Rule = "kodo.token"           // live: upload token missing, unknown, or sent with what is none of Qiniu's business
	RuleBlock         Rule = "kodo.block"           // live: block of a length that the file does not have
	RuleContexts      Rule = "kodo.mkfile.blocks"   // live: blocks missing, repeated, unknown or of the wrong lengths
	RuleMakeFile      Rule = "kodo.mkfile"          // live: size or key of mkfile
	RuleFetch         Rule = "kodo.fetch"           // live: headers or parameters of a fetch
	RuleUnknownFile   Rule = "submit.file"          // live: part that was not uploaded, not completed or not by this account
)

// live reports whether the real service refuses it too.
func (r Rule) live() bool {
	switch r {
	case RuleRepeated, RuleContentType, RuleUserAgent, RuleProbeBody, RuleHost, RuleInit, RulePartNumbers, RuleParallel,
		RuleCompleted, RuleComplete, RuleParts, RuleMissingPart, RuleSubmitRequest, RuleEdit:
		return false
	}
	return true
}

// Violation is one departure from the protocol.
type Violation struct {
	Rule    Rule      `json:"rule"`
	Detail  string    `json:"detail"`
	Time    time.Time `json:"time"`
	Request int       `json:"request"` // number of the request
	Method  string    `json:"method"`
	URL     string    `json:"url"`
}

func (v Violation) String() string {
	return fmt.Sprintf("%s: %s (request %d: %s %s)", v.Rule, v.Detail, v.Request, v.Method, v.URL)
}

// Request is one logged request. Cookies and bodies are not kept.
type Request struct {
	Number    int        `json:"number"`
	Time      time.Time  `json:"time"`
	Call      Call       `json:"call"`
	Method    string     `json:"method"`
	Host      string     `json:"host"`
	Path      string     `json:"path"`
	Query     url.Values `json:"query"`
	UserAgent string     `json:"user_agent"`
	// Line is the upload line the request belongs to, when it belongs to one.
	Line string `json:"line,omitempty"`
	// Part is the chunk's number, from 1.
	Part int `json:"part,omitempty"`
	// Attempt counts the requests for the same call, path and part, from 1.
	Attempt int `json:"attempt"`
	// MID is the account it was made for, 0 when that is unknown.
	MID int64 `json:"mid,omitempty"`
	// Faults lists the fault rules that were applied.
	Faults []FaultID `json:"faults,omitempty"`
	// Done is set once an answer was found, Reset when none was sent. Status is then the HTTP status, else 0.
	Done   bool `json:"done"`
	Reset  bool `json:"reset"`
	Status int  `json:"status"`

	Violations []Violation `json:"violations,omitempty"`
}

func (st *state) logRequest(x *exchange, call Call, now time.Time, keep int) *Request {
	entry := &Request{
		Number: st.nextRequest, Time: now, Call: call, Method: x.r.Method, Host: x.r.Host, Path: x.r.URL.Path,
		Query: x.query, UserAgent: x.r.UserAgent(), Part: x.part, Line: x.line(), MID: st.mid(x),
	}
	st.nextRequest++
	key := string(call) + " " + entry.Method + " " + entry.Path + " " + strconv.Itoa(x.part)
	st.attempts[key]++
	entry.Attempt = st.attempts[key]
	st.requests = append(st.requests, entry)
	if len(st.requests) > keep {
		st.requests = append([]*Request(nil), st.requests[len(st.requests)-keep/2:]...)
	}
	return entry
}

// line is the one whose bytes these are, whatever listener they came in on.
func (x *exchange) line() string {
	switch {
	case x.object != nil:
		return x.object.line
	case x.query.Get("upcdn") != "":
		return x.query.Get("upcdn")
	case x.query.Get("r") == KodoLine:
		return KodoLine
	case x.query.Get("line") != "":
		return x.query.Get("line")
	}
	return x.host
}

// mid guesses whose request it is, for the log and for matching faults; it proves nothing.
func (st *state) mid(x *exchange) int64 {
	if x.object != nil {
		return x.object.mid
	}
	session, token := x.cookie("SESSDATA"), x.query.Get("access_key")
	for _, a := range st.accounts {
		if (session != "" && a.Cookies["SESSDATA"] == session) || (token != "" && a.AccessToken == token) {
			return a.MID
		}
	}
	return 0
}

// enter counts a request among those under way, leave counts it out again. Only chunks and lists are counted: a chunk
// that is sent again while its first attempt still hangs is one and the same.
func (st *state) enter(x *exchange) {
	group, member, ok := x.parallel()
	if !ok {
		return
	}
	if st.inFlight[group] == nil {
		st.inFlight[group] = map[string]int{}
	}
	st.inFlight[group][member]++
}

func (st *state) leave(x *exchange) {
	group, member, ok := x.parallel()
	if !ok || st.inFlight[group] == nil { // forgotten by Reset
		return
	}
	if st.inFlight[group][member]--; st.inFlight[group][member] <= 0 {
		delete(st.inFlight[group], member)
	}
	if len(st.inFlight[group]) == 0 {
		delete(st.inFlight, group)
	}
}

func (x *exchange) parallel() (group, member string, ok bool) {
	switch x.log.Call {
	case CallPart:
		return "part " + x.r.URL.Path, strconv.Itoa(x.part), true
	case CallBlock: // what does not say of which file it is is refused anyway
		if x.object == nil {
			return "", "", false
		}
		return x.blockGroup(), strconv.Itoa(x.log.Number), true
	case CallList:
		return "list " + strconv.FormatInt(x.log.MID, 10), strconv.Itoa(x.log.Number), true
	}
	return "", "", false
}

// Requests lists the logged requests in the order they came in.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Request, len(s.state.requests))
	for i, r := range s.state.requests {
		out[i] = *r
		out[i].Violations = append([]Violation(nil), r.Violations...)
	}
	return out
}

// Violations lists every departure from the protocol so far.
func (s *Server) Violations() []Violation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Violation(nil), s.state.violations...)
}

// ClearLog forgets the logged requests and violations.
func (s *Server) ClearLog() {
	s.update(func(st *state) { st.requests, st.violations = nil, nil })
}

// RequireNoViolations fails a test for every departure from the protocol so far.
func (s *Server) RequireNoViolations(t TB) {
	t.Helper()
	for _, v := range s.Violations() {
		t.Errorf("the client departed from the protocol: %v", v)
	}
}

// Wait blocks until a condition on the simulator holds. The condition is looked at after every change, without a lock, so
// it may call any method.
func (s *Server) Wait(ctx context.Context, condition func() bool) error {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if condition() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for the simulated bilibili: %w", context.Cause(ctx))
		case <-s.ctx.Done():
			return fmt.Errorf("wait for the simulated bilibili: %w", errClosed)
		}
	}
}

// WaitRequests blocks until at least n finished requests match, and returns them.
func (s *Server) WaitRequests(ctx context.Context, match Match, n int) ([]Request, error) {
	var found []Request
	err := s.Wait(ctx, func() bool {
		found = nil
		for _, r := range s.Requests() {
			if r.Done && match.matches(&r) {
				found = append(found, r)
			}
		}
		return len(found) >= n
	})
	return found, err
}
