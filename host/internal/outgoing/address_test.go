package outgoing

import (
	"errors"
	"net/netip"
	"testing"
)

func TestRefusalKnowsWhatIsNotPublic(t *testing.T) {
	refused := []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "100.100.100.200", "127.0.0.1", "127.255.255.254",
		"169.254.0.1", "169.254.169.254", "169.254.170.2", "168.63.129.16", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.192", "192.0.2.1",
		"192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.7", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
		// IPv6 of its own.
		"::", "::1", "fc00::1", "fd00:ec2::254", "fd20:ce::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "ff0e::1", "2001:db8::1", "3fff::1", "3fff:fff::1",
		"2001:2::1", "2001:10::1", "2001:20::1", "100::1", "5f00::1", "4000::1", "::ffff:0:7f00:1",
		// IPv4 in disguise: mapped, compatible, NAT64, 6to4, Teredo, ISATAP.
		"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::8.8.8.8", "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::8.8.8.8",
		"2002:7f00:1::1", "2002:a9fe:a9fe::1", "2002:808:808::1", "2001:0:1:2:3:4:80ff:fffe", "2a00:1450::5efe:127.0.0.1", "2a00:1450::200:5efe:10.0.0.1",
	}
	for _, text := range refused {
		if refusal(netip.MustParseAddr(text)) == "" {
			t.Errorf("%s passes as public", text)
		}
	}
	if refusal(netip.Addr{}) == "" {
		t.Error("no address passes as public")
	}
	public := []string{
		"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1", "169.253.255.255", "172.15.255.255",
		"172.32.0.0", "192.0.1.1", "192.167.255.255", "198.17.255.255", "198.20.0.0", "223.255.255.255", "168.63.129.15",
		"::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2001:200::1", "2001:4860:4860::8888", "2606:4700::1111", "2a00:1450:4001:82b::200e", "2400:3200::1", "2a00:1450::5efe:8.8.8.8",
	}
	for _, text := range public {
		if what := refusal(netip.MustParseAddr(text)); what != "" {
			t.Errorf("%s is refused as %s", text, what)
		}
	}
}

// FuzzRefusal holds the table against what net/netip knows by itself, and every IPv4 address against its disguises.
func FuzzRefusal(f *testing.F) {
	for _, seed := range []string{"127.0.0.1", "8.8.8.8", "::1", "2606:4700::1111", "fe80::1", "64:ff9b::7f00:1"} {
		f.Add(netip.MustParseAddr(seed).AsSlice())
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		addr, ok := netip.AddrFromSlice(raw)
		if !ok {
			t.Skip()
		}
		plain := addr.Unmap()
		refused := refusal(addr) != ""
		if !refused && (!plain.IsGlobalUnicast() || plain.IsPrivate() || plain.IsLoopback() || plain.IsLinkLocalUnicast() || plain.IsUnspecified()) {
			t.Errorf("%s passes as public", addr)
		}
		if plain.Is4() {
			four := plain.As4()
			mapped := netip.AddrFrom16(plain.As16())
			translated := nat64.Addr().As16()
			copy(translated[12:], four[:])
			for _, disguise := range []netip.Addr{mapped, netip.AddrFrom16(translated)} {
				if (refusal(disguise) != "") != refused {
					t.Errorf("%s and %s are not judged the same", plain, disguise)
				}
			}
		}
	})
}

func TestParseAllowed(t *testing.T) {
	allowed, err := ParseAllowed(" 192.168.0.0/16, 10.1.2.3,NAS.lan.,fd00::/8,::1, ::ffff:172.16.0.0/112 ,under_score.lan")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"192.168.7.7": true, "::ffff:192.168.7.7": true, "192.169.0.1": false, "10.1.2.3": true, "10.1.2.4": false, "fd12::1": true, "::1": true, "::2": false,
		"172.16.200.1": true, "172.17.0.1": false,
	} {
		if got := allowed.address(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s is allowed: %v, want %v", text, got, want)
		}
	}
	for name, want := range map[string]bool{"nas.lan": true, "NAS.LAN": true, "nas.lan.": true, "evil.nas.lan": false, "lan": false, "under_score.lan": true} {
		if got := allowed.host(name); got != want {
			t.Errorf("%s is allowed: %v, want %v", name, got, want)
		}
	}
	for _, wrong := range []string{"10.0.0.0/33", "300.1.1.1", "http://nas.lan", "nas.lan:80", "*.lan", "a b", "-", "127.1", "0x7f.1", "1,2", "-a.lan", "a..b"} {
		if _, err := ParseAllowed(wrong); err == nil {
			t.Errorf("%q is accepted", wrong)
		}
	}
}

func TestCheckURL(t *testing.T) {
	allowed, err := ParseAllowed("10.0.0.0/8")
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
