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

package controller

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/connection"
)

// document returns the text of a file of the repository.
func document(t *testing.T, path ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(append([]string{"..", ".."}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// permission finds one of CBR's in a text: its service and resource, and its verb, of which the former may stand once before several.
var permission = regexp.MustCompile(`(cbr:[a-z]+)?:([a-z]+)\b`)

// permissionsIn returns the permissions that a message names.
func permissionsIn(text string) []string {
	var found []string
	resource := ""
	for _, match := range permission.FindAllStringSubmatch(text, -1) {
		if match[1] != "" {
			resource = match[1]
		}
		found = append(found, resource+":"+match[2])
	}
	return found
}

// Whoever grants what the documentation says is not told by a condition that something lacks.
func TestThePolicyInTheDocumentationIsWhatMessagesAskFor(t *testing.T) {
	g := NewWithT(t)
	wanted := permissionsIn(connection.Explain(connection.SyncRequest, cbr.Permission, &cbr.Error{Class: cbr.Permission}).Message)
	g.Expect(wanted).To(ConsistOf("cbr:backups:sync", "cbr:backups:get", "cbr:backups:list", "cbr:tasks:get", "cbr:tasks:list"))

	blocks := regexp.MustCompile("(?ms)^```json\n(.*?)^```").FindAllStringSubmatch(document(t, "docs", "security.md"), -1)
	g.Expect(blocks).To(HaveLen(1))
	var policy struct {
		Version   string
		Statement []struct {
			Effect string
			Action []string
		}
	}
	decoder := json.NewDecoder(strings.NewReader(blocks[0][1]))
	decoder.DisallowUnknownFields()
	g.Expect(decoder.Decode(&policy)).To(Succeed())
	g.Expect(policy.Version).To(Equal("1.1"))
	g.Expect(policy.Statement).To(HaveLen(1))
	g.Expect(policy.Statement[0].Effect).To(Equal("Allow"))
	g.Expect(policy.Statement[0].Action).To(ConsistOf(wanted), "no more and no less")
	for _, each := range wanted {
		g.Expect(document(t, "README.md")).To(ContainSubstring("`" + each + "`"))
	}
}

// The README tells of each reason of a CBRProject, once, and of no other.
func TestReasonsOfAProjectAreDocumented(t *testing.T) {
	_, section, _ := strings.Cut(document(t, "README.md"), "\n### CBRProject\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var documented []string
	for _, match := range regexp.MustCompile("(?m)^\\| `([A-Za-z]+)`[^|]*\\| (?:True|False|Unknown) \\|").FindAllStringSubmatch(section, -1) {
		documented = append(documented, match[1])
	}
	NewWithT(t).Expect(documented).To(ConsistOf(append(slices.Collect(maps.Keys(projectSets)), v1alpha1.ReasonPending)))
}

// The page of CBRProjects tells the conditions that go with each reason of Ready.
func TestConditionsOfAProjectAreDocumented(t *testing.T) {
	documented := map[string]backupsync.ConditionSet{}
	section := regexp.MustCompile("(?m)^#### `([A-Za-z]+)`\n\n`Ready=([A-Za-z]+)`(, `Reconciling=True`)?(, `Stalled=True`)?\\. ")
	for _, match := range section.FindAllStringSubmatch(document(t, "docs", "cbrproject.md"), -1) {
		documented[match[1]] = backupsync.ConditionSet{Ready: metav1.ConditionStatus(match[2]), Reconciling: match[3] != "", Stalled: match[4] != ""}
	}
	wanted := maps.Clone(projectSets)
	wanted[v1alpha1.ReasonPending] = backupsync.ConditionSet{Ready: metav1.ConditionUnknown, Reconciling: true} // of the CRD
	NewWithT(t).Expect(documented).To(Equal(wanted))
}

// The README tells of each reason of a BackupSync's Ready.
func TestReasonsOfABackupSyncAreDocumented(t *testing.T) {
	_, section, _ := strings.Cut(document(t, "README.md"), "\n### BackupSync\n")
	section, _, _ = strings.Cut(section, "\n### ")
	for _, match := range regexp.MustCompile("(?m)^#### `([A-Za-z]+)`$").FindAllStringSubmatch(document(t, "docs", "backupsync.md"), -1) {
		if !strings.Contains(section, "`"+match[1]+"`") {
			t.Errorf("README.md does not have %s", match[1])
		}
	}
}
