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
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
)

// completionScript is what kubectl runs for words after "kubectl backupsync".
const completionScript = `#!/bin/sh
exec kubectl backupsync __complete "$@"
`

// newCompletionCommand takes the place of cobra's command of that name, whose scripts would complete the words of kubectl itself.
func newCompletionCommand(f *Factory) *cobra.Command {
	return &cobra.Command{
		Use:   "completion",
		Short: "Print the script with which a shell completes the words of kubectl backupsync",
		Long: `Print the script with which a shell completes the words of kubectl backupsync, in every shell that does so for kubectl.

kubectl looks for it in the PATH, by the name of kubectl_complete-backupsync.`,
		Example: `  kubectl backupsync completion > ~/bin/kubectl_complete-backupsync
  chmod +x ~/bin/kubectl_complete-backupsync`,
		Args: Arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			_, err := f.Out.Write([]byte(completionScript))
			return err
		},
	}
}

const (
	projects = "CBRProject"
	backups  = "BackupSync"
)

// argumentKinds are the kinds that arguments of commands name, by what stands before them; "" for none. Other commands take files.
var argumentKinds = map[string]func(before []string) string{
	"status": firstProject, "pending": firstProject, "running": firstProject, "failed": firstProject,
	"doctor": func([]string) string { return projects },
	"verify": func(before []string) string {
		if len(before) == 0 {
			return projects
		}
		return backups
	},
	"explain": func(before []string) string {
		if len(before) == 0 {
			return backups
		}
		return ""
	},
	"retry": either, "suspend": either, "resume": either,
}

func firstProject(before []string) string {
	if len(before) == 0 {
		return projects
	}
	return ""
}

func either(before []string) string {
	if len(before) > 0 && before[0] == "project" {
		return projects
	}
	return backups
}

// addCompletion has a command complete names of what is in the cluster.
func (f *Factory) addCompletion(command *cobra.Command) {
	if kind, named := argumentKinds[command.Name()]; named {
		command.ValidArgsFunction = f.completion(kind)
	}
	if command.Flags().Lookup("project") != nil {
		of := f.completion(func([]string) string { return projects })
		cobra.CheckErr(command.RegisterFlagCompletionFunc("project", of)) // fails only for a flag that there is not, or twice
	}
}

// What completion costs at most: somebody waits for it at a key.
const (
	completionTime  = 3 * time.Second
	completionNames = 2000
)

func (f *Factory) completion(kindOf func(before []string) string) cobra.CompletionFunc {
	return func(command *cobra.Command, before []string, prefix string) ([]string, cobra.ShellCompDirective) {
		kind := kindOf(before)
		if kind == "" {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(command.Context(), completionTime)
		defer cancel()
		names, err := f.names(ctx, kind, prefix)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// names returns those of a kind that begin with a prefix, in the namespace of the command, of the first that the API server lists.
func (f *Factory) names(ctx context.Context, kind, prefix string) ([]string, error) {
	namespace, err := f.Namespace()
	if err != nil {
		return nil, err
	}
	reader, err := f.Client()
	if err != nil {
		return nil, err
	}
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind + "List"))
	if err := reader.List(ctx, list, client.InNamespace(namespace), client.Limit(completionNames)); err != nil {
		return nil, err
	}
	var names []string
	for i := range list.Items {
		if name := list.Items[i].Name; strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	return names, nil
}
