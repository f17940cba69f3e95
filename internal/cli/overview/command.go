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

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"backupsync.dev/operator/internal/cli"
	"backupsync.dev/operator/internal/cli/text"
)

const wideOutput = "wide"

// options are the command line of status.
type options struct {
	*cli.Factory
	scope               scope
	allNamespaces       bool
	output              string
	watching, untilDone bool
	interval, timeout   time.Duration
	failOn              []string
	leaseIn             string
}

// The defaults of how much is read: a watch reads again and again.
const (
	defaultLimit = 5000
	watchLimit   = 2000
)

// NewCommand returns the command status.
func NewCommand(f *cli.Factory) *cobra.Command {
	o := &options{Factory: f}
	command := &cobra.Command{
		Use:     "status [PROJECT]",
		Short:   "Show how the imports go, at a glance",
		Long:    long,
		Example: examplesText,
		Args:    cli.Arguments(cobra.MaximumNArgs(1)),
		RunE: func(command *cobra.Command, arguments []string) error {
			if err := o.complete(command, arguments); err != nil {
				return err
			}
			return o.run(command.Context())
		},
	}
	flags := command.Flags()
	flags.BoolVarP(&o.allNamespaces, "all-namespaces", "A", false, "Show the CBRProjects of all namespaces.")
	flags.StringVarP(&o.output, "output", "o", "", "How to print: wide, json or yaml.")
	flags.BoolVarP(&o.watching, "watch", "w", false, "Show it again and again: in place on a terminal, else by a line for each change.")
	flags.BoolVar(&o.untilDone, "until-done", false, "Watch until nothing is pending or running any more, and no CBRProject is missing.")
	flags.DurationVar(&o.interval, "interval", 2*time.Second, "Time between two looks of --watch.")
	flags.DurationVar(&o.timeout, "timeout", 0, "End --watch or --until-done after that time; 0 for never.")
	flags.StringSliceVar(&o.failOn, "fail-on", nil, "Exit with status 3 if there is any of these: "+strings.Join(findingNames(), ", ")+".")
	flags.BoolVar(&o.scope.all, "all", false, "Read all BackupSyncs, imported ones too: slow, but it names those that have drifted.")
	flags.IntVar(&o.scope.limit, "limit", defaultLimit, fmt.Sprintf("How many open, and how many failed BackupSyncs of a CBRProject are read singly; 0 for all. "+
		"With --watch %d, unless it is set.", watchLimit))
	flags.StringVar(&o.leaseIn, "operator-namespace", "", "Namespace of the operator, whose lease tells whether it is alive; it is looked for by default.")
	return command
}

// complete works out what was asked for.
func (o *options) complete(command *cobra.Command, arguments []string) error {
	err := errors.Join(text.CheckFormat(o.output, text.JSON, text.YAML, wideOutput), checkFindings(o.failOn))
	switch {
	case err != nil:
		return cli.Usage(err)
	case len(arguments) > 0 && o.allNamespaces:
		return cli.Usage(errors.New("a CBRProject is of one namespace: leave out --all-namespaces, or its name"))
	case o.scope.limit < 0:
		return cli.Usage(fmt.Errorf("--limit=%d must be 0 or more", o.scope.limit))
	case o.interval < 100*time.Millisecond:
		return cli.Usage(fmt.Errorf("--interval=%s must be 100ms or more", o.interval))
	}
	o.watching = o.watching || o.untilDone
	if o.watching && !command.Flags().Changed("limit") {
		o.scope.limit = watchLimit
	}
	if len(arguments) > 0 {
		o.scope.project = arguments[0]
	}
	if !o.allNamespaces {
		o.scope.namespace, err = o.Namespace()
	}
	return err
}

func (o *options) run(ctx context.Context) error {
	from, err := newSource(o.Factory, o.leaseIn)
	if err != nil {
		return err
	}
	if o.watching {
		latest, err := o.watch(ctx, from)
		if err != nil || latest == nil {
			return err
		}
		o.sayNone(latest)
		return o.verdict(latest)
	}
	looked, err := from.look(ctx, o.scope)
	if err != nil {
		return err
	}
	if err := o.print(looked); err != nil {
		return err
	}
	return o.verdict(looked)
}

func (o *options) print(looked *Overview) error {
	if o.output == text.JSON || o.output == text.YAML {
		return text.WriteStructured(o.Out, o.output, looked)
	}
	if err := text.WriteLines(o.Out, render(o.terminal(), looked, o.output == wideOutput)); err != nil {
		return err
	}
	o.sayNone(looked)
	return nil
}

// sayNone says so if there are no CBRProjects.
func (o *options) sayNone(looked *Overview) {
	if len(looked.Projects) == 0 {
		_, _ = fmt.Fprintln(o.ErrOut, o.none())
	}
}

func (o *options) none() string {
	if o.allNamespaces {
		return "No CBRProjects in any namespace."
	}
	return fmt.Sprintf("No CBRProjects in namespace %s. Is it the right one? --namespace chooses it, --all-namespaces shows all.", o.scope.namespace)
}

func (o *options) terminal() text.Terminal { return text.Detect(o.Out, os.Getenv) }

// verdict is the error, with its exit status, of what --fail-on names.
func (o *options) verdict(looked *Overview) error {
	if found := find(looked, o.failOn); found != "" {
		return cli.WithStatus(cli.ExitFound, fmt.Errorf("found what --fail-on names: %s", found))
	}
	return nil
}
