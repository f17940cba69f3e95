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
	"testing"

	. "github.com/onsi/gomega"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// What was imported into one cloud project is not gone from it because the CBRProject names another one now: nobody has asked the first.
func TestAnotherCloudProjectIsNoEvidenceOfTheFirst(t *testing.T) {
	auditedWorld(t, 2, func(g Gomega, w *world, a *actor) {
		w.live(a, aDay)
		w.configure(func(o *cbrtest.Options) { o.ProjectIDs = append(o.ProjectIDs, "another", w.project().Spec.ProjectID) })
		w.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.ProjectID = "another" })
		w.live(a, 2*aDay)
		g.Expect([]string{w.said("b0"), w.said("b1")}).To(Equal([]string{"", ""}), "%s", w.backup("b0").Status.Conditions)
	})
}
