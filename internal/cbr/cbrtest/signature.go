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

package cbrtest

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// This is written from the vendor's description alone, to judge what the program signs.

const signatureAlgorithm = "SDK-HMAC-SHA256"

// signature is what the Authorization header of a request holds.
type signature struct {
	access  string
	headers []string // that are signed
	value   string
	date    time.Time
}

var authorizationPattern = regexp.MustCompile(`^SDK-HMAC-SHA256 Access=([^,=\s]+), SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$`)

// readSignature reads the headers of a signed request, and returns what is wrong with them.
func readSignature(request *http.Request) (read signature, wrong string) {
	found := authorizationPattern.FindStringSubmatch(request.Header.Get("Authorization"))
	if found == nil {
		return signature{}, "the Authorization header has another format"
	}
	read = signature{access: found[1], headers: strings.Split(found[2], ";"), value: found[3]}
	if !slices.IsSorted(read.headers) {
		return signature{}, "the signed headers are not sorted"
	}
	must := []string{"x-sdk-date"} // the vendor's SDK does not sign the host
	for _, name := range []string{"X-Project-Id", "X-Security-Token"} {
		if request.Header.Get(name) != "" {
			must = append(must, strings.ToLower(name))
		}
	}
	for _, name := range must {
		if !slices.Contains(read.headers, name) {
			return signature{}, name + " is not signed"
		}
	}
	date, err := time.Parse("20060102T150405Z", request.Header.Get("X-Sdk-Date"))
	if err != nil {
		return signature{}, "x-sdk-date is no date"
	}
	read.date = date
	return read, ""
}

// signatureOf computes the signature that a request must have.
func signatureOf(request *http.Request, body []byte, given signature, secret string) string {
	canonical := request.Method + "\n" + escapedPath(request.URL.Path) + "\n" + sortedQuery(request.URL.Query()) + "\n"
	for _, name := range given.headers {
		value := request.Header.Get(name)
		if name == "host" { // net/http keeps it elsewhere
			value = request.Host
		}
		canonical += name + ":" + strings.TrimSpace(value) + "\n"
	}
	canonical += "\n" + strings.Join(given.headers, ";") + "\n" + fmt.Sprintf("%x", sha256.Sum256(body))
	sum := hmac.New(sha256.New, []byte(secret))
	_, _ = fmt.Fprintf(sum, "%s\n%s\n%x", signatureAlgorithm, request.Header.Get("X-Sdk-Date"), sha256.Sum256([]byte(canonical)))
	return fmt.Sprintf("%x", sum.Sum(nil))
}

func escapedPath(path string) string {
	canonical := ""
	for segment := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		canonical += "/" + escaped(segment)
	}
	return strings.TrimSuffix(canonical, "/") + "/"
}

func sortedQuery(query url.Values) string {
	type parameter struct{ name, value string }
	var all []parameter
	for name, values := range query {
		for _, value := range values {
			all = append(all, parameter{name, value})
		}
	}
	slices.SortFunc(all, func(a, b parameter) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.value, b.value)) })
	texts := make([]string, 0, len(all))
	for _, each := range all {
		texts = append(texts, escaped(each.name)+"="+escaped(each.value))
	}
	return strings.Join(texts, "&")
}

// escaped leaves letters, digits, and "-", "_", "." and "~" as they are.
func escaped(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }
