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
	"slices"

	"github.com/spf13/cobra"
)

// Arguments makes an error of a check of arguments one about the command line. An argument that is empty, as a variable of a script may be,
// names nothing: it is refused, lest it be taken for everything.
func Arguments(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(command *cobra.Command, arguments []string) error {
		if slices.Contains(arguments, "") {
			return Usage(fmt.Errorf("an argument is empty, and names nothing: leave it out if all is meant. See %s --help", command.CommandPath()))
		}
		if err := check(command, arguments); err != nil {
			return Usage(err)
		}
		return nil
	}
}
