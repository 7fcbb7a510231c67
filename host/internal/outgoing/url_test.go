package outgoing

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/lubod/lubod/sdk/fetch"
)

func TestCheckURL(t *testing.T) {
	allowed, err := fetch.ParseAllowed("10.0.0.0/8")
	if err != nil {
		t.Fatal(err)
	}
	client := New(Options{Allowed: allowed, OwnAddresses: func() ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("8.8.4.4"), netip.MustParseAddr("10.0.0.9")}, nil
	}})
	defer client.Close()
	for _, good := range []string{
		"http://example.com", "https://i0.hdslb.com/bfs/face/a.jpg?x=1#y", "HTTP://EXAMPLE.com:8080/", "http://8.8.8.8/", "http://[2606:4700::1111]/", "http://10.0.0.9:81/",
		"http://127.0.0.1.nip.io/", // a name: what it leads to is seen when a connection is made
	} {
		if err := client.CheckURL(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, wrong := range []string{
		"", "example.com", "//example.com", "/path", "http://", "http:example.com", "file:///etc/passwd", "ftp://example.com", "gopher://example.com:70/", "javascript:alert(1)",
		"data:text/html,x", "http://user@example.com", "http://user:secret@example.com", "http://example.com:99999/", "http://a b/", "http://example.com/\x00", "http://[::1", "unix:///run/x",
	} {
		if err := client.CheckURL(wrong); !isA[*URLError](err) {
			t.Errorf("%q: %v, want a *URLError", wrong, err)
		}
	}
	for _, refused := range []string{
		"http://127.0.0.1/", "http://127.0.0.1./", "http://127.1/", "http://2130706433/", "http://0x7f000001/", "http://0x7f.0.0.1/", "http://0177.0.0.1/", "http://017700000001/",
		"http://0/", "http://00000000000000000000.1/", "http://1.2.3/", "http://999999999999/", "http://0x/", "http://a.0x7f/", "http://[::1]/", "http://[::]/", "http://[::ffff:127.0.0.1]/",
		"http://[::ffff:7f00:1]/", "http://[0:0:0:0:0:ffff:7f00:1]/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://[fe80::1%25eth0]/", "http://169.254.169.254/latest/meta-data/",
		"http://192.168.1.1/", "http://8.8.4.4/", "http://example.com:22/", "http://example.com:25/", "http://example.com:6379/", "http://example.com:5432/", "http://10.0.0.9:0/",
	} {
		if err := client.CheckURL(refused); !isA[*RefusedError](err) {
			t.Errorf("%q: %v, want a *RefusedError", refused, err)
		}
	}
}

func isA[E error](err error) bool {
	var target E
	return errors.As(err, &target)
}
