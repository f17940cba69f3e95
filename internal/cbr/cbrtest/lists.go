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
	"maps"
	"net/url"
	"slices"
	"strconv"

	"backupsync.dev/operator/internal/cbr"
)

// Enterprise projects between which tasks and backups alternate if Options.NarrowLists is set.
const (
	// DefaultEnterpriseProject is what a list shows without enterprise_project_id. It holds the second, the fourth and so on
	// of the tasks of a Cloud and of the backups of a project, in the order of their arrival.
	DefaultEnterpriseProject = "0"
	// OtherEnterpriseProject holds the first, the third and so on.
	OtherEnterpriseProject = "0fd6d1a5-5a34-4f07-b6ad-d6b0f4a7d9f1"
)

// Count is what lists say in "count".
type Count string

// The counts of lists.
const (
	// CountAll is the number of all elements that match, on whatever page; so is an empty Count.
	CountAll Count = "all"
	// CountMissing leaves it out.
	CountMissing Count = "missing"
	// CountPage is the number of elements on the page.
	CountPage Count = "page"
	// CountLess is one less than there are, CountMore one more.
	CountLess Count = "less"
	CountMore Count = "more"
	// CountZero is always 0.
	CountZero Count = "zero"
	// CountText is the right number as a text.
	CountText Count = "text"
)

// UnmarshalText refuses counts that do not exist.
func (c *Count) UnmarshalText(text []byte) error {
	return oneOf(c, text, CountAll, CountMissing, CountPage, CountLess, CountMore, CountZero, CountText)
}

// listReply answers with a page of a list, under its name; all is the number of its elements on all pages.
func listReply[T any](x *exchange, name string, views []T, all int, page page) reply {
	body := map[string]any{name: views, "count": all, "limit": page.limit, "offset": page.offset}
	switch x.options.Count {
	case CountMissing:
		delete(body, "count")
	case CountPage:
		body["count"] = len(views)
	case CountLess:
		body["count"] = max(0, all-1)
	case CountMore:
		body["count"] = all + 1
	case CountZero:
		body["count"] = 0
	case CountText:
		body["count"] = strconv.Itoa(all)
	}
	return jsonReply(body)
}

// cut makes a page no longer than pages are.
func (o Options) cut(asked page) page {
	if o.MaxPage > 0 {
		asked.limit = min(asked.limit, o.MaxPage)
	}
	return asked
}

// shows reports whether a list for an enterprise project has an element of this number, counted from 0.
func (o Options) shows(number int, enterpriseProject string) bool {
	own := OtherEnterpriseProject
	if number%2 == 1 {
		own = DefaultEnterpriseProject
	}
	switch {
	case o.GrantDefaultOnly && own != DefaultEnterpriseProject:
		return false
	case !o.NarrowLists || enterpriseProject == cbr.AllEnterpriseProjects:
		return true
	default:
		return own == cmp.Or(enterpriseProject, DefaultEnterpriseProject)
	}
}

// nextShift returns by how many places the order of a list has moved, and moves it on; the mutex is held.
func (p *project) nextShift(options Options) int {
	if options.ListShift == 0 {
		return 0
	}
	shift := p.shift
	p.shift += options.ListShift
	return shift
}

// shifted moves the beginning of a list to its end; the list itself stays as it is.
func shifted[T any](list []T, shift int) []T {
	first := modulo(shift, len(list))
	if first == 0 {
		return list
	}
	return slices.Concat(list[first:], list[:first])
}

// modulo is what a division leaves, never negative; 0 of a division by 0.
func modulo(number, divisor int) int {
	if divisor == 0 {
		return 0
	}
	return (number%divisor + divisor) % divisor
}

// parameters are those of a list that an element must agree with, by their names.
type parameters[T any] map[string]func(element T, value string) bool

// conditions returns what a query asks of an element. An empty value asks for nothing.
func (p parameters[T]) conditions(query url.Values) []func(T) bool {
	var found []func(T) bool
	for name, agrees := range p {
		if value := query.Get(name); value != "" {
			found = append(found, func(element T) bool { return agrees(element, value) })
		}
	}
	return found
}

// names are those of the parameters and of others.
func (p parameters[T]) names(others ...string) []string {
	return slices.AppendSeq(others, maps.Keys(p))
}

func meetsAll[T any](element T, conditions []func(T) bool) bool {
	for _, holds := range conditions {
		if !holds(element) {
			return false
		}
	}
	return true
}
