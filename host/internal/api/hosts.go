package api

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/lubod/lubod/host/internal/reason"
)

// AnyHost among Deps.Hosts lets the server be called by every name.
const AnyHost = "*"

// hostNames are the names by which the server may be called.
//
// The page of another site can let the name of that site lead to 127.0.0.1 (DNS rebinding): for the browser the page and
// this server are one site then, and no check of origins helps. Such a request bears the name of the site as its Host,
// which no page can forge. What else a page can send, such as X-Forwarded-For, proves nothing, so a proxy that passes the
// Host of its clients on has to be named here.
type hostNames struct {
	names []string
	// guarded is false when every name is taken.
	guarded bool
}

// newHostNames takes the names that the operator gave. Without any, a server that only this machine reaches is called by
// the names of this machine, and one that others reach by whatever name they know.
func newHostNames(names []string, onlyLocal bool) hostNames {
	h := hostNames{guarded: (len(names) > 0 || onlyLocal) && !slices.Contains(names, AnyHost)}
	for _, name := range names {
		h.names = append(h.names, bareHost(name))
	}
	return h
}

// allow tells whether a request with this Host may be answered. Addresses always may: DNS has no part in them.
func (h hostNames) allow(host string) bool {
	if !h.guarded || host == "" {
		return true
	}
	name := bareHost(host)
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return name == "localhost" || strings.HasSuffix(name, ".localhost") || slices.Contains(h.names, name)
}

// bareHost is a host without its port, brackets, case and final dot.
func bareHost(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

// refuseUnknownHost answers only to names that this server is known by.
func (s *Server) refuseUnknownHost(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if host := c.Request().Host; !s.hosts.allow(host) {
			return &problem{
				status: http.StatusForbidden, code: codeUnknownHost,
				why: reason.New(reason.APIUnknownHost),
			}
		}
		return next(c)
	}
}

// isLocalListener tells whether only this machine can connect.
func isLocalListener(address net.Addr) bool {
	switch a := address.(type) {
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	}
	return false
}
