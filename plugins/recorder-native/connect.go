package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/fetch"
	"github.com/lubod/lubod/sdk/recorder"
)

// newClient returns the client of one session. Some sources serve a single connection only, so that nothing is asked
// twice: no pooling between sessions, and HTTP/1.1, where a body costs no framing of its own.
func newClient(o options) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Client{Transport: fetch.SourceGuard().Transport(&http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSHandshakeTimeout:    seconds(o.ConnectTimeout),
		ResponseHeaderTimeout:  seconds(o.ConnectTimeout),
		DisableCompression:     true,
		OnProxyConnectResponse: fetch.ProxyAnswer,
		Protocols:              protocols,
		// Chunked bodies are read through this buffer.
		ReadBufferSize: 64 << 10,
	}, net.Dialer{Timeout: seconds(o.ConnectTimeout)})}
}

// newRequest is the one request for a stream.
func newRequest(ctx context.Context, stream recorder.Stream, userAgent string) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, stream.URL, nil)
	if err != nil {
		return nil, sdk.Errorf(sdk.Unsupported, "%s is not an address that can be opened", where(stream))
	}
	request.Header.Set("User-Agent", userAgent)
	for name, value := range stream.Headers {
		request.Header.Set(name, value)
	}
	if host := request.Header.Get("Host"); host != "" {
		request.Host = host
	}
	return request, nil
}

// open sends it. What is answered is the beginning of a body that may be media.
func open(client *http.Client, request *http.Request, where string) (io.ReadCloser, error) {
	response, err := client.Do(request)
	if err != nil {
		return nil, fetch.RequestError(where, request, err, http.ProxyFromEnvironment)
	}
	encoding := response.Header.Get("Content-Encoding")
	switch {
	case response.StatusCode != http.StatusOK:
		err = fetch.StatusError(where, response, nil)
		if response.StatusCode/100 == 2 {
			err = failure(sdk.CodeStatus, where, "answered "+statusOf(response), "status", statusOf(response))
		}
	case encoding != "" && !strings.EqualFold(encoding, "identity"):
		err = compressed(where, known(encoding))
	default:
		return response.Body, nil
	}
	_ = response.Body.Close()
	return nil, err
}

// statusOf names the status of an answer in words of our own: those of the server can be anything.
func statusOf(response *http.Response) string {
	return strings.TrimSpace(strconv.Itoa(response.StatusCode) + " " + http.StatusText(response.StatusCode))
}

// known names a content encoding that is registered, and no other: the header can hold anything.
func known(encoding string) string {
	switch name := strings.ToLower(encoding); name {
	case "gzip", "deflate", "br", "zstd", "compress":
		return name
	}
	return "an unknown way"
}
