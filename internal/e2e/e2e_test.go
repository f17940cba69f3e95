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

package e2e_test

import (
	"context"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/util/sets"

	"backupsync.dev/operator/internal/e2e/cluster"
)

var _ = Describe("With kubectl", Ordered, func() {
	var t tenant
	var overlay string

	// The samples, and a handful of others.
	BeforeAll(func(ctx SpecContext) {
		t = newNamespace(ctx)
		var err error
		overlay, err = kubernetes.WriteSamples("samples", cluster.SamplePatch{
			Namespace: t.namespace, Token: token, Endpoint: simulator.URL,
			Project: map[string]any{
				"projectID": t.projectID,
				"batch":     map[string]string{"window": "300ms"},
				"poll":      map[string]string{"interval": "200ms"},
			},
		})
		Expect(err).NotTo(HaveOccurred())
		kubectl(ctx, "apply", "-k", overlay)
		t.apply(ctx, 5)
	}, NodeTimeout(specTimeout))

	It("imports the samples and a handful of backups", func(ctx SpecContext) {
		kubectl(ctx, "wait", "--for=condition=Ready", "backupsync", "--all", "--namespace", t.namespace, "--timeout=30s")
		t.expectImported(ctx, 8, 20*time.Second)
		t.expectInLedger(ctx)
	}, SpecTimeout(specTimeout))

	It("shows no difference to what was applied, whatever the operator has written", func(ctx SpecContext) {
		Expect(kubectl(ctx, "diff", "-k", overlay)).To(BeEmpty())
	}, SpecTimeout(specTimeout))

	It("shows the columns that are promised", func(ctx SpecContext) {
		Expect(header(ctx, "get", "backupsync", "--namespace", t.namespace)).To(Equal("NAME PROJECT READY REASON OPERATION AGE"))
		Expect(header(ctx, "get", "bsync", "--output=wide", "--namespace", t.namespace)).To(Equal(
			"NAME PROJECT READY REASON OPERATION AGE AVAILABLE DRIFTED BACKUP BACKUP-AGE RESOURCE SUBMITTED MESSAGE"))
		Expect(header(ctx, "get", "cbrp", "--namespace", t.namespace)).To(Equal("NAME READY REASON PENDING RUNNING IMPORTED FAILED AGE"))
		Expect(header(ctx, "get", "cbrp", "--output=wide", "--namespace", t.namespace)).To(Equal(
			"NAME READY REASON PENDING RUNNING IMPORTED FAILED AGE AUDITED CREDENTIALS-EXPIRY REGION ENDPOINT PROJECT-ID MESSAGE"))
		Expect(kubectl(ctx, "get", "cbrp", "default", "--no-headers", "--namespace", t.namespace)).To(
			MatchRegexp(`^default +True +Usable +0 +0 +8 +0 +\S+\n$`))
		Expect(kubectl(ctx, "get", "bsync", "erp-01-20190326", "--no-headers", "--namespace", t.namespace)).To(
			MatchRegexp(`^erp-01-20190326 +default +True +Imported +[0-9a-f-]{36} +\S+\n$`))
	}, SpecTimeout(specTimeout))

	It("lists both kinds as the category cbr", func(ctx SpecContext) {
		Expect(strings.Fields(kubectl(ctx, "get", "cbr", "--output=name", "--namespace", t.namespace))).To(ContainElements(
			"backupsync.cbr.backupsync.dev/erp-01-20190326", "cbrproject.cbr.backupsync.dev/default"))
	}, SpecTimeout(specTimeout))

	It("explains its fields", func(ctx SpecContext) {
		Expect(words(kubectl(ctx, "explain", "backupsync.spec.backupName"))).To(And(
			ContainSubstring("FIELD: backupName <string>"), ContainSubstring("backupName is the backup's name in CBR: 1 to 64 characters")))
		Expect(words(kubectl(ctx, "explain", "cbrproject.spec.batch.window"))).To(ContainSubstring("window is how long"))
	}, SpecTimeout(specTimeout))

	It("selects by project and by backup id", func(ctx SpecContext) {
		other := t.backup("other")
		create(ctx, other)
		ofDefault, ofOther := t.selected(ctx, "spec.projectRef.name=default"), t.selected(ctx, "spec.projectRef.name=other")
		Expect(ofDefault).To(HaveLen(8))
		Expect(ofOther.UnsortedList()).To(Equal([]string{"backupsync.cbr.backupsync.dev/" + other.Name}))
		Expect(ofDefault.HasAny(ofOther.UnsortedList()...)).To(BeFalse())
		Expect(t.selected(ctx, "spec.backupID="+other.Spec.BackupID)).To(Equal(ofOther))
	}, SpecTimeout(specTimeout))
})

// header returns the first line of what kubectl prints, its words separated by single spaces.
func header(ctx context.Context, arguments ...string) string {
	GinkgoHelper()
	line, _, _ := strings.Cut(kubectl(ctx, arguments...), "\n")
	return words(line)
}

// words makes all white space a single space.
func words(text string) string { return strings.Join(strings.Fields(text), " ") }

// selected returns the names of the BackupSyncs that a field selector finds.
func (t tenant) selected(ctx context.Context, selector string) sets.Set[string] {
	GinkgoHelper()
	names := kubectl(ctx, "get", "bsync", "--field-selector", selector, "--output=name", "--namespace", t.namespace)
	return sets.New(strings.Fields(names)...)
}
