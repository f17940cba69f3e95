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
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
)

// DefaultAllowedEndpoints are the patterns of Huawei Cloud's own endpoints.
const DefaultAllowedEndpoints = "cbr.*.myhuaweicloud.com,cbr.*.myhuaweicloud.eu,iam.*.myhuaweicloud.com,iam.*.myhuaweicloud.eu"

// The schemes of endpoints, and the first labels of the hosts of services.
const (
	schemeHTTP  = "http"
	schemeHTTPS = "https"
	serviceCBR  = "cbr"
	serviceIAM  = "iam"
)

// EndpointPatterns are the endpoints that CBRProjects may name, and the addresses besides public ones that the names of
// these endpoints may lead to. As whoever may write a CBRProject decides where the credentials in a Secret are sent, the
// operator's owner decides which hosts that can be.
type EndpointPatterns []endpointPattern

// endpointPattern is an entry of the list: either labels or network is set.
type endpointPattern struct {
	scheme  string
	port    uint16       // 0 for any
	labels  []string     // of a host's name; "*" in them stands for any part of a label
	network netip.Prefix // of addresses
	literal bool         // the network is one address, written as such: it may be an endpoint itself
	bound   bool         // the entry names a scheme or a port, so that its addresses are for that port alone
}

// ParseEndpointPatterns reads a comma-separated list of entries.
//
// An entry is a host's name, in which "*" stands for one label but the last, or a part of one, never for a dot; an address; or a network,
// such as 10.20.0.0/16 or fd00::/8. It may name a port ("*" for any), and begin with "http://" for endpoints without TLS,
// or with "https://", which is the default. Without a port it is for the scheme's own, 443 or 80.
//
// Addresses and networks allow the names of the list to lead there, to any port if neither a scheme nor a port is
// named. An address is an endpoint itself, too; a network never is, or it would open every host in it.
func ParseEndpointPatterns(list string) (EndpointPatterns, error) {
	var patterns EndpointPatterns
	for text := range strings.SplitSeq(list, ",") {
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		pattern, err := parsePattern(text)
		if err != nil {
			return nil, fmt.Errorf("endpoint pattern %q: %w", text, err)
		}
		patterns = append(patterns, pattern)
	}
	if !slices.ContainsFunc(patterns, endpointPattern.names) {
		return nil, fmt.Errorf("no endpoint pattern in %q is a host or an address: no CBRProject could be used", list)
	}
	return patterns, nil
}

// names reports whether there may be endpoints that match.
func (p endpointPattern) names() bool { return p.literal || p.labels != nil }

func parsePattern(text string) (endpointPattern, error) {
	scheme, rest, named := cutScheme(strings.Map(lowerASCII, text))
	host, port, found := cutPort(rest)
	if !found {
		port = schemePorts[scheme]
	}
	number, err := parsePort(port)
	if err != nil {
		return endpointPattern{}, err
	}
	pattern := endpointPattern{scheme: scheme, port: number, bound: named || found}
	err = pattern.setHost(host)
	return pattern, err
}

// cutScheme cuts the scheme off a pattern, and the slash that ends a URL. named reports whether there is a scheme.
func cutScheme(text string) (scheme, rest string, named bool) {
	for _, known := range []string{schemeHTTP, schemeHTTPS} {
		if rest, named = strings.CutPrefix(text, known+"://"); named {
			return known, strings.TrimSuffix(rest, "/"), true
		}
	}
	return schemeHTTPS, text, false
}

// cutPort cuts a port off a host, an address or a network. Addresses of IPv6 need brackets only before a port.
func cutPort(text string) (host, port string, found bool) {
	inside, bracketed := strings.CutPrefix(text, "[")
	switch {
	case strings.Contains(text, "/"):
		bits := strings.LastIndexByte(text, '/')
		size, port, found := strings.Cut(text[bits:], ":")
		return text[:bits] + size, port, found
	case bracketed:
		host, rest, closed := strings.Cut(inside, "]")
		port, found = strings.CutPrefix(rest, ":")
		if !closed || rest != "" && !found {
			return text, "", false // no address, nor anything else
		}
		return host, port, found
	case strings.Count(text, ":") > 1:
		return text, "", false
	default:
		return strings.Cut(text, ":")
	}
}

// parsePort reads the port of a pattern: 0 for any.
func parsePort(text string) (uint16, error) {
	if text == "*" {
		return 0, nil
	}
	if port, valid := canonicalPort(text); valid {
		return port, nil
	}
	return 0, fmt.Errorf("%q is no port, which is a number from 1 to 65535, or * for any", text)
}

// canonicalPort reads a port as everybody writes it.
func canonicalPort(text string) (uint16, bool) {
	port, err := strconv.ParseUint(text, 10, 16)
	return uint16(port), err == nil && port != 0 && strconv.FormatUint(port, 10) == text
}

func (p *endpointPattern) setHost(host string) (err error) {
	if strings.Contains(host, "/") {
		p.network, err = parseNetwork(host)
		return err
	}
	if address, err := netip.ParseAddr(host); err == nil {
		if address.Zone() != "" || address.Is4In6() {
			return errors.New("an address is written without a zone, and one of IPv4 as such")
		}
		p.network, p.literal = netip.PrefixFrom(address, address.BitLen()), true
		return nil
	}
	if host == "*" {
		return errors.New("* is one label, never a dot: it does not stand for any host")
	}
	labels, valid := labelsOf(host, "*")
	switch {
	case !valid || strings.Contains(host, "**"):
		return errors.New("write a host such as cbr.*.example.com, where * is a label or a part of one, with a port if need be; an address; or a network such as 10.20.0.0/16")
	case strings.Contains(labels[len(labels)-1], "*"):
		return errors.New("the last label of a name must not hold a *: anybody can have a name like that; and networks are written as 10.20.0.0/16")
	}
	p.labels = labels
	return nil
}

func parseNetwork(text string) (netip.Prefix, error) {
	network, err := netip.ParsePrefix(text)
	switch {
	case err != nil || network.Addr().Is4In6():
		return netip.Prefix{}, errors.New("it is no network such as 10.20.0.0/16 or fd00::/8, and a host has no path")
	case network != network.Masked():
		return netip.Prefix{}, fmt.Errorf("it is an address in the network %s: write the one or the other", network.Masked())
	}
	return network, nil
}

// maxName and maxLabel are the longest names and labels of DNS.
const (
	maxName  = 253
	maxLabel = 63
)

// labelsOf returns the labels of a host's name, and whether it is one: ASCII alone, no dot at the end, and nothing that
// some resolver could take for an address, such as 127.1 or 0x7f000001. Other characters than those of names may be allowed.
func labelsOf(name, others string) ([]string, bool) {
	if len(name) > maxName {
		return nil, false
	}
	labels := strings.Split(strings.Map(lowerASCII, name), ".")
	for _, label := range labels {
		if label == "" || len(label) > maxLabel || strings.Trim(label, nameCharacters+others) != "" {
			return nil, false
		}
	}
	return labels, !numeric(labels[len(labels)-1])
}

const nameCharacters = "abcdefghijklmnopqrstuvwxyz0123456789-_"

// lowerASCII leaves other letters alone: some turn into ASCII when they are lowered.
func lowerASCII(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}

// numeric reports whether a label is a number, as the last part of an address of IPv4 in any of its forms.
func numeric(label string) bool {
	if digits, hexadecimal := strings.CutPrefix(label, "0x"); hexadecimal {
		return strings.Trim(digits, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}

// Allow reports whether a CBRProject may use the endpoint for CBR. A host whose first label is "iam" is never one of
// CBR, whatever the patterns are.
func (p EndpointPatterns) Allow(endpoint string) bool { return p.allow(endpoint, serviceIAM) }

// AllowIAM reports whether a CBRProject may use the endpoint for IAM. A host whose first label is "cbr" is never one
// of IAM, whatever the patterns are: a password is for IAM alone.
func (p EndpointPatterns) AllowIAM(endpoint string) bool { return p.allow(endpoint, serviceCBR) }

func (p EndpointPatterns) allow(endpoint, otherService string) bool {
	to, valid := parseEndpoint(endpoint)
	if !valid || to.labels != nil && to.labels[0] == otherService {
		return false
	}
	return slices.ContainsFunc(p, func(pattern endpointPattern) bool { return pattern.matches(to) })
}

// admit reports whether connections to an address that is not public are allowed.
func (p EndpointPatterns) admit(address netip.Addr, port uint16) bool {
	return slices.ContainsFunc(p, func(pattern endpointPattern) bool {
		return pattern.network.IsValid() && pattern.network.Contains(address) &&
			(!pattern.bound || pattern.port == 0 || pattern.port == port)
	})
}

// target is what an endpoint's URL leads to: either labels or address is set.
type target struct {
	scheme  string
	port    uint16
	labels  []string // of the host's name, in lower case
	address netip.Addr
}

// parseEndpoint reads the URL of an endpoint, and reports whether it is one: a scheme, a host, and a port if need be.
func parseEndpoint(endpoint string) (to target, valid bool) {
	parsed, err := url.Parse(endpoint)
	if err != nil || strings.ContainsAny(endpoint, `@?#\`) || strings.TrimPrefix(parsed.Path, "/") != "" || strings.HasSuffix(parsed.Host, ":") {
		return target{}, false
	}
	port := parsed.Port()
	if port == "" {
		port = schemePorts[parsed.Scheme]
	}
	to.scheme = parsed.Scheme
	if to.port, valid = canonicalPort(port); !valid {
		return target{}, false
	}
	valid = to.setHost(parsed)
	return to, valid
}

// setHost takes the host of a URL. An address in brackets is one of IPv6, without a zone; one without is one of IPv4.
func (t *target) setHost(parsed *url.URL) (valid bool) {
	host, bracketed := parsed.Hostname(), strings.HasPrefix(parsed.Host, "[")
	if address, err := netip.ParseAddr(host); err == nil {
		t.address = address
		return address.Is4() && !bracketed || address.Is6() && bracketed && address.Zone() == "" && !address.Is4In6()
	}
	t.labels, valid = labelsOf(host, "")
	return valid && !bracketed
}

func (p endpointPattern) matches(to target) bool {
	if p.scheme != to.scheme || p.port != 0 && p.port != to.port {
		return false
	}
	if to.labels == nil {
		return p.literal && p.network.Addr() == to.address
	}
	return slices.EqualFunc(p.labels, to.labels, matchLabel)
}

// matchLabel reports whether a label matches the one of a pattern, in which there is nothing special but stars.
func matchLabel(pattern, label string) bool {
	matched, err := path.Match(pattern, label)
	return err == nil && matched
}
