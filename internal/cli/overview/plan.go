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

package overview

import (
	"maps"
	"slices"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cli/backups"
)

// scope is what is looked at.
type scope struct {
	// namespace is "" for all.
	namespace string
	// project is "" for all of them.
	project string
	// limit is how many BackupSyncs are read of each kind, 0 for all; all says that imported ones are read, too.
	limit int
	all   bool
}

// apart is how many projects of a namespace are read one by one: each costs the server a look through the namespace.
const apart = 8

// plan returns the queries for what is to be known of single BackupSyncs. Each BackupSync is in one query at most.
func plan(of scope, projects []v1alpha1.CBRProject) []backups.Query {
	byNamespace := map[string][]string{}
	for _, each := range projects {
		byNamespace[each.Namespace] = append(byNamespace[each.Namespace], each.Name)
	}
	var queries []backups.Query
	for _, namespace := range slices.Sorted(maps.Keys(byNamespace)) {
		queries = append(queries, inNamespace(of, namespace, byNamespace[namespace])...)
	}
	switch {
	case of.project != "":
	case of.namespace == "": // what is in namespaces without any project
		queries = append(queries, limited(of, backups.Query{NotNamespaces: slices.Sorted(maps.Keys(byNamespace)), Ended: backups.NotImported}))
	case len(projects) == 0:
		queries = append(queries, limited(of, backups.Query{Namespace: of.namespace, Ended: backups.NotImported}))
	}
	return queries
}

// inNamespace returns the queries for a namespace with projects: one after the other if they are few, so that none takes the room of
// another, and then for what names none of them.
func inNamespace(of scope, namespace string, projects []string) []backups.Query {
	if len(projects) > apart {
		return byEnd(of, backups.Query{Namespace: namespace})
	}
	var queries []backups.Query
	for _, name := range projects {
		queries = append(queries, byEnd(of, backups.Query{Namespace: namespace, Project: name})...)
	}
	if of.project == "" {
		queries = append(queries, limited(of, backups.Query{Namespace: namespace, NotProjects: projects, Ended: backups.NotImported}))
	}
	return queries
}

// byEnd reads open and failed ones apart, so that none takes the room of the other; or all.
func byEnd(of scope, query backups.Query) []backups.Query {
	if of.all {
		return []backups.Query{query}
	}
	open, failed := limited(of, query), limited(of, query)
	open.Ended, failed.Ended = backups.Open, backups.Failed
	return []backups.Query{open, failed}
}

func limited(of scope, query backups.Query) backups.Query {
	query.Limit = of.limit
	return query
}
