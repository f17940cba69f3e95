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
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"pgregory.net/rapid"

	"backupsync.dev/operator/api/v1alpha1"
)

func TestAllowedEndpoints(t *testing.T) {
	for name, c := range map[string]struct {
		patterns, endpoint string
		allowed            bool
	}{
		"a region":              {DefaultAllowedEndpoints, "https://cbr.cn-north-4.myhuaweicloud.com", true},
		"a region of Europe":    {DefaultAllowedEndpoints, "https://cbr.eu-west-101.myhuaweicloud.eu", true},
		"a slash at the end":    {DefaultAllowedEndpoints, "https://cbr.cn-north-4.myhuaweicloud.com/", true},
		"capitals":              {DefaultAllowedEndpoints, "HTTPS://CBR.CN-North-4.MyHuaweiCloud.COM", true},
		"the port of https":     {DefaultAllowedEndpoints, "https://cbr.cn-north-4.myhuaweicloud.com:443", true},
		"another port":          {DefaultAllowedEndpoints, "https://cbr.cn-north-4.myhuaweicloud.com:8443", false},
		"the port of http":      {DefaultAllowedEndpoints, "https://cbr.cn-north-4.myhuaweicloud.com:80", false},
		"a port with a zero":    {DefaultAllowedEndpoints, "https://cbr.cn-north-4.myhuaweicloud.com:0443", false},
		"a port too high":       {DefaultAllowedEndpoints, "https://cbr.cn-north-4.myhuaweicloud.com:65979", false},
		"a colon without port":  {DefaultAllowedEndpoints, "https://cbr.cn-north-4.myhuaweicloud.com:", false},
		"IAM":                   {DefaultAllowedEndpoints, "https://iam.cn-north-4.myhuaweicloud.com", false},
		"a rented bucket":       {DefaultAllowedEndpoints, "https://evil-bucket.obs.cn-north-4.myhuaweicloud.com", false},
		"a bucket called cbr":   {DefaultAllowedEndpoints, "https://cbr.obs.cn-north-4.myhuaweicloud.com", false},
		"a bucket cbr.obs":      {DefaultAllowedEndpoints, "https://cbr.obs.myhuaweicloud.com.obs.cn-north-4.myhuaweicloud.com", false},
		"a service called cbr2": {DefaultAllowedEndpoints, "https://cbr2.cn-north-4.myhuaweicloud.com", false},
		"another service":       {DefaultAllowedEndpoints, "https://obs.cn-north-4.myhuaweicloud.com", false},
		"an empty label":        {DefaultAllowedEndpoints, "https://cbr..myhuaweicloud.com", false},
		"a label too long":      {DefaultAllowedEndpoints, "https://cbr." + strings.Repeat("x", 64) + ".myhuaweicloud.com", false},

		"http":                            {DefaultAllowedEndpoints, "http://cbr.cn-north-4.myhuaweicloud.com", false},
		"http at the port of https":       {DefaultAllowedEndpoints, "http://cbr.cn-north-4.myhuaweicloud.com:443", false},
		"ftp":                             {DefaultAllowedEndpoints, "ftp://cbr.cn-north-4.myhuaweicloud.com:443", false},
		"no scheme":                       {DefaultAllowedEndpoints, "cbr.cn-north-4.myhuaweicloud.com", false},
		"no scheme, but slashes":          {DefaultAllowedEndpoints, "//cbr.cn-north-4.myhuaweicloud.com", false},
		"no slashes":                      {DefaultAllowedEndpoints, "https:cbr.cn-north-4.myhuaweicloud.com", false},
		"nothing":                         {DefaultAllowedEndpoints, "", false},
		"no host":                         {DefaultAllowedEndpoints, "https://", false},
		"another host":                    {DefaultAllowedEndpoints, "https://cbr.example.com", false},
		"the domain itself":               {DefaultAllowedEndpoints, "https://myhuaweicloud.com", false},
		"no region":                       {DefaultAllowedEndpoints, "https://cbr.myhuaweicloud.com", false},
		"a longer domain":                 {DefaultAllowedEndpoints, "https://cbr.evilmyhuaweicloud.com", false},
		"a longer domain with a region":   {DefaultAllowedEndpoints, "https://cbr.x.evilmyhuaweicloud.com", false},
		"the domain as a prefix":          {DefaultAllowedEndpoints, "https://cbr.x.myhuaweicloud.com.evil.com", false},
		"the domain as a prefix, joined":  {DefaultAllowedEndpoints, "https://cbr.x.myhuaweicloud.community", false},
		"a search domain behind it":       {DefaultAllowedEndpoints, "https://cbr.x.myhuaweicloud.com.default.svc.cluster.local", false},
		"a dot that is none":              {DefaultAllowedEndpoints, "https://cbr.x.myhuaweicloudxcom", false},
		"a dot at the end":                {DefaultAllowedEndpoints, "https://cbr.x.myhuaweicloud.com.", false},
		"a user":                          {DefaultAllowedEndpoints, "https://user@cbr.x.myhuaweicloud.com", false},
		"a user and a password":           {DefaultAllowedEndpoints, "https://user:secret@cbr.x.myhuaweicloud.com", false},
		"an empty user":                   {DefaultAllowedEndpoints, "https://@cbr.x.myhuaweicloud.com", false},
		"the domain as a user":            {DefaultAllowedEndpoints, "https://cbr.x.myhuaweicloud.com@evil.com", false},
		"the domain and a port as a user": {DefaultAllowedEndpoints, "https://cbr.x.myhuaweicloud.com:443@evil.com", false},
		"a path":                          {DefaultAllowedEndpoints, "https://cbr.x.myhuaweicloud.com/v3", false},
		"an escaped path":                 {DefaultAllowedEndpoints, "https://cbr.x.myhuaweicloud.com/%2e%2e", false},
		"two slashes at the end":          {DefaultAllowedEndpoints, "https://cbr.x.myhuaweicloud.com//", false},
		"a query":                         {DefaultAllowedEndpoints, "https://cbr.x.myhuaweicloud.com?a=b", false},
		"an empty query":                  {DefaultAllowedEndpoints, "https://cbr.x.myhuaweicloud.com?", false},
		"an empty fragment":               {DefaultAllowedEndpoints, "https://cbr.x.myhuaweicloud.com#", false},
		"the domain as a path":            {DefaultAllowedEndpoints, "https://evil.com/cbr.x.myhuaweicloud.com", false},
		"the domain as a query":           {DefaultAllowedEndpoints, "https://evil.com?.x.myhuaweicloud.com", false},
		"the domain as a fragment":        {DefaultAllowedEndpoints, "https://cbr.evil.com#.myhuaweicloud.com", false},
		"the domain behind a backslash":   {DefaultAllowedEndpoints, `https://cbr.evil\.myhuaweicloud.com`, false},
		"the domain as a port":            {DefaultAllowedEndpoints, "https://evil.com:443.x.myhuaweicloud.com", false},
		"the domain behind an escape":     {DefaultAllowedEndpoints, "https://cbr.evil%2f.myhuaweicloud.com", false},
		"the domain behind a NUL":         {DefaultAllowedEndpoints, "https://cbr.evil%00.myhuaweicloud.com", false},
		"the domain on another line":      {DefaultAllowedEndpoints, "https://cbr.evil\n.myhuaweicloud.com", false},
		"a line before the end":           {DefaultAllowedEndpoints, "https://cbr.x.myhuaweicloud.com\n", false},
		"letters that look alike":         {DefaultAllowedEndpoints, "https://cbr.x.myhuaweiсloud.com", false}, // a Cyrillic es
		"a letter that becomes k":         {"k.example.com", "https://\u212a.example.com", false},
		"an international name":           {"*.example.com", "https://bücher.example.com", false},
		"an international name, encoded":  {"*.example.com", "https://xn--bcher-kva.example.com", true},
		"a wide dot":                      {DefaultAllowedEndpoints, "https://cbr。x.myhuaweicloud.com", false},
		"a port that is none":             {DefaultAllowedEndpoints, "https://cbr.x.myhuaweicloud.com:cbr", false},
		"the metadata service":            {DefaultAllowedEndpoints, "https://169.254.169.254", false},
		"the metadata service, http":      {DefaultAllowedEndpoints, "http://169.254.169.254", false},
		"the API server":                  {DefaultAllowedEndpoints, "https://10.96.0.1", false},
		"the API server by its name":      {DefaultAllowedEndpoints, "https://kubernetes.default.svc", false},

		"a pattern with https":                {"https://cbr.example.com", "https://cbr.example.com", true},
		"a pattern with https and a slash":    {"https://cbr.example.com/", "https://cbr.example.com", true},
		"a pattern with capitals":             {"CBR.Example.com", "https://cbr.example.com", true},
		"an exact pattern, another host":      {"cbr.example.com", "https://a.cbr.example.com", false},
		"a dot in a pattern is a dot":         {"cbr.example.com", "https://cbrxexample.com", false},
		"white space and empty entries":       {" , cbr.example.com ,, ", "https://cbr.example.com", true},
		"the second of several":               {"a.example.com,b.example.com", "https://b.example.com", true},
		"a star in the middle":                {"cbr.*.example.com", "https://cbr.cn-north-4.example.com", true},
		"a star in the middle, nothing there": {"cbr.*.example.com", "https://cbr.example.com", false},
		"a star in the middle, two labels":    {"cbr.*.example.com", "https://cbr.a.b.example.com", false},
		"a star for a part":                   {"cbr-*.example.com", "https://cbr-a.example.com", true},
		"a star for a part, with a dot":       {"cbr-*.example.com", "https://cbr-a.b.example.com", false},
		"stars in one label":                  {"c*r*.example.com", "https://cbr-1.example.com", true},
		"a pattern with a port":               {"cbr.example.com:8443", "https://cbr.example.com:8443", true},
		"a pattern with a port, a longer one": {"cbr.example.com:8443", "https://cbr.example.com:84430", false},
		"a pattern with a port, no port":      {"cbr.example.com:8443", "https://cbr.example.com", false},
		"a pattern with any port":             {"cbr.example.com:*", "https://cbr.example.com:8443", true},
		"a pattern with any port, none":       {"cbr.example.com:*", "https://cbr.example.com", true},

		"an address of IPv4 in brackets":               {"127.0.0.1", "https://[127.0.0.1]", false},
		"an address of IPv4 as one of IPv6":            {"127.0.0.1", "https://[::ffff:127.0.0.1]", false},
		"an address of IPv4 as one of IPv6, by number": {"127.0.0.1", "https://[::ffff:7f00:1]", false},

		"http where a pattern names it":           {"http://127.0.0.1:*", "http://127.0.0.1:34567", true},
		"http, another host":                      {"http://127.0.0.1:*", "http://127.0.0.2:34567", false},
		"http, a longer host":                     {"http://127.0.0.1:*", "http://127.0.0.1.evil.com:34567", false},
		"a pattern with http is not for https":    {"http://127.0.0.1:*", "https://127.0.0.1:34567", false},
		"a pattern with http opens no other host": {"http://127.0.0.1:*,*.example.com", "http://cbr.example.com", false},
		"a pattern with http, without ports":      {"http://cbr.example.com", "http://cbr.example.com:80", true},
		"a pattern with http, another port":       {"http://cbr.example.com", "http://cbr.example.com:443", false},
		"IPv6":                                    {"[::1]", "https://[::1]", true},
		"IPv6 without brackets in the pattern":    {"::1", "https://[::1]", true},
		"IPv6 without brackets in the endpoint":   {"::1", "https://::1", false},
		"IPv6 in another form":                    {"[::1]", "https://[0:0::0:1]", true},
		"IPv6, another port":                      {"[::1]", "https://[::1]:8443", false},
		"IPv6 with a port":                        {"[::1]:8443", "https://[::1]:8443", true},
		"IPv6 with a port, another port":          {"[::1]:8443", "https://[::1]:443", false},
		"IPv6 with a port, no port":               {"[::1]:8443", "https://[::1]", false},
		"IPv6 with any port":                      {"http://[::1]:*", "http://[::1]:34567", true},
		"IPv6, another address":                   {"[::1]", "https://[::2]", false},
		"IPv6 with a zone":                        {"[fe80::1]", "https://[fe80::1%25eth0]", false},
		"IPv6 in capitals":                        {"[FE80::1]", "https://[fe80::1]", true},
		"a name in brackets":                      {"*.example.com", "https://[cbr.example.com]", false},

		"a network is for names":             {"cbr.example.com,10.0.0.0/8", "https://10.0.0.1", false},
		"a network is for names, with http":  {"cbr.example.com,http://10.0.0.0/8:*", "http://10.0.0.1", false},
		"a network of one address":           {"cbr.example.com,10.0.0.1/32", "https://10.0.0.1", false},
		"an address between networks":        {"10.0.0.0/8,10.0.0.1,fd00::/8", "https://10.0.0.1", true},
		"an address beside names of numbers": {"*.example.com,10.0.0.1:*", "https://10.0.0.2", false},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			patterns, err := ParseEndpointPatterns(c.patterns)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(patterns.Allow(c.endpoint)).To(Equal(c.allowed))
		})
	}
}

func TestNoPatternsAllowNothing(t *testing.T) {
	NewWithT(t).Expect(EndpointPatterns(nil).Allow("https://cbr.cn-north-4.myhuaweicloud.com")).To(BeFalse())
}

func TestBadEndpointPatterns(t *testing.T) {
	for name, patterns := range map[string]string{
		"nothing":                     "",
		"white space":                 "  ",
		"commas":                      ",,",
		"networks alone":              "10.0.0.0/8,fd00::/8",
		"a path":                      "cbr.example.com/v3",
		"a path behind https":         "https://cbr.example.com/v3",
		"a query":                     "cbr.example.com?a",
		"a fragment":                  "cbr.example.com#a",
		"a user":                      "user@cbr.example.com",
		"white space within":          "cbr.example.com other.example.com",
		"another scheme":              "ftp://cbr.example.com",
		"http without a host":         "http://",
		"https without a host":        "https://",
		"two schemes":                 "http://https://cbr.example.com",
		"a bad one behind a good one": "cbr.example.com,ftp://cbr.example.com",
		"a dot at the end":            "cbr.example.com.",
		"an empty label":              "cbr..example.com",
		"an international name":       "bücher.example.com",
		"a letter that becomes k":     "\u212a.example.com",
		"any host":                    "*",
		"any host, on any port":       "http://*:*",
		"any name of two labels":      "*.*",
		"any domain":                  "cbr.*",
		"any domain like one":         "cbr.com*",
		"several labels":              "**.example.com",
		"a port that is none":         "cbr.example.com:https",
		"no port behind a colon":      "cbr.example.com:",
		"port 0":                      "cbr.example.com:0",
		"a port too high":             "cbr.example.com:65536",
		"a part of a port":            "cbr.example.com:80*",
		"an address with a star":      "127.0.0.*",
		"a short address":             "127.1",
		"a number":                    "2130706433",
		"a number in hexadecimal":     "0x7f000001",
		"an address with a zone":      "fe80::1%eth0",
		"an address in two forms":     "::ffff:10.0.0.1",
		"a network in two forms":      "cbr.example.com,::ffff:10.0.0.0/104",
		"an address in a network":     "cbr.example.com,10.20.30.40/16",
		"a network that is too small": "cbr.example.com,10.0.0.0/33",
		"no network behind a slash":   "cbr.example.com,10.0.0.0/",
		"a mask":                      "cbr.example.com,10.0.0.0/255.0.0.0",
		"text behind brackets":        "[::1]8443",
		"no end of brackets":          "[::1",
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			allowed, err := ParseEndpointPatterns(patterns)
			g.Expect(err).To(MatchError(ContainSubstring("endpoint pattern")))
			g.Expect(allowed).To(BeEmpty())
		})
	}
}

// What some resolvers take for an address of IPv4 is neither a name nor an address.
func TestNumbersAreNoNames(t *testing.T) {
	for _, host := range []string{"127.1", "0x7f.1", "127.0x1", "127.0X", "0177.0.0.01", "2130706433", "0x7f000001", "example.1", "1.2.3.4.5", "256.0.0.1", "0"} {
		if to, valid := parseEndpoint("https://" + host); valid {
			t.Errorf("%s is taken for %+v", host, to)
		}
	}
	for _, host := range []string{"127.example", "1.2.3.4.example", "0x7f.0xg", "127.0.0.1"} {
		if _, valid := parseEndpoint("https://" + host); !valid {
			t.Errorf("%s is not taken", host)
		}
	}
}

// A password is for IAM alone, and a token is nothing that IAM should be asked to import backups with.
func TestServicesHaveEndpointsOfTheirOwn(t *testing.T) {
	for name, c := range map[string]struct {
		patterns, endpoint string
		cbr, iam           bool
	}{
		"CBR":                          {DefaultAllowedEndpoints, "https://cbr.cn-north-4.myhuaweicloud.com", true, false},
		"IAM":                          {DefaultAllowedEndpoints, "https://iam.cn-north-4.myhuaweicloud.com", false, true},
		"IAM of Europe":                {DefaultAllowedEndpoints, "https://iam.eu-west-101.myhuaweicloud.eu", false, true},
		"IAM by http":                  {DefaultAllowedEndpoints, "http://iam.cn-north-4.myhuaweicloud.com", false, false},
		"a rented bucket":              {DefaultAllowedEndpoints, "https://iam.obs.cn-north-4.myhuaweicloud.com", false, false},
		"CBR, whatever the pattern is": {"*.example.com", "https://CBR.example.com", true, false},
		"IAM, whatever the pattern is": {"*.example.com", "https://IAM.example.com", false, true},
		"neither of both":              {"*.example.com", "https://cloud.example.com", true, true},
		"an address":                   {"http://127.0.0.1:*", "http://127.0.0.1:8080", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			patterns, err := ParseEndpointPatterns(c.patterns)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(patterns.Allow(c.endpoint)).To(Equal(c.cbr), "for CBR")
			g.Expect(patterns.AllowIAM(c.endpoint)).To(Equal(c.iam), "for IAM")
		})
	}
}

// What the operator makes of a region is allowed by default.
func TestRegionsAreAllowedByDefault(t *testing.T) {
	g := NewWithT(t)
	patterns, err := ParseEndpointPatterns(DefaultAllowedEndpoints)
	g.Expect(err).NotTo(HaveOccurred())
	for region, domain := range map[string]string{"cn-north-4": "com", "eu-west-101": "eu", "eu-west-0": "com", "la-south-2": "com"} {
		spec := &v1alpha1.CBRProjectSpec{Region: region}
		g.Expect(EndpointOf(spec)).To(Equal("https://cbr." + region + ".myhuaweicloud." + domain))
		g.Expect(IAMEndpointOf(spec)).To(Equal("https://iam." + region + ".myhuaweicloud." + domain))
		g.Expect(patterns.Allow(EndpointOf(spec))).To(BeTrue(), region)
		g.Expect(patterns.AllowIAM(IAMEndpointOf(spec))).To(BeTrue(), region)
	}
	g.Expect(IAMEndpointOf(&v1alpha1.CBRProjectSpec{Endpoint: "https://cbr.example.com"})).To(BeEmpty())
}

// However the host is written, it is the same cloud project, which only one CBRProject may use.
func TestCloudProjectsAreTheSameHoweverTheyAreWritten(t *testing.T) {
	for _, same := range [][]string{
		{"https://cbr.example.com", "https://CBR.example.com/", "https://cbr.example.com:443", "https://cbr.example.com."},
		{"http://[::1]", "http://[0:0::1]:80", "http://[::0.0.0.1]"},
		{"https://10.0.0.1", "https://[::ffff:10.0.0.1]", "https://[::ffff:a00:1]:443"},
	} {
		for _, endpoint := range same {
			got := CloudProjectOf(&v1alpha1.CBRProjectSpec{Endpoint: endpoint, ProjectID: "p"})
			want := CloudProjectOf(&v1alpha1.CBRProjectSpec{Endpoint: same[0], ProjectID: "p"})
			NewWithT(t).Expect(got).To(Equal(want), endpoint)
		}
	}
	other := CloudProjectOf(&v1alpha1.CBRProjectSpec{Endpoint: "https://cbr.example.com:8443", ProjectID: "p"})
	NewWithT(t).Expect(other).To(Equal("cbr.example.com:8443/p"))
}

// A star stands for one label or a part of one: names of few letters match often, and only with as many labels.
func TestAStarNeverStandsForADot(t *testing.T) {
	matches := 0
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`([ab*]{1,3}\.){1,3}c`).Draw(t, "pattern")
		host := rapid.StringMatching(`([ab]{1,3}\.){1,3}c`).Draw(t, "host")
		patterns, err := ParseEndpointPatterns(pattern)
		if err != nil || !patterns.Allow("https://"+host) {
			return
		}
		matches++
		if strings.Count(pattern, ".") != strings.Count(host, ".") {
			t.Fatalf("%s allows %s", pattern, host)
		}
	})
	if matches == 0 {
		t.Error("nothing matched, so that nothing was tried")
	}
}

// Whatever matches has as many labels as one of the patterns, the same scheme and port, and is what net/http connects to.
func FuzzEndpointPatterns(f *testing.F) {
	for _, seed := range [][2]string{
		{DefaultAllowedEndpoints, "https://cbr.cn-north-4.myhuaweicloud.com"}, {"*.x1:*,http://*.x:*", "https://127.0x1"}, {"*.c", "https://a.b.c"},
		{"c*r.example.com", "https://c.r.example.com"}, {"[::1]:*,10.0.0.0/8", "https://[::1]:5"}, {"*.x", "https://a.x:443@b.x"}, {"*.x", "https://\u212a.x"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, list, endpoint string) {
		patterns, err := ParseEndpointPatterns(list)
		if err != nil || !patterns.Allow(endpoint) && !patterns.AllowIAM(endpoint) {
			return
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, endpoint, nil)
		if err != nil {
			t.Fatalf("%q is allowed and cannot be asked: %v", endpoint, err)
		}
		host := strings.ToLower(request.URL.Hostname())
		if request.URL.User != nil || strings.ContainsAny(request.URL.Host, "@%") || request.URL.RawQuery != "" || len(request.URL.Path) > 1 {
			t.Fatalf("%q is allowed, and is more than a host", endpoint)
		}
		for entry := range strings.SplitSeq(list, ",") {
			entry = strings.ToLower(strings.TrimSpace(entry))
			if strings.HasPrefix(entry, "http://") != (request.URL.Scheme == "http") {
				continue
			}
			entry = strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(entry, "http://"), "https://"), "/")
			if address, err := netip.ParseAddr(host); err == nil && strings.Contains(entry, ":") && address.Is6() {
				return
			}
			name, _, _ := strings.Cut(entry, ":")
			if name == host || strings.Contains(name, "*") && strings.Count(name, ".") == strings.Count(host, ".") && net.ParseIP(host) == nil {
				return
			}
		}
		t.Fatalf("%q is allowed by %q, of which no entry has as many labels", endpoint, list)
	})
}
