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

package record

import (
	"context"
	"slices"

	"k8s.io/client-go/rest"
)

// requestsTotal counts the requests of all clients of an API server.
const requestsTotal = "apiserver_request_total"

// Request is a kind of request to an API server.
type Request struct {
	Resource    string
	Subresource string
	// Verb is an upper-case HTTP method, or LIST, WATCH or APPLY.
	Verb string
}

// Writes reports whether the request changes something.
func (r Request) Writes() bool {
	return slices.Contains([]string{"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"}, r.Verb)
}

// Requests counts the requests that an API server has answered, by their kinds.
type Requests map[Request]int

// RequestsOf reads the counts from an API server's metrics.
func RequestsOf(ctx context.Context, server rest.Interface) (Requests, error) {
	samples, err := scrapeServer(ctx, server, requestsTotal)
	if err != nil {
		return nil, err
	}
	requests := Requests{}
	for _, sample := range samples {
		kind := Request{Resource: sample.Labels["resource"], Subresource: sample.Labels["subresource"], Verb: sample.Labels["verb"]}
		requests[kind] += int(sample.Value)
	}
	return requests, nil
}

// Since returns the requests that came after an earlier count.
func (r Requests) Since(earlier Requests) Requests {
	later := Requests{}
	for kind, count := range r {
		if more := count - earlier[kind]; more > 0 {
			later[kind] = more
		}
	}
	return later
}

// Count adds up the requests that a function picks.
func (r Requests) Count(pick func(Request) bool) int {
	total := 0
	for kind, count := range r {
		if pick(kind) {
			total += count
		}
	}
	return total
}
