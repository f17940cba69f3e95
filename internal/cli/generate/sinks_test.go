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

package generate_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"backupsync.dev/operator/internal/cli"
	"backupsync.dev/operator/internal/cli/generate"
)

// What a run that breaks off has printed may be applied already: each object of it must be whole.
func TestNothingHalfIsPrinted(t *testing.T) {
	for length := 1; length < 4; length++ {
		for _, objects := range []struct{ count, size int }{{400, 0}, {8, 1 << 17}} { // shorter than what is written at once, and longer
			var text strings.Builder
			text.WriteString(header)
			for number := range objects.count {
				text.WriteString(row(fmt.Sprintf("a-%04d-%s", number, strings.Repeat("x", length)), "erp"))
			}
			text.WriteString("\"never closed\n\n")
			got := command(t, text.String(), "--project", "default", "--suspend", "--annotation", "note="+strings.Repeat("y", objects.size))
			if got.status != cli.ExitError || !strings.HasPrefix(got.out, "---\n") {
				t.Fatalf("it exits with %d, and has printed %d bytes", got.status, len(got.out))
			}
			if !strings.HasSuffix(got.out, "\n  suspend: true\n") {
				t.Fatalf("the last object is half: it ends with\n%s", got.out[strings.LastIndex(got.out, "---"):])
			}
		}
	}
}

// closed is a pipe that nobody reads any more.
type closed struct{}

func (closed) Write([]byte) (int, error) { return 0, errors.New("closed pipe") }

func TestAClosedPipeIsAnError(t *testing.T) {
	f := cli.NewFactory("test", genericiooptions.IOStreams{In: strings.NewReader(header + row("a-1", "erp")), Out: closed{}, ErrOut: &strings.Builder{}})
	root := cli.NewCommand(f, generate.NewCommand(f))
	root.SetContext(t.Context())
	root.SetArgs([]string{"generate", "--project", "default"})
	if status := cli.Run(f, root); status != cli.ExitError {
		t.Errorf("it exits with %d", status)
	}
}
