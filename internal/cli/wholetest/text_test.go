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
	"cmp"
	"fmt"
	"strings"
	"testing"

	"k8s.io/utils/ptr"

	"backupsync.dev/operator/api/v1alpha1"
)

// testStatusText reads the text: what is told of the whole stays true, however little is read.
func (w *world) testStatusText(t *testing.T) {
	for _, limit := range []int{defaultLimit, 300, 70} {
		w.compareText(t, limit)
	}
}

// compareText reads the text section by section.
func (w *world) compareText(t *testing.T, limit int) {
	t.Helper()
	got := w.run(t, north, "status", "-A", fmt.Sprint("--limit=", limit))
	if got.Status != 0 || got.Err != "" {
		t.Fatal(got.Status, got.Err)
	}
	sections := map[string]string{}
	for _, section := range strings.Split(got.Out, "\n\n") {
		name, _, _ := strings.Cut(section, "  ")
		sections[name] = onOneLine(section)
	}
	for _, each := range w.projects {
		name := each.Namespace + "/" + each.Name
		for _, says := range w.sentences(each, limit) {
			if !strings.Contains(sections[name], says) {
				t.Errorf("%s: with --limit=%d, %q is not said in\n%s", name, limit, says, sections[name])
			}
		}
	}
	for _, namespace := range []string{north, south, attic} {
		lost, truncated := w.orphansSeen(namespace, limit)
		says := "does not exist "
		if truncated {
			says += "At least "
		}
		if says += thing(len(lost), "BackupSync") + " not in CBR name it ("; len(lost) > 0 && !strings.Contains(sections[namespace+"/gone"], says) {
			t.Errorf("%q is not said in %s", says, sections[namespace+"/gone"])
		}
	}
}

// sentences are what the text says of a CBRProject.
func (w *world) sentences(of *v1alpha1.CBRProject, limit int) []string {
	seen := w.sightOf(of.Namespace, of.Name, limit, false)
	counts := of.Status.Backups
	if counts == nil {
		return []string{"not Ready, Pending", fmt.Sprintf("%d = running, %d . pending, %d ! failed (of those that were read)", seen.count(running), seen.count(pending), seen.count(failed)),
			"This may be older than the truth: the operator has not looked at this CBRProject yet"}
	}
	number := func(of int32) string { return grouped(int(of)) }
	said := []string{
		fmt.Sprintf("%s backups: %s # imported, %s = running, %s . pending, %s ! failed Limit", number(counts.Total), number(counts.Imported), number(counts.Running), number(counts.Pending), number(counts.Failed)),
		fmt.Sprintf(" %d%% ", counts.Imported*100/counts.Total),
		fmt.Sprintf("CBR does not have %d imported ones any more, and shows %d in error (the latest looked at %s, 11h ago)", of.Status.Audit.Missing, of.Status.Audit.Unusable, number(of.Status.Audit.Checked)),
	}
	said = append(said, w.openSentences(&seen)...)
	said = append(said, failedSentences(of, &seen)...)
	drifted := seen.drifted()
	sum := thing(len(drifted)+int(ptr.Deref(counts.Drifted, 0)), "manifest") + " edited after CBR had accepted their backups"
	if len(drifted) > 0 {
		sum += ": " + strings.Join(names(drifted[:min(3, len(drifted))]), ", ") + ", …"
	}
	if seen.openCut {
		return append(said, fmt.Sprintf("%s (of the open ones, the first %s were looked at)", sum, grouped(seen.count(pending)+seen.count(running))))
	}
	return append(said, sum+" (all were looked at)")
}

// openSentences are about what has not ended.
func (w *world) openSentences(seen *sight) []string {
	opened := seen.count(pending) + seen.count(running)
	if opened == 0 {
		return []string{"Open none of them is among those that were read; --limit reads more"}
	}
	var said []string
	for key, those := range seen.reasons() {
		if state, reason, _ := strings.Cut(key, " "); state != failed {
			said = append(said, grouped(len(those))+" "+reason)
		}
	}
	first := ""
	if seen.openCut {
		first = fmt.Sprintf(" (of the first %s)", grouped(opened))
		said = append(said, fmt.Sprintf(" (of the first %s; --limit reads more)", grouped(opened)))
	}
	if oldest := seen.oldest(); oldest != nil {
		reason := cmp.Or(oldest.reason, "Unknown")
		said = append(said, onOneLine(fmt.Sprintf("%s was created %dh ago: %s%s", oldest.object.Name, int(w.now.Sub(oldest.object.CreationTimestamp.Time).Hours()), reason, first)))
	}
	return said
}

// failedSentences are about what has failed.
func failedSentences(of *v1alpha1.CBRProject, seen *sight) []string {
	lists := fmt.Sprintf("Failed kubectl backupsync failed %s -n %s lists them", of.Name, of.Namespace)
	switch {
	case seen.count(failed) == 0:
		return []string{lists + "; none is among those that were read, --limit reads more"}
	case seen.failedCut:
		lists += fmt.Sprintf(" (of the first %s; --limit reads more)", grouped(seen.count(failed)))
	}
	said := []string{lists}
	for key, those := range seen.reasons() {
		if state, reason, _ := strings.Cut(key, " "); state == failed {
			said = append(said, fmt.Sprintf("%s %s: %s", grouped(len(those)), reason, strings.Join(names(those[:min(3, len(those))]), ", ")))
		}
	}
	return said
}

func thing(count int, noun string) string {
	if count == 1 {
		return "1 " + noun
	}
	return grouped(count) + " " + noun + "s"
}
