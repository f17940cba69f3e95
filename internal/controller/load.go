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
	"hash/fnv"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	corev1 "k8s.io/api/core/v1"

	"backupsync.dev/operator/api/v1alpha1"
)

// Indexes of the cache over BackupSyncs.
const (
	// indexActive finds by the name of the project those that a pass has to look at.
	indexActive = "active"
	// indexStalled finds by the name of the project those that wait for a person.
	indexStalled = "stalled"
	// indexBackup finds the few among which are all that declare the same backup.
	indexBackup = "backup"
)

// activeKeys is the index function of indexActive.
func activeKeys(object client.Object) []string {
	if backup := object.(*v1alpha1.BackupSync); active(backup) {
		return []string{backup.Spec.ProjectRef.Name}
	}
	return nil
}

// stalledKeys is the index function of indexStalled.
func stalledKeys(object client.Object) []string {
	if backup := object.(*v1alpha1.BackupSync); stateOf(backup) == stalled {
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

func backupKey(backupID string) string {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(backupID))
	return strconv.FormatUint(uint64(hash.Sum32()%backupBuckets), 36)
}

// declaring returns the BackupSyncs of the project that declare a backup: one, as a rule. They must not be changed. The cache
// is as new as load has left it, with all that earlier passes have written: to wait for writes here, as other lists do, would be to
// wait for those of all other projects, once for each backup. What this pass has written is recorded, or handled.
func (p *pass) declaring(ctx context.Context, backupID string) ([]*v1alpha1.BackupSync, error) {
	var bucket v1alpha1.BackupSyncList
	if err := p.client.List(ctx, &bucket, client.InNamespace(p.key.Namespace), client.UnsafeDisableDeepCopy,
		client.DisableReadYourWritesConsistency, client.MatchingFields{indexBackup: backupKey(backupID)}); err != nil {
		return nil, fmt.Errorf("list the BackupSyncs of backup %s: %w", backupID, err)
	}
	var found []*v1alpha1.BackupSync
	for i := range bucket.Items {
		if spec := &bucket.Items[i].Spec; spec.BackupID == backupID && spec.ProjectRef.Name == p.key.Name {
			found = append(found, &bucket.Items[i])
		}
	}
	return found, nil
}

// load reads the project and its active backups. What it returns of the cache must not be changed.
func (p *pass) load(ctx context.Context) error {
	if err := p.loadProject(ctx); err != nil {
		return err
	}
	var backups v1alpha1.BackupSyncList
	if err := p.client.List(ctx, &backups, client.InNamespace(p.key.Namespace),
		client.MatchingFields{indexActive: p.key.Name}, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list the active BackupSyncs: %w", err)
	}
	for i := range backups.Items {
		p.sort(&backups.Items[i])
	}
	return nil
}

// uncopied reads objects of the cache as they are there. They must not be changed.
var uncopied = &client.GetOptions{UnsafeDisableDeepCopy: ptr.To(true)}

// loadProject reads the project: from the cache if this process was its last writer, live otherwise.
func (p *pass) loadProject(ctx context.Context) error {
	project := &v1alpha1.CBRProject{}
	err := p.client.Get(ctx, p.key, project, uncopied)
	if err == nil && project.Status.LastWriter != p.options.Identity {
		project = &v1alpha1.CBRProject{} // what is absent in an answer would stay as it was
		err = p.live.Get(ctx, p.key, project)
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("get the CBRProject: %w", err)
	}
	if project.Status.LastWriter != p.options.Identity {
		p.memory.overtaken()
		p.memory.inherited = restoreWindow(&project.Status, p.options.RateWindow, p.options.BeginTimeout+p.options.CallTimeout)
	}
	p.memory.window.length = p.options.RateWindow
	p.generation = project.Generation
	p.adopt(project)
	p.inputs, err = p.accessInputs(ctx)
	return err
}

// adopt takes a version of the project as the one that the pass works on.
func (p *pass) adopt(project *v1alpha1.CBRProject) {
	p.project = project
	p.recorded = map[string]struct{}{}
	for _, submission := range project.Status.Submissions {
		for _, id := range submission.BackupIDs {
			p.recorded[id] = struct{}{}
		}
	}
}

func (p *pass) sort(backup *v1alpha1.BackupSync) {
	switch stateOf(backup) {
	case pending:
		p.pending = append(p.pending, backup)
	case running:
		p.running = append(p.running, backup)
		if requested(backup) {
			p.memory.nextPoll = time.Time{}
		}
	default:
		p.rest = append(p.rest, backup)
	}
}

// accessInputs identifies what a verdict on endpoint and credentials speaks of: the project's generation, the
// version of the Secret (from its metadata, which is all of Secrets that is cached), and the latest request of
// a person to try again.
func (p *pass) accessInputs(ctx context.Context) (string, error) {
	secret := &metav1.PartialObjectMetadata{}
	secret.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	key := types.NamespacedName{Namespace: p.key.Namespace, Name: p.project.Spec.Credentials.SecretRef.Name}
	if err := p.client.Get(ctx, key, secret, uncopied); client.IgnoreNotFound(err) != nil {
		return "", fmt.Errorf("get the metadata of Secret %s: %w", key.Name, err)
	}
	return fmt.Sprintf("%d/%s/%s/%s", p.project.Generation, secret.UID, secret.ResourceVersion,
		p.project.Annotations[v1alpha1.RequestedAtAnnotation]), nil
}
