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

// Package wholetest runs each command on a real API server against 10,000 BackupSyncs in all states, and compares what it tells and does with
// what is true.
package wholetest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	clocktesting "k8s.io/utils/clock/testing"

	"backupsync.dev/operator/internal/cli"
	"backupsync.dev/operator/internal/cli/act"
	"backupsync.dev/operator/internal/cli/doctor"
	"backupsync.dev/operator/internal/cli/explain"
	"backupsync.dev/operator/internal/cli/generate"
	"backupsync.dev/operator/internal/cli/listing"
	"backupsync.dev/operator/internal/cli/overview"
	"backupsync.dev/operator/internal/cli/testcluster"
	"backupsync.dev/operator/internal/racedetector"
)

var cluster *testcluster.Cluster

func TestMain(m *testing.M) {
	if racedetector.Enabled { // make large plays it
		fmt.Println("left to make whole")
		os.Exit(0)
	}
	os.Exit(testcluster.Run(m, filepath.Join("..", "..", ".."), &cluster))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// run runs a command line of a person without a terminal, at the time of the world.
func (w *world) run(t *testing.T, namespace string, arguments ...string) testcluster.Output {
	t.Helper()
	line := testcluster.CommandLine{Cluster: cluster, Namespace: namespace, Commands: func(f *cli.Factory) []*cobra.Command {
		f.Clock = clocktesting.NewFakeClock(w.now)
		return []*cobra.Command{generate.NewCommand(f), overview.NewCommand(f), listing.NewPendingCommand(f), listing.NewRunningCommand(f),
			listing.NewFailedCommand(f), explain.NewCommand(f), act.NewRetryCommand(f), act.NewSuspendCommand(f), act.NewResumeCommand(f), doctor.NewCommand(f)}
	}}
	return line.Run(t.Context(), arguments...)
}

// read runs a command line, and reads the JSON that it prints.
func read[T any](t *testing.T, w *world, status int, namespace string, arguments ...string) (found T, errOut string) {
	t.Helper()
	got := w.run(t, namespace, append(arguments, "-o", "json")...)
	if got.Status != status {
		t.Errorf("%v: exit status %d, want %d: %s", arguments, got.Status, status, got.Err)
	}
	if err := json.Unmarshal([]byte(got.Out), &found); err != nil {
		t.Fatalf("%v: %v in %.500s%s", arguments, err, got.Out, got.Err)
	}
	return found, got.Err
}

// onOneLine is a text without its line breaks.
func onOneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// grouped writes a number as people read it.
func grouped(number int) string {
	if number < 1000 {
		return fmt.Sprint(number)
	}
	return fmt.Sprintf("%s,%03d", grouped(number/1000), number%1000)
}

// same compares what a command says with what is true.
func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if told, is := written(t, got), written(t, want); told != is {
		at := 0
		for at < min(len(told), len(is)) && told[at] == is[at] {
			at++
		}
		at = max(at-80, 0)
		t.Errorf("%s: from character %d it is told\n…%.400s\nand true is\n…%.400s", what, at, told[at:], is[at:])
	}
}

func written(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	must(t, err)
	return string(text)
}
