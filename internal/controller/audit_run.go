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
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/evidence"
	"backupsync.dev/operator/internal/connection"
)

const (
	// maxAudits is how many audits are under way at the same time, of all projects: each takes some 20 bytes for each backup in CBR, and
	// projects may share an account, of which third parties have measured a limit of 20 reads a second.
	maxAudits = 2
	// auditTimeout bounds an audit, so that endpoints that hang do not keep others from theirs.
	auditTimeout = time.Hour
	// askedTogether is how many backups are asked for with one look at the tasks, and askedWithin how long that may take, as a rule: absence
	// is believed for a minute.
	askedTogether = 100
	askedWithin   = 20 * time.Second
)

// maxDoubted is how many backups one audit asks CBR for, and of how many it finds that they are usable again. The next goes on with
// others. Less in a test.
var maxDoubted = 2000

// audits are those that are under way, of all projects. They end with the process: none holds it up.
type audits struct {
	places chan struct{}
	// examine is (*auditRun).examine, but in tests, which show that it is needed.
	examine func(*auditRun, context.Context, *evidence.BackupList, []string) (examination, error)

	mutex sync.Mutex
	over  bool
	runs  map[*auditRun]struct{}
}

func newAudits() audits {
	return audits{places: make(chan struct{}, maxAudits), examine: (*auditRun).examine, runs: map[*auditRun]struct{}{}}
}

// begin begins an audit, unless the process ends.
func (s *audits) begin(ctx context.Context, run *auditRun) {
	ctx, run.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.mutex.Lock()
	s.runs[run] = struct{}{}
	if s.over {
		run.cancel()
	}
	s.mutex.Unlock()
	go func() {
		defer run.cancel()
		run.ended <- s.make(ctx, run)
		s.mutex.Lock()
		delete(s.runs, run)
		s.mutex.Unlock()
		run.requeue(run.key)
	}()
}

// make makes an audit, once there is a place for it.
func (s *audits) make(ctx context.Context, run *auditRun) auditResult {
	select {
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
		bounded, cancel := context.WithTimeout(ctx, auditTimeout)
		defer cancel()
		return run.make(bounded)
	case <-ctx.Done():
		return auditResult{stopped: true, why: auditStopped}
	}
}

// stop ends all audits, and those that would begin.
func (s *audits) stop() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.over = true
	for run := range s.runs {
		run.cancel()
	}
}

// auditRun is one audit. It reads CBR and the API server, and writes the conditions of BackupSyncs, all with its own means: of what passes
// remember it has but what was known when it began.
type auditRun struct {
	*Reconciler
	key        types.NamespacedName
	log        logr.Logger
	generation int64  // of the project
	where      string // its cloud project
	content    string // identifies the credentials
	source     evidence.Source
	known      evidence.Known
	seen       sightings // of audits
	limiter    connection.ReadLimiter
	writer     *writer
	cancel     context.CancelFunc
	ended      chan auditResult // brings how it has ended, once
}

// auditResult is how an audit has ended.
type auditResult struct {
	ended   metav1.Time // of a complete one
	checked int32       // imported BackupSyncs that were looked at
	changed int         // conditions that were written
	why     string      // it is not complete, "" if it is
	err     error       // the failed request that is to blame, nil without one
	more    bool        // there was more to ask for than one asks
	stopped bool        // by the end of the process, or as the project has changed
}

const auditStopped = "it was stopped"

// newRun prepares an audit of the project as the pass knows it.
func (a *auditor) newRun(source evidence.Source) *auditRun {
	own := step{a.Reconciler, &scope{key: a.key, log: a.log, now: a.now}, &nextPass{}}
	run := &auditRun{Reconciler: a.Reconciler, key: a.key, log: a.log, generation: a.generation, where: a.claim.cloudProject,
		content: a.health.ContentFingerprint, source: source, known: a.known(), seen: a.memory.sightings, limiter: a.readLimiter,
		writer: &writer{step: own, versionMemory: &a.memory.versionMemory}, ended: make(chan auditResult, 1)}
	ofPasses := a.evidence.seen
	run.known.FirstSeen = func(key evidence.TaskKey) time.Time { return earliest(ofPasses[key].at, run.seen[key].at) }
	return run
}

// make makes the audit. Nothing is written before all has been asked for: a list that hides some backups is found out by then.
func (a *auditRun) make(ctx context.Context) auditResult {
	list, err := evidence.ListBackups(ctx, a.source, a.options.Clock.Now())
	if err != nil {
		return a.failed(ctx, "the list of CBR's backups could not be read", err)
	}
	if !list.Complete {
		return auditResult{why: "the list of CBR's backups was not read as a whole"}
	}
	compared, err := a.compare(ctx, list)
	if err != nil {
		return a.failed(ctx, "the imported BackupSyncs could not be read", err)
	}
	examined, err := a.audits.examine(a, ctx, list, compared.doubted)
	if err != nil {
		return a.failed(ctx, "backups could not be asked for", err)
	}
	if examined.hidden != "" {
		a.log.V(1).Info("The list of CBR's backups hides some", "backup", examined.hidden)
		return auditResult{why: "the list of CBR's backups hides some: check spec.enterpriseProjectID, and the rights to list backups"}
	}
	return a.conclude(ctx, list, compared, examined)
}

// failed is the end of an audit by a failed request.
func (a *auditRun) failed(ctx context.Context, why string, err error) auditResult {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return auditResult{why: "it took longer than an hour"}
	case ctx.Err() != nil:
		return auditResult{stopped: true, why: auditStopped}
	default:
		return auditResult{why: why, err: err}
	}
}

// comparison is what follows for BackupSyncs from the list of CBR's backups alone.
type comparison struct {
	checked int32
	doubted []string // names of those that CBR is to be asked for
	again   []string // names of those that were not available before, and are
	more    bool     // of either there are more
}

// compare holds the imported BackupSyncs against the list. It begins anywhere, so that none is always among those that have to wait.
func (a *auditRun) compare(ctx context.Context, list *evidence.BackupList) (comparison, error) {
	var found comparison
	first := rand.IntN(backupBuckets)
	for i := range backupBuckets {
		var bucket v1alpha1.BackupSyncList
		key := strconv.FormatInt(int64((first+i)%backupBuckets), 36)
		if err := a.client.List(ctx, &bucket, client.UnsafeDisableDeepCopy,
			client.DisableReadYourWritesConsistency, client.MatchingFields{indexBackup: key}); err != nil {
			return found, fmt.Errorf("list BackupSyncs: %w", err)
		}
		for i := range bucket.Items {
			if backup := &bucket.Items[i]; a.concerns(backup) {
				found.add(list, backup)
			}
		}
	}
	return found, nil
}

// concerns reports whether an audit asks about a BackupSync. One whose backup is in another cloud project, as its CBRProject was edited, is
// let be: what CBR shows of this one tells nothing of it.
func (a *auditRun) concerns(backup *v1alpha1.BackupSync) bool {
	return projectKey(backup) == a.key && auditable(backup) && backupsync.LiesIn(backup, a.where)
}

// auditable reports whether a BackupSync is imported, and nothing is to be done about it.
func auditable(backup *v1alpha1.BackupSync) bool {
	return backupsync.StateOf(backup) == backupsync.Imported && (trimmed(backup) || backupsync.Settled(backup)) && backup.DeletionTimestamp.IsZero()
}

func (c *comparison) add(list *evidence.BackupList, backup *v1alpha1.BackupSync) {
	c.checked++
	names := &c.doubted
	switch compared(list, backup) {
	case asSaid:
		return
	case usableAgain:
		names = &c.again
	case doubted:
	}
	if len(*names) == maxDoubted {
		c.more = true
		return
	}
	*names = append(*names, backup.Name)
}

// remark is what the list of CBR's backups says of a BackupSync.
type remark int

const (
	asSaid      remark = iota // what its status says
	usableAgain               // its backup is usable, which it was not before
	doubted                   // too little: CBR is to be asked for its backup
)

// compared holds a BackupSync against the list of CBR's backups.
func compared(list *evidence.BackupList, backup *v1alpha1.BackupSync) remark {
	said := backupsync.AvailabilityOf(backup)
	switch shown, usable, status := list.Shows(backup.Spec.BackupID); {
	case usable && said == backupsync.BackupAvailable,
		!shown && said == backupsync.BackupMissing,
		shown && status == cbr.BackupError && said == backupsync.BackupUnusable:
		return asSaid
	case usable:
		return usableAgain
	default:
		return doubted
	}
}

// conclude writes what has changed, one after the other: most of the places for writes are for those who are waited for.
func (a *auditRun) conclude(ctx context.Context, list *evidence.BackupList, compared comparison, examined examination) auditResult {
	again, err := a.read(ctx, list.Began, compared.again)
	if err != nil {
		return a.failed(ctx, "BackupSyncs could not be read", err)
	}
	for _, backup := range again {
		examined.findings = append(examined.findings, finding{backup, backupsync.BackupAvailable, list.Began})
	}
	result := auditResult{checked: compared.checked, more: compared.more}
	var failures []error
	for _, each := range examined.findings {
		switch written, err := a.write(ctx, each); {
		case ctx.Err() != nil:
			ended := a.failed(ctx, auditStopped, nil)
			ended.changed = result.changed
			return ended
		case err != nil:
			failures = append(failures, err)
		case written:
			result.changed++
		}
	}
	if result.changed > 0 {
		a.log.Info("An audit has found imported backups otherwise than before", "changed", result.changed, "checked", result.checked)
	}
	switch {
	case len(failures) > 0:
		result.why, result.err = "conditions could not be written", errors.Join(failures...)
	case examined.undecided > 0:
		result.why = fmt.Sprintf("nothing can be said of %d backups (%s)", examined.undecided, examined.why)
	case compared.more:
		result.why = "there is more to ask for than one audit asks"
	default:
		result.ended = metav1.NewTime(a.options.Clock.Now().Truncate(time.Second))
	}
	return result
}

// write has a BackupSync say what was found of its backup, and reports whether it did not before. It lapses if another import was begun, or
// requested, meanwhile.
func (a *auditRun) write(ctx context.Context, found finding) (bool, error) {
	before, now := found.backup, metav1.NewTime(a.options.Clock.Now())
	written, err := a.writer.writeChange(ctx, change{backup: before, lasting: true, become: func(version *v1alpha1.BackupSync) *v1alpha1.BackupSync {
		if version.UID != before.UID || !a.concerns(version) || !importedAt(version).Equal(importedAt(before)) {
			return nil
		}
		return backupsync.Audited(version, found.as, found.at, now)
	}})
	if written == nil || err != nil {
		return false, err
	}
	a.emit(auditEvent(written))
	return true, nil
}
