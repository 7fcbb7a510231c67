package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"time"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/fetch"
)

const (
	// maxAnswer bounds an answer; the largest, that of a preupload, has a few KiB.
	maxAnswer = 1 << 20
	referer   = "https://www.bilibili.com/"
)

// client sends the requests of all transfers over one pool of connections.
type client struct {
	http      *http.Client
	userAgent string
}

// newClient never follows redirects: a redirect would carry tokens to a host that nobody granted. It speaks HTTP/1.1 only,
// because HTTP/2 would squeeze all blocks of a file through one TCP connection.
func newClient(userAgent string) *client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	transport := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		OnProxyConnectResponse: fetch.ProxyAnswer,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		IdleConnTimeout:        time.Minute,
		MaxIdleConns:           64,
		MaxIdleConnsPerHost:    maxThreads,
		MaxConnsPerHost:        64,
		WriteBufferSize:        64 << 10,
		Protocols:              protocols,
	}
	noRedirects := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client{http: &http.Client{Transport: transport, CheckRedirect: noRedirects}, userAgent: userAgent}
}

// close ends idle connections, as tests want it; a process of a plugin ends with them.
func (c *client) close() { c.http.CloseIdleConnections() }

// request is one HTTP request. url is complete; body is nil for none.
type request struct {
	method, url string
	header      http.Header
	size        int64
	body        io.Reader
}

// answer is what came back, read to its end or to maxAnswer.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error // what another status than 2xx means; nil: it is one
}

// send returns an error when no answer came. It may pass.
func (c *client) send(ctx context.Context, r request) (answer, error) {
	where := fetch.Place(r.url)
	body := r.body
	if body == nil {
		body = http.NoBody
	}
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, body)
	if err != nil {
		return answer{}, sdk.Errorf(sdk.Bug, "the address %s cannot be asked", where)
	}
	req.ContentLength = r.size
	for name, values := range r.header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	req.Header.Set("User-Agent", c.userAgent)
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, marked(fetch.RequestError(where, req, err, http.ProxyFromEnvironment), errPassing)
	}
	defer func() { _ = resp.Body.Close() }()
	a := answer{status: resp.StatusCode, header: resp.Header}
	if a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer)); err != nil {
		return answer{}, marked(fetch.RequestError(where, req, err, http.ProxyFromEnvironment), errPassing)
	}
	if refused := fetch.StatusError(where, resp, a.body); refused != nil {
		a.err = refused
	}
	return a, nil
}

// qiniuError is the text of an error of Qiniu's, empty when there is none.
func (a answer) qiniuError() string {
	var said struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(a.body, &said) != nil {
		return ""
	}
	return said.Error
}

// flawed: a server or a gateway before it failed. Gateways abroad answer 400 to requests that pass a second later.
func (a answer) flawed() bool {
	return (a.status >= 500 && a.status < 600) || a.status == http.StatusRequestTimeout ||
		(a.status == http.StatusBadRequest && !json.Valid(a.body))
}

// noBucket: Qiniu, or Bilibili on its behalf, does not have the bucket (any more).
func (a answer) noBucket() bool {
	return a.status == statusNoBucket || strings.Contains(a.qiniuError(), "no such bucket")
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

// serverURL reads an address that the server named. Without a scheme it takes that of the creator centre's own URL, and
// never a weaker one: tokens must not travel in the clear because of an answer.
func serverURL(text, memberScheme string) (*url.URL, bool) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" || u.Opaque != "" {
		return nil, false
	}
	switch {
	case u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https":
		return nil, false
	case u.Scheme == "" || memberScheme == "https":
		u.Scheme = memberScheme
	}
	return u, true
}
