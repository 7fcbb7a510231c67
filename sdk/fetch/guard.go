package fetch

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// The variables by which lubod tells its plugins where their requests may go. A Client heeds them by itself.
const (
	// EnvAllowAddresses is a list in the form of ParseAllowed.
	EnvAllowAddresses = "LUBOD_ALLOW_ADDRESSES"
	// EnvLocalSources is "false" where sources are public servers only.
	EnvLocalSources = "LUBOD_LOCAL_SOURCES"
)

// RefusedError is an address that requests must not go to.
type RefusedError struct{ Host, Reason string }

func (e *RefusedError) Error() string { return e.Host + " is refused: " + e.Reason }

// Guard keeps requests away from where those who choose their addresses must not reach: link-local addresses and the metadata
// servers of clouds, whatever form they are written in, and, unless Local, everything else that is not public. The IP address
// is checked when a connection is made to it, in the system call's place, so no name server can answer one thing for the
// check and another for the connection; it is checked again behind every redirect.
//
// A proxy makes connections itself: of a request that goes through one, only an address in the URL can be checked.
type Guard struct {
	allowed  Allowed
	local    bool
	resolver *net.Resolver
	own      func() ([]netip.Addr, error)
}

// GuardOptions are what a Guard needs; all may be left out.
type GuardOptions struct {
	// Allowed are addresses that may be reached whatever they are.
	Allowed Allowed
	// Local lets requests reach this machine and the networks around it.
	Local bool
	// Resolver looks names up; nil: that of the system.
	Resolver *net.Resolver
	// OwnAddresses lists the addresses of this machine; nil: it is asked for them.
	OwnAddresses func() ([]netip.Addr, error)
}

// NewGuard makes a guard.
func NewGuard(options GuardOptions) *Guard {
	g := &Guard{allowed: options.Allowed, local: options.Local, resolver: options.Resolver, own: options.OwnAddresses}
	if g.own == nil {
		g.own = ownAddresses
	}
	return g
}

// SourceGuard is the guard of requests to sources, as the operator of lubod set it. Sources may be on this machine and in
// the networks around it, unless he closed them.
func SourceGuard() *Guard {
	// lubod has checked both. What cannot be read allows nothing.
	allowed, err := ParseAllowed(os.Getenv(EnvAllowAddresses))
	if err != nil {
		allowed = Allowed{}
	}
	local := true
	if text := os.Getenv(EnvLocalSources); text != "" {
		on, err := strconv.ParseBool(text)
		local = on && err == nil
	}
	return NewGuard(GuardOptions{Allowed: allowed, Local: local})
}

// CheckURL refuses what need not be connected to: a URL that names a refused address itself. Errors are *RefusedError.
func (g *Guard) CheckURL(target *url.URL) error { return g.CheckHost(target.Hostname()) }

// CheckHost is CheckURL for a host without its port. A name passes: what it leads to shows when it is connected to.
func (g *Guard) CheckHost(host string) error {
	if addr, err := netip.ParseAddr(host); err == nil {
		return g.checkAddress(host, addr, false)
	}
	// Browsers and some resolvers read 2130706433, 0x7f.1 and 0177.0.0.1 as 127.0.0.1.
	if endsInNumber(strings.TrimSuffix(host, ".")) {
		return &RefusedError{Host: host, Reason: "write an address as four decimal numbers, such as 192.0.2.1"}
	}
	return nil
}

// DialContext makes connections with dialer, whose Resolver it sets where the guard has one, to the first address of a host
// that may be connected to. It is for http.Transport.DialContext, and for whatever else connects.
func (g *Guard) DialContext(dialer net.Dialer) func(ctx context.Context, network, address string) (net.Conn, error) {
	if g.resolver != nil {
		dialer.Resolver = g.resolver
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if proxy, ok := ctx.Value(proxyKey{}).(string); ok && proxy == address {
			return dialer.DialContext(ctx, network, address) // the operator named it
		}
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		guarded := dialer
		guarded.ControlContext = func(ctx context.Context, network, address string, conn syscall.RawConn) error {
			reached, err := netip.ParseAddrPort(address)
			if err != nil {
				return &RefusedError{Host: host, Reason: "it leads to something that is no IP address"}
			}
			if err := g.checkAddress(host, reached.Addr(), g.allowed.host(host)); err != nil {
				return err
			}
			switch {
			case dialer.ControlContext != nil:
				return dialer.ControlContext(ctx, network, address, conn)
			case dialer.Control != nil:
				return dialer.Control(network, address, conn)
			}
			return nil
		}
		return guarded.DialContext(ctx, network, address)
	}
}

// Transport sends requests over base as far as the guard lets them through. It makes base connect with dialer, whatever it
// connected with before; a DialTLSContext of base stays, and has to use DialContext of the guard.
func (g *Guard) Transport(base *http.Transport, dialer net.Dialer) http.RoundTripper {
	base.DialContext = g.DialContext(dialer)
	return &guardedTransport{guard: g, base: base, proxy: base.Proxy}
}

// guardedTransport is asked for every request, so for each hop of a redirect.
type guardedTransport struct {
	guard *Guard
	base  http.RoundTripper
	proxy func(*http.Request) (*url.URL, error)
}

// proxyKey is the address of the proxy of a request, in its context.
type proxyKey struct{}

// RoundTrip implements http.RoundTripper.
func (t *guardedTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	if err := t.guard.CheckURL(request.URL); err != nil {
		if request.Body != nil {
			_ = request.Body.Close()
		}
		return nil, err
	}
	if t.proxy != nil {
		if proxy, err := t.proxy(request); err == nil && proxy != nil {
			request = request.WithContext(context.WithValue(request.Context(), proxyKey{}, dialled(proxy)))
		}
	}
	return t.base.RoundTrip(request)
}

// CloseIdleConnections is what http.Client.CloseIdleConnections calls.
func (t *guardedTransport) CloseIdleConnections() {
	if closer, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

// dialled is the address at which net/http connects to a proxy.
func dialled(proxy *url.URL) string {
	port := proxy.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[proxy.Scheme]
	}
	return net.JoinHostPort(proxy.Hostname(), port)
}

// checkAddress holds one IP address against the rules.
func (g *Guard) checkAddress(host string, addr netip.Addr, nameAllowed bool) error {
	if g.allowed.address(addr) {
		return nil
	}
	what, never := refusal(addr)
	switch {
	case never, what != "" && !g.local && !nameAllowed:
		return &RefusedError{Host: host, Reason: "it leads to " + what}
	case g.local, nameAllowed:
		return nil
	}
	// A service that a firewall hides from the network answers the machine itself, also on its public address.
	own, err := g.own()
	if err != nil {
		return fmt.Errorf("list the addresses of this machine: %w", err)
	}
	for _, one := range own {
		if one.Unmap() == addr.Unmap() {
			return &RefusedError{Host: host, Reason: "it leads to this machine itself"}
		}
	}
	return nil
}

func ownAddresses() ([]netip.Addr, error) {
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var addresses []netip.Addr
	for _, one := range interfaces {
		if prefix, err := netip.ParsePrefix(one.String()); err == nil {
			addresses = append(addresses, prefix.Addr())
		}
	}
	return addresses, nil
}
