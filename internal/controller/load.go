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
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
)

// Indexes of the cache over BackupSyncs.
const (
	// indexActive finds by the name of the project those that a pass has to look at.
	indexActive = "active"
	// indexStalled finds by the name of the project those that wait for a person.
	indexStalled = "stalled"
	// indexBackup finds the few among which are all that declare the same backup. It serves lists over all namespaces only.
	indexBackup = "backup"
)

// activeKeys is the index function of indexActive.
func activeKeys(object client.Object) []string {
	if backup := object.(*v1alpha1.BackupSync); !trimmed(backup) && !backupsync.Settled(backup) {
		return []string{backup.Spec.ProjectRef.Name}
	}
	return nil
}

// stalledKeys is the index function of indexStalled.
func stalledKeys(object client.Object) []string {
	if backup := object.(*v1alpha1.BackupSync); backupsync.StateOf(backup) == backupsync.Failed {
		return []string{backup.Spec.ProjectRef.Name}
	}
	return nil
}

// backupBuckets is the number of values of indexBackup. A value of its own for each backup would cost more memory than
// the rest of an imported BackupSync; this many keep what is looked through short.
const backupBuckets = 4096

// backupKeys is the index function of indexBackup.
func backupKeys(object client.Object) []string {
	backup := object.(*v1alpha1.BackupSync)
	return []string{backupKey(backup.Spec.BackupID)}
}

// What the cache of controller-runtime puts before the name of an index, and before its values for lists over all namespaces
// (FieldIndexName and KeyToNamespacedKey in pkg/cache/internal). TestIndexes holds this against it.
const (
	fieldIndex    = "field:"
	allNamespaces = "__all_namespaces/"
)

// unscoped returns an index for an informer that only lists over all namespaces find. IndexField of the cache would file each object
// under its namespace too: for imported BackupSyncs, of which there are most, that is a twentieth of the memory they take.
func unscoped(name string, keys client.IndexerFunc) toolscache.Indexers {
	return toolscache.Indexers{fieldIndex + name: func(object any) ([]string, error) {
		found := keys(object.(client.Object))
		values := make([]string, len(found))
		for i, key := range found {
			values[i] = allNamespaces + key
		}
		return values, nil
	}}
}

func backupKey(backupID string) string {
	return strconv.FormatUint(uint64(markOf(backupID)%backupBuckets), 36)
}

// reader finds BackupSyncs and CBRProjects, and notes which versions it has seen on the API server.
type reader struct {
	step
	*versionMemory
}

// syncsForBackup returns the BackupSyncs of the project that declare a backup: usually one. They must not be changed. The cache
// is as new as load has left it, with all that earlier passes have written: to wait for writes here, as other lists do, would be to
// wait for those of all other projects, once for each backup. What this pass has written is recorded, or handled.
func (r *reader) syncsForBackup(ctx context.Context, backupID string) ([]*v1alpha1.BackupSync, error) {
	var bucket v1alpha1.BackupSyncList
	if err := r.client.List(ctx, &bucket, client.UnsafeDisableDeepCopy,
		client.DisableReadYourWritesConsistency, client.MatchingFields{indexBackup: backupKey(backupID)}); err != nil {
		return nil, fmt.Errorf("list the BackupSyncs of backup %s: %w", backupID, err)
	}
	return r.own(backupID, bucket.Items), nil
}

// own returns those of the BackupSyncs that declare a backup for this project. Of those of other projects it notes whether CBR has
// accepted one: they may be of a project that had the same cloud project before.
func (r *reader) own(backupID string, all []v1alpha1.BackupSync) []*v1alpha1.BackupSync {
	var found []*v1alpha1.BackupSync
	for i := range all {
		switch backup := &all[i]; {
		case !strings.EqualFold(backup.Spec.BackupID, backupID):
		case projectKey(backup) == r.key:
			found = append(found, backup)
		case backupsync.Accepted(backup):
			r.noteForeign(backupID)
		}
	}
	return found
}

// loader is the step load: it reads the project and the backups that a pass has to look at.
type loader struct {
	step
	*reader
	*memory
}

// load reads the project and its active backups. What it returns of the cache must not be changed.
func (l *loader) load(ctx context.Context) error {
	if err := l.loadProject(ctx); err != nil {
		return err
	}
	if l.project != nil {
		if err := l.checkSchema(ctx); err != nil {
			return err
		}
		if err := l.findClaim(ctx); err != nil {
			return err
		}
	}
	var backups v1alpha1.BackupSyncList
	if err := l.client.List(ctx, &backups, client.InNamespace(l.key.Namespace),
		client.MatchingFields{indexActive: l.key.Name}, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list the active BackupSyncs: %w", err)
	}
	for i := range backups.Items {
		l.classify(&backups.Items[i])
	}
	return nil
}

// uncopied reads objects of the cache as they are there. They must not be changed.
var uncopied = &client.GetOptions{UnsafeDisableDeepCopy: ptr.To(true)}

// loadProject reads the project: from the cache if this process was its last writer, live otherwise.
func (l *loader) loadProject(ctx context.Context) error {
	project := &v1alpha1.CBRProject{}
	err := l.client.Get(ctx, l.key, project, uncopied)
	if err == nil && project.Status.Journal.WriterID != l.options.Identity {
		project = &v1alpha1.CBRProject{} // what is absent in an answer would stay as it was
		err = l.live.Get(ctx, l.key, project)
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("get the CBRProject: %w", err)
	}
	l.readBy()
	if project.Status.Journal.WriterID != l.options.Identity {
		l.writtenByAnother(&project.Status.Journal, l.now, &l.options)
	}
	l.rateWindow.Length = l.options.RateWindow
	l.generation = project.Generation
	l.setProject(project)
	l.fingerprint = fmt.Sprintf("%s/%d/%s", project.UID, project.Generation, project.Annotations[v1alpha1.RequestedAtAnnotation])
	return nil
}

// readBy notes that something was read by now, however long ago the pass began: what it shows has not happened later.
func (l *loader) readBy() { l.now = l.options.Clock.Now() }

// setProject takes a version of the project as the one that the pass works on.
func (s *scope) setProject(project *v1alpha1.CBRProject) {
	s.project = project
	s.recorded = map[string]string{}
	for _, submission := range project.Status.Journal.Submissions {
		for _, item := range submission.Items {
			s.recorded[cbr.Fold(item.BackupID)] = submission.ID
		}
	}
}

func (l *loader) classify(backup *v1alpha1.BackupSync) {
	switch backupsync.StateOf(backup) {
	case backupsync.Pending:
		l.pending = append(l.pending, backup)
	case backupsync.Running:
		l.running = append(l.running, backup)
		if backupsync.Requested(backup) {
			l.nextPoll = time.Time{}
		}
	default:
		l.rest = append(l.rest, backup)
	}
}
