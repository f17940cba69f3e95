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
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"backupsync.dev/operator/api/v1alpha1"
)

// Finalizer holds a CBRProject while it has submissions whose outcome is not written. BackupSyncs have none.
const Finalizer = "cbr.backupsync.dev/submissions"

// holdProject keeps the project from vanishing with the record of a call that is about to be made.
func (s *submitter) holdProject(ctx context.Context) error {
	return s.writeFinalizers(ctx, controllerutil.AddFinalizer)
}

// releaseProject lets the project go when it holds no submission and no call is about to be made. A project that is
// being deleted goes after a while even if the outcome of a call cannot be found out, for lack of credentials
// perhaps: a namespace must not hang on it.
func (r *reporter) releaseProject(ctx context.Context) error {
	if r.project == nil || !controllerutil.ContainsFinalizer(r.project, Finalizer) {
		return nil
	}
	if r.project.DeletionTimestamp.IsZero() {
		if r.busy() {
			return nil
		}
	} else if until := r.heldFromDeletion(); until.After(r.now) {
		r.requeueAt(until)
		return nil
	} else if !until.IsZero() {
		r.emit(releasedEvent(r.project))
	}
	err := r.writeFinalizers(ctx, controllerutil.RemoveFinalizer)
	if apierrors.IsConflict(err) {
		r.requeueNow()
		return nil
	}
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("remove the finalizer: %w", err)
	}
	return nil
}

// releaseDeleted is releaseProject for a pass that has failed: no call is made in its place, and the API server may answer the next one
// no better, as when the CRD of BackupSyncs is gone before that of CBRProjects.
func (r *reporter) releaseDeleted(ctx context.Context) error {
	if r.project == nil || r.project.DeletionTimestamp.IsZero() {
		return nil
	}
	return r.releaseProject(ctx)
}

// releaseIdle takes the finalizer from the projects that this process was the last to write and of which no call is recorded, as it ends: it may
// be the last one, and no namespace must hang on calls that were never made. Who comes next adds it again before a call is recorded.
func (r *Reconciler) releaseIdle(ctx context.Context) error {
	var failed []error
	for _, namespace := range r.options.Namespaces {
		var projects v1alpha1.CBRProjectList
		if err := r.live.List(ctx, &projects, client.InNamespace(namespace)); err != nil {
			failed = append(failed, fmt.Errorf("list the CBRProjects: %w", err))
			continue
		}
		for i := range projects.Items {
			failed = append(failed, r.releaseIfIdle(ctx, &projects.Items[i]))
		}
	}
	return errors.Join(failed...)
}

// releaseIfIdle leaves a project alone that another process has written since: that one holds it now.
func (r *Reconciler) releaseIfIdle(ctx context.Context, project *v1alpha1.CBRProject) error {
	journal := &project.Status.Journal
	if journal.WriterID != r.options.Identity || len(journal.Submissions) > 0 || !controllerutil.RemoveFinalizer(project, Finalizer) {
		return nil
	}
	err := patchFinalizers(ctx, r.client, project)
	if err == nil || apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf("remove the finalizer of %s/%s: %w", project.Namespace, project.Name, err)
}

// busy reports whether calls are recorded, or will be soon.
func (r *reporter) busy() bool {
	atOnce := !r.at.IsZero() && !r.at.After(r.now)
	return len(r.project.Status.Journal.Submissions) > 0 || atOnce || r.plan.More || r.plan.RateLimited || !r.plan.RequeueAt.IsZero()
}

// heldFromDeletion returns until when a project that is being deleted waits for the outcome of its calls, zero if there is none. Whether
// their BackupSyncs are there makes no difference: they may be applied again, and so may the project.
func (r *reporter) heldFromDeletion() time.Time {
	if len(r.project.Status.Journal.Submissions) == 0 {
		return time.Time{}
	}
	return r.project.DeletionTimestamp.Add(r.options.DeletionGrace)
}
