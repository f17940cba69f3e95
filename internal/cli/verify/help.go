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

const long = `Compare the BackupSyncs of a project with what CBR holds now.

The status of a BackupSync says what CBR told when it was imported. This command asks
CBR again, and tells where the two do not agree:

  Missing     The BackupSync says that CBR has the backup, and CBR does not have it any more.
  Unusable    CBR holds it in a status that it cannot be restored from, or has it deleted.
  Unknown     It cannot be told; the detail says why. It is never told as missing.
  Undeclared  CBR holds a backup that no BackupSync declares: somebody else has made it.
  Present     CBR holds a backup of which the BackupSync says that it is not imported.
  Differs     CBR shows another name or resource than the manifest.

It changes nothing, neither in the cluster nor in CBR. It reads the list of all backups,
1,000 at a time, and asks for each backup singly that the list lacks before it calls it
missing, at most 10 in a second (--reads-per-second). What CBR may not show yet, as its
import ended less than a minute ago, is unknown. At the end the BackupSyncs are read
again, so that what changes meanwhile is not told. A list that enterprise projects or
permissions narrow, or that does not hold still, is told as unknown as well, unless
--ignore-undeclared says that it does not matter.

With names of BackupSyncs only these are verified, and nothing is told of others. Where
another BackupSync owns the backup of one, that one is verified in its place.

Credentials are those of the project: you need the verb get on its Secret, on what
spec.caBundleRef names, and on CBRProjects, and list on BackupSyncs and CBRProjects. Or
bring your own with --credentials-file. They go only to endpoints that --allowed-endpoints names, which
has the same default as the operator's flag. A password or key that CBR has refused the
operator is not tried again. Credentials of the type PodIdentity are given to pods alone:
run the command in the operator's pod (see the examples), or with --credentials-type.

It exits with 0 if all is well, with 3 if it finds something of --fail-on, with 2 if the
command line is wrong, and with 1 if it could not do its work. A project that CBR could
not be asked for counts as unknown, and never ends with 0.`

const examples = `  # The only project of the namespace
  kubectl backupsync verify -n backups

  # One project; backups that no manifest declares are a failure, too
  kubectl backupsync verify vmware -n backups --fail-on=missing,unusable,unknown,undeclared

  # Two backups only, with a question for each
  kubectl backupsync verify vmware backup-000001 backup-000002 -n backups

  # All projects of the cluster, for a program; only what ended in the last day
  kubectl backupsync verify -A --since=24h -o json

  # With an access key of your own; accessKey and secretKey are the keys of the file
  kubectl backupsync verify vmware -n backups --credentials-type=AccessKey --credentials-file=key.yaml

  # A project whose credentials are the identity of the operator's pod
  kubectl -n backupsync-system exec deploy/backupsync-controller-manager -- /kubectl-backupsync verify vmware -n backups`
