package outgoing

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lubod/lubod/host/internal/hosttest"
	"github.com/lubod/lubod/sdk/fetch"
	"github.com/lubod/lubod/sdk/simulator/names"
)

// twoServers are a server that may be reached (127.0.0.2) and a secret one (127.0.0.1), on the same port.
type twoServers struct {
	port    string
	handler atomic.Pointer[http.HandlerFunc]
	secret  atomic.Int32
}

// open is what the server that may be reached does from now on.
func (s *twoServers) open(handler http.HandlerFunc) { s.handler.Store(&handler) }

func newTwoServers(t *testing.T) *twoServers {
	t.Helper()
	s := &twoServers{}
	s.open(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "open") })
	outer, inner := hosttest.ListenTwice(t, "127.0.0.2", "127.0.0.1")
	_, s.port, _ = net.SplitHostPort(outer.Addr().String())
	serveOn(t, outer, func(w http.ResponseWriter, r *http.Request) { (*s.handler.Load())(w, r) })
	server := serveOn(t, inner, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "secret") })
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.secret.Add(1)
		}
	}
	t.Cleanup(func() {
		if n := s.secret.Load(); n > 0 {
			t.Errorf("%d connections reached the secret server", n)
		}
	})
	return s
}

func serveOn(t *testing.T, listener net.Listener, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: handler}}
	server.Start()
	t.Cleanup(server.Close)
	return server
}

// client may reach 127.0.0.2 and nothing else on this machine.
func (s *twoServers) client(t *testing.T, server *names.Server) *Client {
	t.Helper()
	return newClient(t, "127.0.0.2", server)
}

func newClient(t *testing.T, allow string, server *names.Server) *Client {
	t.Helper()
	allowed, err := fetch.ParseAllowed(allow)
	if err != nil {
		t.Fatal(err)
	}
	options := Options{Allowed: allowed}
	if server != nil {
		options.Resolver = server.Resolver(t)
	}
	client := New(options)
	t.Cleanup(client.Close)
	return client
}

func get(t *testing.T, client *Client, target string) (string, error) {
	t.Helper()
	return do(t, client, Request{URL: target})
}

func do(t *testing.T, client *Client, r Request) (string, error) {
	t.Helper()
	response, err := client.Do(t.Context(), r)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// mustRefuse expects that a request is refused for where it leads.
func mustRefuse(t *testing.T, client *Client, target string) {
	t.Helper()
	if body, err := get(t, client, target); !isA[*RefusedError](err) {
		t.Errorf("%s answered %q, %v; want it refused", target, body, err)
	}
}

func parsed(addresses ...string) []netip.Addr {
	var all []netip.Addr
	for _, address := range addresses {
		all = append(all, netip.MustParseAddr(address))
	}
	return all
}

func TestANameThatLeadsInsideIsRefused(t *testing.T) {
	for _, addresses := range [][]string{
		{"127.0.0.1"}, {"::1"}, {"::ffff:127.0.0.1"}, {"169.254.169.254"}, {"10.0.0.1"}, {"0.0.0.0"}, {"::"}, {"fe80::1"}, {"100.100.100.200"}, {"64:ff9b::7f00:1"}, {"127.0.0.1", "::1"},
	} {
		t.Run(strings.Join(addresses, " "), func(t *testing.T) {
			servers := newTwoServers(t)
			mustRefuse(t, servers.client(t, names.Fixed(addresses...)), "http://inside.example:"+servers.port+"/")
		})
	}
}

func TestOneGoodAddressDoesNotLetABadOneThrough(t *testing.T) {
	servers := newTwoServers(t)
	client := servers.client(t, names.Fixed("127.0.0.1", "127.0.0.2", "::1"))
	if body, err := get(t, client, "http://mixed.example:"+servers.port+"/"); err != nil || body != "open" {
		t.Errorf("answer %q, %v", body, err)
	}
}

// TestANameThatChangesItsAddress rebinds: whatever was looked at before, the connection itself is what is checked.
func TestANameThatChangesItsAddress(t *testing.T) {
	servers := newTwoServers(t)
	rebinding := &names.Server{Answer: func(_ string, question int) []netip.Addr {
		if question%2 == 1 {
			return parsed("127.0.0.2")
		}
		return parsed("127.0.0.1")
	}}
	client := servers.client(t, rebinding)
	target := "http://rebind.example:" + servers.port + "/"
	if err := client.CheckURL(target); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		body, err := get(t, client, target)
		if i%2 == 0 && (err != nil || body != "open") {
			t.Fatalf("request %d: %q, %v", i, body, err)
		}
		if i%2 == 1 && !isA[*RefusedError](err) {
			t.Fatalf("request %d: %q, %v; want it refused", i, body, err)
		}
		client.Close() // so that the name is looked up again
	}
}

func TestThisMachineByItsPublicAddressIsRefused(t *testing.T) {
	client := New(Options{
		Resolver:     names.Fixed("198.41.0.4").Resolver(t),
		OwnAddresses: func() ([]netip.Addr, error) { return parsed("198.41.0.4"), nil },
	})
	defer client.Close()
	mustRefuse(t, client, "http://198.41.0.4/")
	mustRefuse(t, client, "http://me.example/")
	unknown := New(Options{OwnAddresses: func() ([]netip.Addr, error) { return nil, errors.New("no netlink") }})
	defer unknown.Close()
	if _, err := get(t, unknown, "http://198.41.0.4/"); err == nil || !strings.Contains(err.Error(), "no netlink") {
		t.Errorf("without its own addresses: %v, want no request", err)
	}
}

func TestAllowedNames(t *testing.T) {
	servers := newTwoServers(t)
	client := newClient(t, "nas.lan", names.Fixed("127.0.0.2"))
	if body, err := get(t, client, "http://NAS.lan:"+servers.port+"/"); err != nil || body != "open" {
		t.Errorf("answer %q, %v", body, err)
	}
	mustRefuse(t, client, "http://other.lan:"+servers.port+"/")
	mustRefuse(t, client, "http://127.0.0.2:"+servers.port+"/")
	mustRefuse(t, newClient(t, "nas.lan", names.Fixed("169.254.169.254")), "http://nas.lan/")
}

func TestRedirects(t *testing.T) {
	servers := newTwoServers(t)
	client := servers.client(t, names.Fixed("127.0.0.1"))
	location := ""
	servers.open(func(w http.ResponseWriter, r *http.Request) {
		if n, err := strconv.Atoi(r.URL.Query().Get("left")); err == nil {
			if n > 0 {
				http.Redirect(w, r, "?left="+strconv.Itoa(n-1), http.StatusFound)
				return
			}
			_, _ = io.WriteString(w, "arrived")
			return
		}
		w.Header().Set("Location", location)
		w.WriteHeader(http.StatusFound)
	})
	base := "http://127.0.0.2:" + servers.port + "/"
	for _, inside := range []string{
		"http://127.0.0.1:" + servers.port + "/", "http://inside.example:" + servers.port + "/", "//127.0.0.1:" + servers.port, "http://[::ffff:127.0.0.1]:" + servers.port,
		"http://2130706433:" + servers.port, "http://169.254.169.254/", "http://127.0.0.2:6379/",
		"file:///etc/passwd", "ftp://127.0.0.2/", "javascript:alert(1)", "http://user:password@127.0.0.2:" + servers.port + "/", "data:text/plain,x",
	} {
		location = inside
		mustRefuse(t, client, base)
	}
	if body, err := get(t, client, base+"?left=5"); err != nil || body != "arrived" {
		t.Errorf("five redirects: %q, %v", body, err)
	}
	if body, err := get(t, client, base+"?left=6"); !errors.Is(err, ErrRedirects) {
		t.Errorf("six redirects: %q, %v", body, err)
	}
}

// TestWhatIsSent makes sure that nothing of the caller, the environment or an earlier answer goes along.
func TestWhatIsSent(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://user:password@127.0.0.1:9")
	t.Setenv("ALL_PROXY", "http://user:password@127.0.0.1:9")
	servers := newTwoServers(t)
	var sent []http.Header
	servers.open(func(w http.ResponseWriter, r *http.Request) {
		sent = append(sent, r.Header)
		http.SetCookie(w, &http.Cookie{Name: "tracked", Value: "1"})
		if r.URL.Path == "/here" {
			http.Redirect(w, r, "http://elsewhere.example:"+servers.port+"/there", http.StatusTemporaryRedirect)
			return
		}
		_, _ = io.Copy(w, r.Body)
	})
	client := servers.client(t, names.Fixed("127.0.0.2"))
	header := http.Header{"Authorization": {"Bearer secret"}, "Cookie": {"session=secret"}, "X-Signature": {"secret"}, "Content-Type": {"application/json"}}
	body, err := do(t, client, Request{Method: http.MethodPost, URL: "http://127.0.0.2:" + servers.port + "/here", Header: header, Body: []byte("{}")})
	if err != nil || body != "{}" {
		t.Fatalf("answer %q, %v", body, err)
	}
	if body, err := get(t, client, "http://127.0.0.2:"+servers.port+"/plain"); err != nil || body != "" {
		t.Fatalf("answer %q, %v", body, err)
	}
	common := http.Header{"User-Agent": {"lubod"}, "Accept-Encoding": {"identity"}}
	posted := http.Header{"User-Agent": {"lubod"}, "Accept-Encoding": {"identity"}, "Content-Length": {"2"}, "Content-Type": {"application/json"}}
	first := posted.Clone()
	for name, values := range header {
		first[name] = values
	}
	if diff := cmp.Diff([]http.Header{first, posted, common}, sent); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if header.Get("User-Agent") != "" {
		t.Error("the caller's header was changed")
	}
}

// TestADowngrade follows https to http with a question, and not with a body.
func TestADowngrade(t *testing.T) {
	servers := newTwoServers(t)
	var sent []http.Header
	servers.open(func(_ http.ResponseWriter, r *http.Request) { sent = append(sent, r.Header) })
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.2:"+servers.port, http.StatusPermanentRedirect)
	}))
	defer secure.Close()
	client := newClient(t, "127.0.0.1,127.0.0.2", nil)
	client.transport.TLSClientConfig.RootCAs = x509.NewCertPool()
	client.transport.TLSClientConfig.RootCAs.AddCert(secure.Certificate())
	if _, err := do(t, client, Request{URL: secure.URL, Header: http.Header{"Authorization": {"secret"}}}); err != nil {
		t.Fatal(err)
	}
	if len(sent) != 1 || sent[0].Get("Authorization") != "" || sent[0].Get("Referer") != "" {
		t.Errorf("sent %v", sent)
	}
	if _, err := do(t, client, Request{Method: http.MethodPost, URL: secure.URL, Body: []byte("secret")}); !isA[*RefusedError](err) {
		t.Errorf("a body goes from https to http: %v", err)
	}
	if len(sent) != 1 {
		t.Errorf("sent %v", sent)
	}
}

func TestLimits(t *testing.T) {
	servers := newTwoServers(t)
	client := servers.client(t, nil)
	target := "http://127.0.0.2:" + servers.port + "/"
	for _, c := range []struct {
		name  string
		open  http.HandlerFunc
		limit int64
		want  string
		err   error
	}{
		{"just fits", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "12345") }, 5, "12345", nil},
		{"too long, and says so", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "123456") }, 5, "", ErrTooLarge},
		{"fits without a length", chunks("123", "45"), 5, "12345", nil},
		{"too long without a length", chunks("123", "456"), 5, "12345", ErrTooLarge},
		{"without an end", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		}, 5, "\x00\x00\x00\x00\x00", ErrTooLarge},
		{"headers without an end", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", maxHeaderBytes+8192))
		}, 5, "", errAny},
		{"a gzip bomb", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb(t))
		}, 1 << 20, "", ErrEncoded},
		{"another encoding", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "br")
		}, 5, "", ErrEncoded},
	} {
		t.Run(c.name, func(t *testing.T) {
			servers.open(c.open)
			body, err := do(t, client, Request{URL: target, MaxBytes: c.limit})
			if body != c.want || (c.err == nil) != (err == nil) || c.err != nil && !errors.Is(c.err, errAny) && !errors.Is(err, c.err) {
				t.Errorf("%q, %v; want %q, %v", body, err, c.want, c.err)
			}
		})
	}
}

var errAny = errors.New("any error")

func chunks(texts ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for _, text := range texts {
			_, _ = io.WriteString(w, text)
			_ = http.NewResponseController(w).Flush()
		}
	}
}

// bomb is some kilobytes that unpack to megabytes.
func bomb(t *testing.T) []byte {
	t.Helper()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(make([]byte, 8<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

func TestTheDeadlineHoldsForEverything(t *testing.T) {
	servers := newTwoServers(t)
	client := servers.client(t, nil)
	for name, open := range map[string]http.HandlerFunc{
		"no headers": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"no end of the body": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "x")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			servers.open(open)
			_, err := do(t, client, Request{URL: "http://127.0.0.2:" + servers.port, Timeout: 50 * time.Millisecond})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v, want the deadline", err)
			}
		})
	}
}

// TestErrorsHoldNoSecret looks for what is in URLs and headers in the texts of all kinds of errors.
func TestErrorsHoldNoSecret(t *testing.T) {
	servers := newTwoServers(t)
	servers.open(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "http://%zz/s3cret")
		w.WriteHeader(http.StatusFound)
	})
	client := servers.client(t, names.Fixed("127.0.0.1"))
	for _, target := range []string{
		"http://user:s3cret@127.0.0.2/", "http://127.0.0.2:" + servers.port + "/s3cret?token=s3cret", "http://inside.example/s3cret", "http://127.0.0.2:1024/s3cret",
		"s3cret://x", "http://127.0.0.1/s3cret", "http://%zz/s3cret", "http://127.0.0.2:s3cret/",
	} {
		body, err := get(t, client, target)
		if err == nil {
			t.Errorf("%s answered %q", target, body)
		} else if strings.Contains(fmt.Sprintf("%v %+v", err, err), "s3cret") {
			t.Errorf("%s: the error holds a secret: %v", target, err)
		}
	}
}

// A server that wants to see a page as Referer sees that constant, also behind a redirect, and nothing that a caller set.
func TestRefererThatAServerWants(t *testing.T) {
	servers := newTwoServers(t)
	var sent []string
	servers.open(func(w http.ResponseWriter, r *http.Request) {
		sent = append(sent, r.URL.Path+" "+r.Header.Get("Referer"))
		if r.URL.Path == "/first" {
			http.Redirect(w, r, "/next", http.StatusFound)
		}
	})
	client := newClient(t, "127.0.0.2", nil)
	client.referer = func(host string) string { return "https://page.example/of/" + host }
	if _, err := do(t, client, Request{URL: "http://127.0.0.2:" + servers.port + "/first", Header: http.Header{"Referer": {"http://other/"}}}); err != nil {
		t.Fatal(err)
	}
	const referer = "https://page.example/of/127.0.0.2"
	if got := strings.Join(sent, ", "); got != "/first "+referer+", /next "+referer {
		t.Errorf("sent %s", got)
	}
}
