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
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cli/liveness"
)

// adviceOf says what to do next.
func adviceOf(from *facts, so *Explanation) []string {
	var advice []string
	if from.backup.DeletionTimestamp != nil {
		return []string{fmt.Sprintf("See what %s hold it for: it is gone when they are removed. The operator sets none at a BackupSync.", finalizersOf(from.backup))}
	}
	if from.operator.State == liveness.Silent && so.Waits != nil {
		advice = append(advice, "See why the operator is silent: "+from.operator.Message)
	}
	if so.Drift != nil {
		advice = append(advice, "Revert the edit of the manifest. Or, if CBR is to have what it says now, delete the backup in CBR, and then request another import: "+
			request(from.backup))
	}
	switch backupsync.StateOf(from.backup) {
	case backupsync.Imported:
		advice = append(advice, afterImport(from.backup, so, len(advice) > 0)...)
	case backupsync.Failed:
		advice = append(advice, afterFailure(from, so)...)
	default:
		advice = append(advice, whileOpen(from, so)...)
	}
	return advice
}

// afterImport says what to do about a backup that was imported, besides what is said already.
func afterImport(backup *v1alpha1.BackupSync, so *Explanation, said bool) []string {
	switch found := backupsync.AvailabilityOf(backup); {
	case backupsync.Requested(backup):
		return []string{"Wait: another import was requested. CBR is asked first, and the backup is sent only if CBR does not have it any more."}
	case so.Unavailable != "" && found == backupsync.BackupMissing:
		return []string{"If it was deleted in CBR on purpose, delete this BackupSync. If the bucket still holds it, have it imported again: " + request(backup)}
	case so.Unavailable != "":
		return []string{"Look at the backup in CBR. If it cannot be saved, delete it there, and then request another import: " + request(backup)}
	case said:
		return nil
	default:
		return []string{fmt.Sprintf("Nothing: the backup was imported. To ask CBR whether it still has it: kubectl backupsync verify %s %s -n %s",
			backup.Spec.ProjectRef.Name, backup.Name, backup.Namespace)}
	}
}

// request is the command that requests another import.
func request(backup *v1alpha1.BackupSync) string {
	return fmt.Sprintf("kubectl backupsync retry %s -n %s", backup.Name, backup.Namespace)
}

func afterFailure(from *facts, so *Explanation) []string {
	backup := from.backup
	switch backup.Status.Outcome {
	case v1alpha1.OutcomeRejected:
		return []string{"Correct the manifest: an edit sends it again.", "If the cause is elsewhere, fix it, and request another import: " + request(backup)}
	case v1alpha1.OutcomeOperationFailed:
		return []string{fmt.Sprintf("Fix the cause that CBR reports. If it gave none, ask Huawei Cloud about the task %s.", backup.Status.OperationLogID),
			"Then edit the manifest, or request another import: " + request(backup)}
	case v1alpha1.OutcomeBackupUnusable:
		return []string{"Delete the backup in CBR, and fix the cause. An edit does not send it again.", "Then request another import: " + request(backup)}
	case v1alpha1.OutcomeDuplicate:
		for _, each := range so.Duplicates {
			if each.Owns {
				return []string{fmt.Sprintf("Delete one of the two, this one or %s, which owns the backup.", each.Name)}
			}
		}
		return []string{"If the BackupSync that the message names is there, delete one of the two. If it is gone, do nothing: the operator takes this one up again."}
	default:
		return []string{"Run the version of the operator that wrote status.outcome, or a later one."}
	}
}

func whileOpen(from *facts, so *Explanation) []string {
	switch {
	case so.Project.Known && !so.Project.Exists:
		return []string{fmt.Sprintf("Create the CBRProject %s in the namespace %s. Or declare the backup by another BackupSync: its projectRef cannot be changed.",
			so.Project.Name, from.backup.Namespace)}
	case so.Project.DeletionTime != nil:
		return []string{fmt.Sprintf("Create the CBRProject %s again once it is gone. Until then see what %s hold it for: the operator's own goes within minutes.",
			so.Project.Name, finalizersOf(from.project))}
	case from.backup.Spec.Suspend && backupsync.StateOf(from.backup) == backupsync.Pending:
		return []string{fmt.Sprintf("Remove spec.suspend: kubectl backupsync resume %s -n %s", from.backup.Name, from.backup.Namespace)}
	case so.Project.Suspended && backupsync.StateOf(from.backup) == backupsync.Pending:
		return []string{fmt.Sprintf("Remove spec.suspend of the CBRProject: kubectl backupsync resume project %s -n %s", so.Project.Name, from.backup.Namespace)}
	case so.Project.Exists && so.Project.Ready != metav1.ConditionTrue:
		return []string{fmt.Sprintf("See to the CBRProject %s first. It says: %s", so.Project.Name, so.Project.Message)}
	case so.Reason == v1alpha1.ReasonOperationOverdue:
		return []string{fmt.Sprintf("Look at the task %s in CBR. If it hangs, ask Huawei Cloud.", from.backup.Status.OperationLogID)}
	case so.Reason == v1alpha1.ReasonRetryScheduled:
		return []string{"Wait, or fix what the message names. An edit of the manifest sends it again at once, and so does a request: " + request(from.backup)}
	case so.Reason == v1alpha1.ReasonAwaitingTask:
		return []string{"Wait. If it lasts, look at what the message names in CBR."}
	default:
		return []string{"Wait: nothing needs a person."}
	}
}
