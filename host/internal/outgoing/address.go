package outgoing

import (
	"encoding/binary"
	"net/netip"
)

// special are the ranges of the IANA registries of special-purpose addresses that no public server can be reached at, and
// addresses of clouds that answer the machine itself. IPv6 is the other way round: see refusal6.
var special = []struct {
	prefix netip.Prefix
	what   string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "an address of this host"},
	{netip.MustParsePrefix("10.0.0.0/8"), "a private address"},
	{netip.MustParsePrefix("100.64.0.0/10"), "an address inside a provider's network"},
	{netip.MustParsePrefix("127.0.0.0/8"), "a loopback address"},
	{netip.MustParsePrefix("169.254.0.0/16"), "a link-local address, where clouds keep their metadata"},
	{netip.MustParsePrefix("172.16.0.0/12"), "a private address"},
	{netip.MustParsePrefix("168.63.129.16/32"), "the metadata server of a cloud"},
	{netip.MustParsePrefix("192.0.0.0/24"), "an address for protocols"},
	{netip.MustParsePrefix("192.0.2.0/24"), "an address for documentation"},
	{netip.MustParsePrefix("192.88.99.0/24"), "a 6to4 relay"},
	{netip.MustParsePrefix("192.168.0.0/16"), "a private address"},
	{netip.MustParsePrefix("198.18.0.0/15"), "an address for benchmarks"},
	{netip.MustParsePrefix("198.51.100.0/24"), "an address for documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "an address for documentation"},
	{netip.MustParsePrefix("224.0.0.0/4"), "a multicast address"},
	{netip.MustParsePrefix("240.0.0.0/4"), "a reserved address"},

	{netip.MustParsePrefix("::/128"), "an address of this host"},
	{netip.MustParsePrefix("::1/128"), "a loopback address"},
	{netip.MustParsePrefix("fc00::/7"), "a private address"},
	{netip.MustParsePrefix("fe80::/10"), "a link-local address"},
	{netip.MustParsePrefix("fec0::/10"), "a private address"},
	{netip.MustParsePrefix("ff00::/8"), "a multicast address"},
	{netip.MustParsePrefix("2001::/23"), "an address for protocols, such as Teredo"},
	{netip.MustParsePrefix("2001:db8::/32"), "an address for documentation"},
	{netip.MustParsePrefix("2002::/16"), "an IPv4 address in the form of 6to4"},
	{netip.MustParsePrefix("3fff::/20"), "an address for documentation"},
}

var (
	global6 = netip.MustParsePrefix("2000::/3")
	// nat64 is how a network without IPv4 reaches it: the last four bytes are where the connection really goes.
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
)

// refusal says what kind of address it is when it is not one of a public server; "" for all others.
func refusal(addr netip.Addr) string {
	if addr.Zone() != "" {
		return "an address of one network interface"
	}
	addr = addr.Unmap()
	if !addr.IsValid() {
		return "no address"
	}
	for _, entry := range special {
		if entry.prefix.Contains(addr) {
			return entry.what
		}
	}
	if addr.Is6() {
		return refusal6(addr)
	}
	return ""
}

// refusal6 lets through what is assigned to public networks, and nothing that hides a refused IPv4 address.
func refusal6(addr netip.Addr) string {
	raw := addr.As16()
	embedded := netip.AddrFrom4([4]byte(raw[12:]))
	if nat64.Contains(addr) {
		return hidden(embedded)
	}
	if !global6.Contains(addr) {
		return "an IPv6 address that is not public"
	}
	// ISATAP: a tunnel to the IPv4 address in the last four bytes.
	if id := binary.BigEndian.Uint32(raw[8:12]) &^ 0x02000000; id == 0x00005efe {
		return hidden(embedded)
	}
	return ""
}

func hidden(embedded netip.Addr) string {
	if what := refusal(embedded); what != "" {
		return what + " in the form of IPv6"
	}
	return ""
}

// blockedPorts are those of the Fetch standard, to which no browser sends a request because something that is not HTTP
// listens there and may take a request for commands, and those of databases and container engines.
var blockedPorts = portSet(
	1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110, 111, 113, 115, 117,
	119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636,
	989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
	445, 1433, 1521, 2375, 2376, 2379, 2380, 3306, 5432, 5984, 6379, 9042, 9200, 9300, 10250, 11211, 27017,
)

func portSet(ports ...uint16) map[uint16]bool {
	set := map[uint16]bool{0: true}
	for _, port := range ports {
		set[port] = true
	}
	return set
}
