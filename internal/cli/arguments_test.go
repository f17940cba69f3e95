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
	"testing"

	"github.com/spf13/cobra"
)

// A variable of a script that is empty names nothing, and is not taken for everything.
func TestAnEmptyArgumentIsRefused(t *testing.T) {
	check := Arguments(cobra.MaximumNArgs(2))
	for _, arguments := range [][]string{{""}, {"a", ""}, {"a", "b", "c"}} {
		if status := StatusOf(check(&cobra.Command{}, arguments)); status != ExitUsage {
			t.Errorf("%q: status %d", arguments, status)
		}
	}
	if err := check(&cobra.Command{}, []string{"a", "b"}); err != nil {
		t.Error(err)
	}
}
