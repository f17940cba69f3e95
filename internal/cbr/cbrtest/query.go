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
	"net/url"
	"slices"
	"strconv"
	"time"

	"backupsync.dev/operator/internal/cbr"
)

// page is the part of a list that a query asks for.
type page struct{ limit, offset int }

func (p page) holds(position int) bool { return position >= p.offset && position < p.offset+p.limit }

// checkQuery refuses parameters that this package does not know, rather than to answer without heeding them.
func checkQuery(query url.Values, known ...string) *APIError {
	for name, values := range query {
		if !slices.Contains(known, name) {
			return invalid("%s: no such parameter", name)
		}
		if len(values) != 1 {
			return invalid("%s: given %d times", name, len(values))
		}
	}
	return nil
}

// query returns the query of a list. Ids are folded.
func (x *exchange) query(known []string) (url.Values, *APIError) {
	query := x.request.URL.Query()
	for _, name := range []string{"resource_id", "marker"} {
		if query.Has(name) {
			query.Set(name, x.options.fold(query.Get(name)))
		}
	}
	return query, checkQuery(query, known...)
}

// readPage reads limit and offset, which are optional. That a page without a limit is as long as pages can be is an
// assumption. One page of the reference gives 1 as the least offset; the vendor's own data source sends 0.
func readPage(query url.Values) (page, *APIError) {
	limit, err := readInteger(query, "limit", cbr.MaxPageSize)
	if err != nil || limit < 1 || limit > cbr.MaxPageSize {
		return page{}, invalid("limit: %q is not an integer from 1 to %d", query.Get("limit"), cbr.MaxPageSize)
	}
	offset, err := readInteger(query, "offset", 0)
	if err != nil || offset < 0 {
		return page{}, invalid("offset: %q is not an integer from 0 up", query.Get("offset"))
	}
	return page{limit: limit, offset: offset}, nil
}

func readInteger(query url.Values, name string, otherwise int) (int, error) {
	if !query.Has(name) {
		return otherwise, nil
	}
	return strconv.Atoi(query.Get(name))
}

// readTime reads a time, which is one of those that lists tell.
func (x *exchange) readTime(query url.Values, name string) (time.Time, *APIError) {
	if !query.Has(name) {
		return time.Time{}, nil
	}
	at, err := time.Parse("2006-01-02T15:04:05Z", query.Get(name))
	if err != nil {
		return time.Time{}, invalid("%s: %q is not like 2018-02-01T12:00:00Z", name, query.Get(name))
	}
	return at.Add(-x.options.TimeOffset), nil
}
