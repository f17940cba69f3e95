/*
Copyright 2026 The BackupSync Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package connection

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Resolver looks names up: see net.Resolver.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Guard makes the connections to endpoints, and refuses addresses that are not public or belong to the cluster that the
// operator runs in, unless the allowed endpoints have an entry for them. It is safe for concurrent use.
//
// It looks a name up as it is, without search domains, and connects to an address that it has checked, so that
// a name that leads elsewhere a moment later gains nothing. A connection that is kept and used again was checked when it
// was made. Through a proxy it is not asked: there the proxy looks names up, and only the allowed endpoints apply.
type Guard struct {
	allowed   EndpointPatterns
	resolver  Resolver
	apiServer netip.Addr     // of the cluster, invalid if it is not known by an address
	own       []netip.Prefix // the networks that this machine is in
	connect   func(ctx context.Context, network, address string) (net.Conn, error)
}

// keepAlive is the time between two probes of an idle connection.
const keepAlive = 30 * time.Second

// NewGuard makes a Guard. Names are looked up by the resolver, or by net.DefaultResolver if it is nil. It returns an
// error if the networks of this machine cannot be read.
func NewGuard(allowed EndpointPatterns, resolver Resolver) (*Guard, error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("read the networks of this machine: %w", err)
	}
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	guard := &Guard{allowed: allowed, resolver: resolver, own: networksOf(addresses)}
	guard.apiServer, _ = netip.ParseAddr(os.Getenv("KUBERNETES_SERVICE_HOST")) // of a name the addresses are not known
	guard.connect = (&net.Dialer{KeepAlive: keepAlive, Control: guard.control}).DialContext
	return guard, nil
}

// networksOf returns the networks of interfaces by their addresses.
func networksOf(addresses []net.Addr) []netip.Prefix {
	var networks []netip.Prefix
	for _, address := range addresses {
		if network, err := netip.ParsePrefix(address.String()); err == nil && network.Bits() > 0 {
			networks = append(networks, network.Masked())
		}
	}
	return networks
}

// AddressError says that a host leads to an address to which no credentials are sent.
type AddressError struct {
	Host    string // "" if the address itself was asked for
	Address netip.Addr
	What    string // "a private address"
	// Local reports whether endpoints of a private cloud have such addresses, so that it may be right to allow it.
	Local bool
}

// Error says what the host leads to, and what to do about it.
func (e *AddressError) Error() string {
	text := fmt.Sprintf("%s is %s", e.Address, e.What)
	if e.Host != "" {
		text = fmt.Sprintf("%s resolves to %s, which is %s", e.Host, e.Address, e.What)
	}
	if e.Local {
		text += fmt.Sprintf(": add %s or its network to --allowed-endpoints", netip.PrefixFrom(e.Address, e.Address.BitLen()))
	}
	return text
}

// DialContext connects to a host and port as net.Dialer does. It returns an *AddressError if the host leads to refused
// addresses only.
func (g *Guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("dial port %q: %w", text, err)
	}
	addresses, err := g.lookUp(ctx, network, host, uint16(port))
	if err != nil {
		return nil, err
	}
	return race(ctx, addresses, func(ctx context.Context, address netip.AddrPort) (net.Conn, error) {
		return g.connect(ctx, network, address.String())
	})
}

// lookUp returns the addresses of a host to which connections are allowed, or an error if there are none.
func (g *Guard) lookUp(ctx context.Context, network, host string, port uint16) ([]netip.AddrPort, error) {
	if address, err := netip.ParseAddr(host); err == nil {
		to := netip.AddrPortFrom(address.Unmap(), port)
		return []netip.AddrPort{to}, g.check("", to)
	}
	found, err := g.resolve(ctx, network, host)
	if err != nil {
		return nil, fmt.Errorf("look up the endpoint: %w", err)
	}
	var allowed []netip.AddrPort
	var refused error
	for _, address := range found {
		to := netip.AddrPortFrom(address.Unmap(), port)
		if err := g.check(host, to); err == nil {
			allowed = append(allowed, to)
		} else if refused == nil || err.Error() < refused.Error() { // the same each time, in whatever order they come
			refused = err
		}
	}
	if len(allowed) == 0 {
		return nil, refused
	}
	return allowed, nil
}

// localhost is what the name localhost leads to, whatever a resolver says (RFC 6761, section 6.3).
var localhost = []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()}

// resolve returns the addresses of a name, at least one. It is looked up as it is, without the cluster's search domains.
func (g *Guard) resolve(ctx context.Context, network, name string) ([]netip.Addr, error) {
	if strings.EqualFold(name, "localhost") {
		return localhost, nil
	}
	absolute := strings.TrimSuffix(name, ".") + "."
	found, err := g.resolver.LookupNetIP(ctx, strings.Replace(network, "tcp", "ip", 1), absolute)
	if err == nil && len(found) == 0 {
		err = &net.DNSError{Err: "no address", Name: absolute, IsNotFound: true}
	}
	return found, err
}

// check returns an *AddressError if connections to an address are refused.
func (g *Guard) check(host string, to netip.AddrPort) error {
	address := to.Addr()
	for _, form := range formsOf(address) {
		kind, special := g.kindOf(form)
		if !special || g.allowed.admit(form, to.Port()) || g.allowed.admit(address.WithZone(""), to.Port()) {
			continue
		}
		if form.Is4() != address.Is4() {
			kind.what = fmt.Sprintf("a form of %s, %s", form, kind.what)
		}
		return &AddressError{Host: host, Address: address, What: kind.what, Local: kind.local}
	}
	return nil
}

// kindOf returns what an address is, here, and false if it is public and none of the cluster's.
func (g *Guard) kindOf(address netip.Addr) (addressKind, bool) {
	if g.apiServer.IsValid() && address == g.apiServer.Unmap() {
		return addressKind{what: "the address of the cluster's API server"}, true
	}
	if kind, special := kindOf(address); special {
		return kind, true
	}
	if own, found := containing(g.own, address); found {
		return addressKind{what: fmt.Sprintf("in the operator's own network %s", own), local: true}, true
	}
	return addressKind{}, false
}

// errNoAddress says that something else than an address was to be dialled.
var errNoAddress = errors.New("not an address and port")

// control checks the address once more just before a socket connects to it.
func (g *Guard) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("dial %q: %w", address, errNoAddress)
	}
	return g.check("", netip.AddrPortFrom(to.Addr().Unmap(), to.Port()))
}
