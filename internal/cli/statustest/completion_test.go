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

package statustest

import (
	"bytes"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"backupsync.dev/operator/internal/cli"
	"backupsync.dev/operator/internal/cli/act"
	"backupsync.dev/operator/internal/cli/explain"
	"backupsync.dev/operator/internal/cli/overview"
)

// A shell gets the names of what a command takes, and of nothing else.
func TestCompletion(t *testing.T) {
	here := namespace(t)
	project(t, here, "default", nil)
	project(t, here, "other", nil)
	mixed(t, here, "default", 1)
	t.Setenv("KUBECONFIG", bed.Kubeconfig)
	complete := func(words ...string) string {
		var out bytes.Buffer
		f := cli.NewFactory("test", genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: &out, ErrOut: &bytes.Buffer{}})
		root := cli.NewCommand(f, overview.NewCommand(f), explain.NewCommand(f), act.NewRetryCommand(f))
		root.SetContext(t.Context())
		root.SetArgs(append([]string{"__complete"}, words...))
		if status := cli.Run(f, root); status != 0 {
			t.Errorf("%v: it exits with %d", words, status)
		}
		return out.String()
	}
	for _, test := range []struct {
		words []string
		want  string
	}{
		{[]string{"status", "-n", here, ""}, "default\nother\n:4\n"},
		{[]string{"status", "-n", here, "o"}, "other\n:4\n"},
		{[]string{"status", "-n", here, "default", ""}, ":4\n"},
		{[]string{"retry", "-n", here, "project", "d"}, "default\n:4\n"},
		{[]string{"retry", "-n", here, "--project", "d"}, "default\n:4\n"},
		{[]string{"explain", "-n", here, "default-imported"}, "default-imported-0\n:4\n"},
	} {
		if got := complete(test.words...); got != test.want {
			t.Errorf("%v: got %q, not %q", test.words, got, test.want)
		}
	}
}
