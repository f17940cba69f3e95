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

package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// What a signature consists of: see the vendor's guide of API requests signed with an access key.
const (
	signAlgorithm  = "SDK-HMAC-SHA256"
	signDateLayout = "20060102T150405Z"

	sdkDateHeader       = "X-Sdk-Date"
	projectIDHeader     = "X-Project-Id"
	securityTokenHeader = "X-Security-Token"
)

// signature returns the value of the Authorization header of a request with this body. Signed are its host and the headers that are
// named, in lower case and sorted; X-Sdk-Date is one of them.
func signature(request *http.Request, body []byte, headers []string, access, secret string) (string, error) {
	canonical, err := canonicalRequest(request, body, headers)
	if err != nil {
		return "", err
	}
	date := request.Header.Get(sdkDateHeader)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(strings.Join([]string{signAlgorithm, date, hexSum([]byte(canonical))}, "\n"))) // never fails
	return fmt.Sprintf("%s Access=%s, SignedHeaders=%s, Signature=%s",
		signAlgorithm, access, strings.Join(headers, ";"), hex.EncodeToString(mac.Sum(nil))), nil
}

func canonicalRequest(request *http.Request, body []byte, headers []string) (string, error) {
	query, err := canonicalQuery(request.URL.RawQuery)
	if err != nil {
		return "", err
	}
	lines := []string{request.Method, canonicalPath(request.URL.Path), query}
	for _, name := range headers {
		value := request.Header.Get(name)
		if name == "host" {
			value = hostOf(request)
		}
		lines = append(lines, name+":"+strings.TrimSpace(value))
	}
	lines = append(lines, "", strings.Join(headers, ";"), hexSum(body))
	return strings.Join(lines, "\n"), nil
}

// hostOf returns what net/http sends as Host.
func hostOf(request *http.Request) string {
	if request.Host != "" {
		return request.Host
	}
	return request.URL.Host
}

// canonicalPath returns a path with each of its segments escaped, and a slash at its end.
func canonicalPath(path string) string {
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		segments[i] = escape(segment)
	}
	canonical := strings.Join(segments, "/")
	if !strings.HasSuffix(canonical, "/") {
		canonical += "/"
	}
	return canonical
}

// canonicalQuery returns a query sorted by names, then by values, all of them escaped.
func canonicalQuery(query string) (string, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return "", fmt.Errorf("sign a query: %w", err)
	}
	var pairs []string
	for _, name := range sortedNames(values) {
		slices.Sort(values[name])
		for _, value := range values[name] {
			pairs = append(pairs, escape(name)+"="+escape(value))
		}
	}
	return strings.Join(pairs, "&"), nil
}

func sortedNames(values url.Values) []string {
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// escape escapes every byte but the unreserved characters of RFC 3986: url.QueryEscape writes a space as "+".
func escape(text string) string {
	var escaped strings.Builder
	for _, c := range []byte(text) {
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			escaped.WriteByte(c)
		} else {
			fmt.Fprintf(&escaped, "%%%02X", c)
		}
	}
	return escaped.String()
}

func hexSum(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
