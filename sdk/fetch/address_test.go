package fetch

import (
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
		if what, _ := refusal(netip.MustParseAddr(text)); what == "" {
			t.Errorf("%s passes as public", text)
		}
	}
	if what, never := refusal(netip.Addr{}); what == "" || !never {
		t.Error("no address passes as public")
	}
	public := []string{
		"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1", "169.253.255.255", "172.15.255.255",
		"172.32.0.0", "192.0.1.1", "192.167.255.255", "198.17.255.255", "198.20.0.0", "223.255.255.255", "168.63.129.15",
		"::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2001:200::1", "2001:4860:4860::8888", "2606:4700::1111", "2a00:1450:4001:82b::200e", "2400:3200::1", "2a00:1450::5efe:8.8.8.8",
	}
	for _, text := range public {
		if what, _ := refusal(netip.MustParseAddr(text)); what != "" {
			t.Errorf("%s is refused as %s", text, what)
		}
	}
}

// Sources may be in any network but where only the machine itself is answered, in whatever form that is written.
func TestRefusalKnowsWhereNoSourceIs(t *testing.T) {
	for _, text := range []string{
		"169.254.0.1", "169.254.169.254", "169.254.170.2", "100.100.100.200", "100.96.0.96", "168.63.129.16", "192.0.0.192", "224.0.0.1", "255.255.255.255",
		"fe80::1", "fe80::1%eth0", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:42::42", "ff02::1",
		"::ffff:169.254.169.254", "::ffff:100.100.100.200", "::169.254.169.254", "::ffff:0:a9fe:a9fe", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe",
		"2002:a9fe:a9fe::1", "2001:0:1:2:3:4:5601:5601", "2a00:1450::5efe:169.254.169.254", "fd00::200:5efe:169.254.169.254",
	} {
		if _, never := refusal(netip.MustParseAddr(text)); !never {
			t.Errorf("a source may be at %s", text)
		}
	}
	for _, text := range []string{
		"0.0.0.0", "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.5", "100.64.0.1", "100.100.100.201", "198.18.0.1", "8.8.8.8", "::1", "fd12::1", "fc00::1", "2606:4700::1111",
		"::ffff:127.0.0.1", "::ffff:192.168.1.5", "64:ff9b::8.8.8.8", "64:ff9b::10.0.0.1",
	} {
		if what, never := refusal(netip.MustParseAddr(text)); never {
			t.Errorf("no source may be at %s: %s", text, what)
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
		what, never := refusal(addr)
		refused := what != ""
		if (plain.IsLinkLocalUnicast() || plain.IsMulticast()) && !never {
			t.Errorf("%s passes as a source", addr)
		}
		if !refused && (!plain.IsGlobalUnicast() || plain.IsPrivate() || plain.IsLoopback() || plain.IsLinkLocalUnicast() || plain.IsUnspecified()) {
			t.Errorf("%s passes as public", addr)
		}
		if plain.Is4() {
			four := plain.As4()
			mapped := netip.AddrFrom16(plain.As16())
			translated := nat64.Addr().As16()
			copy(translated[12:], four[:])
			for _, disguise := range []netip.Addr{mapped, netip.AddrFrom16(translated)} {
				if other, worse := refusal(disguise); (other != "") != refused || worse != never {
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
