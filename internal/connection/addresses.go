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
	"net/netip"
	"slices"
)

// addressKind is what the addresses of a network are.
type addressKind struct {
	network netip.Prefix
	what    string
	local   bool // a private cloud may well be there
}

const (
	metadataAddress  = "the address of a metadata service"
	privateAddress   = "a private address"
	linkLocalAddress = "a link-local address"
	exampleAddress   = "an address for documentation"
	reservedAddress  = "a reserved address"
	multicastAddress = "a multicast address"
	notPublicAddress = "no public address"
)

// addressKinds are the addresses that are not public, after IANA's registries of special-purpose addresses; the narrower
// networks come first. Metadata services that are in none of the others' networks have rows of their own.
var addressKinds = []addressKind{
	{network("169.254.169.254/32"), metadataAddress, false},
	{network("100.100.100.200/32"), metadataAddress, false},
	{network("168.63.129.16/32"), metadataAddress, false},
	{network("192.0.0.192/32"), metadataAddress, false},
	{network("fd00:ec2::254/128"), metadataAddress, false},
	{network("fd20:ce::254/128"), metadataAddress, false},

	{network("0.0.0.0/8"), "an unspecified address", false},
	{network("10.0.0.0/8"), privateAddress, true},
	{network("100.64.0.0/10"), "an address of the shared range 100.64.0.0/10", true},
	{network("127.0.0.0/8"), "a loopback address", false},
	{network("169.254.0.0/16"), linkLocalAddress, false},
	{network("172.16.0.0/12"), privateAddress, true},
	{network("192.0.0.0/24"), reservedAddress, false},
	{network("192.0.2.0/24"), exampleAddress, false},
	{network("192.88.99.0/24"), reservedAddress, false},
	{network("192.168.0.0/16"), privateAddress, true},
	{network("198.18.0.0/15"), "an address for benchmarks", false},
	{network("198.51.100.0/24"), exampleAddress, false},
	{network("203.0.113.0/24"), exampleAddress, false},
	{network("224.0.0.0/4"), multicastAddress, false},
	{network("240.0.0.0/4"), reservedAddress, false},

	{network("::/128"), "an unspecified address", false},
	{network("::1/128"), "a loopback address", false},
	{network("fc00::/7"), privateAddress, true},
	{network("fe80::/10"), linkLocalAddress, false},
	{network("ff00::/8"), multicastAddress, false},
	{network("2001:db8::/32"), exampleAddress, false},
	{network("2001::/23"), reservedAddress, false}, // Teredo, benchmarks and others
	{network("3fff::/20"), exampleAddress, false},
}

func network(text string) netip.Prefix { return netip.MustParsePrefix(text) }

// What is public of IPv6, apart from the rows above; and addresses that stand for one of IPv4, to which a gateway passes on.
var (
	globalUnicast = network("2000::/3")
	nat64         = network("64:ff9b::/96")
	sixToFour     = network("2002::/16")
)

// kindOf returns what an address is, and false if it is a public one.
func kindOf(address netip.Addr) (addressKind, bool) {
	for _, kind := range addressKinds {
		if kind.network.Contains(address) {
			return kind, true
		}
	}
	if address.Is6() && !globalUnicast.Contains(address) && !nat64.Contains(address) {
		return addressKind{what: notPublicAddress}, true
	}
	return addressKind{}, false
}

// formsOf returns an address as it is compared with networks, and the one of IPv4 that it stands for, if there is one.
func formsOf(address netip.Addr) []netip.Addr {
	address = address.WithZone("").Unmap()
	forms, bytes := []netip.Addr{address}, address.As16()
	switch {
	case nat64.Contains(address):
		forms = append(forms, netip.AddrFrom4([4]byte(bytes[12:])))
	case sixToFour.Contains(address):
		forms = append(forms, netip.AddrFrom4([4]byte(bytes[2:6])))
	}
	return forms
}

// containing returns the first of some networks that contains an address.
func containing(networks []netip.Prefix, address netip.Addr) (netip.Prefix, bool) {
	at := slices.IndexFunc(networks, func(network netip.Prefix) bool { return network.Contains(address) })
	if at < 0 {
		return netip.Prefix{}, false
	}
	return networks[at], true
}
