package outgoing

import (
	"net/url"
	"strconv"
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
	return c.guard.CheckHost(host)
}
