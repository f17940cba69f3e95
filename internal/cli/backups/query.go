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

package backups

import (
	"strings"

	"backupsync.dev/operator/api/v1alpha1"
)

// Ended narrows a query by whether, and how, imports have ended.
type Ended uint8

const (
	// Any narrows nothing.
	Any Ended = iota
	// Open are those whose import has not ended.
	Open
	// Failed are those whose import has ended, and whose backup is not in CBR for use.
	Failed
	// NotImported are both.
	NotImported
)

// Query says which BackupSyncs are read.
type Query struct {
	// Namespace is theirs; "" stands for all, but those of NotNamespaces.
	Namespace     string
	NotNamespaces []string
	// Project is the CBRProject that they name; "" stands for any, but those of NotProjects.
	Project     string
	NotProjects []string
	// BackupID is the id of their backup, as it is written; "" stands for any.
	BackupID string
	// Ended is how their import has ended.
	Ended Ended
	// Labels is a label selector.
	Labels string
	// Limit is how many are read at most; 0 stands for all.
	Limit int
}

const outcomeField = "status.outcome"

// outcomes are the terms of a field selector by how an import has ended. What is absent is selected as if it were empty.
var outcomes = map[Ended][]string{
	Open:        {outcomeField + "="},
	Failed:      {outcomeField + "!=", outcomeField + "!=" + string(v1alpha1.OutcomeImported), outcomeField + "!=" + string(v1alpha1.OutcomeAlreadyImported)},
	NotImported: {outcomeField + "!=" + string(v1alpha1.OutcomeImported), outcomeField + "!=" + string(v1alpha1.OutcomeAlreadyImported)},
}

// fields returns the field selector of a query. Older CRDs do not know outcomes: those are left out then.
func (q Query) fields(withOutcome bool) string {
	var terms []string
	if q.Project != "" {
		terms = append(terms, "spec.projectRef.name="+q.Project)
	}
	if q.BackupID != "" {
		terms = append(terms, "spec.backupID="+q.BackupID)
	}
	for _, project := range q.NotProjects {
		terms = append(terms, "spec.projectRef.name!="+project)
	}
	for _, namespace := range q.NotNamespaces {
		terms = append(terms, "metadata.namespace!="+namespace)
	}
	if withOutcome {
		terms = append(terms, outcomes[q.Ended]...)
	}
	return strings.Join(terms, ",")
}

// takes reports whether an outcome is one that the query asks for.
func (e Ended) takes(outcome v1alpha1.Outcome) bool {
	imported := outcome == v1alpha1.OutcomeImported || outcome == v1alpha1.OutcomeAlreadyImported
	switch e {
	case Open:
		return outcome == ""
	case Failed:
		return outcome != "" && !imported
	case NotImported:
		return !imported
	default:
		return true
	}
}
