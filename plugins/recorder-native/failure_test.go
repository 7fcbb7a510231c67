package main

import (
	"compress/gzip"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/fetch"
	"github.com/lubod/lubod/sdk/recorder"
	"github.com/lubod/lubod/sdk/simulator/live"
	"github.com/lubod/lubod/sdk/simulator/names"
)

// source is a server of one handler.
func source(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL + "/live.flv"
}

func status(code int, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(code)
	}
}

// listening is an address whose port takes connections, which nobody serves.
func listening(t *testing.T) (url string, close func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return "http://" + l.Addr().String() + "/live.flv", func() { _ = l.Close() }
}

// Whatever keeps a stream from being recorded has a kind, by which the host decides, and a code, which a person can read.
func TestWhyNothingCouldBeOpened(t *testing.T) {
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	closed, shut := listening(t)
	shut()
	blackHole, _ := listening(t)
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	text := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }
	}
	tests := []struct {
		name string
		url  string
		kind sdk.Kind
		code string
		text string
	}{
		{"401", source(t, status(401)), sdk.LoginRequired, sdk.CodeStatus, "answered 401 Unauthorized"},
		{"403", source(t, status(403)), sdk.Forbidden, sdk.CodeStatus, "answered 403 Forbidden"},
		{"404", source(t, status(404)), sdk.NotFound, sdk.CodeStatus, "answered 404 Not Found"},
		{"429", source(t, status(429, "Retry-After", "7")), sdk.RateLimited, sdk.CodeStatus, "answered 429"},
		{"500", source(t, status(500)), sdk.Unavailable, sdk.CodeStatus, "answered 500"},
		{"204", source(t, status(204)), sdk.Unavailable, sdk.CodeStatus, "answered 204"},
		{"web page", source(t, text("\n<!doctype html><p>gone")), sdk.Unavailable, sdk.CodeHTML, "web page"},
		{"playlist", source(t, text("#EXTM3U\n#EXT-X-VERSION:3\n")), sdk.Unavailable, sdk.CodeNotMedia, "HLS"},
		{"noise", source(t, text("no such thing as media here")), sdk.Unavailable, sdk.CodeNotMedia, "not an FLV stream"},
		{"nothing", source(t, status(200)), sdk.Unavailable, sdk.CodeSilent, "ends the stream"},
		{"header only", source(t, text("FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00")), sdk.Unavailable, sdk.CodeNotMedia, "no pictures and no sound"},
		{"announced gzip", source(t, status(200, "Content-Encoding", "gzip")), sdk.Unavailable, sdk.CodeCompressed, "(gzip)"},
		{"gzip", source(t, func(w http.ResponseWriter, _ *http.Request) {
			z := gzip.NewWriter(w)
			_, _ = z.Write([]byte("FLV"))
			_ = z.Close()
		}), sdk.Unavailable, sdk.CodeCompressed, "(gzip)"},
		{"silence", source(t, func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).Flush()
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		}), sdk.Unavailable, sdk.CodeSilent, "sends nothing"},
		{"reset", source(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), sdk.Unavailable, sdk.CodeUnreachable, "cannot be reached"},
		{"nobody listens", closed, sdk.Unavailable, sdk.CodeRefused, "connection refused"},
		{"black hole", blackHole, sdk.Unavailable, sdk.CodeTimeout, "does not answer"},
		{"certificate", secure.URL + "/live.flv", sdk.Unavailable, sdk.CodeTLS, "certificate"},
		{"host", "http://nowhere.invalid/live.flv", sdk.Unavailable, sdk.CodeDNS, "its name"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := begin(t, at(test.url+"?wsSecret=hidden"), func(r *run) { r.options.ConnectTimeout, r.options.IdleTimeout = 1, 1 })
			err := r.end()
			var typed *sdk.Error
			if !errors.As(err, &typed) || !isOffline(err) {
				t.Fatalf("the recording ended with %v, want an offline error with a kind", err)
			}
			if typed.Kind != test.kind || typed.Code != test.code || typed.Args["where"] != fetch.Place(test.url) {
				t.Errorf("%s %s %v, want %s %s about %s", typed.Kind, typed.Code, typed.Args, test.kind, test.code, test.url)
			}
			if !strings.Contains(err.Error(), test.text) || strings.Contains(err.Error(), "hidden") {
				t.Errorf("text %q, want it to hold %q and no secret", err, test.text)
			}
			if test.name == "429" && typed.RetryAfter != 7*time.Second {
				t.Errorf("retry after %s, want 7s", typed.RetryAfter)
			}
		})
	}
}

// What a server answers that is no source stays with the recorder, in whatever part of the answer it is.
func TestNothingOfAnAnswerIsInAnError(t *testing.T) {
	const secret = "s3cret"
	raw := func(answer string) string {
		return source(t, func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = conn.Write([]byte(answer))
			_ = conn.Close()
		})
	}
	for name, url := range map[string]string{
		"body":           raw("HTTP/1.1 200 OK\r\n\r\n" + secret + " access key"),
		"cut body":       raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + secret),
		"chunk size":     raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + secret + "\r\n"),
		"status":         raw("HTTP/1.1 299 " + secret + "\r\n\r\n"),
		"refusal":        raw("HTTP/1.1 403 " + secret + "\r\n\r\n" + secret),
		"no status":      raw("HTTP/1.1 " + secret + "\r\n\r\n"),
		"encoding":       raw("HTTP/1.1 200 OK\r\nContent-Encoding: " + secret + "\r\n\r\n"),
		"transfer":       raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: " + secret + "\r\n\r\n"),
		"header":         raw("HTTP/1.1 200 OK\r\n" + secret + "\r\n\r\n"),
		"no HTTP":        raw("220 " + secret + " ESMTP\r\n"),
		"retry":          raw("HTTP/1.1 429 x\r\nRetry-After: " + secret + "\r\n\r\n"),
		"redirect":       raw("HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/" + secret + "\r\n\r\n"),
		"no URL":         raw("HTTP/1.1 302 Found\r\nLocation: http://%zz/" + secret + "\r\n\r\n"),
		"another scheme": raw("HTTP/1.1 302 Found\r\nLocation: " + secret + "://x\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := begin(t, at(url)).end()
			if !isOffline(err) || strings.Contains(err.Error(), secret) || strings.Contains(typed(err).Args["cause"]+typed(err).Args["status"], secret) {
				t.Errorf("the recording ended with %v, want an offline error with nothing of the answer", err)
			}
		})
	}
}

// Where the machine's metadata is no stream is, whoever says so: the room, a name server or another server.
func TestLinkLocalAddressesAreNoSource(t *testing.T) {
	system := net.DefaultResolver
	net.DefaultResolver = names.Fixed("169.254.169.254").Resolver(t)
	t.Cleanup(func() { net.DefaultResolver = system })
	redirect := source(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://[::ffff:169.254.169.254]/latest/meta-data/", http.StatusFound)
	})
	for _, url := range []string{
		"http://169.254.169.254/live.flv", "http://[::ffff:169.254.169.254]/live.flv", "http://[fd00:ec2::254]/live.flv", "http://100.100.100.200/live.flv",
		"http://2852039166/live.flv", "http://cdn.example/live.flv", redirect,
	} {
		err := begin(t, at(url)).end()
		if got := typed(err); !isOffline(err) || got.Code != sdk.CodeAddress || got.Args["where"] != fetch.Place(url) {
			t.Errorf("%s: %v, want it refused", url, err)
		}
	}
}

// Of several addresses each is named, with its CDN; kind and code are what they have in common.
func TestWhyNoneOfSeveralCouldBeOpened(t *testing.T) {
	missing, broken := source(t, status(404)), source(t, status(503))
	named := func(urls ...string) []recorder.Stream {
		var streams []recorder.Stream
		for i, url := range urls {
			streams = append(streams, recorder.Stream{URL: url, CDN: "cdn-" + string(rune('a'+i)), Container: "flv"})
		}
		return streams
	}
	err := begin(t, named(missing, missing)).end()
	if got := typed(err); got.Kind != sdk.NotFound || got.Code != sdk.CodeStatus {
		t.Errorf("two times 404: %s %s", got.Kind, got.Code)
	}
	if text := err.Error(); strings.Count(text, "404") != 2 || !strings.Contains(text, "cdn-a") || !strings.Contains(text, "cdn-b") {
		t.Errorf("text %q, want both CDNs with their status", text)
	}
	err = begin(t, named(missing, broken)).end()
	if got := typed(err); got.Kind != sdk.Unavailable || got.Code != sdk.CodeStatus {
		t.Errorf("404 and 503: %s %s", got.Kind, got.Code)
	}
}

// New addresses are asked for when any of the old ones was refused, not only the last one.
func TestAnyRefusalWantsNewAddresses(t *testing.T) {
	closed, shut := listening(t)
	shut()
	old := serve(t, live.Options{}, live.Reset(live.AfterTags(100)), live.Forbidden().Always().After(1))
	fresh := serve(t, live.Options{Clip: clip(t, "other")})
	r := begin(t, append(at(old.URL()), at(closed)...))
	r.session.wait(t, "request for new addresses", func(p recorder.Payload) bool { _, ok := p.(recorder.RefreshWanted); return ok })
	r.session.refreshed <- at(fresh.URL())
	r.must()
	if n := len(r.session.segments()); n != 2 {
		t.Errorf("%d segments, want one of each address", n)
	}
}
