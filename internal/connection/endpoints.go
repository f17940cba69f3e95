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
	"net/url"
	"regexp"
	"strings"

	"backupsync.dev/operator/api/v1alpha1"
)

// europeanRegion are the regions of Huawei Cloud Europe, whose endpoints are in a domain of their own.
var europeanRegion = regexp.MustCompile(`^eu-west-1[0-9]{2}$`)

// EndpointOf returns the URL of CBR for a project: the one that it names, or the one of its region.
func EndpointOf(spec *v1alpha1.CBRProjectSpec) string {
	if spec.Endpoint != "" {
		return strings.ToLower(spec.Endpoint) // which is a scheme and a host: net/http would send LOCALHOST to the proxy, but not localhost
	}
	return regionalEndpoint(serviceCBR, spec.Region)
}

// IAMEndpointOf returns the URL of IAM for a project: the one that it names, or the one of its region; "" if it has neither.
func IAMEndpointOf(spec *v1alpha1.CBRProjectSpec) string {
	switch {
	case spec.IAMEndpoint != "":
		return strings.ToLower(spec.IAMEndpoint)
	case spec.Region == "":
		return ""
	default:
		return regionalEndpoint(serviceIAM, spec.Region)
	}
}

func regionalEndpoint(service, region string) string {
	domain := ".myhuaweicloud.com"
	if europeanRegion.MatchString(region) {
		domain = ".myhuaweicloud.eu"
	}
	return "https://" + service + "." + region + domain
}

// CloudProjectOf names the cloud project that a CBRProject imports into: the host of its endpoint, as it is the same in
// whatever way it is written, and the project id.
func CloudProjectOf(spec *v1alpha1.CBRProjectSpec) string {
	host := EndpointOf(spec)
	if endpoint, err := url.Parse(host); err == nil && endpoint.Host != "" {
		port := endpoint.Port()
		if port == "" {
			port = schemePorts[endpoint.Scheme]
		}
		host = canonicalHost(endpoint.Hostname()) + ":" + port
	}
	return host + "/" + spec.ProjectID
}

func canonicalHost(host string) string {
	if address, err := netip.ParseAddr(host); err == nil {
		return address.Unmap().String()
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

// schemePorts are the ports of URLs that name none.
var schemePorts = map[string]string{schemeHTTP: "80", schemeHTTPS: "443"}
