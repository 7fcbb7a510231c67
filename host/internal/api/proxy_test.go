package api

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/lubod/lubod/db/dbtest"
	"github.com/lubod/lubod/host/internal/hosttest"
	"github.com/lubod/lubod/host/internal/outgoing"
	"github.com/lubod/lubod/sdk/fetch"
)

// proxyHarness is a server whose proxy reaches 127.0.0.2 and, beyond that, what it reaches anywhere: nothing on this machine.
type proxyHarness struct {
	*harness
	// port is where the target listens on 127.0.0.2, and something secret on 127.0.0.1.
	port   string
	target http.HandlerFunc
	// names answers what a name leads to; it is asked anew each time.
	names func() []netip.Addr
}

func newProxyHarness(t *testing.T) *proxyHarness {
	t.Helper()
	h := &proxyHarness{harness: newHarness(t, dbtest.New(t)), target: func(http.ResponseWriter, *http.Request) {}}
	target, secret := hosttest.ListenTwice(t, "127.0.0.2", "127.0.0.1")
	_, h.port, _ = net.SplitHostPort(target.Addr().String())
	answerOn(t, target, func(w http.ResponseWriter, r *http.Request) { h.target(w, r) })
	answerOn(t, secret, func(http.ResponseWriter, *http.Request) { t.Error("the proxy reached a secret server") })
	allowed, err := fetch.ParseAllowed("127.0.0.2")
	if err != nil {
		t.Fatal(err)
	}
	client := outgoing.New(outgoing.Options{Allowed: allowed, Resolver: h.resolver(t)})
	t.Cleanup(client.Close)
	h.server = h.startWith(t, Deps{Outgoing: client})
	h.browser = newBrowser(t, serve(t, h.server))
	h.register(t, "admin", "password123")
	h.login(t, "admin", "password123")
	return h
}

func answerOn(t *testing.T, listener net.Listener, handler http.HandlerFunc) {
	t.Helper()
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: handler}}
	server.Start()
	t.Cleanup(server.Close)
}

// resolver answers every question with what names says at that moment.
func (h *proxyHarness) resolver(t *testing.T) *net.Resolver {
	t.Helper()
	var served sync.WaitGroup
	t.Cleanup(served.Wait)
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		served.Go(func() {
			defer func() { _ = ours.Close() }()
			for answerDNS(ours, h.names) == nil {
			}
		})
		return theirs, nil
	}}
}

// answerDNS answers one question in the form of DNS over TCP.
func answerDNS(conn net.Conn, names func() []netip.Addr) error {
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return err
	}
	raw := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, raw); err != nil {
		return err
	}
	var message dnsmessage.Message
	if err := message.Unpack(raw); err != nil {
		return err
	}
	message.Response, message.RecursionAvailable, message.Additionals = true, true, nil
	asked := message.Questions[0]
	header := dnsmessage.ResourceHeader{Name: asked.Name, Type: asked.Type, Class: asked.Class}
	if asked.Type == dnsmessage.TypeA {
		for _, addr := range names() {
			message.Answers = append(message.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: addr.As4()}})
		}
	}
	packed, err := message.Pack()
	if err != nil {
		return err
	}
	_, err = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(packed))), packed...))
	return err
}

// at is the URL of a path of the target.
func (h *proxyHarness) at(host, path string) string { return "http://" + host + ":" + h.port + path }

func (h *proxyHarness) fetch(t *testing.T, target string, headers ...string) answer {
	t.Helper()
	return h.api(t, "GET", "/proxy?url="+url.QueryEscape(target), "", headers...)
}

// refusedAs checks status and code of an error answer, and that it does not say too much.
func (a answer) refusedAs(t *testing.T, status int, code string, words ...string) {
	t.Helper()
	a.refused(t, status, words...)
	var e Error
	a.decode(t, &e)
	if e.Code != code {
		t.Errorf("code %q, want %q: %s", e.Code, code, e.Error)
	}
}

func answering(contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		_, _ = io.WriteString(w, body)
	}
}

func TestProxy(t *testing.T) {
	h := newProxyHarness(t)
	h.target = func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.RequestURI() != "/a.png?x=1&y=%20" {
			t.Errorf("%s %s", r.Method, r.URL.RequestURI())
		}
		for name, value := range map[string]string{
			"Content-Type": "image/png", "ETag": `"abc"`, "Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT", "Cache-Control": "public, max-age=600",
			"Set-Cookie": "a=b", "Access-Control-Allow-Origin": "*", "Location": "/x", "Refresh": "0;url=http://evil.example", "Link": "</x>; rel=preload", "Clear-Site-Data": "*",
			"Content-Security-Policy": "default-src *", "X-Frame-Options": "ALLOWALL", "Server": "x", "Strict-Transport-Security": "max-age=1", "Service-Worker-Allowed": "/",
		} {
			w.Header().Set(name, value)
		}
		_, _ = io.WriteString(w, "\x89PNG")
	}
	a := h.fetch(t, h.at("127.0.0.2", "/a.png?x=1&y=%20")).must(t, 200)
	a.header.Del("Date")
	want := http.Header{
		"Content-Type": {"image/png"}, "Content-Length": {"4"}, "Etag": {`"abc"`}, "Last-Modified": {"Wed, 21 Oct 2015 07:28:00 GMT"},
		"Cache-Control": {"private, max-age=600"}, "X-Content-Type-Options": {"nosniff"}, "Cross-Origin-Resource-Policy": {"same-origin"},
		"Content-Security-Policy": {"sandbox; default-src 'none'; frame-ancestors 'none'"}, "Referrer-Policy": {"no-referrer"},
	}
	if a.body != "\x89PNG" || fmt.Sprint(a.header) != fmt.Sprint(want) {
		t.Errorf("body %q, headers\n%v, want\n%v", a.body, a.header, want)
	}
}

func TestProxyNeedsALogin(t *testing.T) {
	h := newProxyHarness(t)
	stranger := newBrowser(t, h.base)
	stranger.api(t, "GET", "/proxy?url="+url.QueryEscape(h.at("127.0.0.2", "/")), "").refused(t, 401, "log in")
}

func TestProxyNamesWhatIsWrongWithTheURL(t *testing.T) {
	h := newProxyHarness(t)
	for _, target := range []string{"", "x", "/etc/passwd", "file:///etc/passwd", "ftp://example.com/", "javascript:alert(1)", "http://", "http://user:secret@example.com/", "http://\x00/"} {
		h.fetch(t, target).refused(t, 400, "url")
	}
	h.api(t, "GET", "/proxy", "").refused(t, 400, "url")
	h.fetch(t, "http://example.com/"+strings.Repeat("x", 9000)).refused(t, 400, "url")
}

func TestProxyRefusesLoopback(t *testing.T) {
	h := newProxyHarness(t)
	h.names = func() []netip.Addr { return []netip.Addr{netip.MustParseAddr("127.0.0.1")} }
	for _, host := range []string{"127.0.0.1", "127.0.0.3", "0.0.0.0", "[::1]", "[::]", "localhost", "localhost.", "inside.example"} {
		h.fetch(t, h.at(host, "/")).refusedAs(t, 403, codeForbiddenAddress, "url:")
	}
}

func TestProxyRefusesPrivateAndLinkLocalAddresses(t *testing.T) {
	h := newProxyHarness(t)
	for _, target := range []string{
		"http://169.254.169.254/latest/meta-data/iam/", "http://10.0.0.1/", "http://172.16.0.1/", "http://192.168.0.1/", "http://100.100.100.200/", "http://168.63.129.16/",
		"http://[fe80::1]/", "http://[fd00:ec2::254]/latest/", "http://224.0.0.1/", "http://255.255.255.255/",
	} {
		h.fetch(t, target).refusedAs(t, 403, codeForbiddenAddress, "url:")
	}
}

func TestProxyRefusesIPv4InTheFormOfIPv6(t *testing.T) {
	h := newProxyHarness(t)
	for _, host := range []string{"[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:7f00:0001]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::ffff:a9fe:a9fe]"} {
		h.fetch(t, h.at(host, "/")).refusedAs(t, 403, codeForbiddenAddress, "url:")
	}
}

func TestProxyRefusesDecimalOctalAndHexAddresses(t *testing.T) {
	h := newProxyHarness(t)
	h.names = func() []netip.Addr { return []netip.Addr{netip.MustParseAddr("127.0.0.1")} }
	for _, host := range []string{"2130706433", "017700000001", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "127.0.1", "0", "１２７.０.０.１"} {
		h.fetch(t, h.at(host, "/")).refusedAs(t, 403, codeForbiddenAddress, "url:")
	}
}

func TestProxyRefusesANameThatChangesBetweenCheckAndConnection(t *testing.T) {
	h := newProxyHarness(t)
	var asked atomic.Int32
	h.names = func() []netip.Addr {
		if asked.Add(1)%2 == 1 {
			return []netip.Addr{netip.MustParseAddr("127.0.0.2")}
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	}
	h.target = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close") // so that the name is looked up for each request
		_, _ = io.WriteString(w, "open")
	}
	for range 4 {
		h.fetch(t, h.at("rebind.example", "/")).must(t, 200)
		h.fetch(t, h.at("rebind.example", "/")).refusedAs(t, 403, codeForbiddenAddress, "rebind.example")
	}
}

func TestProxyRefusesARedirectToAPrivateAddress(t *testing.T) {
	h := newProxyHarness(t)
	h.names = func() []netip.Addr { return []netip.Addr{netip.MustParseAddr("127.0.0.1")} }
	h.target = func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusFound)
	}
	for _, to := range []string{
		h.at("127.0.0.1", "/"), h.at("inside.example", "/"), h.at("[::ffff:127.0.0.1]", "/"), h.at("2130706433", "/"), "http://169.254.169.254/", "//10.0.0.1/",
		h.at("127.0.0.2", "/?to="+url.QueryEscape(h.at("127.0.0.1", "/"))),
	} {
		h.fetch(t, h.at("127.0.0.2", "/?to="+url.QueryEscape(to))).refusedAs(t, 403, codeForbiddenAddress)
	}
	h.fetch(t, h.at("127.0.0.2", "/?to=")).refusedAs(t, 422, codeUpstreamUnusable, "redirects")
}

func TestProxyRefusesARedirectToAFile(t *testing.T) {
	h := newProxyHarness(t)
	h.target = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", r.URL.Query().Get("to"))
		w.WriteHeader(http.StatusMovedPermanently)
	}
	for _, to := range []string{"file:///etc/passwd", "file://localhost/etc/passwd", "ftp://127.0.0.2/", "gopher://127.0.0.2:70/", "javascript:alert(1)", "data:text/html,x", "http://u:p@127.0.0.2/"} {
		h.fetch(t, h.at("127.0.0.2", "/?to="+url.QueryEscape(to))).refusedAs(t, 403, codeForbiddenAddress, "redirects")
	}
}

func TestProxyRefusesPortsOfOtherServices(t *testing.T) {
	h := newProxyHarness(t)
	for _, port := range []string{"22", "25", "5432", "6379", "11211"} {
		h.fetch(t, "http://example.com:"+port+"/").refusedAs(t, 403, codeForbiddenAddress, port)
	}
}

// TestProxyGivesABrowserNothingToRun answers what attackers would store somewhere to have it run on this server's pages.
func TestProxyGivesABrowserNothingToRun(t *testing.T) {
	const script = "<script>alert(document.cookie)</script>"
	h := newProxyHarness(t)
	for _, c := range []struct {
		given, body, want string
		saved             bool
	}{
		{given: "text/html", body: script, want: "text/plain; charset=utf-8"},
		{given: "TEXT/HTML; charset=UTF-7", body: "+ADw-script+AD4-", want: "text/plain; charset=utf-8"},
		{given: "text/html; charset=GBK", body: script, want: "text/plain; charset=gbk"},
		{given: "image/svg+xml", body: `<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`, want: "text/plain; charset=utf-8"},
		{given: "application/xhtml+xml", body: script, want: "text/plain; charset=utf-8"},
		{given: "video/mp4+xml", body: script, want: "text/plain; charset=utf-8"},
		{given: "text/xml", body: script, want: "text/plain; charset=utf-8"},
		{given: "application/xml", body: script, want: "text/plain; charset=utf-8"},
		{given: "text/javascript", body: "alert(1)", want: "text/plain; charset=utf-8"},
		{given: "application/javascript", body: "alert(1)", want: "text/plain; charset=utf-8"},
		{given: "text/css", body: "*{}", want: "text/plain; charset=utf-8"},
		{given: "image/gif", body: "GIF89a/*" + script + "*/=1;alert(1)", want: "image/gif"}, // a polyglot: with nosniff a picture stays one
		{given: "image/gif;" + script, body: script, want: "application/octet-stream", saved: true},
		{given: "image/gif, text/html", body: script, want: "application/octet-stream", saved: true},
		{given: "", body: script, want: "application/octet-stream", saved: true},
		{given: "multipart/x-mixed-replace; boundary=x", body: "--x\r\nContent-Type: text/html\r\n\r\n" + script, want: "application/octet-stream", saved: true},
		{given: "application/pdf", body: "%PDF", want: "application/octet-stream", saved: true},
		{given: "application/x-shockwave-flash", body: "FWS", want: "application/octet-stream", saved: true},
		{given: "message/rfc822", body: script, want: "application/octet-stream", saved: true},
		{given: "application/wasm", body: "\x00asm", want: "application/octet-stream", saved: true},
		{given: "application/json", body: `{"a":"` + script + `"}`, want: "application/json"},
		{given: "text/plain", body: script, want: "text/plain; charset=utf-8"},
		{given: "video/mp4; codecs=x", body: "x", want: "video/mp4"},
		{given: "audio/mpeg", body: "x", want: "audio/mpeg"},
	} {
		h.target = answering(c.given, c.body)
		a := h.fetch(t, h.at("127.0.0.2", "/x.html")).must(t, 200)
		if got := a.header.Get("Content-Type"); got != c.want || (a.header.Get("Content-Disposition") != "") != c.saved || a.body != c.body {
			t.Errorf("%q comes as %q, disposition %q, body %q", c.given, got, a.header.Get("Content-Disposition"), a.body)
		}
		if policy := a.header.Get("Content-Security-Policy"); !strings.Contains(policy, "sandbox") || !strings.Contains(policy, "default-src 'none'") || a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%q comes with %v", c.given, a.header)
		}
	}
}

func TestProxyForwardsNoCredentials(t *testing.T) {
	h := newProxyHarness(t)
	var sent http.Header
	h.target = func(_ http.ResponseWriter, r *http.Request) { sent = r.Header }
	h.fetch(t, h.at("127.0.0.2", "/"), "Authorization", "Basic c2VjcmV0", "Cookie", sessionCookie+"="+h.sessionToken(t)+"; a=b", "Referer", "http://lubod/", "X-Forwarded-For", "1.2.3.4",
		"Proxy-Authorization", "Basic secret", "Range", "bytes=0-1", "Origin", "http://lubod", "User-Agent", "Mozilla").must(t, 200)
	if want := (http.Header{"User-Agent": {"lubod"}, "Accept-Encoding": {"identity"}}); fmt.Sprint(sent) != fmt.Sprint(want) {
		t.Errorf("sent %v, want %v", sent, want)
	}
}

func TestProxyAnswersForFailures(t *testing.T) {
	h := newProxyHarness(t)
	h.names = func() []netip.Addr { return nil }
	h.target = func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/404":
			http.Error(w, "secret", http.StatusNotFound)
		case "/500":
			http.Error(w, "secret", http.StatusInternalServerError)
		case "/304":
			w.WriteHeader(http.StatusNotModified)
		case "/garbage":
			conn, _, _ := http.NewResponseController(w).Hijack()
			_, _ = io.WriteString(conn, "SSH-2.0-secret\r\n")
			_ = conn.Close()
		}
	}
	h.fetch(t, h.at("127.0.0.2", "/404")).refusedAs(t, 404, codeNotFound, "url:")
	h.fetch(t, h.at("127.0.0.2", "/500")).refusedAs(t, 503, codeUpstreamFailed, "500")
	h.fetch(t, h.at("127.0.0.2", "/304")).refusedAs(t, 503, codeUpstreamFailed, "304")
	h.fetch(t, h.at("127.0.0.2", "/garbage")).refusedAs(t, 503, codeUpstreamFailed, "cannot be read")
	h.fetch(t, "http://unknown.example/").refusedAs(t, 503, codeUpstreamFailed, "no server of this name")
	h.fetch(t, "http://127.0.0.2:1024/").refusedAs(t, 503, codeUpstreamFailed, "cannot be reached")
	h.fetch(t, strings.Replace(h.at("127.0.0.2", "/"), "http", "https", 1)).refusedAs(t, 503, codeUpstreamFailed)
}

func TestProxyRefusesWhatIsTooLarge(t *testing.T) {
	h := newProxyHarness(t)
	h.target = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(maxProxyBytes+1))
		_, _ = w.Write(make([]byte, 10))
	}
	h.fetch(t, h.at("127.0.0.2", "/")).refusedAs(t, 422, codeUpstreamUnusable, "too large")
}

// TestProxyCutsWhatTurnsOutTooLarge reads an answer without an end: what comes of it must not look whole.
func TestProxyCutsWhatTurnsOutTooLarge(t *testing.T) {
	h := newProxyHarness(t)
	h.target = func(w http.ResponseWriter, r *http.Request) {
		chunk := make([]byte, 1<<20)
		for r.Context().Err() == nil {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
	n, err := h.read(t, h.at("127.0.0.2", "/"))
	if n > maxProxyBytes || err == nil {
		t.Errorf("%d bytes came, and then %v; want at most %d and an error", n, err, maxProxyBytes)
	}
}

// read counts the bytes of an answer that does not end well.
func (h *proxyHarness) read(t *testing.T, target string) (int64, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.base+"/api/v1/proxy?url="+url.QueryEscape(target), nil)
	if err != nil {
		t.Fatal(err)
	}
	request.AddCookie(&http.Cookie{Name: sessionCookie, Value: h.sessionToken(t)})
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	return io.Copy(io.Discard, response.Body)
}

func TestProxyCutsABodyThatBreaksOff(t *testing.T) {
	h := newProxyHarness(t)
	h.target = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write(make([]byte, 10))
	}
	if n, err := h.read(t, h.at("127.0.0.2", "/")); err == nil {
		t.Errorf("%d bytes came as if they were all", n)
	}
}

func TestProxyDoesNotUnpackAGzipBomb(t *testing.T) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = w.Write(make([]byte, 4<<20))
	_ = w.Close()
	h := newProxyHarness(t)
	h.target = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Type", "image/png")
		_, _ = w.Write(packed.Bytes())
	}
	h.fetch(t, h.at("127.0.0.2", "/"), "Accept-Encoding", "gzip").refusedAs(t, 422, codeUpstreamUnusable, "compressed")
}

// TestProxyDoesNotWaitForASlowTarget uses a client that gives up sooner than the real one.
func TestProxyDoesNotWaitForASlowTarget(t *testing.T) {
	h := newProxyHarness(t)
	arrived := make(chan struct{})
	h.target = func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	}
	ctx, cancel := context.WithTimeout(withCaller(t.Context(), &caller{userID: 1}), 100*time.Millisecond)
	defer cancel()
	_, err := h.server.GetProxy(ctx, GetProxyRequestObject{Params: GetProxyParams{URL: h.at("127.0.0.2", "/")}})
	var p *problem
	if !errors.As(err, &p) || p.status != 503 || p.code != codeUpstreamFailed || !strings.Contains(p.Error(), "in time") {
		t.Errorf("%v", err)
	}
	<-arrived
}

// TestProxyBoundsHowMuchIsFetchedAtOnce takes all places; the next one gets one when one is free again.
func TestProxyBoundsHowMuchIsFetchedAtOnce(t *testing.T) {
	h := newProxyHarness(t)
	arrived, goOn := make(chan struct{}, proxySlots+1), make(chan struct{})
	h.target = func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-goOn
	}
	var all sync.WaitGroup
	for range proxySlots {
		all.Go(func() { h.fetch(t, h.at("127.0.0.2", "/")).must(t, 200) })
	}
	for range proxySlots {
		<-arrived
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := h.server.proxySlot(ctx); err == nil {
		t.Error("there is a place though all are taken")
	}
	close(goOn)
	all.Wait()
	if taken := len(h.server.proxying); taken > 0 {
		t.Errorf("%d places are still taken", taken)
	}
	h.fetch(t, h.at("127.0.0.2", "/")).must(t, 200)
}

func TestMaxAge(t *testing.T) {
	for given, want := range map[string]int{
		"": 0, "max-age=60": 60, "public, MAX-AGE=60": 60, `max-age="60"`: 60, "max-age=99999999": maxProxyAge, "max-age=99999999999999999999": 0, "max-age=-1": 0,
		"no-store, max-age=60": 0, "max-age=60, private": 0, "max-age=60, no-cache": 0, "s-maxage=60": 0,
	} {
		if got := maxAge(given); got != want {
			t.Errorf("%q: %d, want %d", given, got, want)
		}
	}
}
