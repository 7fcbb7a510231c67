package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/fetch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const cookie = "SESSDATA=c00kie-secret; uid=77"

// newServer serves one handler; the client's connections end with it.
func newServer(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL
}

func answer(code int, contentType, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(code)
		_, _ = fmt.Fprint(w, body)
	}
}

func TestFailuresHaveTheRightKind(t *testing.T) {
	const html, js = "text/html; charset=utf-8", "application/json"
	tests := map[string]struct {
		handler http.HandlerFunc
		kind    sdk.Kind
		retry   time.Duration
		cause   sdk.Cause
	}{
		"missing room":         {handler: answer(404, js, `{}`), kind: sdk.NotFound},
		"gone":                 {handler: answer(410, js, `{}`), kind: sdk.NotFound},
		"login":                {handler: answer(401, js, `{}`), kind: sdk.LoginRequired},
		"forbidden":            {handler: answer(403, js, `{}`), kind: sdk.Forbidden},
		"region":               {handler: answer(451, js, `{}`), kind: sdk.Forbidden, cause: sdk.CauseRegion},
		"throttled":            {handler: answer(429, js, `{}`, "Retry-After", "7"), kind: sdk.RateLimited, retry: 7 * time.Second},
		"throttled, silent":    {handler: answer(429, js, `{}`), kind: sdk.RateLimited},
		"throttled, nonsense":  {handler: answer(429, js, `{}`, "Retry-After", "soon"), kind: sdk.RateLimited},
		"throttled, for years": {handler: answer(429, js, `{}`, "Retry-After", "2000000000"), kind: sdk.RateLimited, retry: 24 * time.Hour},
		"precondition":         {handler: answer(412, js, `{}`), kind: sdk.RateLimited},
		"server error":         {handler: answer(502, html, `<html>`), kind: sdk.Unavailable},
		"bad request":          {handler: answer(400, js, `{}`), kind: sdk.Bug},
		"captcha":              {handler: answer(403, html, `<html><script src="/CAPTCHA.js">`), kind: sdk.Challenged},
		"captcha, status 200":  {handler: answer(200, html, `<html>geetest`), kind: sdk.Challenged},
		"HTML for JSON":        {handler: answer(200, html, `<!doctype html><p>maintenance`), kind: sdk.Bug},
		"wrong type":           {handler: answer(200, js, `{"title": {"token": "s3cret"}}`), kind: sdk.Bug},
		"cut JSON":             {handler: answer(200, js, `{"title": "s3cret`), kind: sdk.Bug},
		"nothing":              {handler: answer(200, js, ``), kind: sdk.Bug},
		"cut connection": {handler: func(http.ResponseWriter, *http.Request) {
			panic(http.ErrAbortHandler)
		}, kind: sdk.Unavailable},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			url := newServer(t, tt.handler) + "/room/5?sign=s3cret"
			var v struct{ Title string }
			err := fetch.New(cookie).JSON(t.Context(), url, &v)
			if sdk.KindOf(err) != tt.kind {
				t.Fatalf("kind of %q is %s, want %s", err, sdk.KindOf(err), tt.kind)
			}
			if got := sdk.RetryAfter(err); got != tt.retry {
				t.Errorf("retry after %s, want %s", got, tt.retry)
			}
			var e *sdk.Error
			if errors.As(err, &e) && e.Cause != tt.cause {
				t.Errorf("cause %q, want %q", e.Cause, tt.cause)
			}
			if strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "c00kie") {
				t.Errorf("error tells a secret: %q", err)
			}
			if !strings.Contains(err.Error(), "/room/5") {
				t.Errorf("error does not say where: %q", err)
			}
		})
	}
}

func TestRetryAfterDate(t *testing.T) {
	at := time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat)
	err := fetch.New("").JSON(t.Context(), newServer(t, answer(429, "", "", "Retry-After", at)), &struct{}{})
	if got := sdk.RetryAfter(err); got < 60*time.Second || got > 90*time.Second {
		t.Errorf("retry after %s, want about 90 s", got)
	}
}

func TestJSONAndTextReturnTheAnswer(t *testing.T) {
	url := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		// Labelled as HTML on purpose: some platforms do that.
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, `{"title": %q}`, r.Header.Get("Cookie")+"|"+r.Header.Get("User-Agent")+"|"+r.Header.Get("Referer"))
	})
	c := fetch.New("a=1", fetch.WithUserAgent("me"), fetch.WithHeader("Referer", "https://acme.tv"))
	var v struct{ Title string }
	if err := c.JSON(t.Context(), url, &v); err != nil {
		t.Fatal(err)
	}
	if want := "a=1|me|https://acme.tv"; v.Title != want {
		t.Errorf("got %q, want %q", v.Title, want)
	}
	text, err := c.Text(t.Context(), url)
	if err != nil || !strings.HasPrefix(text, "{") {
		t.Errorf("text %q, %v", text, err)
	}
}

func TestAnswerThatIsTooLarge(t *testing.T) {
	url := newServer(t, answer(200, "", strings.Repeat("x", 101)))
	if _, err := fetch.New("", fetch.WithMaxBytes(100)).Text(t.Context(), url); sdk.KindOf(err) != sdk.Bug {
		t.Errorf("got %v", err)
	}
	if _, err := fetch.New("", fetch.WithMaxBytes(101)).Text(t.Context(), url); err != nil {
		t.Errorf("an answer of exactly the limit: %v", err)
	}
}

func TestRedirectLoopEnds(t *testing.T) {
	hops := 0
	url := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		hops++
		http.Redirect(w, r, "/again?token=s3cret", http.StatusFound)
	})
	_, err := fetch.New("").Text(t.Context(), url)
	if sdk.KindOf(err) != sdk.Unavailable || !strings.Contains(err.Error(), "redirects") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v", err)
	}
	if hops > 6 {
		t.Errorf("followed %d redirects", hops)
	}
}

func TestRedirectToAnotherHostGetsNoCookie(t *testing.T) {
	got := make(chan string, 1)
	other := newServer(t, func(_ http.ResponseWriter, r *http.Request) { got <- r.Header.Get("Cookie") })
	other = strings.Replace(other, "127.0.0.1", "localhost", 1)
	url := newServer(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other, http.StatusFound) })
	if _, err := fetch.New(cookie).Text(t.Context(), url); err != nil {
		t.Skipf("localhost does not reach the test server: %v", err)
	}
	if c := <-got; c != "" {
		t.Errorf("cookie went to another host: %q", c)
	}
}

func TestServerThatHangs(t *testing.T) {
	release := make(chan struct{})
	entered := make(chan struct{}, 2)
	url := newServer(t, func(http.ResponseWriter, *http.Request) { entered <- struct{}{}; <-release })
	defer close(release)

	_, err := fetch.New("", fetch.WithTimeout(20*time.Millisecond)).Text(t.Context(), url)
	if sdk.KindOf(err) != sdk.Unavailable || !strings.Contains(err.Error(), "within 20ms") {
		t.Errorf("own deadline: got %v", err)
	}
	<-entered

	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-entered; cancel() }()
	if _, err := fetch.New("").Text(ctx, url); !errors.Is(err, context.Canceled) {
		t.Errorf("caller gave up: got %v", err)
	}
}

func TestNobodyListens(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	url := s.URL
	s.Close()
	_, err := fetch.New("").Text(t.Context(), url+"/x?token=s3cret")
	if sdk.KindOf(err) != sdk.Unavailable || !strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v", err)
	}
}

func TestURLThatIsNone(t *testing.T) {
	if _, err := fetch.New("").Text(t.Context(), "http://s3cret@\x7f/"); sdk.KindOf(err) != sdk.Bug || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v", err)
	}
}

// A person is told what is wrong with an address, and which proxy it is that does not work.
func TestWhyARequestGotNoAnswerHasACode(t *testing.T) {
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	plain := newServer(t, answer(200, "text/plain", "hello"))
	refusing := newServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	nobody := closedAddress(t)
	silent := silentAddress(t)
	through := func(proxy string) *http.Transport {
		address, err := url.Parse("http://user:s3cret@" + strings.TrimPrefix(proxy, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		return &http.Transport{Proxy: http.ProxyURL(address), OnProxyConnectResponse: fetch.ProxyAnswer}
	}
	tests := map[string]struct {
		url       string
		transport *http.Transport
		code      string
		text      string
	}{
		"nobody listens":         {"http://" + nobody + "/a", &http.Transport{}, sdk.CodeRefused, "connection refused"},
		"no such host":           {"http://nowhere.invalid/a", &http.Transport{}, sdk.CodeDNS, "its name"},
		"unknown authority":      {secure.URL + "/a", &http.Transport{}, sdk.CodeTLS, "authority"},
		"plain HTTP for TLS":     {strings.Replace(plain, "http:", "https:", 1) + "/a", &http.Transport{}, sdk.CodeTLS, "TLS"},
		"black hole":             {"http://" + silent + "/a", &http.Transport{ResponseHeaderTimeout: 50 * time.Millisecond}, sdk.CodeTimeout, "answer"},
		"dead proxy":             {"http://cdn.example/a", through(nobody), sdk.CodeProxy, "http://" + nobody},
		"dead proxy for TLS":     {"https://cdn.example/a", through(nobody), sdk.CodeProxy, "http://" + nobody},
		"proxy does not connect": {"https://cdn.example/a", through(refusing), sdk.CodeProxy, "403"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Cleanup(tt.transport.CloseIdleConnections)
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, tt.url+"?token=s3cret", nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := tt.transport.RoundTrip(request)
			if err == nil {
				_ = response.Body.Close()
				t.Fatal("there was an answer")
			}
			got := fetch.RequestError(fetch.Place(request.URL.String()), request, err, tt.transport.Proxy)
			if got.Code != tt.code || got.Kind != sdk.Unavailable || got.Args["where"] != tt.url {
				t.Errorf("code %q of kind %s about %q, want %q about %s", got.Code, got.Kind, got.Args["where"], tt.code, tt.url)
			}
			if !strings.Contains(got.Message, tt.text) || strings.Contains(got.Message, "s3cret") {
				t.Errorf("text %q, want it to hold %q and no secret", got.Message, tt.text)
			}
		})
	}
}

func closedAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// silentAddress takes connections and never answers.
func silentAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String() // the kernel takes them; nobody accepts
}
