package outgoing

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// maxURLBytes is what servers and proxies on the way commonly take.
const maxURLBytes = 8192

// CheckURL says whether a URL is one that requests can go to, as far as that can be told without asking a name server:
// the address that its name has is checked when a connection is made. Errors are *URLError or *RefusedError.
func (c *Client) CheckURL(raw string) error {
	_, err := c.parse(raw)
	return err
}

func (c *Client) parse(raw string) (*url.URL, error) {
	if len(raw) > maxURLBytes {
		return nil, &URLError{Problem: "has more than " + strconv.Itoa(maxURLBytes) + " bytes"}
	}
	target, err := url.Parse(raw)
	if err != nil {
		return nil, &URLError{Problem: "is no URL"} // the parser's text quotes it, with what may be secret in it
	}
	return target, c.checkURL(target)
}

func (c *Client) checkURL(target *url.URL) error {
	host := target.Hostname()
	switch {
	case target.Scheme != "http" && target.Scheme != "https":
		return &URLError{Problem: "must begin with http:// or https://"}
	case target.Opaque != "" || host == "":
		return &URLError{Problem: "must name a host after http:// or https://"}
	case target.User != nil:
		return &URLError{Problem: "must not hold a user name or a password"}
	}
	if port := target.Port(); port != "" {
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return &URLError{Problem: "must have a port from 1 to 65535"}
		}
		if blockedPorts[uint16(number)] {
			return &RefusedError{Host: target.Host, Reason: "port " + port + " belongs to a service that is not a web server"}
		}
	}
	return c.checkHost(host)
}

// checkHost refuses what a name server need not be asked about.
func (c *Client) checkHost(host string) error {
	if addr, err := netip.ParseAddr(host); err == nil {
		return c.checkAddress(host, addr, false)
	}
	// Browsers and some resolvers read 2130706433, 0x7f.1 and 0177.0.0.1 as 127.0.0.1.
	if endsInNumber(strings.TrimSuffix(host, ".")) {
		return &RefusedError{Host: host, Reason: "write an address as four decimal numbers, such as 192.0.2.1"}
	}
	return nil
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
