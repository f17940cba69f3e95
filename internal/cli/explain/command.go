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
	"os"

	"github.com/spf13/cobra"

	"backupsync.dev/operator/internal/cli"
	"backupsync.dev/operator/internal/cli/text"
)

// options are the command line of explain.
type options struct {
	*cli.Factory
	name, backupID, output, leaseIn string
}

// NewCommand returns the command explain.
func NewCommand(f *cli.Factory) *cobra.Command {
	o := &options{Factory: f}
	command := &cobra.Command{
		Use:     "explain NAME | --backup-id=ID",
		Short:   "Tell everything about one backup, and what to do",
		Long:    long,
		Example: examples,
		Args:    cli.Arguments(cobra.MaximumNArgs(1)),
		RunE: func(command *cobra.Command, arguments []string) error {
			if err := o.complete(arguments); err != nil {
				return err
			}
			return o.run(command.Context())
		},
	}
	flags := command.Flags()
	flags.StringVar(&o.backupID, "backup-id", "", "Explain the BackupSync that declares the backup of this id, in place of one by its name.")
	flags.StringVarP(&o.output, "output", "o", "", "How to print: json or yaml.")
	flags.StringVar(&o.leaseIn, "operator-namespace", "", "Namespace of the operator, whose lease tells whether it is alive; it is looked for by default.")
	return command
}

func (o *options) complete(arguments []string) error {
	if err := text.CheckFormat(o.output, text.JSON, text.YAML); err != nil {
		return cli.Usage(err)
	}
	if (len(arguments) > 0) == (o.backupID != "") {
		return cli.Usage(errors.New("name a BackupSync, or its backup by --backup-id: one of the two"))
	}
	if len(arguments) > 0 {
		o.name = arguments[0]
	}
	return nil
}

func (o *options) run(ctx context.Context) error {
	namespace, err := o.Namespace()
	if err != nil {
		return err
	}
	cluster, err := o.Client()
	if err != nil {
		return err
	}
	from := &source{factory: o.Factory, cluster: cluster, namespace: namespace, leaseIn: o.leaseIn}
	found, err := from.gather(ctx, o.name, o.backupID)
	if err != nil {
		return err
	}
	so := compute(found)
	if o.output != "" {
		return text.WriteStructured(o.Out, o.output, so)
	}
	return text.WriteLines(o.Out, render(text.Detect(o.Out, os.Getenv), so))
}

const long = `Tell everything about one backup: what is declared, what has happened and when, what it waits for and until when, how its manifest has drifted
from what CBR has accepted, which other BackupSyncs declare the same backup, and what to do next.

It reads the BackupSync, its events, its CBRProject with the journal of its calls, and the operator's lease. What one may not read is left out,
and said. Events are gone after an hour on most clusters.

The status holds a hash of what CBR was sent, and no more. Where kubectl apply has left the very same item in its annotation, drift is shown
field by field.

A backup is named by its BackupSync, or by its id: upper and lower case are the same then, if the manifest has one of them throughout. Of
several BackupSyncs of an id, the one that owns the backup is explained.

With --output=json or yaml it prints one object: time, namespace, name, state, reason, message, declared (the spec), project (name, known,
exists, ready, reason, message, stalled, suspended, deletionTime), operator (state, message, namespace, holder, renewTime), history[] (time, what), waits (for, until),
call (id, startTime, backups), settling, drift (fields[] with field, sent, declared; note), duplicates[] (name, project, reason, owns), notes[], advice[].
Fields are added over time; none changes its meaning.

The exit status is 0 if all went well, 1 after an error, and if there is no such BackupSync, and 2 if the command line is not understood.`

const examples = `  # a BackupSync of the namespace of the context
  kubectl backupsync explain erp-01-20190326

  # the one that declares a backup, whatever it is called
  kubectl backupsync explain --backup-id=1f9e6b47-7655-4a19-b563-21b4ef023025 -n backups

  # what to do about each that has failed
  kubectl backupsync failed -o json | jq -r '.items[].name' | xargs -rn1 kubectl backupsync explain`
