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
	"maps"
	"reflect"
	"slices"
	"strconv"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
)

// draw returns a BackupSync with random facts.
func draw(t *rapid.T, name string) *v1alpha1.BackupSync {
	backup := facts{
		outcome:   rapid.SampledFrom(everyOutcome).Draw(t, "outcome"),
		operation: rapid.Bool().Draw(t, "operation"),
		finished:  rapid.Bool().Draw(t, "finished"),
		retry:     rapid.Bool().Draw(t, "retry"),
		saidError: rapid.Bool().Draw(t, "saidError"),
		sentHash:  rapid.SampledFrom(everyHash).Draw(t, "sentHash"),
		attempts:  rapid.Int32Range(0, 4).Draw(t, "attempts"),
		request:   rapid.SampledFrom(everyRequest).Draw(t, "request"),
		suspended: rapid.Bool().Draw(t, "suspended"),
		observed:  rapid.Bool().Draw(t, "observed"),
	}.backup()
	backup.Name = name
	backup.CreationTimestamp = afterNoon(rapid.IntRange(-3, 0).Draw(t, "created"))
	return backup
}

// drawConditions returns what anybody may have made of the conditions of a BackupSync: some are dropped, some say something else.
func drawConditions(t *rapid.T) []metav1.Condition {
	reasons := slices.Sorted(maps.Keys(conditionTable))
	statuses := []metav1.ConditionStatus{metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown}
	types := []string{v1alpha1.ConditionReady, v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled, v1alpha1.ConditionDrifted, "example.com/Audited"}
	var conditions []metav1.Condition
	for _, kind := range rapid.SliceOfNDistinct(rapid.SampledFrom(types), 0, len(types), rapid.ID[string]).Draw(t, "types") {
		conditions = append(conditions, metav1.Condition{
			Type: kind, Status: rapid.SampledFrom(statuses).Draw(t, "status"), Reason: rapid.SampledFrom(reasons).Draw(t, "reason"),
			Message:            rapid.SampledFrom([]string{"", "It is so.", v1alpha1.QueuedMessage}).Draw(t, "message"),
			ObservedGeneration: rapid.Int64Range(0, 3).Draw(t, "observedGeneration"),
			LastTransitionTime: afterNoon(rapid.IntRange(-9, 0).Draw(t, "since")),
		})
	}
	return conditions
}

// outcomes are all that can become of a BackupSync. Each returns nil if there is nothing to write.
func outcomes(given Circumstances) map[string]func(*v1alpha1.BackupSync) *v1alpha1.BackupSync {
	type version = *v1alpha1.BackupSync
	all := map[string]func(version) version{
		"presented":    func(b version) version { return Present(b, given, noon) },
		"waiting":      func(b version) version { return Waiting(b, given, noon) },
		"acknowledged": func(b version) version { return Acknowledged(b, given, noon) },
		"requeued":     func(b version) version { return Requeued(b, noon) },
		"forgotten":    func(b version) version { return Finished(b, Forgotten(), 3, noon) },
		"kept":         func(b version) version { return Finished(b, Kept(nil), 3, noon) },
	}
	for _, hash := range everyHash {
		all["rejected "+hash] = func(b version) version { return Rejected(b, hash, "no such image", noon) }
		for _, operation := range []string{"operation", "another"} {
			all["submitted "+operation+hash] = func(b version) version { return Submitted(b, operation, hash, noon, noon) }
			all["followed "+operation+hash] = func(b version) version { return Followed(b, operation, hash, noon, noon) }
			all["stored "+operation+hash] = func(b version) version { return Stored(b, operation, hash, noon) }
		}
		all["stored "+hash] = func(b version) version { return Stored(b, "", hash, noon) }
	}
	for _, status := range []cbr.TaskStatus{cbr.TaskSuccess, cbr.TaskFailed, cbr.TaskTimeout, cbr.TaskSkipped} {
		for _, limit := range []int32{0, 2} {
			all["finished "+string(status)+strconv.Itoa(int(limit))] = func(b version) version { return Finished(b, end(status), limit, noon) }
		}
	}
	return all
}

// shownConditions are the conditions of the operator's types, but for their times.
func shownConditions(backup *v1alpha1.BackupSync) map[string]metav1.Condition {
	shown := map[string]metav1.Condition{}
	for _, condition := range backup.Status.Conditions {
		condition.LastTransitionTime = metav1.Time{}
		if condition.Type != "example.com/Audited" {
			shown[condition.Type] = condition
		}
	}
	return shown
}

// Conditions are for people and other programs: whatever somebody makes of them, the operator decides the same, and
// writes the same.
func TestPropertyConditionsAreNeverReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		backup, older := draw(t, "erp-02"), draw(t, "erp-01")
		given := rapid.SampledFrom(everyCircumstances()).Draw(t, "given")
		damaged, olderDamaged := backup.DeepCopy(), older.DeepCopy()
		if rapid.Bool().Draw(t, "shown") {
			backup = Present(backup, given, noon)
			damaged.Status = *backup.Status.DeepCopy()
		}
		damaged.Status.Conditions, olderDamaged.Status.Conditions = drawConditions(t), drawConditions(t)

		decisions := func(b *v1alpha1.BackupSync) []any {
			return []any{StateOf(b), ReasonOf(b, given), Accepted(b), Drifted(b), Renewed(b), Requested(b), Reimport(b), IsDuplicate(b)}
		}
		if a, b := decisions(backup), decisions(damaged); !reflect.DeepEqual(a, b) {
			t.Fatalf("decisions %v, with other conditions %v", a, b)
		}
		a, b := Owner([]*v1alpha1.BackupSync{backup, older}), Owner([]*v1alpha1.BackupSync{damaged, olderDamaged})
		if a.Name != b.Name {
			t.Fatalf("owned by %s, with other conditions by %s", a.Name, b.Name)
		}
		for name, become := range outcomes(given) {
			a, b := become(backup), become(damaged)
			if waits := name == "waiting" || name == "acknowledged"; (a == nil) != (b == nil) && !waits { // these two write wrong conditions
				t.Fatalf("%s: written %v, with other conditions %v", name, a != nil, b != nil)
			}
			if a == nil && b == nil {
				continue
			}
			if a == nil {
				a = backup
			}
			if b == nil {
				b = damaged
			}
			if !sameButConditions(a, b) {
				t.Fatalf("%s: %+v, with other conditions %+v", name, a.Status, b.Status)
			}
			a, b = Present(a, given, noon), Present(b, given, noon)
			if !maps.Equal(shownConditions(a), shownConditions(b)) || !sameExtras(a, b) {
				t.Fatalf("%s: shown as %+v, with other conditions %+v", name, a.Status.Conditions, b.Status.Conditions)
			}
		}
	})
}

func sameExtras(a, b *v1alpha1.BackupSync) bool {
	return a.Status.ObservedGeneration == b.Status.ObservedGeneration && a.Status.BackupTime.Equal(b.Status.BackupTime)
}

// What others add to the conditions stays.
func TestPropertyForeignConditionsAreKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		backup := draw(t, "erp-01")
		foreign := metav1.Condition{Type: "example.com/Audited", Status: metav1.ConditionTrue, Reason: "Audited", LastTransitionTime: afterNoon(-5)}
		drawn := slices.DeleteFunc(drawConditions(t), func(c metav1.Condition) bool { return c.Type == foreign.Type })
		backup.Status.Conditions = slices.Insert(drawn, rapid.IntRange(0, len(drawn)).Draw(t, "at"), foreign)
		given := rapid.SampledFrom(everyCircumstances()).Draw(t, "given")
		for name, become := range outcomes(given) {
			if next := become(backup); next != nil && !slices.Contains(next.Status.Conditions, foreign) {
				t.Fatalf("%s: %+v", name, next.Status.Conditions)
			}
		}
	})
}

// The objects come from the cache, which others read at the same time.
func TestPropertyOutcomesDoNotTouchTheirArguments(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		backup := draw(t, "erp-01")
		// Room at the end of the slice: an append in place would be seen by other readers.
		backup.Status.Conditions = slices.Grow(drawConditions(t), 8)
		spare := backup.Status.Conditions[:cap(backup.Status.Conditions)]
		before, spareBefore := backup.DeepCopy(), slices.Clone(spare)
		given := rapid.SampledFrom(everyCircumstances()).Draw(t, "given")
		for name, become := range outcomes(given) {
			become(backup)
			if !reflect.DeepEqual(backup, before) || !slices.Equal(spare, spareBefore) {
				t.Fatalf("%s has changed its argument", name)
			}
		}
		all := []*v1alpha1.BackupSync{draw(t, "erp-03"), backup, draw(t, "erp-02")}
		order := slices.Clone(all)
		if Owner(all); !slices.Equal(all, order) {
			t.Fatal("Owner has changed the order of its argument")
		}
	})
}

// Whatever becomes of a BackupSync, the conditions that are written are those of its facts.
func TestPropertyOutcomesShowTheirFacts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		backup := draw(t, "erp-01")
		given := rapid.SampledFrom(everyCircumstances()).Draw(t, "given")
		for name, become := range outcomes(given) {
			next := become(backup)
			if next == nil {
				continue
			}
			in := alone
			if name == "waiting" || name == "acknowledged" || name == "presented" {
				in = given
			}
			if !Presented(next, in) || next.Status.ObservedGeneration != backup.Generation || next.Status.BackupTime == nil {
				t.Fatalf("%s: %+v", name, next.Status)
			}
			if next.Status.BackupTime.Unix() != backup.Spec.CreatedAt {
				t.Fatalf("%s: the backup was made at %v", name, next.Status.BackupTime)
			}
		}
	})
}
