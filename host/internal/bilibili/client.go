// Package bilibili talks to Bilibili's own hosts about accounts and archives: submit and look up. Files reach Bilibili's
// storage through line plugins, not through here.
//
// None of the interfaces is officially documented. Sources: biliup (crates/biliup/src/uploader/bilibili.rs) and
// bilibili-API-collect (creativecenter/upload.md).
package bilibili

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"time"
)

const (
	// callTimeout bounds one call; submissions of many parts take long on the other side.
	callTimeout = 60 * time.Second
	// maxAnswer bounds an answer; the largest known one, the category list, has about 300 KB.
	maxAnswer = 8 << 20
	webAgent  = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
)

// Options are what a client needs.
type Options struct {
	// The base URLs of the three hosts, without a slash at the end.
	MemberURL, APIURL, PassportURL string
	// Now is the clock; nil: the real one.
	Now func() time.Time
}

// Client calls Bilibili. It is safe for concurrent use.
type Client struct {
	options Options
	http    *http.Client
	now     func() time.Time
	finding chan struct{} // holds one token while archives are listed
	editing chan struct{} // the same while one is edited
}

// New returns a client. Close ends its idle connections.
func New(options Options) *Client {
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: callTimeout,
		IdleConnTimeout:       time.Minute,
		MaxIdleConnsPerHost:   2,
		ForceAttemptHTTP2:     true,
	}
	noRedirects := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if options.Now == nil {
		options.Now = time.Now
	}
	return &Client{
		options: options, http: &http.Client{Transport: transport, CheckRedirect: noRedirects}, now: options.Now,
		finding: make(chan struct{}, 1), editing: make(chan struct{}, 1),
	}
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// RefusedError is Bilibili's no: nothing was created or changed. The codes of its gateways, which may answer so although it was,
// are ErrAnswerLost instead.
type RefusedError struct {
	Code    int
	Message string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("bilibili refused with code %d: %s", e.Code, e.Message)
}

// ErrAnswerLost means that the request may have been carried out: no answer came, or none that can be understood.
var ErrAnswerLost = errors.New("bilibili's answer was lost")

// ErrNotSent means that the request never left: trying again is safe.
var ErrNotSent = errors.New("bilibili cannot be reached")

type envelope struct {
	Code    *int            `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data"`
}

type call struct {
	method, base, path string
	query              url.Values
	body               any        // sent as JSON when not nil
	form               url.Values // sent as a form when not nil, instead
	cookies            map[string]string
	agent              string
}

// do sends one call and decodes the data of its answer into out, which may be nil. Errors never hold the URL: signed
// queries carry the access token.
func (c *Client) do(ctx context.Context, request call, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	httpRequest, err := request.build(ctx)
	if err != nil {
		return err
	}
	response, err := c.http.Do(httpRequest)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", sendFailure(err), request.path, withoutURL(err))
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrAnswerLost, request.path, err)
	}
	return decode(request.path, response.StatusCode, raw, out)
}

func (r call) build(ctx context.Context) (*http.Request, error) {
	var body io.Reader = http.NoBody
	kind := ""
	switch {
	case r.body != nil:
		encoded, err := json.Marshal(r.body)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", r.path, err)
		}
		body, kind = bytes.NewReader(encoded), "application/json"
	case r.form != nil:
		body, kind = strings.NewReader(r.form.Encode()), "application/x-www-form-urlencoded"
	}
	address := r.base + r.path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, r.method, address, body)
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", r.path, withoutURL(err))
	}
	request.Header.Set("User-Agent", r.agent)
	request.Header.Set("Referer", "https://www.bilibili.com/")
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	if len(r.cookies) > 0 {
		request.Header.Set("Cookie", cookieHeader(r.cookies))
	}
	return request, nil
}

// decode reads the common envelope. A gateway's or risk control's HTML page is no answer: with a 4xx status nothing was
// done, otherwise nobody knows.
func decode(path string, status int, raw []byte, out any) error {
	var answer envelope
	if err := json.Unmarshal(raw, &answer); err != nil || answer.Code == nil {
		if status >= 400 && status < 500 {
			return &RefusedError{Code: -status, Message: fmt.Sprintf("HTTP status %d without a readable answer (risk control?)", status)}
		}
		return fmt.Errorf("%w: %s: HTTP status %d and no readable answer", ErrAnswerLost, path, status)
	}
	if status >= 500 || gatewayCode(*answer.Code) {
		return fmt.Errorf("%w: %s: HTTP status %d with code %d: %s", ErrAnswerLost, path, status, *answer.Code, answer.Message)
	}
	if *answer.Code != 0 {
		return &RefusedError{Code: *answer.Code, Message: answer.Message}
	}
	if status < 200 || status > 299 {
		return fmt.Errorf("%w: %s: HTTP status %d", ErrAnswerLost, path, status)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer.Data, out); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrAnswerLost, path, err)
	}
	return nil
}

// gatewayCode tells whether a code is said by something in front of the service that was asked, which may have done it all the
// same. -509 is not one of them: it is a limit of calls.
func gatewayCode(code int) bool { return code <= -500 && code >= -508 }

// sendFailure tells a request that never left (no connection) from one whose fate is unknown.
func sendFailure(err error) error {
	var operation *net.OpError
	if errors.As(err, &operation) && operation.Op == "dial" {
		return ErrNotSent
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return ErrNotSent
	}
	return ErrAnswerLost
}

func withoutURL(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

func cookieHeader(cookies map[string]string) string {
	pairs := make([]string, 0, len(cookies))
	for name, value := range cookies {
		pairs = append(pairs, name+"="+value)
	}
	sort.Strings(pairs)
	return strings.Join(pairs, "; ")
}

// Referer is what servers want to see as the page that shows what is asked of them: those of pictures refuse others than
// Bilibili's own pages. Empty: nothing.
func Referer(host string) string {
	if strings.HasSuffix(strings.ToLower(host), ".hdslb.com") {
		return "https://live.bilibili.com/"
	}
	return ""
}
