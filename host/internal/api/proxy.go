package api

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lubod/lubod/host/internal/outgoing"
	"github.com/lubod/lubod/host/internal/reason"
)

const (
	maxProxyBytes = 32 << 20
	proxyTimeout  = 20 * time.Second
	// proxySlots is how much is fetched at once; what comes on top waits for proxyPatience.
	proxySlots    = 8
	proxyPatience = 5 * time.Second
	// maxProxyAge bounds how long a browser may keep an answer: a day.
	maxProxyAge = 24 * 60 * 60
)

// GetProxy fetches something from a public web server.
func (s *Server) GetProxy(ctx context.Context, request GetProxyRequestObject) (GetProxyResponseObject, error) {
	release, err := s.proxySlot(ctx)
	if err != nil {
		return nil, err
	}
	response, err := s.outgoing.Do(ctx, outgoing.Request{URL: request.Params.URL, Timeout: proxyTimeout, MaxBytes: maxProxyBytes})
	if err != nil {
		release()
		return nil, fromOutgoing(err)
	}
	if err := proxyStatus(response); err != nil {
		_ = response.Body.Close()
		release()
		return nil, err
	}
	return proxied{response: response, release: release, server: s}, nil
}

// proxySlot waits for one of the places for fetching.
func (s *Server) proxySlot(ctx context.Context) (release func(), err error) {
	patience := time.NewTimer(proxyPatience)
	defer patience.Stop()
	select {
	case s.proxying <- struct{}{}:
		return func() { <-s.proxying }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-patience.C:
		return nil, &problem{
			status: http.StatusServiceUnavailable, code: codeUnavailable, retryAfter: proxyPatience,
			why: reason.New(reason.APIProxyBusy, "slots", strconv.Itoa(proxySlots)),
		}
	}
}

// fromOutgoing says why something could not be fetched. What the network answers stays in the log: it can name servers
// inside.
func fromOutgoing(err error) error {
	var (
		wrong   *outgoing.URLError
		refused *outgoing.RefusedError
		unknown *net.DNSError
		trust   *tls.CertificateVerificationError
	)
	failed := func(code string) error {
		return &problem{status: http.StatusServiceUnavailable, code: codeUpstreamFailed, field: "url", why: reason.New(code), cause: err}
	}
	switch {
	case errors.As(err, &wrong):
		return invalid("url", reason.New(reason.APIRefused, "text", wrong.Problem))
	case errors.As(err, &refused):
		return &problem{status: http.StatusForbidden, code: codeForbiddenAddress, field: "url", why: reason.New(reason.APIProxyRefused, "cause", refused.Error())}
	case errors.Is(err, outgoing.ErrTooLarge), errors.Is(err, outgoing.ErrEncoded), errors.Is(err, outgoing.ErrRedirects):
		return &problem{status: http.StatusUnprocessableEntity, code: codeUpstreamUnusable, field: "url", why: reason.New(reason.APIProxyUnusable, "cause", err.Error())}
	case errors.Is(err, context.DeadlineExceeded):
		return failed(reason.APIProxyTimeout)
	case errors.As(err, &unknown) && unknown.IsNotFound:
		return failed(reason.APIProxyNoServer)
	case errors.As(err, &trust):
		return failed(reason.APIProxyCertificate)
	}
	return failed(reason.APIProxyUnreachable)
}

func proxyStatus(response *http.Response) error {
	switch {
	case response.StatusCode == http.StatusNotFound || response.StatusCode == http.StatusGone:
		return &problem{status: http.StatusNotFound, code: codeNotFound, field: "url", why: reason.New(reason.APIProxyNothing)}
	case response.StatusCode < 200 || response.StatusCode > 299:
		return &problem{
			status: http.StatusServiceUnavailable, code: codeUpstreamFailed,
			field: "url", why: reason.New(reason.APIProxyStatus, "status", strconv.Itoa(response.StatusCode)),
		}
	}
	return nil
}

// proxied passes an answer on, with nothing of it that a browser would act on.
type proxied struct {
	response *http.Response
	release  func()
	server   *Server
}

func (p proxied) VisitGetProxyResponse(w http.ResponseWriter) error {
	defer p.release()
	defer func() { _ = p.response.Body.Close() }()
	// The place must not be held by somebody who does not read.
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(requestTimeout)); err != nil {
		p.server.log.Debug("an answer cannot be given a deadline", "error", err)
	}
	passHeaders(w.Header(), p.response)
	w.WriteHeader(http.StatusOK)
	if _, err := io.Copy(w, p.response.Body); err != nil {
		p.server.log.Debug("what the proxy fetches was cut off", "host", p.response.Request.URL.Host, "error", err)
		// Ended properly, half an answer would pass for a whole one.
		panic(http.ErrAbortHandler)
	}
	return nil
}

var entityTag = regexp.MustCompile(`^(W/)?"[!#-~]{0,128}"$`)

// passHeaders sets what a browser gets to know of an answer. Everything else the target sent stays here: cookies, origins
// that may read it, other places to go.
func passHeaders(header http.Header, from *http.Response) {
	header.Set("Content-Security-Policy", "sandbox; default-src 'none'; frame-ancestors 'none'")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	contentType, inline := harmlessType(from.Header.Get("Content-Type"))
	header.Set("Content-Type", contentType)
	if !inline {
		header.Set("Content-Disposition", "attachment")
	}
	if from.ContentLength >= 0 {
		header.Set("Content-Length", strconv.FormatInt(from.ContentLength, 10))
	}
	if tag := from.Header.Get("ETag"); entityTag.MatchString(tag) {
		header.Set("ETag", tag)
	}
	if modified, err := http.ParseTime(from.Header.Get("Last-Modified")); err == nil {
		header.Set("Last-Modified", modified.UTC().Format(http.TimeFormat))
	}
	if age := maxAge(from.Header.Get("Cache-Control")); age > 0 {
		header.Set("Cache-Control", "private, max-age="+strconv.Itoa(age))
	}
}

// maxAge is how many seconds an answer may be kept, 0 for not at all.
func maxAge(cacheControl string) int {
	age := 0
	for directive := range strings.SplitSeq(strings.ToLower(cacheControl), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch name {
		case "no-store", "no-cache", "private":
			return 0
		case "max-age":
			if seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil {
				age = int(min(seconds, maxProxyAge))
			}
		}
	}
	return age
}

// shown are the types that a browser only shows, whatever the bytes are: with nosniff it takes them for nothing else.
var shown = []string{
	"application/json",
	"image/apng", "image/avif", "image/bmp", "image/gif", "image/jpeg", "image/jpg", "image/jxl", "image/png", "image/vnd.microsoft.icon", "image/webp", "image/x-icon",
	"audio/aac", "audio/flac", "audio/mp4", "audio/mpeg", "audio/ogg", "audio/wav", "audio/webm", "audio/x-m4a", "audio/x-wav",
	"video/3gpp", "video/mp2t", "video/mp4", "video/ogg", "video/quicktime", "video/webm", "video/x-flv", "video/x-m4v", "video/x-matroska",
}

// charsets of texts, without those in which harmless bytes have another meaning.
var charsets = []string{"utf-8", "us-ascii", "iso-8859-1", "windows-1252", "gbk", "gb2312", "gb18030", "big5", "shift_jis", "euc-jp", "euc-kr"}

// harmlessType is the type under which something can be given to a browser, and whether to show it.
func harmlessType(given string) (contentType string, inline bool) {
	mediaType, params, err := mime.ParseMediaType(given)
	switch {
	case err != nil:
		return "application/octet-stream", false
	case slices.Contains(shown, mediaType):
		return mediaType, true
	case !isText(mediaType):
		return "application/octet-stream", false
	}
	if charset := strings.ToLower(params["charset"]); slices.Contains(charsets, charset) {
		return "text/plain; charset=" + charset, true
	}
	return "text/plain; charset=utf-8", true
}

func isText(mediaType string) bool {
	switch mediaType {
	case "application/xml", "application/javascript", "application/x-javascript", "application/ecmascript":
		return true
	}
	return strings.HasPrefix(mediaType, "text/") || strings.HasSuffix(mediaType, "+xml")
}
