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

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"

	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cli"
	"backupsync.dev/operator/internal/cli/backups"
	"backupsync.dev/operator/internal/cli/text"
)

const (
	wideOutput = "wide"
	nameOutput = "name"
)

// options are the command line of a list.
type options struct {
	*cli.Factory
	selection
	query                   backups.Query
	allNamespaces, headless bool
	output                  string
}

// NewFailedCommand returns the command failed.
func NewFailedCommand(f *cli.Factory) *cobra.Command { return newCommand(f, backupsync.Failed) }

// NewPendingCommand returns the command pending.
func NewPendingCommand(f *cli.Factory) *cobra.Command { return newCommand(f, backupsync.Pending) }

// NewRunningCommand returns the command running.
func NewRunningCommand(f *cli.Factory) *cobra.Command { return newCommand(f, backupsync.Running) }

func newCommand(f *cli.Factory, state backupsync.State) *cobra.Command {
	o := &options{Factory: f, selection: selection{state: state}}
	name := state.String()
	command := &cobra.Command{
		Use:     name + " [PROJECT]",
		Short:   summaries[state],
		Long:    summaries[state] + ".\n\n" + details[state] + "\n\n" + common,
		Example: strings.ReplaceAll(examples, "STATE", name),
		Args:    cli.Arguments(cobra.MaximumNArgs(1)),
		RunE: func(command *cobra.Command, arguments []string) error {
			if err := o.complete(command.Flags().Changed, arguments); err != nil {
				return err
			}
			return o.run(command.Context())
		},
	}
	flags := command.Flags()
	flags.BoolVarP(&o.allNamespaces, "all-namespaces", "A", false, "List those of all namespaces.")
	flags.StringVarP(&o.output, "output", "o", "", "How to print: wide, json, yaml or name.")
	flags.StringVar(&o.order, "sort-by", byAge, "Order: age (the oldest first), name or reason.")
	flags.StringSliceVar(&o.reasons, "reason", nil, "Only those with one of these reasons of Ready, separated by commas.")
	flags.StringVarP(&o.query.Labels, "selector", "l", "", "Only those that a label selector takes.")
	flags.IntVar(&o.limit, "limit", 0, "List so many at most, the first in the order; 0 for all.")
	flags.BoolVar(&o.headless, "no-headers", false, "Leave out the line of headers.")
	return command
}

// complete works out what was asked for. A flag that narrows the list, and is set to nothing, is refused, lest all be listed.
func (o *options) complete(set func(flag string) bool, arguments []string) error {
	chosen, labelsErr := labels.Parse(o.query.Labels)
	err := errors.Join(text.CheckFormat(o.output, text.JSON, text.YAML, wideOutput, nameOutput), labelsErr, o.checkReasons())
	_, isOrder := orders[o.order]
	switch {
	case err != nil:
		return cli.Usage(err)
	case !isOrder:
		return cli.Usage(fmt.Errorf("--sort-by=%s is not known: it can be %s, %s, %s", o.order, byAge, byName, byReason))
	case len(arguments) > 0 && o.allNamespaces:
		return cli.Usage(errors.New("a CBRProject is of one namespace: leave out --all-namespaces, or its name"))
	case set("selector") && chosen.Empty(), set("reason") && len(o.reasons) == 0:
		return cli.Usage(errors.New("--selector or --reason is set to nothing: leave it out if all are meant"))
	case o.limit < 0:
		return cli.Usage(fmt.Errorf("--limit=%d must be 0 or more", o.limit))
	}
	if len(arguments) > 0 {
		o.query.Project = arguments[0]
	}
	if !o.allNamespaces {
		o.query.Namespace, err = o.Namespace()
	}
	return err
}

// checkReasons returns an error if --reason names none of those that there are: a list that is empty for a slip would say that all is well.
func (o *options) checkReasons() error {
	known := backupsync.Reasons()
	for _, reason := range o.reasons {
		if !slices.ContainsFunc(known, func(each string) bool { return strings.EqualFold(each, reason) }) {
			return fmt.Errorf("--reason=%s is not known: it can be %s", reason, strings.Join(known, ", "))
		}
	}
	return nil
}

func (o *options) run(ctx context.Context) error {
	config, err := o.RESTConfig()
	if err != nil {
		return err
	}
	reader, err := backups.NewReader(config)
	if err != nil {
		return err
	}
	found, err := o.read(ctx, reader)
	if err != nil {
		return err
	}
	return o.print(o.listOf(found))
}

// read reads those of the state. What has failed is pending again once a person has asked for another import, or corrected it.
func (o *options) read(ctx context.Context, reader *backups.Reader) (found []backups.Backup, err error) {
	o.query.Ended = map[backupsync.State]backups.Ended{
		backupsync.Failed: backups.Failed, backupsync.Running: backups.Open, backupsync.Pending: backups.NotImported,
	}[o.state]
	_, err = reader.Each(ctx, o.query, func(backup backups.Backup) {
		if o.takes(&backup) {
			found = append(found, backup)
		}
	})
	return found, err
}

func (o *options) print(list *List) error {
	if len(list.Items) == 0 {
		_, _ = fmt.Fprintln(o.ErrOut, o.none())
	}
	if list.More > 0 {
		_, _ = fmt.Fprintf(o.ErrOut, "%s more: --limit=0 lists all.\n", text.Grouped(list.More))
	}
	switch o.output {
	case text.JSON, text.YAML:
		return text.WriteStructured(o.Out, o.output, list)
	case nameOutput:
		return text.WriteLines(o.Out, namesOf(list))
	}
	if len(list.Items) == 0 {
		return nil
	}
	how := layout{state: o.state, wide: o.output == wideOutput, spread: o.allNamespaces, headless: o.headless, now: o.Now()}
	if terminal := text.Detect(o.Out, os.Getenv); terminal.Interactive && !how.wide {
		how.columns = terminal.Width
	}
	return text.WriteLines(o.Out, table(list, how))
}

// none says that there is nothing to list.
func (o *options) none() string {
	said := fmt.Sprintf("No %s BackupSyncs", o.state)
	if o.query.Project != "" {
		said += " of the CBRProject " + o.query.Project
	}
	if o.query.Labels != "" || len(o.reasons) > 0 {
		said += " that were asked for"
	}
	if o.allNamespaces {
		return said + " in any namespace."
	}
	return said + " in namespace " + o.query.Namespace + "."
}
