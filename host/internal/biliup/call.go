package biliup

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/lubod/lubod/host/internal/pages"
	"github.com/lubod/lubod/host/internal/reason"
)

// maxBodyBytes is more than the API takes: what is longer is given to it unread, and it says so.
const maxBodyBytes = 1<<20 + 1

// headerIgnored names the fields of a request that lubod has no use for. biliup ignores what it does not know, so an error
// would break its page; but nobody should have to guess.
const headerIgnored = "X-Lubod-Ignored"

// object is a JSON object whose values are left as they are.
type object = map[string]json.RawMessage

var null = json.RawMessage("null")

// call is one request on one of biliup's paths.
type call struct {
	h *Handler
	w http.ResponseWriter
	r *http.Request
	// argument stands for the variable of the path.
	argument string
	// names translates fields in errors of the API back to biliup's.
	names map[string]string
}

// refusal is an error answer.
type refusal struct {
	status int
	code   string
	// said is what the API answered; else field and why make the text.
	said   string
	field  string
	why    reason.Reason
	header http.Header
}

func (r *refusal) Error() string { return r.text(reason.English) }

func (r *refusal) text(in reason.Language) string {
	switch {
	case r.said != "":
		return r.said
	case r.field != "":
		return r.field + ": " + r.why.Text(in)
	}
	return r.why.Text(in)
}

// invalid says what is wrong with one field. Arguments are pairs of a name and a value.
func invalid(field, code string, args ...string) error {
	return &refusal{status: http.StatusBadRequest, code: "invalid_request", field: field, why: reason.New(code, args...)}
}

// answer is what the API answered.
type answer struct {
	status int
	header http.Header
	body   bytes.Buffer
}

// Header, Write and WriteHeader make it the writer of the API's handler.
func (a *answer) Header() http.Header         { return a.header }
func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }
func (a *answer) WriteHeader(status int)      { a.status = status }

// recorder lets the API set deadlines of the connection, and nothing be sent before it was translated.
type recorder struct {
	*answer
	connection http.ResponseWriter
}

func (r recorder) Unwrap() http.ResponseWriter { return r.connection }
func (r recorder) FlushError() error           { return nil }

// ask sends a request to the API in the caller's name and decodes the answer. An error answer is a *refusal.
func (c *call) ask(method, path string, body, into any) error {
	var raw []byte
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return invalid("body", reason.APIBodyNotObject)
		}
	}
	a := c.send(method, path, bytes.NewReader(raw), int64(len(raw)))
	if a.status < 200 || a.status > 299 {
		return c.refused(a)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(a.body.Bytes(), into); err != nil {
		return fmt.Errorf("decode the answer of %s %s: %w", method, path, err)
	}
	return nil
}

func (c *call) send(method, path string, body io.Reader, length int64) *answer {
	a := &answer{status: http.StatusOK, header: make(http.Header)}
	c.h.api.ServeHTTP(recorder{a, c.w}, c.request(method, path, body, length))
	// A login or logout that happened on the way counts, whatever is answered.
	c.h.addCookies(c.w.Header(), a.header)
	return a
}

// request is the caller's request with another method, path and body.
func (c *call) request(method, path string, body io.Reader, length int64) *http.Request {
	r := c.r.Clone(c.r.Context())
	r.Method = method
	path, query, _ := strings.Cut(path, "?")
	r.URL = &url.URL{Path: path, RawQuery: query}
	r.RequestURI = r.URL.RequestURI()
	r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(body), length, nil
	r.Header.Del("Content-Length")
	c.h.withSession(r)
	if r.Header.Get("Accept-Language") == "" {
		r.Header.Set("Accept-Language", string(reason.Chinese)) // biliup speaks nothing else
	}
	return r
}

// language is the caller's, or else biliup's.
func (c *call) language() reason.Language {
	if asked := c.r.Header.Get("Accept-Language"); asked != "" {
		return reason.Language(pages.Preferred(asked))
	}
	return reason.Chinese
}

func mistake() *refusal {
	return &refusal{status: http.StatusInternalServerError, code: "internal", why: reason.New(reason.APIInternalUnnumbered)}
}

// pass gives the request to the API and its answer, as it comes, to the caller.
func (c *call) pass(path string) {
	c.h.api.ServeHTTP(c.w, c.request(c.r.Method, c.withQuery(path), c.r.Body, c.r.ContentLength))
}

func (c *call) withQuery(path string) string {
	if c.r.URL.RawQuery == "" {
		return path
	}
	return path + "?" + c.r.URL.RawQuery
}

// passTo is an operation that differs in its path only.
func passTo(path string) func(*call) error {
	return func(c *call) error {
		c.pass(path)
		return nil
	}
}

// body decodes the request's object. What is none goes to the API as it is, for the error that fits: path names the
// operation that is asked.
func (c *call) body(method, path string) (object, error) {
	raw, err := io.ReadAll(io.LimitReader(c.r.Body, maxBodyBytes))
	var fields object
	if err == nil && len(raw) < maxBodyBytes && json.Unmarshal(raw, &fields) == nil && fields != nil && c.isJSON() {
		return fields, nil
	}
	rest := c.r.Body
	a := c.send(method, path, io.MultiReader(bytes.NewReader(raw), rest), c.r.ContentLength)
	if a.status < 400 {
		return nil, invalid("body", reason.APIBodyNotObject)
	}
	return nil, c.refused(a)
}

func (c *call) isJSON() bool {
	mediaType, _, _ := strings.Cut(c.r.Header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(mediaType), "application/json")
}

// refused is an error answer of the API, in biliup's words.
func (c *call) refused(a *answer) error {
	var e struct{ Error, Code string }
	if err := json.Unmarshal(a.body.Bytes(), &e); err != nil || e.Error == "" {
		return fmt.Errorf("the API answered %d without an error", a.status)
	}
	return &refusal{status: a.status, code: e.Code, said: c.inBiliupsWords(e.Error), header: a.header}
}

// inBiliupsWords gives the field that an error begins with its name on this path.
func (c *call) inBiliupsWords(text string) string {
	field, rest, found := strings.Cut(text, ":")
	if !found {
		return text
	}
	parts := strings.Split(field, ".")
	if name, ok := c.names[parts[len(parts)-1]]; ok {
		parts[len(parts)-1] = name
		return strings.Join(parts, ".") + ":" + rest
	}
	return text
}

// fail writes an error answer: the API's two fields, and the text once more under the name that biliup's page looks for.
func (c *call) fail(err error) {
	var r *refusal
	if !errors.As(err, &r) {
		c.h.log.Error("a request on one of biliup's paths failed", "method", c.r.Method, "path", c.r.URL.Path, "error", err)
		r = mistake()
	}
	for _, name := range []string{"Retry-After", "Connection", "Allow"} {
		if value := r.header.Get(name); value != "" {
			c.w.Header().Set(name, value)
		}
	}
	text := r.text(c.language())
	c.write(r.status, map[string]string{"error": text, "code": r.code, "message": text})
}

// answer writes what was asked for.
func (c *call) answer(value any) error {
	c.write(http.StatusOK, value)
	return nil
}

func (c *call) write(status int, value any) {
	raw, err := json.Marshal(value)
	if err != nil {
		status, raw = http.StatusInternalServerError, []byte(`{"error":"the server made a mistake","code":"internal","message":"the server made a mistake"}`)
	}
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(status)
	if _, err := c.w.Write(raw); err != nil {
		c.h.log.Debug("an answer could not be sent", "error", err)
	}
}

// id is the variable of the path as a number.
func (c *call) id() (string, error) {
	if _, err := strconv.ParseInt(c.argument, 10, 64); err != nil {
		return "", invalid("id", reason.APIWholeNumber)
	}
	return c.argument, nil
}

// ignored tells which fields had no use.
func (c *call) ignored(fields []string) {
	if len(fields) > 0 {
		slices.Sort(fields)
		names := strings.Map(visible, strings.Join(fields, ", "))
		c.w.Header().Add(headerIgnored, names[:min(len(names), 2000)])
	}
}

func visible(r rune) rune {
	if r < ' ' || r > '~' {
		return '?'
	}
	return r
}

// encoded is a value as JSON; values here always have one.
func encoded(value any) json.RawMessage {
	raw, err := json.Marshal(value)
	if err != nil {
		return null
	}
	return raw
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// isUnset tells a value that forms send for something that nobody filled in.
func isUnset(raw json.RawMessage) bool {
	switch strings.Join(strings.Fields(string(raw)), "") {
	case "", "null", `""`, "[]", "{}", "0", "false", `"{}"`:
		return true
	}
	return false
}

// orNull keeps a value, and takes an empty text for none.
func orNull(raw json.RawMessage) json.RawMessage {
	if isNull(raw) || string(raw) == `""` {
		return null
	}
	return raw
}

// valueOf decodes a value; one of another type is its zero.
func valueOf[T any](raw json.RawMessage) T {
	var value T
	if json.Unmarshal(raw, &value) != nil {
		var zero T
		return zero
	}
	return value
}
