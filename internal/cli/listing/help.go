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

package listing

import "backupsync.dev/operator/internal/backupsync"

var summaries = map[backupsync.State]string{
	backupsync.Failed:  "List the BackupSyncs that have failed, and why",
	backupsync.Pending: "List the BackupSyncs that are still to be sent, and what they wait for",
	backupsync.Running: "List the BackupSyncs whose import runs, and its task",
}

var details = map[backupsync.State]string{
	backupsync.Failed: "These are Stalled: nothing more happens until a person changes something. The message says what. One that was edited since, or asked for " +
		"again, is pending, although its conditions may still tell of the failure for a moment.",
	backupsync.Pending: "NEXT-ATTEMPT is when one whose import has failed is sent again. Where all are Queued, the CBRProject says why: see kubectl backupsync status.",
	backupsync.Running: "RUNNING is the time since CBR accepted it, OPERATION the id of CBR's task.",
}

const common = `They are sorted by age, the oldest first, unless --sort-by says otherwise. On a terminal messages are cut to its width, and stand below
their BackupSyncs, once for neighbours with the same, where names leave no room beside them; with -o wide, in a pipe and in a file they are whole. If there are none, it says so on stderr, and exits with 0.

With --output=json or yaml it prints one object with items[] (namespace, name, project, backupID, resourceName, creationTime, state,
reason, message, operationLogID, attempts, submittedTime, finishedTime, nextAttemptTime, drifted, deletionTime) and more, the number of those that
--limit left out. Fields are added over time; none changes its meaning.

The exit status is 0 if all went well, also if there are none, 1 after an error, and 2 if the command line is not understood.`

const examples = `  # those of the namespace of the context, or of one CBRProject
  kubectl backupsync STATE
  kubectl backupsync STATE default -n backups

  # those of all namespaces, by their reasons, with their backups and virtual machines
  kubectl backupsync STATE -A --sort-by=reason -o wide

  # their names, for other commands
  kubectl backupsync STATE -o name | xargs -r kubectl describe`
