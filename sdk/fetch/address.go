package fetch

import (
	"encoding/binary"
	"net/netip"
)

// special are the ranges of the IANA registries of special-purpose addresses that no public server can be reached at, and
// addresses of clouds that answer the machine itself. The first that contains an address counts. IPv6 is the other way round:
// see refusal6.
var special = []struct {
	prefix netip.Prefix
	what   string
	// never marks what no source is at, in no network: only a list of the operator opens it.
	never bool
}{
	{netip.MustParsePrefix("169.254.0.0/16"), "a link-local address, where clouds keep their metadata", true},
	{netip.MustParsePrefix("100.100.100.200/32"), "the metadata server of a cloud", true},
	{netip.MustParsePrefix("100.96.0.96/32"), "the metadata server of a cloud", true},
	{netip.MustParsePrefix("168.63.129.16/32"), "the metadata server of a cloud", true},
	{netip.MustParsePrefix("192.0.0.192/32"), "the metadata server of a cloud", true},
	{netip.MustParsePrefix("224.0.0.0/4"), "a multicast address", true},
	{netip.MustParsePrefix("255.255.255.255/32"), "the broadcast address", true},
	{netip.MustParsePrefix("fe80::/10"), "a link-local address", true},
	{netip.MustParsePrefix("fd00:ec2::/32"), "the metadata server of a cloud", true},
	{netip.MustParsePrefix("fd20:ce::254/128"), "the metadata server of a cloud", true},
	{netip.MustParsePrefix("fd00:42::42/128"), "the metadata server of a cloud", true},
	{netip.MustParsePrefix("ff00::/8"), "a multicast address", true},

	{netip.MustParsePrefix("0.0.0.0/8"), "an address of this host", false},
	{netip.MustParsePrefix("10.0.0.0/8"), "a private address", false},
	{netip.MustParsePrefix("100.64.0.0/10"), "an address inside a provider's network", false},
	{netip.MustParsePrefix("127.0.0.0/8"), "a loopback address", false},
	{netip.MustParsePrefix("172.16.0.0/12"), "a private address", false},
	{netip.MustParsePrefix("192.0.0.0/24"), "an address for protocols", false},
	{netip.MustParsePrefix("192.0.2.0/24"), "an address for documentation", false},
	{netip.MustParsePrefix("192.88.99.0/24"), "a 6to4 relay", false},
	{netip.MustParsePrefix("192.168.0.0/16"), "a private address", false},
	{netip.MustParsePrefix("198.18.0.0/15"), "an address for benchmarks", false}, // local proxies answer names with them
	{netip.MustParsePrefix("198.51.100.0/24"), "an address for documentation", false},
	{netip.MustParsePrefix("203.0.113.0/24"), "an address for documentation", false},
	{netip.MustParsePrefix("240.0.0.0/4"), "a reserved address", false},

	{netip.MustParsePrefix("::/128"), "an address of this host", false},
	{netip.MustParsePrefix("::1/128"), "a loopback address", false},
	{netip.MustParsePrefix("fc00::/7"), "a private address", false},
	{netip.MustParsePrefix("fec0::/10"), "a private address", false},
	{netip.MustParsePrefix("2001::/23"), "an address for protocols, such as Teredo", false},
	{netip.MustParsePrefix("2001:db8::/32"), "an address for documentation", false},
	{netip.MustParsePrefix("2002::/16"), "an IPv4 address in the form of 6to4", false},
	{netip.MustParsePrefix("3fff::/20"), "an address for documentation", false},
}

var (
	global6 = netip.MustParsePrefix("2000::/3")
	// nat64 is how a network without IPv4 reaches it: the last four bytes are where the connection really goes.
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
	// These carry an IPv4 address in their last four bytes as well: networks with a translator of their own, and two forms that
	// are out of use.
	carriers  = []netip.Prefix{nat64, netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("::/96"), netip.MustParsePrefix("::ffff:0:0:0/96")}
	teredo    = netip.MustParsePrefix("2001::/32")
	sixToFour = netip.MustParsePrefix("2002::/16")
)

// refusal says what kind of address it is when it is not one of a public server, "" for all others, and whether it is one
// that no source can be at either.
func refusal(addr netip.Addr) (what string, never bool) {
	if !addr.IsValid() {
		return "no address", true
	}
	zone := addr.Zone()
	addr = addr.WithZone("").Unmap()
	for _, entry := range special {
		if entry.prefix.Contains(addr) {
			what, never = entry.what, entry.never
			break
		}
	}
	if never || addr.Is4() {
		return what, never
	}
	embedded, hidden := carried(addr)
	if hidden {
		if inner, worse := refusal(embedded); worse {
			return inner + " in the form of IPv6", true
		}
	}
	switch {
	case what != "":
		return what, false
	case zone != "":
		return "an address of one network interface", false
	}
	return refusal6(addr, embedded, hidden), false
}

// refusal6 lets through what is assigned to public networks, and nothing that hides a refused IPv4 address.
func refusal6(addr, embedded netip.Addr, hidden bool) string {
	if !nat64.Contains(addr) && !global6.Contains(addr) {
		return "an IPv6 address that is not public"
	}
	if hidden {
		if what, _ := refusal(embedded); what != "" {
			return what + " in the form of IPv6"
		}
	}
	return ""
}

// carried is the IPv4 address to which a tunnel or a translator brings what is sent to an IPv6 address.
func carried(addr netip.Addr) (embedded netip.Addr, ok bool) {
	raw := addr.As16()
	last := netip.AddrFrom4([4]byte(raw[12:]))
	for _, prefix := range carriers {
		if prefix.Contains(addr) {
			return last, true
		}
	}
	switch {
	case sixToFour.Contains(addr):
		return netip.AddrFrom4([4]byte(raw[2:6])), true
	case teredo.Contains(addr):
		return netip.AddrFrom4([4]byte{^raw[12], ^raw[13], ^raw[14], ^raw[15]}), true
	case binary.BigEndian.Uint32(raw[8:12])&^0x02000000 == 0x00005efe: // ISATAP
		return last, true
	}
	return netip.Addr{}, false
}
