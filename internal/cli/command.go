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

package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"backupsync.dev/operator/internal/cli/text"
)

// NewCommand returns kubectl backupsync with its commands.
func NewCommand(f *Factory, commands ...*cobra.Command) *cobra.Command {
	root := &cobra.Command{
		Use:   "kubectl backupsync",
		Short: "Import on-premises backups into Huawei Cloud CBR, and see how that goes",
		Long: "Import on-premises backups into Huawei Cloud CBR, and see how that goes.\n\n" +
			"It reads and writes CBRProjects and BackupSyncs, for which the operator does the work.",
		Version:           f.Version,
		SilenceErrors:     true, // Run prints them
		SilenceUsage:      true,
		DisableAutoGenTag: true,
		Annotations:       map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl backupsync"},
	}
	root.SetIn(f.In)
	root.SetOut(f.Out)
	root.SetErr(f.ErrOut)
	root.SetFlagErrorFunc(func(command *cobra.Command, err error) error {
		return Usage(fmt.Errorf("%w: see %s --help", err, command.CommandPath()))
	})
	f.AddFlags(root.PersistentFlags())
	root.SetUsageTemplate(usage(root.UsageTemplate()))
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(append(commands, newCompletionCommand(f))...)
	for _, command := range commands {
		f.addCompletion(command)
	}
	return root
}

// usage shortens cobra's template. As kubectl does, it leaves those flags to "kubectl options" that every command takes: twenty lines would push
// what is the command's own off a screen.
func usage(template string) string {
	const own, inherited = "{{if .HasAvailableLocalFlags}}", "{{if .HasAvailableInheritedFlags}}"
	of := strings.Index(template, own)
	from := strings.Index(template, inherited)
	to := strings.Index(template, "{{if .HasHelpSubCommands}}")
	if of < 0 || from < of || to < from {
		return template
	}
	return template[:of] + "{{if and .HasParent .HasAvailableLocalFlags}}" + template[of+len(own):from] +
		"\n\nFlags of kubectl, such as --namespace, --context and --kubeconfig, are taken too: kubectl options lists them." + template[to:]
}

// Run runs a command, prints its error, and returns the status to exit with.
func Run(f *Factory, root *cobra.Command) int {
	err := root.Execute()
	if err != nil && strings.HasPrefix(err.Error(), "unknown command ") { // the one usage error that cobra gives no hook for
		err = Usage(fmt.Errorf("%s\nSee %s --help", strings.TrimSpace(err.Error()), root.CommandPath()))
	}
	if err != nil {
		_, _ = fmt.Fprintln(f.ErrOut, "Error:", text.CleanLines(err.Error())) // it may hold what files, servers and webhooks say
	}
	return StatusOf(err)
}
