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

package backupsync

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The page of BackupSyncs tells the conditions that go with each reason of Ready.
func TestConditionsAreDocumented(t *testing.T) {
	g := NewWithT(t)
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "backupsync.md"))
	g.Expect(err).NotTo(HaveOccurred())
	documented := map[string]ConditionSet{}
	section := regexp.MustCompile("(?m)^#### `([A-Za-z]+)`\n\n`Ready=([A-Za-z]+)`(, `Reconciling=True`)?(, `Stalled=True`)?\\. ")
	for _, match := range section.FindAllStringSubmatch(string(page), -1) {
		documented[match[1]] = ConditionSet{Ready: metav1.ConditionStatus(match[2]), Reconciling: match[3] != "", Stalled: match[4] != ""}
	}
	g.Expect(documented).To(Equal(conditionSets))
}
