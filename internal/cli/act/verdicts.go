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

package act

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cli/text"
)

// decision is what becomes of an object that was chosen.
type decision uint8

const (
	// acted: it is written.
	acted decision = iota
	// nothingToDo: it is already as is asked for, or on its way.
	nothingToDo
	// noHelp: something else is to be done first.
	noHelp
)

// verdict is a decision, and why.
type verdict struct {
	decision decision
	// why says why it is not written.
	why string
	// note says what else is to be known of one that is written.
	note string
}

func doing(note string) verdict { return verdict{decision: acted, note: note} }
func idle(format string, arguments ...any) verdict {
	return verdict{decision: nothingToDo, why: fmt.Sprintf(format, arguments...)}
}
func vain(format string, arguments ...any) verdict {
	return verdict{decision: noHelp, why: fmt.Sprintf(format, arguments...)}
}
func reasonOf(conditions []metav1.Condition) string { return readyOf(conditions).Reason }

// readyOf returns the condition Ready, fit to be shown, an empty one if there is none.
func readyOf(conditions []metav1.Condition) metav1.Condition {
	found := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	if found == nil {
		return metav1.Condition{}
	}
	ready := *found
	ready.Reason, ready.Message = text.Clean(ready.Reason), text.Clean(ready.Message)
	return ready
}

// isStalled reports whether nothing more happens until a person changes something.
func isStalled(conditions []metav1.Condition) bool {
	return meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionStalled)
}

// home is the CBRProject of a BackupSync, as far as it could be read.
type home struct {
	name    string
	project *v1alpha1.CBRProject // nil if it is missing or unread
	missing bool
}

// holds says why nothing of the project is sent until a person changes something, "" if nothing is known of that.
func (h home) holds() string {
	switch {
	case h.missing:
		return fmt.Sprintf("its CBRProject %s does not exist: create it first", h.name)
	case h.project == nil:
		return ""
	case h.project.DeletionTimestamp != nil:
		return fmt.Sprintf("its CBRProject %s is being deleted, and nothing of it is sent any more: create it again once it is gone", h.name)
	case h.project.Spec.Suspend:
		return fmt.Sprintf("its CBRProject %s is suspended: kubectl backupsync resume project %s -n %s", h.name, h.name, h.project.Namespace)
	case isStalled(h.project.Status.Conditions):
		ready := readyOf(h.project.Status.Conditions)
		return fmt.Sprintf("its CBRProject %s is not ready (%s). Fix that first: %s", h.name, ready.Reason, ready.Message)
	default:
		return ""
	}
}

// judgeRetry decides whether a request for another import helps a BackupSync. One that is imported is looked up again only if it was
// asked for by its name, or by its reason.
func judgeRetry(backup *v1alpha1.BackupSync, in home, asked bool) verdict {
	ready := readyOf(backup.Status.Conditions)
	switch {
	case backup.DeletionTimestamp != nil:
		return idle("it is being deleted")
	case backupsync.IsDuplicate(backup), ready.Reason == v1alpha1.ReasonUnknownOutcome:
		return vain("a retry does not help: %s", ready.Message)
	case backupsync.StateOf(backup) == backupsync.Running:
		return idle("its task %s runs, and is followed", backup.Status.OperationLogID)
	case backup.Spec.Suspend:
		return vain("it is suspended: kubectl backupsync resume %s -n %s", backup.Name, backup.Namespace)
	case in.holds() != "":
		return vain("%s", in.holds())
	case backupsync.Requested(backup):
		return idle("it was asked for already, at %s, and the operator has not acted on it yet", backupsync.Quote(backupsync.RequestOf(backup)))
	}
	return judgeOpenRetry(backup, ready.Reason, asked)
}

// judgeOpenRetry is judgeRetry for one that nothing stands against.
func judgeOpenRetry(backup *v1alpha1.BackupSync, reason string, asked bool) verdict {
	switch backupsync.StateOf(backup) {
	case backupsync.Imported:
		if !asked {
			return idle("it is in CBR; name it, or set --reason=%s or --unavailable, to have it looked up again", reason)
		}
		if backupsync.AvailabilityOf(backup) == backupsync.BackupUnusable {
			return doing("CBR shows it in status error: it is sent again only if it was deleted there")
		}
		return doing("it is looked up in CBR, and sent again only if CBR does not have it any more")
	case backupsync.Failed:
		if backup.Status.Outcome == v1alpha1.OutcomeBackupUnusable {
			return doing("it is sent again only if it was deleted in CBR, which holds it in a status that cannot be restored from")
		}
		return doing("")
	default:
		if due := backup.Status.NextAttemptTime; due != nil && reason == v1alpha1.ReasonRetryScheduled {
			return doing("it is sent at once, and not at " + due.UTC().Format(time.RFC3339))
		}
		return idle("it waits already (%s)", reason)
	}
}

// vainAtProject are the reasons of a CBRProject that a request does not change.
var vainAtProject = map[string]bool{v1alpha1.ReasonProjectInUse: true, v1alpha1.ReasonCRDsOutdated: true,
	v1alpha1.ReasonCredentialsMissing: true, v1alpha1.ReasonEndpointNotAllowed: true}

// judgeProjectRetry decides whether a request at a CBRProject helps.
func judgeProjectRetry(project *v1alpha1.CBRProject) verdict {
	ready := readyOf(project.Status.Conditions)
	request := backupsync.RequestOf(project)
	switch {
	case project.DeletionTimestamp != nil:
		return idle("it is being deleted")
	case project.Spec.Suspend:
		return vain("it is suspended: kubectl backupsync resume project %s -n %s", project.Name, project.Namespace)
	case vainAtProject[ready.Reason]:
		return vain("a retry does not help (%s). %s", ready.Reason, ready.Message)
	case request != "" && request != project.Status.LastHandledRequest:
		return idle("it was asked for already, at %s, and the operator has not acted on it yet", backupsync.Quote(request))
	default:
		return doing("its Secret is read again, a pause ends, and " + plural(failedOf(project), "failed "+kindBackup) + " tried again")
	}
}

// failedOf returns how many backups of a project have failed.
func failedOf(project *v1alpha1.CBRProject) int {
	if project.Status.Backups == nil {
		return 0
	}
	return int(project.Status.Backups.Failed)
}

// judgeSuspend decides whether there is something to suspend of a BackupSync.
func judgeSuspend(backup *v1alpha1.BackupSync) verdict {
	state := backupsync.StateOf(backup)
	switch {
	case backup.DeletionTimestamp != nil:
		return idle("it is being deleted")
	case backup.Spec.Suspend:
		return idle("it is suspended already")
	case state == backupsync.Imported && !backupsync.Requested(backup):
		return idle("it is in CBR (%s): there is nothing to stop", reasonOf(backup.Status.Conditions))
	case state == backupsync.Running:
		return doing("its task " + backup.Status.OperationLogID + " runs, and is followed to its end; only a retry would be stopped")
	case reasonOf(backup.Status.Conditions) == v1alpha1.ReasonOutcomeUnknown:
		return doing("a call with it was sent already, and is followed to its end")
	default:
		return doing("")
	}
}

// judgeResume decides whether there is something to resume of a BackupSync.
func judgeResume(backup *v1alpha1.BackupSync, in home) verdict {
	held := in.holds()
	switch {
	case backup.DeletionTimestamp != nil:
		return idle("it is being deleted")
	case !backup.Spec.Suspend && held != "":
		return vain("it is not suspended itself, but %s", held)
	case !backup.Spec.Suspend:
		return idle("it is not suspended")
	case held != "":
		return doing("it is not sent yet: " + held)
	case backupsync.StateOf(backup) == backupsync.Failed && !backupsync.IsDuplicate(backup):
		return doing("it has failed (" + reasonOf(backup.Status.Conditions) + "), and stays so: kubectl backupsync retry " + backup.Name + " -n " + backup.Namespace)
	default:
		return doing("")
	}
}

// judgeProjectSuspension decides whether there is something to suspend, or to resume, of a CBRProject.
func judgeProjectSuspension(project *v1alpha1.CBRProject, suspend bool) verdict {
	switch {
	case project.DeletionTimestamp != nil:
		return idle("it is being deleted")
	case project.Spec.Suspend && suspend:
		return idle("it is suspended already")
	case !project.Spec.Suspend && !suspend:
		return idle("it is not suspended")
	case suspend && project.Status.Backups != nil && project.Status.Backups.Running > 0:
		return doing(fmt.Sprintf("%d running imports are followed to their end", project.Status.Backups.Running))
	default:
		return doing("")
	}
}

// sentence makes a text one that ends with a full stop.
func sentence(words string) string { return strings.TrimRight(words, ". ") + "." }
