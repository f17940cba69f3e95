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
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

func TestWhatCouldNotBeDoneIsToldBeforeWhatWasFound(t *testing.T) {
	plain, found := errors.New("plain"), WithStatus(ExitFound, errors.New("found"))
	for name, of := range map[string]struct {
		err  error
		want int
	}{
		"nothing":           {nil, 0},
		"plain":             {plain, ExitError},
		"found":             {found, ExitFound},
		"found, wrapped":    {fmt.Errorf("in the end: %w", found), ExitFound},
		"plain, wrapped":    {fmt.Errorf("in the end: %w", plain), ExitError},
		"found, then plain": {errors.Join(found, plain), ExitError},
		"plain, then found": {errors.Join(plain, found), ExitError},
		"joined twice":      {fmt.Errorf("in the end: %w", errors.Join(found, errors.Join(found, plain))), ExitError},
		"found twice":       {errors.Join(found, found), ExitFound},
		"usage of several":  {Usage(errors.Join(plain, found)), ExitUsage},
		"usage and plain":   {errors.Join(plain, Usage(plain)), ExitUsage},
	} {
		if got := StatusOf(of.err); got != of.want {
			t.Errorf("%s: %d, want %d", name, got, of.want)
		}
	}
}

// Errors repeat what files, servers and webhooks say.
func TestAnErrorCannotDriveATerminal(t *testing.T) {
	var errOut bytes.Buffer
	f := NewFactory("test", genericiooptions.IOStreams{Out: &errOut, ErrOut: &errOut})
	root := NewCommand(f, &cobra.Command{Use: "fail", RunE: func(*cobra.Command, []string) error {
		return errors.Join(errors.New("denied\x1b]0;owned\x07"), errors.New("second \u202eline"))
	}})
	root.SetArgs([]string{"fail"})
	if status := Run(f, root); status != ExitError || errOut.String() != "Error: denied]0;owned\nsecond line\n" {
		t.Errorf("status %d: %q", status, errOut.String())
	}
}
