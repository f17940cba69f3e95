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

package generate

import (
	"context"
	_ "embed" // of the help
	"errors"
	"os"
	_ "time/tzdata" // time zones, on machines that have none

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"backupsync.dev/operator/internal/cli"
)

//go:embed help.txt
var help string

//go:embed examples.txt
var examples string

// NewCommand returns kubectl backupsync generate.
func NewCommand(f *cli.Factory) *cobra.Command {
	given := flags{}
	command := &cobra.Command{
		Use:     "generate [FILE...] --project NAME",
		Aliases: []string{"gen"},
		Short:   "Make BackupSync manifests from an inventory of backups: CSV, JSON or JSON lines",
		Long:    help,
		Example: examples,
		RunE: func(command *cobra.Command, inputs []string) error {
			namespace := ""
			if flag := command.Flags().Lookup("namespace"); flag != nil && flag.Changed {
				namespace = flag.Value.String()
			}
			return run(command.Context(), f, given, inputs, namespace)
		},
	}
	given.add(command)
	return command
}

func (f *flags) add(command *cobra.Command) {
	set := command.Flags()
	set.StringVar(&f.project, "project", "", "The CBRProject to import into. Required.")
	set.StringVar(&f.format, "format", "auto", "What the inventories are: auto, json, jsonl or csv.")
	set.StringVar(&f.encoding, "encoding", "auto", "How their characters are written: auto, utf-8, gb18030 or utf-16. A byte order mark is believed first.")
	set.StringArrayVar(&f.maps, "map", nil, "COLUMN=FIELD: the column that holds a field, if its name does not tell. COLUMN= ignores a column. Can be repeated.")
	set.StringVar(&f.timeZone, "time-zone", "", "The zone of times that name none: Asia/Shanghai, UTC, +08:00. Without it they are rejected.")
	set.StringVar(&f.nameTemplate, "name-template", "", "A Go template of the objects' names. By default the id of the backup in lower case.")
	set.StringArrayVar(&f.labels, "label", nil, "KEY=VALUE: a label of each object. Can be repeated.")
	set.StringArrayVar(&f.annotations, "annotation", nil, "KEY=VALUE: an annotation of each object. Can be repeated.")
	set.BoolVar(&f.suspend, "suspend", false, "Have the backups wait until spec.suspend is removed.")
	set.StringVarP(&f.output, "output", "f", "", "The file to write. Without it, or with -, stdout.")
	set.StringVar(&f.outputDir, "output-dir", "", "The folder to write, with a kustomization.yaml.")
	set.IntVar(&f.perFile, "per-file", 100, "How many objects a file of --output-dir may hold. With 1 it has the name of its object.")
	set.BoolVar(&f.force, "force", false, "Replace and remove files also if others have written or edited them.")
	set.StringVar(&f.rejects, "rejects", "", "The file to keep rejected rows in, as they are in the inventory, with the reason in reject_reason.")
	set.BoolVar(&f.strict, "strict", false, "Stop at the first row that would be rejected, and write nothing.")
	set.StringVar(&f.dryRun, "dry-run", dryRunNone, "none, client or server: write nothing, but say what is wrong, by the rules or by the cluster.")
	set.Lookup("dry-run").NoOptDefVal = dryRunClient
	set.IntVar(&f.concurrency, "concurrency", 8, "How many calls of --dry-run=server may be under way at once.")
	set.BoolVarP(&f.quiet, "quiet", "q", false, "Say nothing but errors.")
}

// maxTold is how many rejected rows are told where --rejects keeps all.
const maxTold = 20

func run(ctx context.Context, f *cli.Factory, given flags, inputs []string, namespace string) error {
	if len(inputs) == 0 {
		if file, isFile := f.In.(*os.File); isFile && term.IsTerminal(int(file.Fd())) {
			return cli.Usage(errors.New("name the inventories to read, or pipe one in"))
		}
		inputs = []string{stdin}
	}
	understood, err := given.settings(inputs, namespace)
	if err != nil {
		return cli.Usage(err)
	}
	occupied, err := understood.occupied(f.In, f.Out)
	if err != nil {
		return cli.Usage(err)
	}
	made := &runner{settings: understood, in: f.In, out: f.Out, occupied: occupied, connect: f.Client, namespace: f.Namespace, seen: newSeen()}
	if !given.quiet {
		made.progress = newProgress(f.ErrOut, f.Clock)
	}
	if made.progress != nil {
		made.progress.total = sizes(inputs)
	}
	made.report = &report{out: f.ErrOut, clear: made.progress.clear, quiet: given.quiet, marks: map[mark]*marked{}}
	if given.rejects != "" {
		made.report.limit = maxTold
	}
	return made.run(ctx)
}
