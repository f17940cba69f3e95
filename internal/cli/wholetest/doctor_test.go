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

package wholetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"backupsync.dev/operator/internal/cli"
	"backupsync.dev/operator/internal/cli/doctor"
	"backupsync.dev/operator/internal/cli/testcluster"
)

// testDoctor has the doctor repeat what the operator says, with its numbers. That no operator is installed, and no Secret there, is to be fixed.
func (w *world) testDoctor(t *testing.T) {
	for _, namespace := range []string{north, south} {
		line := testcluster.CommandLine{Cluster: cluster, Namespace: namespace, Commands: func(f *cli.Factory) []*cobra.Command { return []*cobra.Command{doctor.NewCommand(f)} }}
		got := line.Run(t.Context(), "doctor")
		if got.Status != cli.ExitFound || !strings.Contains(got.Err, " to fix") {
			t.Errorf("%s: exit status %d: %s", namespace, got.Status, got.Err)
		}
		for _, each := range w.projectsOf(namespace) {
			_, section, _ := strings.Cut(got.Out, "CBRProject "+namespace+"/"+each.Name+"\n")
			section = strings.Split(section, "\nCBRProject ")[0]
			var told []string
			for _, line := range strings.Split(section, "\n") {
				if level, message, is := strings.Cut(line, " conditions: "); is {
					told = append(told, strings.TrimSpace(level)+" "+message)
				}
			}
			same(t, "doctor of "+each.Name, told, diagnoses(each.Name, w.those(of(namespace, each.Name))))
			if !strings.Contains(section, "cloud project: it is the only one") {
				t.Errorf("%s: %s", each.Name, section)
			}
		}
	}
	w.unchanged(t, "doctor")
}

// diagnoses are what is to be said of the conditions and counts of a CBRProject.
func diagnoses(name string, backups []*backup) []string {
	ready := "ok Usable"
	switch name {
	case "unseen":
		return []string{"FIX the operator has not looked at it yet: it does not run, or does not watch this namespace"}
	case "paused":
		ready = "LOOK it is suspended: nothing is sent"
	case "stalled":
		ready = "FIX CredentialsMissing: The Secret cbr does not exist. Create it."
	}
	count := func(is func(*backup) bool) int {
		return len(slices.DeleteFunc(slices.Clone(backups), func(each *backup) bool { return !is(each) }))
	}
	return []string{ready, fmt.Sprintf("LOOK %d of its %d backups have failed", count(in(failed)), len(backups)),
		fmt.Sprintf("LOOK CBR does not have %d of its imported backups any more, and shows %d in status error",
			count(func(each *backup) bool { return each.lost == "Missing" }), count(func(each *backup) bool { return each.lost == "Unusable" }))}
}
