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
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"

	. "github.com/onsi/gomega"
)

// names is a resolver that knows absolute names alone. The nth look-up of a name gets its nth answer, later ones the last.
type names struct {
	answers map[string][][]string
	mutex   sync.Mutex
	asked   []string
}

func (n *names) LookupNetIP(_ context.Context, network, host string) ([]netip.Addr, error) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.asked = append(n.asked, network+" "+host)
	answers := n.answers[host]
	if len(answers) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	if len(answers) > 1 {
		n.answers[host] = answers[1:]
	}
	var addresses []netip.Addr
	for _, text := range answers[0] {
		addresses = append(addresses, netip.MustParseAddr(text))
	}
	return addresses, nil
}

// guarded is a guard in a cluster of the test's own, and what it connects to: nothing at all.
type guarded struct {
	*Guard
	names *names
	mutex sync.Mutex
	dials []string
}

var errUnplugged = errors.New("unplugged")

// newGuarded makes a guard that resolves "host." to some addresses. The API server is at 11.0.0.1, and the pod in 12.0.0.0/24.
func newGuarded(t *testing.T, allowed string, addresses ...string) *guarded {
	t.Helper()
	t.Setenv("KUBERNETES_SERVICE_HOST", "11.0.0.1")
	patterns, err := ParseEndpointPatterns(allowed)
	if err != nil {
		t.Fatal(err)
	}
	g := &guarded{names: &names{answers: map[string][][]string{"host.example.": {addresses}}}}
	if g.Guard, err = NewGuard(patterns, g.names); err != nil {
		t.Fatal(err)
	}
	g.own = []netip.Prefix{network("12.0.0.0/24")}
	g.connect = func(_ context.Context, _, address string) (net.Conn, error) {
		g.mutex.Lock()
		defer g.mutex.Unlock()
		g.dials = append(g.dials, address)
		return nil, errUnplugged
	}
	return g
}

// public is an address that anybody may connect to.
const public = "93.184.215.14"

func TestAddressesThatAreNotPublicAreRefused(t *testing.T) {
	for address, what := range map[string]string{
		"127.0.0.1":                "a loopback address",
		"127.255.255.254":          "a loopback address",
		"0.0.0.0":                  "an unspecified address",
		"0.1.2.3":                  "an unspecified address",
		"10.0.0.1":                 "a private address",
		"172.16.0.1":               "a private address",
		"172.31.255.255":           "a private address",
		"192.168.1.1":              "a private address",
		"100.64.0.1":               "an address of the shared range",
		"100.127.255.255":          "an address of the shared range",
		"169.254.169.254":          "the address of a metadata service",
		"100.100.100.200":          "the address of a metadata service",
		"168.63.129.16":            "the address of a metadata service",
		"192.0.0.192":              "the address of a metadata service",
		"fd00:ec2::254":            "the address of a metadata service",
		"169.254.1.1":              "a link-local address",
		"192.0.0.8":                "a reserved address",
		"192.0.2.1":                "an address for documentation",
		"198.51.100.1":             "an address for documentation",
		"203.0.113.1":              "an address for documentation",
		"192.88.99.1":              "a reserved address",
		"198.19.255.255":           "an address for benchmarks",
		"224.0.0.1":                "a multicast address",
		"240.0.0.1":                "a reserved address",
		"255.255.255.255":          "a reserved address",
		"11.0.0.1":                 "the address of the cluster's API server",
		"12.0.0.7":                 "in the operator's own network 12.0.0.0/24",
		"::":                       "an unspecified address",
		"::1":                      "a loopback address",
		"::127.0.0.1":              "no public address",
		"::ffff:127.0.0.1":         "a loopback address",
		"::ffff:10.0.0.1":          "a private address",
		"::ffff:11.0.0.1":          "the address of the cluster's API server",
		"::ffff:0:10.0.0.1":        "no public address",
		"64:ff9b::169.254.169.254": "a form of 169.254.169.254, the address of a metadata service",
		"64:ff9b::11.0.0.1":        "a form of 11.0.0.1, the address of the cluster's API server",
		"64:ff9b:1::10.0.0.1":      "no public address",
		"2002:a00:1::":             "a form of 10.0.0.1, a private address",
		"2002:7f00:1::1":           "a form of 127.0.0.1, a loopback address",
		"2001::1":                  "a reserved address",
		"2001:2::1":                "a reserved address",
		"2001:db8::1":              "an address for documentation",
		"3fff::1":                  "an address for documentation",
		"100::1":                   "no public address",
		"5f00::1":                  "no public address",
		"fc00::1":                  "a private address",
		"fdff::1":                  "a private address",
		"fe80::1":                  "a link-local address",
		"fe80::1%eth0":             "a link-local address",
		"fec0::1":                  "no public address",
		"ff02::1":                  "a multicast address",
	} {
		t.Run(address, func(t *testing.T) {
			g := NewWithT(t)
			guard := newGuarded(t, "*.example", address)
			_, err := guard.DialContext(t.Context(), "tcp", "host.example:443")
			refused, is := errors.AsType[*AddressError](err)
			g.Expect(is).To(BeTrue(), "%v", err)
			g.Expect(refused.Host).To(Equal("host.example"))
			g.Expect(refused.What).To(HavePrefix(what))
			g.Expect(guard.dials).To(BeEmpty())

			_, err = guard.DialContext(t.Context(), "tcp", net.JoinHostPort(address, "443"))
			g.Expect(err).To(MatchError(ContainSubstring(what)), "the address itself")
			g.Expect(guard.dials).To(BeEmpty())
		})
	}
}

func TestPublicAddressesAreAllowed(t *testing.T) {
	for _, address := range []string{public, "9.255.255.255", "11.0.0.2", "12.0.1.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1",
		"172.15.255.255", "172.32.0.0", "223.255.255.255", "2600::1", "2a00::1", "64:ff9b::5db8:d70e", "2002:5db8:d70e::1"} {
		guard := newGuarded(t, "*.example", address)
		_, err := guard.DialContext(t.Context(), "tcp", "host.example:443")
		g := NewWithT(t)
		g.Expect(err).To(MatchError(errUnplugged), address)
		g.Expect(guard.dials).To(ConsistOf(net.JoinHostPort(address, "443")))
	}
}

// An address or a network in the list allows what names lead to; a name alone does not.
func TestEntriesAllowAddresses(t *testing.T) {
	for name, c := range map[string]struct {
		allowed, address, port string
		refused                bool
	}{
		"its name alone":                       {"host.example", "10.20.0.1", "443", true},
		"its network":                          {"host.example,10.20.0.0/16", "10.20.0.1", "443", false},
		"its network, on any port":             {"host.example:8443,10.20.0.0/16", "10.20.0.1", "8443", false},
		"its network, on its port":             {"host.example:8443,10.20.0.0/16:8443", "10.20.0.1", "8443", false},
		"its network, on another port":         {"host.example,10.20.0.0/16:8443", "10.20.0.1", "443", true},
		"its network, by https":                {"host.example,https://10.20.0.0/16", "10.20.0.1", "443", false},
		"its network, by http":                 {"host.example,http://10.20.0.0/16", "10.20.0.1", "443", true},
		"another network":                      {"host.example,10.21.0.0/16", "10.20.0.1", "443", true},
		"the address":                          {"host.example,10.20.0.1", "10.20.0.1", "443", false},
		"the address, as a network":            {"host.example,10.20.0.1/32", "10.20.0.1", "443", false},
		"another address":                      {"host.example,10.20.0.2", "10.20.0.1", "443", true},
		"the address for tests":                {"http://127.0.0.1:*", "127.0.0.1", "34567", false},
		"the address for tests, another":       {"http://127.0.0.1:*", "127.0.0.2", "34567", true},
		"a network of IPv6":                    {"host.example,fd00::/8", "fd12::1", "443", false},
		"an address of IPv6":                   {"host.example,[fd12::1]:443", "fd12::1", "443", false},
		"an address of IPv6, on another port":  {"host.example,[fd12::1]:443", "fd12::1", "444", true},
		"link-local, with a zone":              {"host.example,fe80::/10", "fe80::1%eth0", "443", false},
		"IPv4 as IPv6":                         {"host.example,10.0.0.0/8", "::ffff:10.0.0.1", "443", false},
		"IPv4 behind NAT64":                    {"host.example,10.0.0.0/8", "64:ff9b::10.0.0.1", "443", false},
		"IPv4 behind NAT64, by what it is":     {"host.example,64:ff9b::/96", "64:ff9b::10.0.0.1", "443", false},
		"the API server":                       {"host.example,11.0.0.1", "11.0.0.1", "443", false},
		"the pod's network":                    {"host.example,12.0.0.0/24", "12.0.0.7", "443", false},
		"a network that holds what is allowed": {"host.example,10.20.0.0/24", "10.20.1.1", "443", true},
	} {
		t.Run(name, func(t *testing.T) {
			guard := newGuarded(t, c.allowed, c.address)
			_, err := guard.DialContext(t.Context(), "tcp", "host.example:"+c.port)
			_, refused := errors.AsType[*AddressError](err)
			NewWithT(t).Expect(refused).To(Equal(c.refused), "%v", err)
			NewWithT(t).Expect(guard.dials == nil).To(Equal(c.refused), "%v", guard.dials)
		})
	}
}

// The address that was checked is dialled, and no name again: what it leads to a moment later does not matter.
func TestANameThatChangesBetweenTwoLookUps(t *testing.T) {
	g := NewWithT(t)
	guard := newGuarded(t, "*.example")
	guard.names.answers["host.example."] = [][]string{{public}, {"127.0.0.1"}}
	_, err := guard.DialContext(t.Context(), "tcp", "host.example:443")
	g.Expect(err).To(MatchError(errUnplugged))
	g.Expect(guard.dials).To(Equal([]string{public + ":443"}))
	g.Expect(guard.names.asked).To(HaveLen(1))
	_, err = guard.DialContext(t.Context(), "tcp", "host.example:443")
	g.Expect(err).To(MatchError("host.example resolves to 127.0.0.1, which is a loopback address"))
	g.Expect(guard.dials).To(HaveLen(1))
}

// Of several addresses those that are not public are left out.
func TestANameWithPublicAndOtherAddresses(t *testing.T) {
	g := NewWithT(t)
	guard := newGuarded(t, "*.example", "10.0.0.1", public, "::ffff:169.254.169.254", "fd00::1", "2600::1")
	_, err := guard.DialContext(t.Context(), "tcp", "host.example:443")
	g.Expect(err).To(MatchError(errUnplugged))
	g.Expect(guard.dials).To(ConsistOf(public+":443", "[2600::1]:443"))
}

// A name is looked up as it is: a search domain of the cluster, which somebody may have a Service in, is never tried.
func TestNamesAreLookedUpWithoutSearchDomains(t *testing.T) {
	for _, c := range [][3]string{
		{"tcp", "cbr.x.example.com", "ip cbr.x.example.com."}, {"tcp4", "cbr.x.example.com.", "ip4 cbr.x.example.com."}, {"tcp6", "cbr", "ip6 cbr."},
		{"tcp", "127.1", "ip 127.1."}, {"tcp", "0x7f.1", "ip 0x7f.1."}, {"tcp", "2130706433", "ip 2130706433."},
	} {
		g := NewWithT(t)
		guard := newGuarded(t, "*.example")
		guard.names.answers[c[1]+".default.svc.cluster.local."] = [][]string{{public}}
		_, err := guard.DialContext(t.Context(), c[0], c[1]+":443")
		var unknown *net.DNSError
		g.Expect(errors.As(err, &unknown)).To(BeTrue(), "%v", err)
		g.Expect(guard.names.asked).To(Equal([]string{c[2]}))
		g.Expect(guard.dials).To(BeEmpty())
	}
}

// This machine is known without being looked up: resolvers do not find its absolute name.
func TestLocalhostIsThisMachine(t *testing.T) {
	g := NewWithT(t)
	guard := newGuarded(t, "http://localhost:*")
	_, err := guard.DialContext(t.Context(), "tcp", "LocalHost:80")
	g.Expect(err).To(MatchError("LocalHost resolves to 127.0.0.1, which is a loopback address"))
	g.Expect(guard.dials).To(BeEmpty())

	guard = newGuarded(t, "http://localhost:*,127.0.0.1/32")
	_, err = guard.DialContext(t.Context(), "tcp", "localhost:80")
	g.Expect(err).To(MatchError(errUnplugged))
	g.Expect(guard.dials).To(Equal([]string{"127.0.0.1:80"}))
	g.Expect(guard.names.asked).To(BeEmpty())
}

func TestANameWithoutAddresses(t *testing.T) {
	guard := newGuarded(t, "*.example")
	_, err := guard.DialContext(t.Context(), "tcp", "host.example:443")
	var unknown *net.DNSError
	NewWithT(t).Expect(errors.As(err, &unknown)).To(BeTrue(), "%v", err)
}

func TestWhatIsNoAddress(t *testing.T) {
	guard := newGuarded(t, "*.example", public)
	for _, address := range []string{"host.example", "host.example:https", "host.example:65979", "host.example:-1", ""} {
		if _, err := guard.DialContext(t.Context(), "tcp", address); err == nil || errors.Is(err, errUnplugged) {
			t.Errorf("%q: %v", address, err)
		}
	}
	if len(guard.dials) > 0 || len(guard.names.asked) > 0 {
		t.Errorf("it looked up %q and dialled %q", guard.names.asked, guard.dials)
	}
}

// The error is for a person: what is the matter, and, where that may be right, what to add to the list.
func TestTheErrorSaysWhatToAllow(t *testing.T) {
	for address, text := range map[string]string{
		"10.0.0.1":   "host.example resolves to 10.0.0.1, which is a private address: add 10.0.0.1/32 or its network to --allowed-endpoints",
		"fd00::1":    "host.example resolves to fd00::1, which is a private address: add fd00::1/128 or its network to --allowed-endpoints",
		"100.64.0.1": "host.example resolves to 100.64.0.1, which is an address of the shared range 100.64.0.0/10: add 100.64.0.1/32 or its network to --allowed-endpoints",
		"12.0.0.1":   "host.example resolves to 12.0.0.1, which is in the operator's own network 12.0.0.0/24: add 12.0.0.1/32 or its network to --allowed-endpoints",
		"127.0.0.1":  "host.example resolves to 127.0.0.1, which is a loopback address",
		"11.0.0.1":   "host.example resolves to 11.0.0.1, which is the address of the cluster's API server",
	} {
		guard := newGuarded(t, "*.example", address)
		_, err := guard.DialContext(t.Context(), "tcp", "host.example:443")
		NewWithT(t).Expect(err).To(MatchError(text))
	}
}

// What is told does not change with the order of the answers.
func TestTheErrorDoesNotChangeWithTheOrder(t *testing.T) {
	g := NewWithT(t)
	guard := newGuarded(t, "*.example")
	guard.names.answers["host.example."] = [][]string{{"10.0.0.1", "10.0.0.2", "fd00::1"}, {"fd00::1", "10.0.0.2", "10.0.0.1"}}
	_, first := guard.DialContext(t.Context(), "tcp", "host.example:443")
	_, second := guard.DialContext(t.Context(), "tcp", "host.example:443")
	g.Expect(first).To(MatchError(ContainSubstring("10.0.0.1,")))
	g.Expect(second).To(MatchError(first.Error()))
}

// Sockets are checked by themselves, should an address ever come there that was not.
func TestTheSocketIsGuardedToo(t *testing.T) {
	g := NewWithT(t)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	defer listener.Close()
	for allowed, refused := range map[string]bool{"*.example": true, "*.example,127.0.0.1": false} {
		patterns, err := ParseEndpointPatterns(allowed)
		g.Expect(err).NotTo(HaveOccurred())
		guard, err := NewGuard(patterns, nil)
		g.Expect(err).NotTo(HaveOccurred())
		connection, err := guard.connect(t.Context(), "tcp", listener.Addr().String())
		if connection != nil {
			defer connection.Close()
		}
		_, is := errors.AsType[*AddressError](err)
		g.Expect(is).To(Equal(refused), "%v", err)
		g.Expect(connection != nil).To(Equal(!refused))
	}
}

func TestTheMachinesOwnNetworksAreKnown(t *testing.T) {
	patterns, err := ParseEndpointPatterns(DefaultAllowedEndpoints)
	if err != nil {
		t.Fatal(err)
	}
	guard, err := NewGuard(patterns, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(guard.own, network("127.0.0.0/8")) {
		t.Errorf("the loopback interface is missing in %v", guard.own)
	}
	networks := networksOf([]net.Addr{
		&net.IPNet{IP: net.IPv4(12, 0, 0, 7), Mask: net.CIDRMask(24, 32)}, &net.IPNet{IP: net.ParseIP("2600::7"), Mask: net.CIDRMask(64, 128)},
		&net.IPNet{IP: net.IPv4(1, 2, 3, 4), Mask: net.CIDRMask(0, 32)}, &net.UnixAddr{Name: "/socket"},
	})
	NewWithT(t).Expect(networks).To(Equal([]netip.Prefix{network("12.0.0.0/24"), network("2600::/64")}))
}
