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

package verify

import (
	"fmt"
	"strings"

	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/evidence"
	"backupsync.dev/operator/internal/connection"
)

// sight is what CBR has shown of a backup.
type sight struct {
	verdict evidence.Verdict
	// lacks says that CBR, asked for the backup itself when its import had settled, and with all of its tasks known, did not have it.
	lacks bool
	// ended says that the task of the verdict has ended.
	ended bool
}

// tell returns what there is to tell of a BackupSync of a namespace, and whether there is. After a detail that ends with a colon goes the
// command that has it imported again.
func tell(namespace string, of *declared, seen sight) (Finding, bool) {
	found := Finding{BackupSync: of.name, Says: of.claim.String(), BackupID: of.backupID, Status: backupsync.Quote(string(seen.verdict.Status))}
	if of.claim.holds() {
		found.Kind, found.Detail = judgeHeld(of, seen)
	} else {
		found.Kind, found.Detail = judgeOther(of, seen.verdict)
	}
	if strings.HasSuffix(found.Detail, ":") {
		found.Detail += fmt.Sprintf(" kubectl backupsync retry %s -n %s", of.name, namespace)
	}
	return found, found.Kind != ""
}

// judgeHeld judges a backup that CBR has according to the BackupSync.
func judgeHeld(of *declared, seen sight) (Kind, string) {
	verdict := seen.verdict
	switch verdict.Kind {
	case evidence.Stored:
		if of.claim == claimsBroken {
			return Present, "CBR can restore it now. To have the operator look again:"
		}
		return "", ""
	case evidence.Broken:
		return Unusable, "CBR cannot restore it. Delete it in CBR, then have it imported again:"
	case evidence.Absent:
		return missing(of, "")
	case evidence.InProgress:
		return judgePassing(of, seen)
	default:
		return Unknown, whyUnknown(verdict)
	}
}

// judgePassing judges a backup that CBR shows in a passing status, or does not show while a task is under way.
func judgePassing(of *declared, seen sight) (Kind, string) {
	verdict := seen.verdict
	task := backupsync.Quote(verdict.Task)
	switch {
	case verdict.Status == cbr.BackupDeleting, verdict.Status == cbr.BackupWaitingDelete:
		return Unusable, "Somebody has it deleted in CBR."
	case verdict.Status != "":
		return Unknown, "CBR holds it in a passing status. Verify it again later."
	case verdict.Own && seen.ended && verdict.Task == of.task && seen.lacks:
		return missing(of, "")
	case verdict.Own:
		return Unknown, fmt.Sprintf("CBR does not show it, but its task %s has not ended, or only just. Verify it again later.", task)
	case seen.lacks:
		return missing(of, fmt.Sprintf("A task of which CBR does not say what it imports is under way (%s). ", task))
	default:
		return Unknown, fmt.Sprintf("CBR's list does not show it, but task %s may be its import. Verify it again later.", task)
	}
}

func missing(of *declared, beside string) (Kind, string) {
	if of.claim == claimsLater {
		return Unknown, "CBR does not have it, and this version does not know the outcome in its status. Use the version of the operator."
	}
	return Missing, "CBR does not have it any more. " + beside + "To have it imported again:"
}

// whyUnknown says why nothing can be said of a backup.
func whyUnknown(verdict evidence.Verdict) string {
	if verdict.Err == nil {
		return capital(verdict.Why) + "."
	}
	return fmt.Sprintf("%s (%s).", capital(verdict.Why), connection.Describe(verdict.Err))
}

// capital returns a text that begins with a capital letter.
func capital(text string) string {
	if text == "" {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// judgeOther judges a backup that CBR does not have according to the BackupSync.
func judgeOther(of *declared, verdict evidence.Verdict) (Kind, string) {
	if of.claim == claimsRunning || of.claim == claimsOther || verdict.Status == "" {
		return "", ""
	}
	switch {
	case of.claim == claimsFailed && verdict.Kind == evidence.Stored:
		return Present, "CBR holds it, though its import failed: somebody else has imported it. To have the operator look again:"
	case verdict.Kind == evidence.Stored:
		return Present, "CBR holds it already: somebody else has imported it. The operator marks it as AlreadyImported when its turn comes, unless spec.lookupPolicy is Never."
	default:
		return Present, "CBR holds it in a status that cannot be restored from."
	}
}

// differences says in which texts CBR shows a backup otherwise than its manifest, "" if in none. What CBR leaves out is no difference.
func differences(of *declared, shown *cbr.BackupDetails, clean func(string) string) string {
	var text string
	add := func(what, declared, shown string) {
		if text != "" {
			text += "; "
		}
		text += fmt.Sprintf("%s is %q in CBR, %q in the manifest", what, backupsync.Quote(clean(shown)), declared)
	}
	if shown.Name != "" && shown.Name != of.backupName {
		add("backupName", of.backupName, shown.Name)
	}
	if shown.ResourceID != "" && cbr.Fold(shown.ResourceID) != cbr.Fold(of.resourceID) {
		add("resourceID", of.resourceID, shown.ResourceID)
	}
	return text
}
