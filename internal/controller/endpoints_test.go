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

package controller

import (
	"testing"

	. "github.com/onsi/gomega"
)

func TestAllowedEndpoints(t *testing.T) {
	for name, c := range map[string]struct {
		patterns, endpoint string
		allowed            bool
	}{
		"a region":                   {DefaultAllowedEndpoints, "https://cbr.cn-north-4.myhuaweicloud.com", true},
		"a region of Europe":         {DefaultAllowedEndpoints, "https://cbr.eu-west-101.myhuaweicloud.eu", true},
		"a slash at the end":         {DefaultAllowedEndpoints, "https://cbr.cn-north-4.myhuaweicloud.com/", true},
		"capitals":                   {DefaultAllowedEndpoints, "HTTPS://CBR.CN-North-4.MyHuaweiCloud.COM", true},
		"the port of https":          {DefaultAllowedEndpoints, "https://cbr.cn-north-4.myhuaweicloud.com:443", true},
		"any port, as none is named": {DefaultAllowedEndpoints, "https://cbr.cn-north-4.myhuaweicloud.com:8443", true},

		"http":                            {DefaultAllowedEndpoints, "http://cbr.cn-north-4.myhuaweicloud.com", false},
		"ftp":                             {DefaultAllowedEndpoints, "ftp://cbr.cn-north-4.myhuaweicloud.com", false},
		"no scheme":                       {DefaultAllowedEndpoints, "cbr.cn-north-4.myhuaweicloud.com", false},
		"no scheme, but slashes":          {DefaultAllowedEndpoints, "//cbr.cn-north-4.myhuaweicloud.com", false},
		"no slashes":                      {DefaultAllowedEndpoints, "https:cbr.cn-north-4.myhuaweicloud.com", false},
		"nothing":                         {DefaultAllowedEndpoints, "", false},
		"no host":                         {DefaultAllowedEndpoints, "https://", false},
		"another host":                    {DefaultAllowedEndpoints, "https://cbr.example.com", false},
		"the domain itself":               {DefaultAllowedEndpoints, "https://myhuaweicloud.com", false},
		"a longer domain":                 {DefaultAllowedEndpoints, "https://evilmyhuaweicloud.com", false},
		"a longer domain with a prefix":   {DefaultAllowedEndpoints, "https://cbr.evilmyhuaweicloud.com", false},
		"the domain as a prefix":          {DefaultAllowedEndpoints, "https://cbr.myhuaweicloud.com.evil.com", false},
		"the domain as a prefix, joined":  {DefaultAllowedEndpoints, "https://cbr.myhuaweicloud.community", false},
		"a dot that is none":              {DefaultAllowedEndpoints, "https://cbr.myhuaweicloudxcom", false},
		"a dot at the end":                {DefaultAllowedEndpoints, "https://cbr.myhuaweicloud.com.", false},
		"a user":                          {DefaultAllowedEndpoints, "https://user@cbr.myhuaweicloud.com", false},
		"a user and a password":           {DefaultAllowedEndpoints, "https://user:secret@cbr.myhuaweicloud.com", false},
		"an empty user":                   {DefaultAllowedEndpoints, "https://@cbr.myhuaweicloud.com", false},
		"the domain as a user":            {DefaultAllowedEndpoints, "https://cbr.myhuaweicloud.com@evil.com", false},
		"the domain and a port as a user": {DefaultAllowedEndpoints, "https://cbr.myhuaweicloud.com:443@evil.com", false},
		"the domain as a path":            {DefaultAllowedEndpoints, "https://evil.com/cbr.myhuaweicloud.com", false},
		"the domain as a query":           {DefaultAllowedEndpoints, "https://evil.com?.myhuaweicloud.com", false},
		"the domain as a fragment":        {DefaultAllowedEndpoints, "https://evil.com#.myhuaweicloud.com", false},
		"the domain behind a backslash":   {DefaultAllowedEndpoints, `https://evil.com\.myhuaweicloud.com`, false},
		"the domain as a port":            {DefaultAllowedEndpoints, "https://evil.com:443.myhuaweicloud.com", false},
		"the domain behind an escape":     {DefaultAllowedEndpoints, "https://evil.com%2f.myhuaweicloud.com", false},
		"the domain behind a NUL":         {DefaultAllowedEndpoints, "https://evil.com%00.myhuaweicloud.com", false},
		"the domain on another line":      {DefaultAllowedEndpoints, "https://evil.com\n.myhuaweicloud.com", false},
		"a line before the end":           {DefaultAllowedEndpoints, "https://cbr.myhuaweicloud.com\n", false},
		"letters that look alike":         {DefaultAllowedEndpoints, "https://cbr.myhuaweiсloud.com", false}, // a Cyrillic es
		"a wide dot":                      {DefaultAllowedEndpoints, "https://evil.com。myhuaweicloud.com", false},
		"a port that is none":             {DefaultAllowedEndpoints, "https://cbr.myhuaweicloud.com:cbr", false},

		"a pattern with https":                {"https://cbr.example.com", "https://cbr.example.com", true},
		"a pattern with https and a slash":    {"https://cbr.example.com/", "https://cbr.example.com", true},
		"a pattern with capitals":             {"CBR.Example.com", "https://cbr.example.com", true},
		"an exact pattern, another host":      {"cbr.example.com", "https://a.cbr.example.com", false},
		"a dot in a pattern is a dot":         {"cbr.example.com", "https://cbrxexample.com", false},
		"white space and empty entries":       {" , cbr.example.com ,, ", "https://cbr.example.com", true},
		"the second of several":               {"a.example.com,b.example.com", "https://b.example.com", true},
		"a star in the middle":                {"cbr.*.example.com", "https://cbr.cn-north-4.example.com", true},
		"a star in the middle, nothing there": {"cbr.*.example.com", "https://cbr.example.com", false},
		"a star alone":                        {"*", "https://anything.example.com:1234", true},
		"a star alone is for https":           {"*", "http://anything.example.com", false},
		"a pattern with a port":               {"cbr.example.com:8443", "https://cbr.example.com:8443", true},
		"a pattern with a port, another port": {"cbr.example.com:8443", "https://cbr.example.com:84430", false},
		"a pattern with a port, no port":      {"cbr.example.com:8443", "https://cbr.example.com", false},

		"http where a pattern names it":           {"http://127.0.0.1:*", "http://127.0.0.1:34567", true},
		"http, another host":                      {"http://127.0.0.1:*", "http://127.0.0.2:34567", false},
		"http, a longer host":                     {"http://127.0.0.1:*", "http://127.0.0.1.evil.com:34567", false},
		"a pattern with http is not for https":    {"http://127.0.0.1:*", "https://127.0.0.1:34567", false},
		"a pattern with http opens no other host": {"http://127.0.0.1:*,*.example.com", "http://cbr.example.com", false},
		"a pattern with http, without ports":      {"http://cbr.example.com", "http://cbr.example.com:80", true},
		"IPv6":                                    {"[::1]", "https://[::1]", true},
		"IPv6, any port":                          {"[::1]", "https://[::1]:8443", true},
		"IPv6 with a port":                        {"[::1]:8443", "https://[::1]:8443", true},
		"IPv6 with a port, another port":          {"[::1]:8443", "https://[::1]:443", false},
		"IPv6 with a port, no port":               {"[::1]:8443", "https://[::1]", false},
		"IPv6 with any port":                      {"http://[::1]:*", "http://[::1]:34567", true},
		"IPv6, another address":                   {"[::1]", "https://[::2]", false},
		"IPv6, a longer address":                  {"[::1]", "https://[fe80::1]", false},
		"IPv6 in capitals":                        {"[FE80::1]", "https://[fe80::1]", true},
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
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			allowed, err := ParseEndpointPatterns(patterns)
			g.Expect(err).To(MatchError(ContainSubstring("endpoint pattern")))
			g.Expect(allowed).To(BeEmpty())
		})
	}
}
