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

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"backupsync.dev/operator/internal/cli"
)

// Each command that the documentation shows is one that there is, with flags that it has.
func TestCommandsOfTheDocumentation(t *testing.T) {
	shown := 0
	for _, pattern := range []string{"../../README.md", "../../docs/*.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range regexp.MustCompile(`kubectl backupsync [^\n|\x60]*`).FindAllString(strings.ReplaceAll(string(text), "\\\n", ""), -1) {
				shown++
				checkCommand(t, filepath.Base(file), line)
			}
		}
	}
	if shown < 10 {
		t.Errorf("the documentation shows %d commands", shown)
	}
}

// Each flag that the page about the commands names is one that some command has.
func TestFlagsOfTheDocumentation(t *testing.T) {
	text, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	streams, _, _, _ := genericiooptions.NewTestIOStreams()
	root := newCommand(cli.NewFactory("dev", streams))
	for _, named := range regexp.MustCompile("[`(]--?([a-zA-Z][-a-z]*)").FindAllStringSubmatch(string(text), -1) {
		known := slices.ContainsFunc(root.Commands(), func(command *cobra.Command) bool { return flagOf(command, named[1]) != nil })
		if !known {
			t.Errorf("no command has the flag %s", named[1])
		}
	}
}

// checkCommand looks whether a command line is understood as far as its flags.
func checkCommand(t *testing.T, file, line string) {
	t.Helper()
	streams, _, _, _ := genericiooptions.NewTestIOStreams()
	found, arguments, err := newCommand(cli.NewFactory("dev", streams)).Find(strings.Fields(line)[2:])
	if err != nil || !found.HasParent() {
		t.Errorf("%s: %q: there is no such command", file, line)
		return
	}
	for _, name := range regexp.MustCompile(`(?:^|\s)--?([a-zA-Z][-a-z]*)`).FindAllStringSubmatch(" "+strings.Join(arguments, " "), -1) {
		if flagOf(found, name[1]) == nil {
			t.Errorf("%s: %q: there is no flag %s", file, line, name[1])
		}
	}
}

// A command that there is not is told as what is not understood, with what may be meant.
func TestUnknownCommand(t *testing.T) {
	streams, _, _, said := genericiooptions.NewTestIOStreams()
	f := cli.NewFactory("dev", streams)
	root := newCommand(f)
	root.SetArgs([]string{"statsu"})
	if status := cli.Run(f, root); status != cli.ExitUsage || !strings.Contains(said.String(), "status") || !strings.Contains(said.String(), "See kubectl backupsync --help") {
		t.Errorf("it exits with %d, and says:\n%s", status, said)
	}
}

// Help shows the flags of a command, and not those that every command of kubectl takes.
func TestFlagsInHelp(t *testing.T) {
	for _, words := range [][]string{{"status", "--help"}, {"--help"}} {
		streams, _, said, _ := genericiooptions.NewTestIOStreams()
		f := cli.NewFactory("dev", streams)
		root := newCommand(f)
		root.SetArgs(words)
		status := cli.Run(f, root)
		own := len(words) == 1 || strings.Contains(said.String(), "--until-done")
		if status != 0 || !own || strings.Contains(said.String(), "--certificate-authority") || !strings.Contains(said.String(), "kubectl options lists them") {
			t.Errorf("%v: it exits with %d, and says:\n%s", words, status, said)
		}
	}
}

// flagOf returns a flag of a command by its name or its letter.
func flagOf(command *cobra.Command, name string) *pflag.Flag {
	command.InitDefaultHelpFlag()
	for _, flags := range []*pflag.FlagSet{command.Flags(), command.InheritedFlags()} {
		if flag := flags.Lookup(name); flag != nil {
			return flag
		}
		if len(name) == 1 && flags.ShorthandLookup(name) != nil {
			return flags.ShorthandLookup(name)
		}
	}
	return nil
}
