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
	"cmp"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"backupsync.dev/operator/api/v1alpha1"
)

// DefaultAllowedEndpoints are the patterns of Huawei Cloud's own endpoints.
const DefaultAllowedEndpoints = "*.myhuaweicloud.com,*.myhuaweicloud.eu"

// europeanRegion are the regions of Huawei Cloud Europe, whose endpoints are in a domain of their own.
var europeanRegion = regexp.MustCompile(`^eu-west-1[0-9]{2}$`)

// endpointOf returns the URL of CBR for a project: the one that it names, or the one of its region.
func endpointOf(spec *v1alpha1.CBRProjectSpec) string {
	switch {
	case spec.Endpoint != "":
		return spec.Endpoint
	case europeanRegion.MatchString(spec.Region):
		return "https://cbr." + spec.Region + ".myhuaweicloud.eu"
	default:
		return "https://cbr." + spec.Region + ".myhuaweicloud.com"
	}
}

// cloudProjectOf names the cloud project that a CBRProject imports into: the host of its endpoint, as it is the same in
// whatever way it is written, and the project id.
func cloudProjectOf(spec *v1alpha1.CBRProjectSpec) string {
	host := endpointOf(spec)
	if address, err := url.Parse(host); err == nil && address.Host != "" {
		port := cmp.Or(address.Port(), map[string]string{"http": "80", "https": "443"}[address.Scheme])
		host = strings.TrimSuffix(strings.ToLower(address.Hostname()), ".") + ":" + port
	}
	return host + "/" + spec.ProjectID
}

// EndpointPatterns are the endpoints that CBRProjects may name. As whoever may write a CBRProject decides where
// the token in a Secret is sent, the operator's owner decides which hosts that can be.
type EndpointPatterns []endpointPattern

type endpointPattern struct {
	insecure bool // http:// instead of https://
	host     *regexp.Regexp
}

// ParseEndpointPatterns reads a comma-separated list of host patterns. "*" stands for any part of a name. A
// pattern with a port allows that port alone ("*" again for any); one without allows every port. Patterns are
// for https, unless they begin with "http://".
func ParseEndpointPatterns(list string) (EndpointPatterns, error) {
	var patterns EndpointPatterns
	for text := range strings.SplitSeq(list, ",") {
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		host, insecure := strings.CutPrefix(text, "http://")
		if !insecure {
			host = strings.TrimPrefix(host, "https://")
		}
		host = strings.TrimSuffix(host, "/")
		if host == "" || strings.ContainsAny(host, "/?#@ ") {
			return nil, fmt.Errorf("endpoint pattern %q is not a host pattern such as *.example.com or http://127.0.0.1:*", text)
		}
		patterns = append(patterns, endpointPattern{insecure: insecure, host: hostPattern(host)})
	}
	if len(patterns) == 0 {
		return nil, fmt.Errorf("no endpoint pattern in %q: no CBRProject could be used", list)
	}
	return patterns, nil
}

func hostPattern(host string) *regexp.Regexp {
	expression := strings.ReplaceAll(regexp.QuoteMeta(strings.ToLower(host)), `\*`, `[a-z0-9.-]*`)
	if !strings.Contains(strings.TrimPrefix(host, "["), ":") || strings.HasSuffix(host, "]") {
		expression += `(:[0-9]+)?`
	}
	return regexp.MustCompile(`^` + expression + `$`)
}

// Allow says whether a CBRProject may use the endpoint.
func (p EndpointPatterns) Allow(endpoint string) bool {
	address, err := url.Parse(endpoint)
	if err != nil || address.User != nil {
		return false
	}
	for _, pattern := range p {
		scheme := "https"
		if pattern.insecure {
			scheme = "http"
		}
		if address.Scheme == scheme && pattern.host.MatchString(strings.ToLower(address.Host)) {
			return true
		}
	}
	return false
}
