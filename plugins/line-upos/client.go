package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sort"
	"strings"
	"time"
)

const (
	// maxAnswer bounds an answer; the largest, the probe list, has a few KiB.
	maxAnswer = 1 << 20
	referer   = "https://www.bilibili.com/"
)

// client sends the requests of all transfers over one pool of connections.
type client struct {
	http      *http.Client
	userAgent string
}

// newClient never follows redirects: a redirect would carry the authorisation to a host nobody asked for. It speaks
// HTTP/1.1 only, because HTTP/2 would squeeze all chunks of a file through one TCP connection.
func newClient(userAgent string) *client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 130 * time.Second, // completing a large file takes up to two minutes
		IdleConnTimeout:       time.Minute,
		MaxIdleConns:          64,
		MaxIdleConnsPerHost:   maxThreads,
		MaxConnsPerHost:       64,
		WriteBufferSize:       64 << 10,
		Protocols:             protocols,
	}
	noRedirects := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client{http: &http.Client{Transport: transport, CheckRedirect: noRedirects}, userAgent: userAgent}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// request is one HTTP request. url is complete; body is nil for none.
type request struct {
	method, url string
	cookies     map[string]string
	auth        string
	contentType string
	size        int64
	body        func() io.Reader
}

// answer is what came back, read to its end or to maxAnswer.
type answer struct {
	status int
	header http.Header
	length int64 // Content-Length, -1 when unknown
	body   []byte
	// cut: the connection broke within the body.
	cut error
}

// send returns a transientError when no answer came.
func (c *client) send(ctx context.Context, r request) (answer, error) {
	req, err := c.build(ctx, r)
	if err != nil {
		return answer{}, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, &transientError{withoutURL(err)}
	}
	defer func() { _ = resp.Body.Close() }()
	a := answer{status: resp.StatusCode, header: resp.Header, length: resp.ContentLength}
	a.body, a.cut = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return a, nil
}

func (c *client) build(ctx context.Context, r request) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, http.NoBody)
	if err != nil {
		return nil, errors.New("build request: " + withoutURL(err).Error())
	}
	if r.body != nil {
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(r.body()), nil }
		req.Body, _ = req.GetBody()
		req.ContentLength = r.size
	}
	req.Header.Set("User-Agent", c.userAgent)
	req.Header.Set("Referer", referer)
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	if r.auth != "" {
		req.Header.Set("X-Upos-Auth", r.auth)
	}
	if len(r.cookies) > 0 {
		req.Header.Set("Cookie", cookieHeader(r.cookies))
	}
	return req, nil
}

// cookieHeader sends values as they are stored: some hold characters that net/http would quote.
func cookieHeader(cookies map[string]string) string {
	pairs := make([]string, 0, len(cookies))
	for name, value := range cookies {
		pairs = append(pairs, name+"="+value)
	}
	sort.Strings(pairs)
	return strings.Join(pairs, "; ")
}
