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
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/batch"
	"backupsync.dev/operator/internal/cbr"
)

// refreshCandidates reads live those planned backups whose cached version may have been overtaken by another process, and
// takes the ones out of the plan that may no longer be sent.
func (p *preflighter) refreshCandidates(ctx context.Context) error {
	var stale []batch.Candidate
	for _, call := range p.plan.Calls {
		for _, member := range call {
			if p.maybeStale(member.BackupSync) {
				stale = append(stale, member)
			}
		}
	}
	if len(stale) == 0 {
		return nil
	}
	read := p.readLive
	if p.listIsCheaper(len(stale)) {
		read = p.listLive
	}
	current, err := read(ctx, stale)
	if err != nil {
		return err
	}
	p.plan.Calls = refreshed(p.plan.Calls, current)
	return nil
}

// maybeStale reports whether the cached version of a backup may be older than a write of another process. Once this
// process is the project's last writer, what it sees of versions newer than that is all there is: any other process
// would have had to write the project before it made a call. Where backups are not looked up in CBR, and each namespace has a cache
// of its own, that says nothing of what the BackupSyncs of other projects show: they are read with each candidate.
func (p *preflighter) maybeStale(backup *v1alpha1.BackupSync) bool {
	if p.ownedSince == 0 || p.options.manyCaches() && !p.looksUp() {
		return true
	}
	version := resourceVersion(backup)
	current, verified := p.minResourceVersions[backup.UID]
	return verified && version < current || !verified && version <= p.ownedSince
}

// refreshed puts the current versions into calls, without those that are nil: they are deleted or must not be sent.
func refreshed(calls [][]batch.Candidate, current map[types.UID]*v1alpha1.BackupSync) [][]batch.Candidate {
	left := make([][]batch.Candidate, 0, len(calls))
	for _, call := range calls {
		var members []batch.Candidate
		for _, member := range call {
			fresh, reread := current[member.UID]
			if reread && fresh == nil {
				continue
			}
			if reread {
				member.BackupSync = fresh
			}
			members = append(members, member)
		}
		if len(members) > 0 {
			left = append(left, members)
		}
	}
	return left
}

// readLive reads candidates one by one. Those that may not be sent are nil in the result.
func (p *preflighter) readLive(ctx context.Context, stale []batch.Candidate) (map[types.UID]*v1alpha1.BackupSync, error) {
	current := make(map[types.UID]*v1alpha1.BackupSync, len(stale))
	var mutex sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(p.options.StatusWriters)
	for _, member := range stale {
		group.Go(func() error {
			duplicates, err := p.readCandidate(ctx, member)
			mutex.Lock() // sendableOf notes when the pass is to be repeated
			defer mutex.Unlock()
			current[member.UID] = p.sendableOf(member, duplicates)
			return err
		})
	}
	return current, group.Wait()
}

// readCandidate reads a candidate from the API server, if it is still there. Without a look at CBR before the call its duplicates
// are read with it: the cache may not show one that another process has submitted.
func (p *preflighter) readCandidate(ctx context.Context, member batch.Candidate) ([]*v1alpha1.BackupSync, error) {
	if !p.looksUp() {
		return p.syncsForBackupLive(ctx, member.Spec.BackupID)
	}
	fresh := &v1alpha1.BackupSync{}
	if err := p.live.Get(ctx, client.ObjectKeyFromObject(member), fresh); apierrors.IsNotFound(err) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("get BackupSync %s: %w", member.Name, err)
	}
	p.sawLive(fresh)
	return []*v1alpha1.BackupSync{fresh}, nil
}

// syncsForBackupLive is syncsForBackup on the API server.
func (r *reader) syncsForBackupLive(ctx context.Context, backupID string) ([]*v1alpha1.BackupSync, error) {
	var all []v1alpha1.BackupSync
	for _, namespace := range r.options.Namespaces {
		var found v1alpha1.BackupSyncList
		err := r.live.List(ctx, &found, client.InNamespace(namespace), client.MatchingFields{"spec.backupID": backupID})
		if r.kindIsGone(err) {
			return nil, nil
		}
		if r.isElsewhere(namespace, err) { // CBR may have accepted it from there
			r.noteForeign(backupID)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list the BackupSyncs of backup %s: %w", backupID, err)
		}
		all = append(all, found.Items...)
	}
	own := r.own(backupID, all)
	for _, backup := range own {
		r.sawLive(backup)
	}
	return own, nil
}

// kindIsGone reports whether an error of a list says that there are no BackupSyncs as their CRD is deleted, while the project is being
// deleted too: both CRDs are, and that of BackupSyncs was the faster.
func (r *reader) kindIsGone(err error) bool {
	return r.project != nil && !r.project.DeletionTimestamp.IsZero() && (apierrors.IsNotFound(err) || meta.IsNoMatchError(err))
}

// sendableOf returns the fresh version of a candidate, nil if it may not be sent or another BackupSync comes first.
func (p *preflighter) sendableOf(member batch.Candidate, duplicates []*v1alpha1.BackupSync) *v1alpha1.BackupSync {
	if fresh := backupsync.Owner(duplicates); fresh != nil && fresh.UID == member.UID && p.sendable(fresh) {
		return fresh
	}
	return nil
}

// Bounds of live reads.
const (
	liveListShare = 10  // a list reads this many BackupSyncs in the time of one by one
	livePageSize  = 500 // bounds what the API server holds for an answer
)

// maxSingleReads is how many candidates are read one by one without a thought of the list; less in a test.
var maxSingleReads = 50

// listIsCheaper reports whether all BackupSyncs of the project are sooner listed than those that may be stale read one by one: those
// of this pass, and the other pending ones, which the same list serves.
func (p *preflighter) listIsCheaper(stale int) bool {
	return stale > maxSingleReads && len(p.pending)*liveListShare > int(p.counts.counts(p.key).Total)
}

// listLive is readLive by a list of all BackupSyncs of the project, which makes later passes trust the cache for all that
// are pending.
func (p *preflighter) listLive(ctx context.Context, stale []batch.Candidate) (map[types.UID]*v1alpha1.BackupSync, error) {
	duplicates := make(map[string][]*v1alpha1.BackupSync, len(stale)) // by backup id
	for _, member := range stale {
		duplicates[cbr.Fold(member.Spec.BackupID)] = nil
	}
	known := make(map[types.UID]struct{}, len(p.pending))
	for _, backup := range p.pending {
		known[backup.UID] = struct{}{}
	}
	unreadable, err := p.eachLive(ctx, func(fresh *v1alpha1.BackupSync) {
		if projectKey(fresh) != p.key {
			if _, asked := duplicates[cbr.Fold(fresh.Spec.BackupID)]; asked && backupsync.Accepted(fresh) {
				p.noteForeign(fresh.Spec.BackupID)
			}
			return
		}
		if _, pending := known[fresh.UID]; pending {
			p.sawLive(fresh)
		}
		if _, asked := duplicates[cbr.Fold(fresh.Spec.BackupID)]; asked {
			duplicates[cbr.Fold(fresh.Spec.BackupID)] = append(duplicates[cbr.Fold(fresh.Spec.BackupID)], fresh.DeepCopy()) // not the whole page
		}
	})
	current := make(map[types.UID]*v1alpha1.BackupSync, len(stale))
	for _, member := range stale {
		if unreadable { // CBR may have accepted it from there
			p.noteForeign(member.Spec.BackupID)
		}
		current[member.UID] = p.sendableOf(member, duplicates[cbr.Fold(member.Spec.BackupID)])
	}
	return current, err
}

// eachLive calls a function with each BackupSync of the project on the API server. Where backups are not looked up in CBR it
// goes through those of other projects as well, and reports whether it may not read some of them: see claim.go.
func (p *preflighter) eachLive(ctx context.Context, see func(*v1alpha1.BackupSync)) (unreadable bool, err error) {
	if p.looksUp() {
		return false, p.eachLiveIn(ctx, p.key.Namespace, see, client.MatchingFields{"spec.projectRef.name": p.key.Name})
	}
	for _, namespace := range p.options.Namespaces {
		switch err := p.eachLiveIn(ctx, namespace, see); {
		case p.isElsewhere(namespace, err):
			unreadable = true
		case err != nil:
			return unreadable, err
		}
	}
	return unreadable, nil
}

func (p *preflighter) eachLiveIn(ctx context.Context, namespace string, see func(*v1alpha1.BackupSync), options ...client.ListOption) error {
	for next := ""; ; {
		var page v1alpha1.BackupSyncList
		if err := p.live.List(ctx, &page, append(options, client.InNamespace(namespace), client.Limit(livePageSize), client.Continue(next))...); err != nil {
			return fmt.Errorf("list the BackupSyncs: %w", err)
		}
		for i := range page.Items {
			see(&page.Items[i])
		}
		if next = page.Continue; next == "" {
			return nil
		}
	}
}

// sendable reports whether a fresh version of a candidate may still be sent as far as it alone is concerned.
func (p *preflighter) sendable(backup *v1alpha1.BackupSync) bool {
	why, until := p.holds(backup)
	p.requeueAt(until)
	return why == notHeld
}
