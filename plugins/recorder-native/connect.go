package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/lubod/lubod/sdk/recorder"
)

// newClient returns the client of one session. Some sources serve a single connection only, so that nothing is asked
// twice: no pooling between sessions, and HTTP/1.1, where a body costs no framing of its own. Private addresses are
// allowed: a source in the own network is as good as any.
func newClient(o options) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	dialer := &net.Dialer{Timeout: seconds(o.ConnectTimeout)}
	return &http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		TLSHandshakeTimeout:   seconds(o.ConnectTimeout),
		ResponseHeaderTimeout: seconds(o.ConnectTimeout),
		DisableCompression:    true,
		Protocols:             protocols,
		// Chunked bodies are read through this buffer.
		ReadBufferSize: 64 << 10,
	}}
}

// statusError is an answer other than 200.
type statusError int

func (e statusError) Error() string {
	return fmt.Sprintf("the server answered %d %s", int(e), http.StatusText(int(e)))
}

// refused: the address is not, or no longer, good for this stream.
func (e statusError) refused() bool {
	switch int(e) {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusGone:
		return true
	}
	return false
}

// open makes the one request for a stream.
func open(ctx context.Context, client *http.Client, stream recorder.Stream, userAgent string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, stream.URL, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", userAgent)
	for name, value := range stream.Headers {
		request.Header.Set(name, value)
	}
	if host := request.Header.Get("Host"); host != "" {
		request.Host = host
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		_ = response.Body.Close()
		return nil, statusError(response.StatusCode)
	}
	return response.Body, nil
}
