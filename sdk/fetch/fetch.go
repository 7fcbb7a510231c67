// Package fetch is a small HTTP client for authors of extractors. It knows deadlines, sizes and redirects, and turns
// every failure into an *sdk.Error of the right kind, so that an author can return what it gives. Its requests go where the
// operator of lubod lets them go; a Guard does the same for plugins that have an HTTP client of their own.
//
// Texts of errors name host and path of a request; queries, cookies and other secrets stay out of them.
package fetch

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
	"time"

	"github.com/lubod/lubod/sdk"
)

const (
	defaultTimeout  = 15 * time.Second
	defaultMaxBytes = 8 << 20
	maxRedirects    = 5
	dialTimeout     = 30 * time.Second
	// defaultUserAgent is that of a common browser: many platforms answer unknown programs with a captcha.
	defaultUserAgent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
)

// Client talks to one platform. It can be used from several goroutines.
type Client struct {
	http      *http.Client
	guard     *Guard
	proxy     func(*http.Request) (*url.URL, error) // names the proxy of a request, when that does not work
	cookie    string
	header    http.Header
	timeout   time.Duration
	maxBytes  int64
	userAgent string
}

// Option changes a Client.
type Option func(*Client)

// WithTimeout limits one request, redirects and body included. Default: 15 s.
func WithTimeout(d time.Duration) Option { return func(c *Client) { c.timeout = d } }

// WithMaxBytes limits one answer, after decompression. Default: 8 MiB.
func WithMaxBytes(n int64) Option { return func(c *Client) { c.maxBytes = n } }

// WithUserAgent replaces the default, that of a common browser.
func WithUserAgent(s string) Option { return func(c *Client) { c.userAgent = s } }

// WithHeader adds a header to every request, for example Referer.
func WithHeader(key, value string) Option { return func(c *Client) { c.header.Add(key, value) } }

// WithTransport replaces the network, for tests and for platforms that need their own TLS settings. An *http.Transport is made
// to connect as Guard.Transport says, and so is for one client only; several share what Guard.Transport returned. Of another one, only
// addresses that a URL names are checked.
func WithTransport(t http.RoundTripper) Option { return func(c *Client) { c.http.Transport = t } }

// WithGuard replaces the guard that the operator's settings make, for tests and for hosts that nobody but the author chose.
func WithGuard(g *Guard) Option { return func(c *Client) { c.guard = g } }

// New makes a client. cookie is sent as the Cookie header of every request ("a=1; b=2"); empty: none. It is sent to every
// host that is asked, so use a second client for hosts that are not the platform's. A redirect to another host or from
// https to http does not get it.
func New(cookie string, opts ...Option) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 4
	transport.IdleConnTimeout = 30 * time.Second
	transport.OnProxyConnectResponse = ProxyAnswer
	c := &Client{
		http:      &http.Client{Transport: transport, CheckRedirect: checkRedirect},
		guard:     SourceGuard(),
		proxy:     transport.Proxy,
		cookie:    cookie,
		header:    http.Header{},
		timeout:   defaultTimeout,
		maxBytes:  defaultMaxBytes,
		userAgent: defaultUserAgent,
	}
	for _, opt := range opts {
		opt(c)
	}
	if own, ok := c.http.Transport.(*http.Transport); ok {
		c.http.Transport = c.guard.Transport(own, net.Dialer{Timeout: dialTimeout})
	} else {
		c.http.Transport = &guardedTransport{guard: c.guard, base: c.http.Transport}
	}
	return c
}

var errTooManyRedirects = errors.New("too many redirects")

func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return errTooManyRedirects
	}
	// net/http drops the cookie for another host; a plain-text hop would show it to everybody on the way.
	if req.URL.Scheme != "https" && via[len(via)-1].URL.Scheme == "https" {
		req.Header.Del("Cookie")
	}
	return nil
}

// Response is a successful answer (status 2xx), read to its end.
type Response struct {
	// URL is where the answer came from, after redirects.
	URL    string
	Header http.Header
	Body   []byte
}

// JSON gets url and decodes the answer into v.
func (c *Client) JSON(ctx context.Context, url string, v any) error {
	resp, err := c.get(ctx, url, "application/json, text/plain, */*")
	if err != nil {
		return err
	}
	return decode(resp, Place(url), v)
}

// Text gets url and returns the answer as it is.
func (c *Client) Text(ctx context.Context, url string) (string, error) {
	resp, err := c.get(ctx, url, "*/*")
	if err != nil {
		return "", err
	}
	return string(resp.Body), nil
}

func (c *Client) get(ctx context.Context, url, accept string) (*Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, sdk.Errorf(sdk.Bug, "make request to %s: the URL is not valid", Place(url))
	}
	req.Header.Set("Accept", accept)
	return c.Do(ctx, req)
}

// Do sends any request, with the client's cookie, headers and limits added where req does not set them.
func (c *Client) Do(ctx context.Context, req *http.Request) (*Response, error) {
	where := Place(req.URL.String())
	limited, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req = req.Clone(limited)
	c.complete(req)

	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.networkError(ctx, req, where, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.maxBytes+1))
	if err != nil {
		return nil, c.networkError(ctx, req, where, err)
	}
	if err := statusError(resp, body, where); err != nil {
		return nil, err
	}
	if int64(len(body)) > c.maxBytes {
		return nil, sdk.Errorf(sdk.Bug, "%s answered with more than %d bytes", where, c.maxBytes)
	}
	return &Response{URL: resp.Request.URL.String(), Header: resp.Header, Body: body}, nil
}

func (c *Client) complete(req *http.Request) {
	for key, values := range c.header {
		if req.Header.Get(key) == "" {
			req.Header[http.CanonicalHeaderKey(key)] = append([]string(nil), values...)
		}
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", c.userAgent)
	}
	if c.cookie != "" && req.Header.Get("Cookie") == "" {
		req.Header.Set("Cookie", c.cookie)
	}
}

func decode(resp *Response, where string, v any) error {
	if looksLikeHTML(resp.Header, resp.Body) {
		if looksLikeChallenge(resp.Body) {
			return sdk.Errorf(sdk.Challenged, "%s answered with a captcha page instead of JSON", where)
		}
		return sdk.Errorf(sdk.Bug, "%s answered with an HTML page instead of JSON", where)
	}
	if err := json.Unmarshal(bytes.TrimPrefix(resp.Body, []byte("\xef\xbb\xbf")), v); err != nil {
		return &sdk.Error{Kind: sdk.Bug, Message: fmt.Sprintf("%s answered with unexpected JSON: %s", where, jsonProblem(err)), Err: err}
	}
	return nil
}

// jsonProblem describes what was wrong without repeating the answer, which can hold tokens.
func jsonProblem(err error) string {
	var typ *json.UnmarshalTypeError
	if errors.As(err, &typ) {
		field := typ.Field
		if field == "" {
			field = "the top level"
		}
		return fmt.Sprintf("%s is not %s", field, typ.Type)
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Sprintf("not JSON at byte %d", syntax.Offset)
	}
	return "it cannot be read"
}
