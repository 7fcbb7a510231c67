package bililive

import (
	"crypto/md5"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// rules of one call.
type rules struct {
	required, optional []string
	signed             bool // must be
	repeated           bool // parameters may come more than once
	free               bool // no visitor id, no Referer needed
	handle             func(*exchange)
}

// exchange is one request that passed its checks.
type exchange struct {
	w     http.ResponseWriter
	r     *http.Request
	query url.Values
	login bool
}

func (x *exchange) number(name string) int64 {
	n, err := strconv.ParseInt(x.query.Get(name), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

func (s *Server) violate(r *http.Request, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.violations = append(s.violations, Violation{Call: r.Method + " " + r.URL.Path, Detail: fmt.Sprintf(format, args...)})
}

// admit checks a request by the rules of its call, and answers it when it does not pass.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, call rules) (*exchange, bool) {
	x := &exchange{w: w, r: r}
	if r.Method != http.MethodGet {
		s.violate(r, "method %s", r.Method)
		answerCode(w, -405)
		return nil, false
	}
	var err error
	if x.query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		s.violate(r, "query cannot be read: %v", err)
		answerCode(w, -400)
		return nil, false
	}
	if problem := parameters(x.query, call); problem != "" {
		s.violate(r, "%s", problem)
		answerCode(w, -400)
		return nil, false
	}
	if problem := s.visitor(r, call); problem != "" {
		s.violate(r, "%s", problem)
		answerRisk(w)
		return nil, false
	}
	if problem := s.signature(r.URL.RawQuery, x.query, call); problem != "" {
		s.violate(r, "%s", problem)
		answerRisk(w)
		return nil, false
	}
	if c, err := r.Cookie("SESSDATA"); err == nil {
		s.mu.Lock()
		x.login = s.logins[c.Value]
		s.mu.Unlock()
		if !x.login {
			answerCode(w, -101) // not recorded: a client cannot know that a login ended
			return nil, false
		}
	}
	return x, true
}

func parameters(query url.Values, call rules) string {
	for _, name := range call.required {
		if query.Get(name) == "" {
			return "parameter " + name + " is missing"
		}
	}
	for name, values := range query {
		known := slices.Contains(call.required, name) || slices.Contains(call.optional, name) || name == "wts" || name == "w_rid"
		if !known {
			return "parameter " + name + " does not exist"
		}
		if len(values) > 1 && !call.repeated {
			return "parameter " + name + " is repeated"
		}
	}
	return ""
}

func (s *Server) visitor(r *http.Request, call rules) string {
	agent := r.UserAgent()
	if !strings.HasPrefix(agent, "Mozilla/5.0 ") {
		return "User-Agent of a program"
	}
	if call.free {
		return ""
	}
	if !strings.HasPrefix(r.Referer(), "https://live.bilibili.com/") {
		return "no Referer of live.bilibili.com"
	}
	if c, err := r.Cookie("buvid3"); err != nil || !strings.HasSuffix(c.Value, "infoc") {
		return "no visitor id in cookie buvid3"
	}
	return ""
}

// positions of the characters that make the key, from both published keys one after the other.
const positions = "46,47,18,2,53,8,23,32,15,50,10,31,58,3,45,35,27,43,5,49,33,9,42,19,29,28,14,39,12,38,41,13"

func signingKey(img, sub string) string {
	both := img + sub
	var key strings.Builder
	for field := range strings.SplitSeq(positions, ",") {
		at, err := strconv.Atoi(field)
		if err != nil || at >= len(both) {
			return ""
		}
		key.WriteByte(both[at])
	}
	return key.String()
}

// signature checks the text that was sent, not what it means: order and escapes are part of it.
func (s *Server) signature(raw string, query url.Values, call rules) string {
	given := query.Get("w_rid")
	if given == "" {
		if call.signed {
			return "no signature"
		}
		return ""
	}
	signed, last, ok := strings.Cut(raw, "&w_rid=")
	if !ok || last != given {
		return "w_rid is not the last parameter"
	}
	if parts := strings.Split(signed, "&"); !sort.StringsAreSorted(parts) {
		return "signed parameters are not sorted"
	}
	if strings.ContainsAny(signed, "!'()*+") {
		return "signed parameters hold characters that have to be removed or escaped"
	}
	s.mu.Lock()
	key := signingKey(s.img, s.sub)
	s.mu.Unlock()
	if want := fmt.Sprintf("%x", md5.Sum([]byte(signed+key))); want != given {
		return "the signature is wrong"
	}
	seconds, err := strconv.ParseInt(query.Get("wts"), 10, 64)
	if err != nil {
		return "wts is no time"
	}
	if age := s.options.Now().Sub(time.Unix(seconds, 0)); age.Abs() > s.options.SignatureAge {
		return "the signature is " + age.String() + " old"
	}
	return ""
}
