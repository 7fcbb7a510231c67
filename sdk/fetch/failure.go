package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/lubod/lubod/sdk"
)

// RequestError says why a request got no answer, with a code, for plugins that have an HTTP client of their own. where is what
// people are told that was asked, such as Place of its URL; proxy is what the client's transport uses, nil: none.
func RequestError(where string, request *http.Request, err error, proxy func(*http.Request) (*url.URL, error)) *sdk.Error {
	code, cause := reason(err)
	args := map[string]string{"where": where}
	switch code {
	case sdk.CodeProxy:
		return proxyError(request, where, cause, err, proxy)
	case sdk.CodeTLS, sdk.CodeUnreachable, sdk.CodeAddress:
		args["cause"] = cause
	}
	return &sdk.Error{Kind: sdk.Unavailable, Code: code, Args: args, Message: where + " cannot be reached: " + cause, Err: err}
}

// ProxyAnswer makes a proxy that does not connect tell why. It is for http.Transport.OnProxyConnectResponse.
func ProxyAnswer(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return &proxyRefusedError{fmt.Sprintf("it answered %d %s", answer.StatusCode, http.StatusText(answer.StatusCode))}
}

type proxyRefusedError struct{ text string }

func (e *proxyRefusedError) Error() string { return e.text }

func proxyError(request *http.Request, where, cause string, err error, proxy func(*http.Request) (*url.URL, error)) *sdk.Error {
	name := "of this host"
	if proxy != nil {
		if used, findErr := proxy(request); findErr == nil && used != nil {
			name = used.Scheme + "://" + used.Host
		}
	}
	return &sdk.Error{
		Kind: sdk.Unavailable, Code: sdk.CodeProxy, Args: map[string]string{"proxy": name, "cause": cause, "where": where},
		Message: fmt.Sprintf("%s cannot be reached: the proxy %s does not work: %s", where, name, cause), Err: err,
	}
}

// StatusError says what an answer other than 2xx means, with a code; nil for 2xx. where is what people are told that was asked;
// body is the beginning of the answer, if it was read.
func StatusError(where string, resp *http.Response, body []byte) *sdk.Error {
	code := resp.StatusCode
	if code >= 200 && code < 300 {
		return nil
	}
	status := strings.TrimSpace(fmt.Sprintf("%d %s", code, http.StatusText(code)))
	e := &sdk.Error{
		Kind:       kindOfStatus(code),
		Message:    where + " answered " + status,
		RetryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now()),
		Code:       sdk.CodeStatus,
		Args:       map[string]string{"where": where, "status": status},
	}
	if code == http.StatusUnavailableForLegalReasons {
		e.Cause = sdk.CauseRegion
	}
	if code == http.StatusProxyAuthRequired {
		e.Kind, e.Code = sdk.Unavailable, sdk.CodeProxy
		e.Args = map[string]string{"proxy": "of this host", "cause": "it wants a login", "where": where}
	}
	if refused(code) && looksLikeHTML(resp.Header, body) && looksLikeChallenge(body) {
		e.Kind = sdk.Challenged
		e.Message += " with a captcha page"
	}
	return e
}

// reason names the cause from a closed list of codes and texts. Others can repeat parts of a URL, such as a Location header.
func reason(err error) (code, cause string) {
	var dns *net.DNSError
	var op *net.OpError
	var refusal *proxyRefusedError
	var address *RefusedError
	switch {
	case errors.As(err, &address):
		return sdk.CodeAddress, address.Reason // not its host: a redirect can have brought it
	case errors.As(err, &refusal):
		return sdk.CodeProxy, refusal.text
	case errors.As(err, &op) && op.Op == "proxyconnect":
		_, cause := reason(op.Err)
		return sdk.CodeProxy, cause
	case errors.Is(err, errTooManyRedirects):
		return sdk.CodeUnreachable, errTooManyRedirects.Error()
	case errors.As(err, &dns) && dns.IsNotFound:
		return sdk.CodeDNS, "its name has no address: " + dns.Err
	case errors.As(err, &dns):
		return sdk.CodeDNS, "its name cannot be looked up: " + dns.Err
	case errors.Is(err, syscall.ECONNREFUSED):
		return sdk.CodeRefused, "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return sdk.CodeUnreachable, "connection reset"
	}
	if cause := tlsReason(err); cause != "" {
		return sdk.CodeTLS, cause
	}
	if waiting := net.Error(nil); errors.As(err, &waiting) && waiting.Timeout() {
		return sdk.CodeTimeout, "it does not answer"
	}
	switch text := err.Error(); {
	case op != nil:
		return sdk.CodeUnreachable, op.Op + " failed: " + op.Err.Error()
	case strings.Contains(text, "EOF"):
		return sdk.CodeUnreachable, "connection closed in the middle of the answer"
	}
	return sdk.CodeUnreachable, "the answer is not HTTP as it should be"
}

// tlsReason says why there is no secure connection; "" for another error.
func tlsReason(err error) string {
	var name x509.HostnameError
	var stranger x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &name):
		return "its certificate is for another name"
	case errors.As(err, &stranger):
		return "its certificate is not signed by an authority that is trusted"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "its certificate has expired or is not valid yet"
	case errors.As(err, &invalid):
		return "its certificate is not valid"
	case errors.As(err, &record):
		return "it does not speak TLS"
	}
	if text := err.Error(); strings.Contains(text, "tls:") || strings.Contains(text, "x509:") || strings.Contains(text, "HTTP response to HTTPS client") {
		return "no secure connection"
	}
	return ""
}
