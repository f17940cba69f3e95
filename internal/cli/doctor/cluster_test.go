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

package doctor

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"backupsync.dev/operator/internal/cli"
)

// Whoever the cluster does not know has not been told that nothing has to be fixed.
func TestWhomTheClusterDoesNotKnowIsToldByTheExitStatus(t *testing.T) {
	var out bytes.Buffer
	f := cli.NewFactory("test", genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: &out, ErrOut: &out})
	root := cli.NewCommand(f, NewCommand(f))
	root.SetContext(t.Context())
	root.SetArgs([]string{"doctor", "default", "-n", "default", "--kubeconfig=" + os.DevNull, "--server=" + cluster.Config.Host, "--insecure-skip-tls-verify", "--token=ended"})
	if status := cli.Run(f, root); status != cli.ExitError || !strings.Contains(out.String(), "the cluster does not know you") {
		t.Errorf("it exits with %d:\n%s", status, out.String())
	}
}

// Nor has one who may see no CBRProject been told anything of theirs.
func TestProjectsThatCannotBeReadAreNotWell(t *testing.T) {
	command := line(cluster.Namespace(t))
	command.User = cluster.User(t, "nobody")
	report, got := examined(t, command)
	report.expect(t, "CBRProjects", Unknown, "forbidden")
	if got.Status != cli.ExitError || !strings.Contains(got.Err, "no CBRProject was looked at") {
		t.Errorf("status %d: %s", got.Status, got.Err)
	}
}
