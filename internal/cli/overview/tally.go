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
	"cmp"
	"maps"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cli/backups"
)

// shown is how many examples of a kind are kept.
const shown = 3

// projectName is the namespace and name of a CBRProject, whether it exists or not.
type projectName struct{ namespace, name string }

// tallies are what was read of single BackupSyncs, by project. They are safe for concurrent use.
type tallies struct {
	mutex sync.Mutex
	by    map[projectName]*tally
	// cut are the queries that had more than their limit.
	cut []backups.Query
}

// tally is what was read of the BackupSyncs of a project.
type tally struct {
	states  [backupsync.States]int
	reasons map[reasonOf]*examples
	oldest  *backups.Backup
	// heldBack are pending, and not sent whatever the project does.
	heldBack int
	drifted  examples
}

type reasonOf struct {
	state  backupsync.State
	reason string
}

// examples are a number of BackupSyncs, and the oldest of them.
type examples struct {
	count int
	first []backups.Backup
}

func (e *examples) add(backup *backups.Backup) {
	e.count++
	if len(e.first) == shown && backups.Older(*backup, e.first[shown-1]) >= 0 {
		return
	}
	at, _ := slices.BinarySearchFunc(e.first, *backup, backups.Older)
	e.first = slices.Insert(e.first, at, *backup)
	e.first = e.first[:min(len(e.first), shown)]
}

func (t *tallies) add(backup backups.Backup) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.of(projectName{backup.Namespace, backup.Project}).add(&backup)
}

func (t *tallies) of(name projectName) *tally {
	if t.by == nil {
		t.by = map[projectName]*tally{}
	}
	if t.by[name] == nil {
		t.by[name] = &tally{reasons: map[reasonOf]*examples{}}
	}
	return t.by[name]
}

// truncated notes that a query had more than its limit.
func (t *tallies) truncated(query backups.Query) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.cut = append(t.cut, query)
}

// isCut reports whether there were more open ones of a project than were read, or more that have failed.
func (t *tallies) isCut(name projectName, ended backups.Ended) bool {
	return slices.ContainsFunc(t.cut, func(query backups.Query) bool {
		return query.Ended == ended && query.Namespace == name.namespace && (query.Project == name.name || query.Project == "" && len(query.NotProjects) == 0)
	})
}

// isCutOrphan reports whether there were more BackupSyncs that name a project that does not exist than were read.
func (t *tallies) isCutOrphan(name projectName) bool {
	return t.isCut(name, backups.Open) || t.isCut(name, backups.Failed) || slices.ContainsFunc(t.cut, func(query backups.Query) bool {
		return query.Ended == backups.NotImported && (query.Namespace == name.namespace || query.Namespace == "" && !slices.Contains(query.NotNamespaces, name.namespace))
	})
}

func (t *tally) add(backup *backups.Backup) {
	t.states[backup.State]++
	if backup.Drifted {
		t.drifted.add(backup)
	}
	switch {
	case backup.State != backupsync.Pending:
	case backup.HeldBack():
		t.heldBack++
	case t.oldest == nil || backups.Older(*backup, *t.oldest) < 0:
		kept := *backup
		t.oldest = &kept
	}
	if backup.State == backupsync.Imported {
		return
	}
	of := reasonOf{backup.State, cmp.Or(backup.Reason, "Unknown")}
	if t.reasons[of] == nil {
		t.reasons[of] = &examples{}
	}
	t.reasons[of].add(backup)
}

// open is how many of those that were read have not ended.
func (t *tally) open() int { return t.states[backupsync.Pending] + t.states[backupsync.Running] }

// byReason returns how many have each reason: failed ones first, then the most frequent.
func (t *tally) byReason() []ReasonCount {
	counts := make([]ReasonCount, 0, len(t.reasons))
	for _, of := range slices.SortedFunc(maps.Keys(t.reasons), func(a, b reasonOf) int {
		return cmp.Or(cmp.Compare(b.state, a.state), cmp.Compare(t.reasons[b].count, t.reasons[a].count), cmp.Compare(a.reason, b.reason))
	}) {
		found := t.reasons[of]
		count := ReasonCount{State: of.state.String(), Reason: of.reason, Count: found.count}
		for i := range found.first {
			count.Examples = append(count.Examples, *exampleOf(&found.first[i]))
		}
		counts = append(counts, count)
	}
	return counts
}

func exampleOf(backup *backups.Backup) *Example {
	return &Example{Name: backup.Name, Reason: backup.Reason, Message: backup.Message, CreationTime: metav1.NewTime(backup.Created)}
}

func (e *examples) names() []string {
	names := make([]string, 0, len(e.first))
	for _, each := range e.first {
		names = append(names, each.Name)
	}
	return names
}
