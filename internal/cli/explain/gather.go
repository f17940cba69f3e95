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

package explain

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cli"
	"backupsync.dev/operator/internal/cli/backups"
	"backupsync.dev/operator/internal/cli/liveness"
)

// source reads the cluster.
type source struct {
	factory   *cli.Factory
	cluster   client.Client
	namespace string
	// leaseIn is the namespace of the operator's lease; "" if it is to be found.
	leaseIn string
}

// errNoBackup says that no BackupSync declares a backup.
var errNoBackup = errors.New("no BackupSync declares the backup")

// gather reads what there is of a BackupSync, by its name, or by its backup's id.
func (s *source) gather(ctx context.Context, name, backupID string) (*facts, error) {
	found, err := s.find(ctx, name, backupID)
	if err != nil {
		return nil, err
	}
	if err := s.findProject(ctx, found); err != nil {
		return nil, err
	}
	s.findEvents(ctx, found)
	found.operator = liveness.Read(ctx, s.cluster, s.leaseIn, s.factory.ServerNow)
	found.now = s.factory.Now()
	return found, nil
}

// find reads the BackupSync, and those that declare the same backup. Of several of an id, the one that owns it is explained.
func (s *source) find(ctx context.Context, name, backupID string) (*facts, error) {
	found := &facts{}
	if name != "" {
		found.backup = &v1alpha1.BackupSync{}
		if err := s.cluster.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, found.backup); err != nil {
			return nil, backups.Describe(fmt.Sprintf("read the BackupSync %s of the namespace %s", name, s.namespace), err)
		}
		backupID = found.backup.Spec.BackupID
	}
	var err error
	if found.same, err = s.declaring(ctx, backupID); err != nil {
		return nil, err
	}
	if found.backup == nil {
		found.backup = backupsync.Owner(found.same)
	}
	if found.backup == nil {
		return nil, fmt.Errorf("%w %s in the namespace %s: --namespace chooses another", errNoBackup, backupID, s.namespace)
	}
	return found, nil
}

// declaring returns the BackupSyncs of the namespace that declare a backup. For the operator upper and lower case are the same; the API
// server finds an id as it is written: here, in lower, or in upper case.
func (s *source) declaring(ctx context.Context, backupID string) ([]*v1alpha1.BackupSync, error) {
	var same []*v1alpha1.BackupSync
	seen := map[string]bool{}
	for _, id := range []string{backupID, strings.ToLower(backupID), strings.ToUpper(backupID)} {
		if seen[id] {
			continue
		}
		seen[id] = true
		var list v1alpha1.BackupSyncList
		if err := s.cluster.List(ctx, &list, client.InNamespace(s.namespace), client.MatchingFields{"spec.backupID": id}); err != nil {
			return nil, backups.Describe("list the BackupSyncs of the backup "+id, err)
		}
		for i := range list.Items {
			same = append(same, &list.Items[i])
		}
	}
	return same, nil
}

// findProject reads the CBRProject. That one may not read it is no reason to explain nothing.
func (s *source) findProject(ctx context.Context, found *facts) error {
	read := &v1alpha1.CBRProject{}
	err := s.cluster.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: found.backup.Spec.ProjectRef.Name}, read)
	switch {
	case err == nil:
		found.project = read
	case apierrors.IsNotFound(err):
	case apierrors.IsForbidden(err):
		found.projectError = "you may not read it"
	default:
		return backups.Describe("read the CBRProject "+found.backup.Spec.ProjectRef.Name, err)
	}
	return nil
}

// findEvents reads the events of the BackupSync. They are gone after an hour on most clusters.
func (s *source) findEvents(ctx context.Context, found *facts) {
	var list corev1.EventList
	err := s.cluster.List(ctx, &list, client.InNamespace(s.namespace), client.MatchingFields{"involvedObject.uid": string(found.backup.UID)})
	if err != nil {
		found.notes = append(found.notes, fmt.Sprintf("Its events could not be read: %s.", backupsync.CleanMessage(err.Error())))
		return
	}
	found.events = list.Items
}
