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
	"encoding/json"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
)

// All writes of this controller are in this file: the status of BackupSyncs by parallel patches, and the status
// of the project. Each carries the resource version that it was decided on as a precondition: a process that
// was halted, or whose cache lags, must not put an old state over a newer one.

// change is a status to write.
type change struct {
	// backup is the version that the change was decided on.
	backup *v1alpha1.BackupSync
	// become returns what a version of it becomes, nil if there is nothing (more) to write.
	become func(*v1alpha1.BackupSync) *v1alpha1.BackupSync
	// repeats says that the status may tell what it has told before: an edit that changes nothing is no event.
	repeats bool
	// lasting says that become is as right for a newer version, as it tells what CBR has said. Other changes lapse
	// when the BackupSync has changed: the next pass decides again.
	lasting bool
}

// to returns the change of a version to another one.
func to(backup, next *v1alpha1.BackupSync) change {
	return change{backup: backup, become: func(*v1alpha1.BackupSync) *v1alpha1.BackupSync { return next }}
}

// backupPatch is the merge patch that makes an object's status what it should be. Null removes a field. The uid keeps
// it from an object of the same name that was created after the one that was meant.
type backupPatch struct {
	Metadata struct {
		UID             types.UID `json:"uid"`
		ResourceVersion string    `json:"resourceVersion"`
	} `json:"metadata"`
	Status struct {
		Conditions         []metav1.Condition `json:"conditions"`
		ObservedGeneration int64              `json:"observedGeneration"`
		Outcome            *string            `json:"outcome"`
		OperationLogID     *string            `json:"operationLogID"`
		CloudProject       *string            `json:"cloudProject"`
		SentHash           *string            `json:"sentHash"`
		Attempts           int32              `json:"attempts"`
		SubmittedTime      *metav1.Time       `json:"submittedTime"`
		FinishedTime       *metav1.Time       `json:"finishedTime"`
		NextAttemptTime    *metav1.Time       `json:"nextAttemptTime"`
		LastError          *string            `json:"lastError"`
		BackupTime         *metav1.Time       `json:"backupTime"`
		LastHandledRequest *string            `json:"lastHandledRequest"`
	} `json:"status"`
}

func patchOf(backup *v1alpha1.BackupSync) (client.Patch, error) {
	var patch backupPatch
	status := &backup.Status
	patch.Metadata.UID, patch.Metadata.ResourceVersion = backup.UID, backup.ResourceVersion
	patch.Status.Conditions = status.Conditions
	patch.Status.ObservedGeneration = status.ObservedGeneration
	patch.Status.Outcome = optional(string(status.Outcome))
	patch.Status.OperationLogID = optional(status.OperationLogID)
	patch.Status.CloudProject = status.CloudProject
	patch.Status.SentHash = optional(status.SentHash)
	patch.Status.Attempts = status.Attempts
	patch.Status.SubmittedTime = status.SubmittedTime
	patch.Status.FinishedTime = status.FinishedTime
	patch.Status.NextAttemptTime = status.NextAttemptTime
	patch.Status.LastError = optional(status.LastError)
	patch.Status.BackupTime = status.BackupTime
	patch.Status.LastHandledRequest = optional(status.LastHandledRequest)
	data, err := json.Marshal(patch)
	return client.RawPatch(types.MergePatchType, data), err
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// maxChangeTries bounds how often a lasting change follows newer versions of its BackupSync.
const maxChangeTries = 10

// writeChange writes a change, and returns the version that was written: nil if there was nothing to write.
func (w *writer) writeChange(ctx context.Context, next change) (*v1alpha1.BackupSync, error) {
	current := next.backup
	for range maxChangeTries {
		target := next.become(current)
		if target == nil {
			return nil, nil
		}
		backupsync.Locate(target, current, w.claim.cloudProject)
		written, err := w.writeBackup(ctx, target)
		if err == nil || !apierrors.IsConflict(err) {
			return written, client.IgnoreNotFound(err)
		}
		if !next.lasting {
			return nil, nil
		}
		current = &v1alpha1.BackupSync{}
		if err := w.live.Get(ctx, client.ObjectKeyFromObject(next.backup), current); err != nil {
			return nil, client.IgnoreNotFound(err)
		}
		w.sawLive(current) // a write of ours may have had its effect without an answer: the cache does not wait for it
		if cbr.Fold(current.Spec.BackupID) != cbr.Fold(next.backup.Spec.BackupID) || current.Spec.ProjectRef != next.backup.Spec.ProjectRef {
			return nil, nil // another one of the same name
		}
	}
	return nil, fmt.Errorf("it has changed %d times meanwhile", maxChangeTries)
}

// writeRetries bridges a hiccup of the API server, so that an answer of CBR does not have to be looked up again.
var writeRetries = wait.Backoff{Steps: 6, Duration: 100 * time.Millisecond, Factor: 2, Jitter: 0.2, Cap: 5 * time.Second}

func (w *writer) writeBackup(ctx context.Context, backup *v1alpha1.BackupSync) (*v1alpha1.BackupSync, error) {
	patch, err := patchOf(backup)
	if err != nil {
		return nil, fmt.Errorf("encode the status: %w", err)
	}
	written := &v1alpha1.BackupSync{} // what is absent in an answer would stay as it was
	err = retry.OnError(writeRetries, mayPass(ctx), func() error {
		written = &v1alpha1.BackupSync{ObjectMeta: metav1.ObjectMeta{Namespace: backup.Namespace, Name: backup.Name}}
		return w.writers.during(ctx, backup.Namespace, func() error { return w.client.Status().Patch(ctx, written, patch) })
	})
	if err != nil {
		return nil, fmt.Errorf("patch the status: %w", err)
	}
	if !kept(&written.Status, &backup.Status) {
		w.options.Schema.Doubt()
		return nil, errPruned
	}
	w.counts.wrote(written)
	return written, nil
}

// kept reports whether the answer to a write holds the facts that were written.
func kept(answer, written *v1alpha1.BackupSyncStatus) bool {
	return answer.Outcome == written.Outcome && answer.OperationLogID == written.OperationLogID && answer.SentHash == written.SentHash &&
		(answer.FinishedTime == nil) == (written.FinishedTime == nil) && (answer.NextAttemptTime == nil) == (written.NextAttemptTime == nil)
}

// mayPass says which errors of the API server are worth another try.
func mayPass(ctx context.Context) func(error) bool {
	return func(err error) bool {
		if ctx.Err() != nil {
			return false
		}
		answered := apierrors.ReasonForError(err) != metav1.StatusReasonUnknown
		return !answered || apierrors.IsTooManyRequests(err) || apierrors.IsInternalError(err) ||
			apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) || apierrors.IsServiceUnavailable(err)
	}
}

// finalizersPatch is the merge patch of a project's finalizers.
type finalizersPatch struct {
	Metadata struct {
		ResourceVersion string   `json:"resourceVersion"`
		Finalizers      []string `json:"finalizers"`
	} `json:"metadata"`
}

// writeFinalizers writes the project's finalizers, with its resource version as a precondition.
func (w *writer) writeFinalizers(ctx context.Context, change func(client.Object, string) bool) error {
	project := w.project.DeepCopy()
	if !change(project, Finalizer) {
		return nil
	}
	if err := patchFinalizers(ctx, w.client, project); err != nil {
		return err
	}
	w.setProject(project)
	return nil
}

// patchFinalizers writes the finalizers of a project as they are in the argument, which becomes what is answered.
func patchFinalizers(ctx context.Context, to Client, project *v1alpha1.CBRProject) error {
	var patch finalizersPatch
	patch.Metadata.ResourceVersion, patch.Metadata.Finalizers = project.ResourceVersion, project.Finalizers
	data, err := json.Marshal(patch)
	if err != nil {
		return fmt.Errorf("encode the finalizers: %w", err)
	}
	return to.Patch(ctx, project, client.RawPatch(types.MergePatchType, data))
}

// writeProject writes the status of the project as it is in the argument, with the resource version that the pass's project
// was read with as a precondition, and takes the result as the project of the pass. It returns errPruned if the
// answer lacks what was written.
func (w *writer) writeProject(ctx context.Context, project *v1alpha1.CBRProject) error {
	before := project.Status.Journal.WriterID
	project.Status.Journal.WriterID = w.options.Identity
	w.applyClaim(&project.Status.Journal)
	data, err := client.MergeFromWithOptions(w.project, client.MergeFromWithOptimisticLock{}).Data(project)
	if err != nil {
		return fmt.Errorf("encode the status: %w", err)
	}
	written := &v1alpha1.CBRProject{ObjectMeta: metav1.ObjectMeta{Namespace: w.key.Namespace, Name: w.key.Name}} // nothing stays as it was
	if err := w.client.Status().Patch(ctx, written, client.RawPatch(types.MergePatchType, data)); err != nil {
		return err
	}
	if before != w.options.Identity || w.ownedSince == 0 {
		w.ownedSince = resourceVersion(written)
	}
	if w.claim.takeover {
		w.claim.takeover = false
		w.cloudProjects.use(w.claim.cloudProject, w.project.UID)
	}
	w.countsDue = time.Time{}
	w.setProject(written)
	if !keptRecords(&written.Status.Journal, &project.Status.Journal) {
		w.options.Schema.Doubt()
		return errPruned
	}
	return nil
}

// keptRecords reports whether the answer to a write holds the records that were written.
func keptRecords(answer, written *v1alpha1.Journal) bool {
	return answer.WriterID == written.WriterID && answer.CloudProject == written.CloudProject &&
		(answer.TakeoverTime == nil) == (written.TakeoverTime == nil) && slices.EqualFunc(answer.Submissions, written.Submissions,
		func(a, b v1alpha1.Submission) bool { return a.ID == b.ID && slices.Equal(a.Items, b.Items) })
}
