package fetch_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/fetch"
	"github.com/lubod/lubod/sdk/simulator/names"
)

// guarded is a client behind a guard with a name server of the test's.
func guarded(t *testing.T, allow string, local bool, server *names.Server, opts ...fetch.Option) *fetch.Client {
	t.Helper()
	return fetch.New("", append(opts, fetch.WithGuard(newGuard(t, allow, local, server)))...)
}

func newGuard(t *testing.T, allow string, local bool, server *names.Server) *fetch.Guard {
	t.Helper()
	allowed, err := fetch.ParseAllowed(allow)
	if err != nil {
		t.Fatal(err)
	}
	options := fetch.GuardOptions{Allowed: allowed, Local: local}
	if server != nil {
		options.Resolver = server.Resolver(t)
	}
	return fetch.NewGuard(options)
}

// mustRefuse expects the code of a refused address, and nothing in the text but where the request began and why.
func mustRefuse(t *testing.T, client *fetch.Client, target, why string) {
	t.Helper()
	text, err := client.Text(t.Context(), target)
	if err == nil {
		t.Errorf("%s answered %q", target, text)
		return
	}
	typed, ok := err.(*sdk.Error) //nolint:errorlint // that is what it returns
	if !ok || typed.Code != sdk.CodeAddress || typed.Args["cause"] == "" || typed.Args["where"] != fetch.Place(target) {
		t.Errorf("%s: %#v, want the code %s", target, err, sdk.CodeAddress)
		return
	}
	if want := fetch.Place(target) + " cannot be reached: " + typed.Args["cause"]; typed.Message != want || !strings.Contains(typed.Message, why) {
		t.Errorf("%s: %q, want %q about %q", target, typed.Message, want, why)
	}
}

func port(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Port()
}

// A source in the own network is as good as any; the machine's metadata is nobody's source, however its address is written.
func TestSourcesMayBeNearAndNeverLinkLocal(t *testing.T) {
	open := newServer(t, answer(200, "text/plain", "media"))
	for _, server := range []*names.Server{names.Fixed("127.0.0.1"), names.Fixed("::ffff:127.0.0.1"), names.Fixed("169.254.169.254", "127.0.0.1")} {
		text, err := guarded(t, "", true, server).Text(t.Context(), "http://camera.lan:"+port(t, open)+"/live")
		if err != nil || text != "media" {
			t.Errorf("a source by its name: %q, %v", text, err)
		}
	}
	for _, host := range []string{
		"169.254.169.254", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::]", "[fe80::1]", "[fe80::1%25lo]", "[fd00:ec2::254]",
		"100.100.100.200", "[::ffff:100.100.100.200]", "168.63.129.16", "239.255.255.250",
	} {
		mustRefuse(t, guarded(t, "", true, nil), "http://"+host+"/latest/meta-data/", "")
	}
	for _, host := range []string{"2852039166", "0xa9fea9fe", "169.254.43518"} {
		mustRefuse(t, guarded(t, "", true, nil), "http://"+host+"/", "four decimal numbers")
	}
	for _, address := range []string{"169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "fd00:ec2::254", "100.100.100.200", "64:ff9b::a9fe:a9fe"} {
		mustRefuse(t, guarded(t, "", true, names.Fixed(address)), "http://inside.example/live.flv", "")
	}
}

// The setting that closes the networks around the machine leaves what the operator named.
func TestLocalSourcesCanBeClosed(t *testing.T) {
	open := newServer(t, answer(200, "text/plain", "media"))
	mustRefuse(t, guarded(t, "", false, nil), open, "loopback")
	mustRefuse(t, guarded(t, "", false, names.Fixed("127.0.0.1")), "http://camera.lan:"+port(t, open), "loopback")
	mustRefuse(t, guarded(t, "", false, nil), "http://192.168.1.5/live.flv", "private")
	for _, allow := range []string{"127.0.0.0/8", "camera.lan"} {
		text, err := guarded(t, allow, false, names.Fixed("127.0.0.1")).Text(t.Context(), "http://camera.lan:"+port(t, open))
		if err != nil || text != "media" {
			t.Errorf("allowed by %s: %q, %v", allow, text, err)
		}
	}
	// A name server may not open what only an address opens.
	mustRefuse(t, guarded(t, "camera.lan", false, names.Fixed("100.100.100.200")), "http://camera.lan/", "metadata")
	mustRefuse(t, guarded(t, "camera.lan", true, names.Fixed("169.254.1.1")), "http://camera.lan/", "link-local")
}

// What the variables of lubod say is what a client does that nobody told anything.
func TestClientHeedsTheSettingsOfTheOperator(t *testing.T) {
	open := newServer(t, answer(200, "text/plain", "media"))
	for _, test := range []struct {
		local, allow string
		refused      bool
	}{{"", "", false}, {"true", "", false}, {"false", "", true}, {"false", "127.0.0.1", false}, {"no idea", "", true}, {"false", "127.0.0.1,///", true}} {
		t.Setenv(fetch.EnvLocalSources, test.local)
		t.Setenv(fetch.EnvAllowAddresses, test.allow)
		_, err := fetch.New("").Text(t.Context(), open)
		if refused := err != nil; refused != test.refused {
			t.Errorf("local %q, allowed %q: %v", test.local, test.allow, err)
		}
	}
	t.Setenv(fetch.EnvLocalSources, "true")
	t.Setenv(fetch.EnvAllowAddresses, "")
	mustRefuse(t, fetch.New(""), "http://169.254.169.254/", "link-local")
	// A network of the author's own is guarded as well.
	mustRefuse(t, fetch.New("", fetch.WithTransport(http.DefaultTransport.(*http.Transport).Clone())), "http://169.254.169.254/", "link-local")
	mustRefuse(t, fetch.New("", fetch.WithTransport(never{t})), "http://169.254.169.254/", "link-local")
}

type never struct{ t *testing.T }

func (n never) RoundTrip(r *http.Request) (*http.Response, error) {
	n.t.Errorf("asked %s", r.URL)
	return nil, io.EOF
}

// Each hop of a redirect is looked at, and what the server wrote into it reaches nobody.
func TestRedirectInsideIsRefused(t *testing.T) {
	location := ""
	open := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", location)
		w.WriteHeader(http.StatusFound)
		_, _ = io.WriteString(w, "s3cret")
	})
	client := guarded(t, "", true, names.Fixed("169.254.169.254"))
	for _, location = range []string{
		"http://169.254.169.254/latest/meta-data/s3cret", "http://[::ffff:169.254.169.254]/s3cret", "//169.254.1.1/", "http://s3cret.example/", "http://[fe80::1]/",
		"http://[fd00:ec2::254]/", "http://100.100.100.200/", "http://2852039166/",
	} {
		mustRefuse(t, client, open+"/live.flv?token=s3cret", "")
		if _, err := client.Text(t.Context(), open); strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the answer is in the error: %v", err)
		}
	}
	closed := guarded(t, "127.0.0.2", false, nil)
	location = "http://127.0.0.1/"
	second := listenOn(t, "127.0.0.2", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, location, http.StatusFound) })
	mustRefuse(t, closed, second, "loopback")
}

func listenOn(t *testing.T, host string, handler http.HandlerFunc) string {
	t.Helper()
	listener, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: handler}}
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

// A proxy of the operator is reached wherever it is; what it is asked for is looked at before.
func TestProxyIsReachedThoughLocalSourcesAreClosed(t *testing.T) {
	var asked atomic.Int32
	proxy := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		_, _ = io.WriteString(w, r.URL.Host)
	})
	address, err := url.Parse(proxy)
	if err != nil {
		t.Fatal(err)
	}
	client := guarded(t, "", false, nil, fetch.WithTransport(&http.Transport{Proxy: http.ProxyURL(address), DisableKeepAlives: true}))
	if text, err := client.Text(t.Context(), "http://cdn.example/live.flv"); err != nil || text != "cdn.example" {
		t.Errorf("through a proxy: %q, %v", text, err)
	}
	mustRefuse(t, client, "http://169.254.169.254/", "link-local")
	mustRefuse(t, client, "http://127.0.0.1/", "loopback")
	if n := asked.Load(); n != 1 {
		t.Errorf("the proxy was asked %d times", n)
	}
	direct := guarded(t, "", false, nil, fetch.WithTransport(&http.Transport{DisableKeepAlives: true}))
	mustRefuse(t, direct, proxy, "loopback")
}

// What is connected to with the guard's own function is looked at too: chat of a platform is no HTTP.
func TestDialContextOfAGuard(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	served := make(chan struct{})
	go func() {
		defer close(served)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, "hello\n")
		_ = conn.Close()
	}()
	dial := newGuard(t, "", true, names.Fixed("127.0.0.1")).DialContext(net.Dialer{})
	_, number, _ := net.SplitHostPort(listener.Addr().String())
	conn, err := dial(t.Context(), "tcp", "chat.example:"+number)
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	_ = conn.Close()
	<-served
	if err != nil || line != "hello\n" {
		t.Errorf("%q, %v", line, err)
	}
	if conn, err := dial(t.Context(), "tcp", "169.254.169.254:80"); err == nil {
		_ = conn.Close()
		t.Error("connected to a link-local address")
	}
}
