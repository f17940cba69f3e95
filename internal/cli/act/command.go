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
	"io"

	"github.com/spf13/cobra"

	"backupsync.dev/operator/internal/cli"
)

// exits is the end of each long help.
const exits = `

Exit status:
  0  all of it was done, or there was nothing to do
  1  something could not be done: no cluster, forbidden, not found, a write failed, not confirmed, interrupted, timed out
  2  the command line is not understood, or --yes is needed
  3  something else must be done first for some, or, with --wait, some have failed again`

const retryLong = `Ask the operator to try again what has failed.

It writes the annotation cbr.backupsync.dev/requestedAt, and nothing else. What that does depends on the state of a BackupSync:

  Rejected, OperationFailed    sent to CBR again, with all its retries. What was not corrected fails again
  BackupUnusable               looked up in CBR, and sent again if it was deleted there
  RetryScheduled               sent at once
  Imported, AlreadyImported    looked up in CBR, and sent again only if CBR does not have it any more. Only if it is named, or asked for
                               by --reason or --unavailable
  Queued, OperationRunning...  nothing: it is on its way already
  Duplicate                    nothing: delete one of the two BackupSyncs
  suspended, or its CBRProject is suspended, missing or not ready: nothing. Do first what is said

Of a CBRProject, "retry project NAME" has its Secret read again, ends a pause, and tries all of its backups again that have failed.
--all-failed does that by one write at the CBRProject where it comes to the same and you may write it, and else by one write for each. It ends
no pause.

Before more than one is tried again, it asks. Without a terminal it needs --yes.`

const retryExamples = `  # Try one again, and wait until it is in CBR or has failed again
  kubectl backupsync retry erp-01-20190326 --wait

  # All that have failed in a namespace, for at most an hour
  kubectl backupsync retry -n backups --all-failed --yes --wait --timeout=1h

  # See which would be tried again
  kubectl backupsync retry --reason=Rejected --project=default --dry-run=client

  # What was deleted in CBR by mistake
  kubectl backupsync retry --unavailable --project=default

  # After a permission was granted in the cloud
  kubectl backupsync retry project default`

const suspendLong = `Keep backups from being sent to CBR, by spec.suspend: single ones, or all of a CBRProject.

  suspend NAME...              these BackupSyncs are not sent
  suspend --project P          each BackupSync of a CBRProject, by a write for each; what is in CBR is passed over
  suspend project NAME...      the CBRProject itself, by one write: none of its backups is sent, nor those that come later

A task that runs is followed to its end: CBR cannot stop it. What is in CBR stays there.

Flux, Argo CD or Helm take a change back if they apply the object. The command says so, and what to edit in Git.

Before more than one is changed, it asks. Without a terminal it needs --yes.`

const suspendExamples = `  # Stop all imports of a project at once
  kubectl backupsync suspend project default

  # Keep one backup back
  kubectl backupsync suspend erp-01-20190326

  # Keep back those of a team
  kubectl backupsync suspend -l team=erp --yes`

const resumeLong = `Have backups sent to CBR that were suspended, by removing spec.suspend: of single ones, or of a CBRProject.

  resume NAME...              these BackupSyncs are sent
  resume --project P          each suspended BackupSync of a CBRProject
  resume project NAME...      the CBRProject itself. BackupSyncs that are suspended themselves stay so

One that has failed stays so: see retry.

Flux, Argo CD or Helm take a change back if they apply the object. The command says so, and what to edit in Git.

Before more than one is changed, it asks. Without a terminal it needs --yes.`

const resumeExamples = `  # Go on with a project, and wait until it is ready or says why not
  kubectl backupsync resume project default --wait

  # Go on with all BackupSyncs of the namespace, and wait for their imports
  kubectl backupsync resume --all --yes --wait`

// NewRetryCommand returns the command that has failed backups tried again.
func NewRetryCommand(f *cli.Factory) *cobra.Command {
	return newCommand(f, retry, onTerminal, &cobra.Command{
		Use:   "retry ([backup|project] NAME... | --all-failed | --unavailable | --reason=REASON,... | -l SELECTOR)",
		Short: "Try again what has failed", Long: retryLong + exits, Example: retryExamples,
	})
}

// NewSuspendCommand returns the command that keeps backups from being sent.
func NewSuspendCommand(f *cli.Factory) *cobra.Command {
	return newCommand(f, suspend, onTerminal, &cobra.Command{
		Use:   "suspend ([backup|project] NAME... | --all | --project=NAME | -l SELECTOR)",
		Short: "Keep backups from being sent", Long: suspendLong + exits, Example: suspendExamples,
	})
}

// NewResumeCommand returns the command that has suspended backups sent.
func NewResumeCommand(f *cli.Factory) *cobra.Command {
	return newCommand(f, resume, onTerminal, &cobra.Command{
		Use:   "resume ([backup|project] NAME... | --all | --project=NAME | -l SELECTOR)",
		Short: "Have suspended backups sent", Long: resumeLong + exits, Example: resumeExamples,
	})
}

func newCommand(f *cli.Factory, of verb, terminal func(io.Reader) bool, command *cobra.Command) *cobra.Command {
	given := &options{verb: of}
	given.addFlags(command.Flags())
	command.DisableFlagsInUseLine = true
	command.Args = cli.Arguments(cobra.ArbitraryArgs)
	command.RunE = func(command *cobra.Command, arguments []string) error {
		return (&run{f: f, options: given, terminal: terminal}).do(command.Context(), arguments)
	}
	return command
}
