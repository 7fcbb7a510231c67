package fetch

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// Allowed is what an operator exempts from the refusal of addresses that are not public.
type Allowed struct {
	prefixes []netip.Prefix
	hosts    map[string]bool
}

// hostName is a name in the form that DNS looks up; international names are written in their xn-- form.
var hostName = regexp.MustCompile(`^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$`)

// ParseAllowed reads a list of networks (10.1.0.0/16), addresses (192.168.1.5, ::1) and host names (nas.lan), with commas
// between them. A name allows the addresses that it has at the time, except link-local ones, multicast and the metadata servers of
// clouds, which only a network or an address allows: they may not depend on what a name server answers.
func ParseAllowed(list string) (Allowed, error) {
	allowed := Allowed{hosts: make(map[string]bool)}
	for entry := range strings.SplitSeq(list, ",") {
		entry = strings.ToLower(strings.TrimSpace(entry))
		if entry == "" {
			continue
		}
		if prefix, err := parsePrefix(entry); err == nil {
			allowed.prefixes = append(allowed.prefixes, prefix)
			continue
		}
		name := strings.TrimSuffix(entry, ".")
		if len(name) > 253 || !hostName.MatchString(name) || endsInNumber(name) {
			return Allowed{}, fmt.Errorf("%q is no network, address or host name; write for example 192.168.1.0/24, 192.168.1.5 or nas.lan", entry)
		}
		allowed.hosts[name] = true
	}
	return allowed, nil
}

func parsePrefix(entry string) (netip.Prefix, error) {
	if strings.Contains(entry, "/") {
		prefix, err := netip.ParsePrefix(entry)
		if err != nil {
			return netip.Prefix{}, err
		}
		// Connections are held against the plain form of a mapped address.
		if addr := prefix.Addr(); addr.Is4In6() && prefix.Bits() >= 96 {
			prefix = netip.PrefixFrom(addr.Unmap(), prefix.Bits()-96)
		}
		return prefix.Masked(), nil
	}
	addr, err := netip.ParseAddr(entry)
	if err != nil {
		return netip.Prefix{}, err
	}
	addr = addr.Unmap().WithZone("")
	return netip.PrefixFrom(addr, addr.BitLen()), nil
}

func (a Allowed) address(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	for _, prefix := range a.prefixes {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

func (a Allowed) host(name string) bool {
	return a.hosts[strings.TrimSuffix(strings.ToLower(name), ".")]
}

// endsInNumber tells a host that is meant as an IPv4 address, in whatever form, from a name: no top-level domain is a number.
func endsInNumber(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	if last == "" {
		return false
	}
	if hex, ok := strings.CutPrefix(strings.ToLower(last), "0x"); ok {
		_, err := strconv.ParseUint(hex, 16, 64)
		return hex == "" || err == nil || len(hex) > 16
	}
	return strings.Trim(last, "0123456789") == ""
}
