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

package overview

const long = `Show how the imports of the CBRProjects of a namespace go, at a glance: whether each can be used, its BackupSyncs by state, what they wait for,
why some have failed, and whether the operator is alive.

The numbers by state are those that the operator keeps in status.backups of the CBRProject. What it waits for, what has failed and
what has drifted is read singly: of each CBRProject the first 5,000 that are open (2,000 with --watch), and as many that have failed, unless --limit says
otherwise. Where there are more, it says "of the first". A namespace with more than 8 CBRProjects is read as one. Imported ones are
read with --all only. Where the CRDs are older than this command, all BackupSyncs are read, which takes longer.

A bar shows # imported, = running, . pending, ! failed. Colours go to terminals alone, and not if NO_COLOR is set.

  Limit    the calls a minute, and the backups in each, that spec.limits and spec.batch allow
  Left     how long it takes at least, under that limit, until the last call for what is pending, and neither
           suspended nor being deleted
  Rate     the imports that --watch has seen in the last 5 minutes
  Open     what is pending or running, by the reason of its condition Ready
  Unknown  sync calls whose outcome is not known for more than 75 s: nothing of them is sent again before CBR was asked
  Stale?   why the numbers may be older than the truth: the operator is silent, or has not looked yet
  Drifted  manifests that were edited after CBR had accepted their backups

With --output=json or yaml it prints one object:

  time, done             when it was read; whether nothing is pending, running, or without its CBRProject
  operator               state (Alive, Silent, Unknown), message, namespace, holder, renewTime
  projects[]             namespace, name, ready, reason, message, stalled, suspended, credentialsExpiring; deletionTime and finalizers
                         of one that is being deleted
    .counts              total, pending, running, imported, failed: the operator's; absent before it has counted
    .stale[]             why they may be older than the truth
    .read                pending, running, failed, imported: those that were read singly; openTruncated, failedTruncated, all
    .reasons[]           state, reason, count, examples[] (name, reason, message, creationTime), of those that were read
    .oldestPending       name, reason, message, creationTime, of those that were read
    .pace                callsPerMinute, backupsPerCall, backupsPerMinute, callsInLastMinute, heldBack (pending, and suspended or being
                         deleted), leastMinutes; with --watch importedPerMinute, secondsLeft
    .unknownCalls        calls, backups, since; .callsUnderWay the same
    .drifted             count, complete (imported ones are counted), names[] (of those that were read)
    .audit               status.audit of the CBRProject as it is
  orphans[]              namespace, project, count, truncated, names[]: BackupSyncs, not in CBR yet, whose CBRProject does not exist; truncated
                         says that there are more than were read

Fields are added over time; none changes its meaning. With --watch each look makes one line of JSON, or one document of YAML.

--fail-on makes it exit with status 3, for scripts. It takes, separated by commas:

  stalled   a CBRProject is Stalled              failed    BackupSyncs have failed
  pending   BackupSyncs are pending              running   BackupSyncs are running
  unknown   the outcome of calls is not known    drifted   manifests have drifted
  missing   a CBRProject does not exist          silent    the operator is silent
  stale     the status may be older than the truth
  unavailable  audits have found imported backups missing or unusable

The exit status is 0 if all went well, 1 after an error, if there is no CBRProject for
--until-done to wait for, or if --timeout or a signal came before --until-done was reached, 2 if the command line is not understood,
and 3 if there is what --fail-on names.`

const examplesText = `  # the namespace of the context, or one CBRProject of it
  kubectl backupsync status
  kubectl backupsync status default -n backups

  # watch it on a terminal
  kubectl backupsync status -w

  # in a pipeline: wait until all has ended, two hours at most, and fail if any has failed
  kubectl backupsync status -n backups --until-done --timeout=2h --fail-on=failed,stalled

  # the names of examples of what has failed, of all namespaces
  kubectl backupsync status -A -o json | jq -r '.projects[].reasons[]? | select(.state=="failed") | .examples[].name'`
