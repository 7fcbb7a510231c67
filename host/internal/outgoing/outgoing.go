// Package outgoing makes HTTP requests to addresses that a user of the API chose: what /proxy fetches, webhooks, covers of
// live rooms. The one who chooses must not reach through it what this machine can reach and he cannot: services on
// loopback, neighbours in the local network, the metadata of a cloud.
//
// The rules:
//   - only http and https, without user name and password in the URL;
//   - the IP address is checked when a connection is made to it, in the system call's place, so no name server can answer
//     one thing for the check and another for the connection. Refused is all that is not a public address, and the
//     addresses of this machine itself; an operator can exempt some (fetch.Guard does that);
//   - ports are those that a browser sends requests to, without those of databases (see blockedPorts);
//   - redirects, at most five, are held against the same rules. Headers that the caller set go to the origin that he named
//     and to no other one; a body does not go from https to http;
//   - no cookies, no Referer but a constant that a host wants to see (Options), no proxy of the environment, no credentials but those that the caller sets himself;
//   - a deadline for the whole exchange, a limit for the headers and one for the body; nothing is unpacked.
package outgoing

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/lubod/lubod/sdk/fetch"
)

const (
	defaultTimeout   = 20 * time.Second
	defaultMaxBytes  = 1 << 20
	dialTimeout      = 5 * time.Second
	maxHeaderBytes   = 64 << 10
	maxRedirects     = 5
	defaultUserAgent = "lubod"
)

// Options are what a Client needs; all may be left out.
type Options struct {
	Allowed fetch.Allowed
	// Resolver looks names up; nil: that of the system.
	Resolver *net.Resolver
	// UserAgent is sent with every request.
	UserAgent string
	// Referer is what servers of a name want to see as such, or nothing; nil: none wants to see anything.
	Referer func(host string) string
	// OwnAddresses lists the addresses of this machine; nil: it is asked for them.
	OwnAddresses func() ([]netip.Addr, error)
}

// Client makes requests. It can be used from several goroutines.
type Client struct {
	http      *http.Client
	transport *http.Transport
	guard     *fetch.Guard
	userAgent string
	referer   func(host string) string
}

// New makes a client. Close it in the end.
func New(options Options) *Client {
	c := &Client{
		guard: fetch.NewGuard(fetch.GuardOptions{
			Allowed: options.Allowed, Resolver: options.Resolver, OwnAddresses: options.OwnAddresses,
		}),
		userAgent: options.UserAgent, referer: options.Referer,
	}
	if c.userAgent == "" {
		c.userAgent = defaultUserAgent
	}
	if c.referer == nil {
		c.referer = func(string) string { return "" }
	}
	c.transport = &http.Transport{
		Proxy:                  nil, // one from the environment would make the connections, where no address is checked
		DialContext:            c.dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    dialTimeout,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeaderBytes,
		MaxIdleConns:           16,
		MaxIdleConnsPerHost:    2,
		MaxConnsPerHost:        8,
		IdleConnTimeout:        15 * time.Second,
	}
	c.http = &http.Client{Transport: c.transport, CheckRedirect: c.checkRedirect}
	return c
}

// Close ends the connections that are kept for further requests.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Request is one request.
type Request struct {
	// Method is GET when empty.
	Method string
	URL    string
	// Header is sent to the URL, and on redirects to the same origin.
	Header http.Header
	Body   []byte
	// Timeout is for everything, up to the end of the body; 0: 20 s.
	Timeout time.Duration
	// MaxBytes is how long the answer may be; 0: 1 MiB.
	MaxBytes int64
}

// Do sends a request and returns the answer, whatever its status. Its body returns ErrTooLarge when more comes than may;
// close it in any case. Errors hold no more of the URL than its host.
func (c *Client) Do(ctx context.Context, r Request) (*http.Response, error) {
	target, err := c.parse(r.URL)
	if err != nil {
		return nil, err
	}
	if r.Timeout <= 0 {
		r.Timeout = defaultTimeout
	}
	if r.MaxBytes <= 0 {
		r.MaxBytes = defaultMaxBytes
	}
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	response, err := c.send(ctx, target, r)
	if err != nil {
		cancel()
		return nil, err
	}
	response.Body = &boundedBody{body: response.Body, left: r.MaxBytes, cancel: cancel}
	return response, nil
}

func (c *Client) send(ctx context.Context, target *url.URL, r Request) (*http.Response, error) {
	var body io.Reader
	if r.Body != nil {
		body = bytes.NewReader(r.Body)
	}
	request, err := http.NewRequestWithContext(ctx, r.Method, target.String(), body)
	if err != nil {
		return nil, &URLError{Problem: "or the method cannot be used for a request"}
	}
	if r.Header != nil {
		request.Header = r.Header.Clone()
	}
	request.Header.Set("User-Agent", c.userAgent)
	request.Header.Set("Accept-Encoding", "identity")
	c.setReferer(request)
	response, err := c.http.Do(request)
	if err != nil {
		return nil, withoutURL(target, err)
	}
	encoding := response.Header.Get("Content-Encoding")
	switch {
	case encoding != "" && !strings.EqualFold(encoding, "identity"):
		err = ErrEncoded
	case response.ContentLength > r.MaxBytes:
		err = ErrTooLarge
	default:
		return response, nil
	}
	_ = response.Body.Close()
	return nil, fmt.Errorf("%s: %w", target.Host, err)
}

// withoutURL takes the URL out of an error of net/http: webhooks have their secrets in it.
func withoutURL(target *url.URL, err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	var bad *URLError
	if errors.As(err, &bad) { // not where the request began, but where a redirect leads
		return &RefusedError{Host: target.Host, Reason: "it redirects to a URL that " + bad.Problem}
	}
	if strings.HasPrefix(err.Error(), "failed to parse Location header") { // net/http has no type for it
		return &RefusedError{Host: target.Host, Reason: "it redirects to something that is no URL"}
	}
	return fmt.Errorf("%s: %w", target.Host, err)
}

func (c *Client) setReferer(r *http.Request) {
	if referer := c.referer(r.URL.Hostname()); referer != "" {
		r.Header.Set("Referer", referer)
	}
}

// checkRedirect is asked before each redirect is followed.
func (c *Client) checkRedirect(next *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return ErrRedirects
	}
	if err := c.checkURL(next.URL); err != nil {
		return err
	}
	first := via[0].URL
	if next.Body != nil && via[len(via)-1].URL.Scheme == "https" && next.URL.Scheme != "https" {
		return &RefusedError{Host: next.URL.Host, Reason: "a redirect from https to http would send the request readable for everybody on the way"}
	}
	next.Header.Del("Referer") // net/http put the URL before into it
	defer c.setReferer(next)
	if first.Scheme == next.URL.Scheme && first.Host == next.URL.Host {
		return nil
	}
	for name := range next.Header {
		switch name {
		case "Accept", "Accept-Language", "Accept-Encoding", "Content-Type", "User-Agent":
		default:
			next.Header.Del(name)
		}
	}
	return nil
}

// dial connects to the first address of a host that may be connected to.
func (c *Client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{
		Timeout: dialTimeout, KeepAlive: -1,
		Control: func(_, address string, _ syscall.RawConn) error {
			reached, err := netip.ParseAddrPort(address)
			if err == nil && blockedPorts[reached.Port()] {
				return &RefusedError{Host: host, Reason: "its port belongs to a service that is not a web server"}
			}
			return nil // the guard looks at the address
		},
	}
	return c.guard.DialContext(dialer)(ctx, network, address)
}

// boundedBody ends with an error where more follows than was let through.
type boundedBody struct {
	body   io.ReadCloser
	left   int64
	cancel context.CancelFunc
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, ErrTooLarge
	}
	// One byte more than may come tells an answer that is too large from one that just fits.
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.body.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n - 1, ErrTooLarge
	}
	return n, err
}

func (b *boundedBody) Close() error {
	defer b.cancel()
	return b.body.Close()
}
