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
	"testing"
	"time"
	"unicode/utf8"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
)

// availableOf is the condition Available of a BackupSync, without content if it has none.
func availableOf(backup *v1alpha1.BackupSync) metav1.Condition {
	if condition := meta.FindStatusCondition(backup.Status.Conditions, v1alpha1.ConditionAvailable); condition != nil {
		return *condition
	}
	return metav1.Condition{}
}

func gone() *v1alpha1.BackupSync { return Audited(importedBackup(), BackupMissing, noon.Time, noon) }

// What an audit finds stands beside Ready, changes no fact, and is written when it changes.
func TestAudited(t *testing.T) {
	g := NewWithT(t)
	imported := importedBackup()
	g.Expect(Audited(imported, BackupAvailable, noon.Time, noon)).To(BeNil(), "it is fine, and was never said not to be")

	missing := gone()
	g.Expect(AvailabilityOf(missing)).To(Equal(BackupMissing))
	g.Expect(availableOf(missing)).To(And(HaveField("Status", metav1.ConditionFalse), HaveField("Reason", v1alpha1.ReasonMissing)))
	g.Expect(readyOf(missing)).To(Equal(readyOf(imported)))
	g.Expect(kstatusOf(t, missing)).To(Equal(kstatusOf(t, imported)))
	g.Expect([]any{StateOf(missing), Settled(missing)}).To(Equal([]any{Imported, true}), "nothing is to be done by the operator")
	g.Expect(availableOf(imported)).To(BeZero(), "the argument stays as it is")
	g.Expect(Audited(missing, BackupMissing, afterNoon(60).Time, afterNoon(60))).To(BeNil(), "it says so already")

	broken := Audited(missing, BackupUnusable, afterNoon(60).Time, afterNoon(60))
	g.Expect(availableOf(broken)).To(And(HaveField("Reason", v1alpha1.ReasonUnusable), HaveField("LastTransitionTime", noon)))
	again := Audited(broken, BackupAvailable, afterNoon(90).Time, afterNoon(90))
	g.Expect(availableOf(again)).To(And(HaveField("Status", metav1.ConditionTrue), HaveField("Reason", v1alpha1.ReasonUsableAgain), HaveField("LastTransitionTime", afterNoon(90))))
	g.Expect(Audited(again, BackupAvailable, afterNoon(99).Time, afterNoon(99))).To(BeNil())
}

// Whoever is woken at night reads when what was seen, and what to do, in full.
func TestMessagesOfAudits(t *testing.T) {
	g := NewWithT(t)
	for found, does := range map[Availability][]string{
		BackupMissing:   {"does not have this backup any more", "cannot be restored", "Nothing is imported again by itself", requestAgain, "delete this BackupSync"},
		BackupUnusable:  {"in status \"error\"", "cannot be restored", "Nothing is imported again by itself", requestAgain, "look at it in CBR"},
		BackupAvailable: {"usable again"},
	} {
		message := availableMessage(found, noon.Time)
		g.Expect(utf8.RuneCountInString(message)).To(BeNumerically("<=", v1alpha1.MaxMessageLength))
		g.Expect(message).To(And(HavePrefix("CBR, asked at "+noon.UTC().Format(time.RFC3339)), HaveSuffix(".")))
		for _, text := range does {
			g.Expect(message).To(ContainSubstring(text))
		}
	}
}

// A condition that somebody else has written is neither, and an audit puts it right.
func TestAvailabilityOf(t *testing.T) {
	g := NewWithT(t)
	for want, conditions := range map[Availability][]metav1.Condition{
		BackupAvailable: {{}, {Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonMissing}},
		BackupMissing:   {{Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonMissing}},
		BackupUnusable:  {{Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonUnusable}},
		BackupUndefined: {{Status: metav1.ConditionFalse, Reason: "Odd"}, {Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonMissing}},
	} {
		for _, condition := range conditions {
			backup := importedBackup()
			if condition.Status != "" {
				condition.Type = v1alpha1.ConditionAvailable
				backup.Status.Conditions = append(backup.Status.Conditions, condition)
			}
			g.Expect(AvailabilityOf(backup)).To(Equal(want))
			if want == BackupUndefined {
				g.Expect(Audited(backup, BackupAvailable, noon.Time, noon)).NotTo(BeNil())
			}
		}
	}
}

// What an audit said of an import is over with the next, and so is it when CBR is seen to have the backup.
func TestAvailableAfterAudits(t *testing.T) {
	asked := ask(gone(), "now")
	for name, row := range map[string]struct {
		next *v1alpha1.BackupSync
		want string
	}{
		"edited":                              {Acknowledged(edit(gone()), alone, noon), "False Missing"},
		"sent again":                          {Submitted(asked, "another", itsHash, noon, noon), ""},
		"sent again, found out later":         {Followed(asked, "another", itsHash, noon, noon), ""},
		"sent again and imported":             {Finished(Submitted(asked, "another", itsHash, noon, noon), end(cbr.TaskSuccess), 3, noon), ""},
		"refused":                             {Rejected(asked, itsHash, "no such image", noon), "False Missing"},
		"asked for, and there":                {StillThere(asked, noon), "True UsableAgain"},
		"asked for, and there by a lost call": {Stored(asked, "another", itsHash, noon), "True UsableAgain"},
		"asked for, and broken":               {Unusable(asked, cbr.BackupError, "", "", nil, noon), ""},
		"never audited, asked for":            {StillThere(ask(importedBackup(), "now"), noon), ""},
	} {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(conditionsOf(row.next)[v1alpha1.ConditionAvailable]).To(Equal(row.want))
		})
	}
	g := NewWithT(t)
	g.Expect(StillThere(asked, noon).Status.LastHandledRequest).To(Equal("now"))
	g.Expect(AvailabilityOf(asked)).To(Equal(BackupMissing), "the arguments stay as they are")
}
