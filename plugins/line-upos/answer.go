package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"sort"
	"strings"

	"github.com/lubod/lubod/sdk"
)

// envelope is what the answers of the creator centre and of the storage have in common.
type envelope struct {
	OK   scalar `json:"OK"`
	Code scalar `json:"code"`
}

// scalar is a JSON number or string as text: answers quote their numbers at times.
type scalar struct{ json.RawMessage }

func (s scalar) String() string { return string(bytes.Trim(s.RawMessage, `"`)) }

// Codes within an answer, seen in public clients. They count whatever the HTTP status is.
const (
	codeUploadsTooFast    = "601" // also with a captcha voucher that only the official pages can redeem
	codeUploadsTooFastOld = "406"
	codeNotLoggedIn       = "-101"
	codeIntercepted       = "-412"
	codeRiskControl       = "-352"
	codeTooManyCalls      = "-509"
	codeTooManyCallsNew   = "-799"
)

// envelope reads the common part, as far as there is one.
func (a answer) envelope() envelope {
	var e envelope
	if json.Unmarshal(a.body, &e) != nil {
		return envelope{}
	}
	return e
}

// decode fills out from a JSON answer and returns a typed error for everything that is no answer: limits, risk
// control, gateways. what names the step for people. It does not judge 403 and 404, which mean different things in
// different steps.
func (a answer) decode(what string, out any) error {
	if err := a.limited(what, a.envelope()); err != nil {
		return err
	}
	isJSON := a.isJSON()
	switch {
	case a.cut != nil:
		return transientf("%s: the answer broke off: %w", what, a.cut)
	case a.flawed():
		return transientf("%s: HTTP status %d", what, a.status)
	case !isJSON && a.isHTML():
		return &sdk.Error{Kind: sdk.RateLimited, RetryAfter: riskControlPause,
			Message: fmt.Sprintf("%s: bilibili answered with a web page (HTTP status %d), which is how its risk control says no", what, a.status)}
	case !isJSON:
		return sdk.Errorf(sdk.Bug, "%s: unreadable answer with HTTP status %d: %s", what, a.status, a.excerpt())
	}
	if err := json.Unmarshal(a.body, out); err != nil {
		return sdk.Errorf(sdk.Bug, "%s: unexpected answer: %w: %s", what, err, a.excerpt())
	}
	return nil
}

// limited recognises "not now" in all its forms.
func (a answer) limited(what string, e envelope) error {
	code := e.Code.String()
	switch {
	case a.status == http.StatusNotAcceptable, code == codeUploadsTooFast, code == codeUploadsTooFastOld:
		return &sdk.Error{Kind: sdk.RateLimited, RetryAfter: rateLimitPause,
			Message: what + ": bilibili limits the uploads of this account (code 406/601)"}
	case a.status == http.StatusPreconditionFailed, code == codeIntercepted, code == codeRiskControl:
		return &sdk.Error{Kind: sdk.RateLimited, RetryAfter: riskControlPause,
			Message: what + ": bilibili's risk control stopped the request (code 412)"}
	case a.status == http.StatusTooManyRequests, code == codeTooManyCalls, code == codeTooManyCallsNew:
		return &sdk.Error{Kind: sdk.RateLimited, RetryAfter: rateLimitPause,
			Message: what + ": bilibili received too many requests"}
	}
	return nil
}

func (a answer) ok() bool { return a.status >= 200 && a.status <= 299 }

// flawed: a server or a gateway before it failed. Gateways abroad answer 400 to requests that pass a second later.
func (a answer) flawed() bool {
	return a.status >= 500 || a.status == http.StatusRequestTimeout || (a.status == http.StatusBadRequest && !a.isJSON())
}

func (a answer) isJSON() bool { return json.Valid(a.body) }

func (a answer) isHTML() bool {
	start := bytes.ToLower(bytes.TrimSpace(a.body[:min(len(a.body), 256)]))
	return strings.Contains(a.header.Get("Content-Type"), "text/html") ||
		bytes.HasPrefix(start, []byte("<!doctype html")) || bytes.HasPrefix(start, []byte("<html"))
}

// authExpired: the authorisation passed its five days. The body is empty then, the reason is in a header.
func (a answer) authExpired() bool {
	return a.status == http.StatusForbidden && strings.Contains(a.header.Get("X-Upos-Auth"), "AUTH_TS_GT_5DAY")
}

// refusal judges an answer of the storage that is neither success nor flawed: nil when the session is not in question.
func (a answer) refusal(what string) error {
	switch {
	case a.authExpired():
		return &goneError{reason: what + ": the authorisation is older than five days", expired: true}
	case a.status == http.StatusForbidden, a.status == http.StatusNotFound:
		return &goneError{reason: fmt.Sprintf("%s: the storage refused it with HTTP status %d", what, a.status)}
	}
	return nil
}

// excerpt describes an answer without its secrets: of JSON only the parts made for people and the names of the fields,
// of anything else its kind and size.
func (a answer) excerpt() string {
	var fields map[string]json.RawMessage
	if json.Unmarshal(a.body, &fields) != nil {
		return fmt.Sprintf("%d bytes of %q", len(a.body), a.header.Get("Content-Type"))
	}
	names := make([]string, 0, len(fields))
	var said []string
	for name, value := range fields {
		names = append(names, clip(name, 40))
		switch name {
		case "OK", "code", "message", "info":
			said = append(said, name+"="+clip(string(value), 120))
		}
	}
	sort.Strings(names)
	sort.Strings(said)
	if len(names) > 30 {
		names = names[:30]
	}
	return fmt.Sprintf("%s (fields: %s)", strings.Join(said, " "), strings.Join(names, ", "))
}

// clip cuts text to a number of characters and drops what would spoil a log line.
func clip(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}
