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

package controller_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/controller"
)

// tenant is a namespace with a Secret, a project and BackupSyncs of its own.
type tenant struct {
	*world
	project *v1alpha1.CBRProject
}

// besides returns a tenant beside a world, in the same cloud: its manifests declare the same backups as the world's.
func (w *world) besides(ctx context.Context, changes ...func(*v1alpha1.CBRProjectSpec)) *tenant {
	GinkgoHelper()
	other := newWorld(ctx, cbrtest.Options{})
	other.cloud = w.cloud
	other.apply(ctx, other.secret(cbrtest.Token))
	return &tenant{world: other, project: other.project(changes...)}
}

// over has a controller work in the namespaces of several worlds, as a manager with --watch-namespaces does.
func over(worlds ...*world) func(*controller.Options) {
	return func(options *controller.Options) {
		impatient(options)
		options.Namespaces = nil
		for _, w := range worlds {
			options.Namespaces = append(options.Namespaces, w.namespace)
		}
	}
}

var _ = Describe("A second CBRProject of a cloud project", func() {
	const count = 12
	never := func(spec *v1alpha1.CBRProjectSpec) { spec.LookupPolicy = v1alpha1.LookupNever }
	always := func(*v1alpha1.CBRProjectSpec) {}

	DescribeTable("waits as long as the older one is there, and sends nothing twice when it takes over", func(ctx context.Context, policy func(*v1alpha1.CBRProjectSpec)) {
		first := newWorld(ctx, cbrtest.Options{})
		second := first.besides(ctx, policy)
		first.apply(ctx, first.secret(cbrtest.Token), first.project(policy))
		first.applyBackups(ctx, count)
		first.start(over(first, second.world))
		Eventually(first.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: count}))
		nextSecond(first.current(ctx)(Default).CreationTimestamp)

		second.apply(ctx, second.project)
		second.applyBackups(ctx, count+5)
		Eventually(second.current(ctx)).Should(HaveField("Status.Conditions", ContainElement(And(
			HaveField("Type", v1alpha1.ConditionStalled), HaveField("Reason", v1alpha1.ReasonProjectInUse),
			HaveField("Message", And(ContainSubstring("Another CBRProject"), Not(ContainSubstring(first.namespace))))))))
		Consistently(second.reasons(ctx), 3*time.Second).Should(Equal(map[string]int{v1alpha1.ReasonQueued: count + 5}))
		calls := first.cloud.SyncCalls()

		Expect(apiserver.Delete(ctx, first.project())).To(Succeed())
		Eventually(second.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonAlreadyImported: count, v1alpha1.ReasonImported: 5}))
		Eventually(second.current(ctx)).Should(And(WithTransform(projectReason, Equal(v1alpha1.ReasonUsable)),
			HaveField("Status.Journal.TakeoverTime", Not(BeNil()))))
		Expect(first.cloud.SyncCalls()).To(Equal(calls + 1))
		Expect(first.cloud.AcceptedTwice()).To(BeEmpty())
	},
		Entry("with a look before the first submission", always),
		Entry("without one", never),
	)

	It("is named to whoever may see it", func(ctx context.Context) {
		w := newWorld(ctx, cbrtest.Options{})
		second := w.project()
		second.Name = "second"
		w.start()
		w.apply(ctx, w.secret(cbrtest.Token), w.project())
		Eventually(w.current(ctx)).Should(HaveField("Status.Journal.CloudProject", Not(BeEmpty())))
		w.apply(ctx, second)
		Eventually(func(g Gomega) {
			g.Expect(apiserver.Get(ctx, client.ObjectKeyFromObject(second), second)).To(Succeed())
			g.Expect(second.Status.Conditions).To(ContainElement(And(HaveField("Reason", v1alpha1.ReasonProjectInUse),
				HaveField("Message", ContainSubstring("The CBRProject default")))))
		}).Should(Succeed())
	})

	It("that is older than the one that has it gets it when that one has let go", func(ctx context.Context) {
		younger := newWorld(ctx, cbrtest.Options{ProjectIDs: []string{cbrtest.ProjectID, "another"}})
		older := younger.besides(ctx, func(spec *v1alpha1.CBRProjectSpec) { spec.ProjectID = "another" })
		older.apply(ctx, older.project)
		nextSecond(older.project.CreationTimestamp)
		younger.apply(ctx, younger.secret(cbrtest.Token), younger.project())
		younger.applyBackups(ctx, count)
		older.applyBackups(ctx, 0)
		younger.start(over(younger, older.world))
		Eventually(younger.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: count}))

		Expect(older.point(ctx, cbrtest.ProjectID)).To(Succeed())
		older.applyBackups(ctx, count)
		Eventually(older.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonAlreadyImported: count}))
		Eventually(younger.current(ctx)).Should(WithTransform(projectReason, Equal(v1alpha1.ReasonProjectInUse)))
		Expect(younger.cloud.AcceptedTwice()).To(BeEmpty())
	})

	It("never has a backup submitted twice, whatever is created, deleted or edited when", func(ctx context.Context) {
		first := newWorld(ctx, cbrtest.Options{ProjectIDs: []string{cbrtest.ProjectID, "another"}, TaskDuration: 300 * time.Millisecond})
		second := first.besides(ctx, never)
		both := []*tenant{{world: first, project: first.project(never)}, second}
		first.apply(ctx, first.secret(cbrtest.Token))
		first.start(over(first, second.world))
		first.start(over(first, second.world))                         // a second process that believes to be in charge
		random := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 1)) //nolint:gosec // it is to be repeated
		for step := range 40 {
			each := both[random.IntN(2)]
			each.meddle(ctx, random, step)
		}
		Eventually(func() error { return client.IgnoreNotFound(apiserver.Delete(ctx, second.project)) }).Should(Succeed())
		Eventually(func(g Gomega) {
			_ = apiserver.Create(ctx, both[0].fresh()) // it may still be there
			g.Expect(first.point(ctx, cbrtest.ProjectID)).To(Succeed())
		}).Should(Succeed())
		Eventually(first.reasons(ctx), 2*time.Minute).ShouldNot(Or(HaveKey(v1alpha1.ReasonQueued), HaveKey(v1alpha1.ReasonOutcomeUnknown)))
		for place, times := range first.acceptances() {
			Expect(times).To(Equal(1), place)
		}
	})
})

// nextSecond waits until what is created now is younger.
func nextSecond(than metav1.Time) {
	GinkgoHelper()
	Eventually(func() time.Time { return time.Now().Truncate(time.Second) }).Should(BeTemporally(">", than.Time))
}

// meddle does one of the things that people do with a project and its backups.
func (t *tenant) meddle(ctx context.Context, random *rand.Rand, step int) {
	GinkgoHelper()
	switch random.IntN(6) {
	case 0:
		Expect(client.IgnoreNotFound(apiserver.Delete(ctx, t.fresh()))).To(Succeed())
	case 1:
		_ = t.point(ctx, []string{cbrtest.ProjectID, "another"}[random.IntN(2)]) // refused while calls are recorded
	case 2, 3:
		_ = apiserver.Create(ctx, t.fresh()) // it may be there, or on its way out
	default:
		backup := t.backup(step)
		_ = apiserver.Create(ctx, backup)
	}
	pause := time.NewTimer(time.Duration(random.IntN(300)) * time.Millisecond)
	<-pause.C
}

// fresh returns the manifest of the tenant's project.
func (t *tenant) fresh() *v1alpha1.CBRProject {
	return &v1alpha1.CBRProject{ObjectMeta: metav1.ObjectMeta{Namespace: t.namespace, Name: "default"}, Spec: *t.project.Spec.DeepCopy()}
}

// point has the project of a world point to another cloud project.
func (w *world) point(ctx context.Context, projectID string) error {
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"projectID":%q}}`, projectID))
	return apiserver.Patch(ctx, w.project(), patch)
}

// acceptances counts how often each cloud project has accepted each backup.
func (w *world) acceptances() map[string]int {
	accepted := map[string]int{}
	for _, call := range w.cloud.Ledger() {
		if call.Accepted > 0 {
			for _, id := range call.BackupIDs {
				accepted[call.ProjectID+"/"+id]++
			}
		}
	}
	return accepted
}
