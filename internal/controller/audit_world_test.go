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
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/cbr/evidence"
)

// aDay is more than the time between two audits.
const aDay = 25 * time.Hour

// audited plays a script in a world in which so many backups are imported and have settled.
func auditedWorld(t *testing.T, backups int, script func(g Gomega, w *world, a *actor)) {
	t.Helper()
	scripted(t, v1alpha1.LookupBeforeFirstSubmission, backups, func(t *testing.T, w *world) {
		t.Helper()
		a := w.actors[0]
		w.live(a, time.Hour)
		if !w.allImported() {
			t.Fatal("not all are imported")
		}
		script(NewWithT(t), w, a)
	})
}

// said is what the condition Available of a BackupSync says: its status and reason, "" without one.
func (w *world) said(name string) string {
	condition := meta.FindStatusCondition(w.backup(name).Status.Conditions, v1alpha1.ConditionAvailable)
	if condition == nil {
		return ""
	}
	return fmt.Sprintf("%s %s", condition.Status, condition.Reason)
}

// lastAudit is the end of the latest complete audit, the zero time if there was none.
func (w *world) lastAudit() time.Time {
	if last := w.project().Status.Audit; last != nil && last.FinishedTime != nil {
		return last.FinishedTime.Time
	}
	return time.Time{}
}

// writes is how often an object of a kind was written.
func (w *world) writes(kind string) int { return len(w.server.events(kind)) }

// calls counts the calls of an operation.
func (w *world) calls(operation cbr.Operation) (count int) {
	for _, call := range w.cloud.Ledger() {
		if call.Operation == operation {
			count++
		}
	}
	return count
}

// audits is the number of lists of backups: there are so few imports that no look-up takes one.
func (w *world) audits() int { return w.calls(cbr.OperationListBackups) }

func intervalOf(interval time.Duration) func(*v1alpha1.CBRProjectSpec) {
	return func(spec *v1alpha1.CBRProjectSpec) { spec.Audit.Interval = &metav1.Duration{Duration: interval} }
}

func TestAnAuditOfWhatIsFineCostsAListAndAWriteADay(t *testing.T) {
	auditedWorld(t, 4, func(g Gomega, w *world, a *actor) {
		w.live(a, aDay)
		g.Expect(w.project().Status.Audit.Checked).To(BeEquivalentTo(4))
		backups, projects, calls, last := w.writes(kindBackup), w.writes(kindProject), len(w.cloud.Ledger()), w.lastAudit()
		w.live(a, 10*24*time.Hour)
		g.Expect(w.lastAudit()).To(BeTemporally(">", last.Add(9*24*time.Hour)))
		g.Expect(w.writes(kindBackup)).To(Equal(backups), "nothing is written about backups that are fine")
		g.Expect(w.writes(kindProject)-projects).To(BeNumerically("<=", 11), "a write for each audit")
		g.Expect(len(w.cloud.Ledger())-calls).To(BeNumerically("<=", 2*11), "a list, and the page that is its end")
		g.Expect(w.calls(cbr.OperationListTasks)).To(BeNumerically("<", 20), "tasks matter only where something is doubted")
	})
}

func TestAnAuditTellsWhatIsGoneAndWhatIsBroken(t *testing.T) {
	auditedWorld(t, 4, func(g Gomega, w *world, a *actor) {
		w.removeInCBR(itemOf(0).ID)
		w.breakInCBR(itemOf(1).ID)
		posts, writes := len(w.posts()), w.writes(kindBackup)
		w.live(a, aDay)
		g.Expect([]string{w.said("b0"), w.said("b1"), w.said("b2"), w.said("b3")}).To(Equal([]string{"False Missing", "False Unusable", "", ""}))
		g.Expect(w.reasons()).To(Equal(map[string]int{v1alpha1.ReasonImported: 4}), "the import did happen")
		g.Expect(w.project().Status.Audit).To(HaveValue(And(HaveField("Missing", BeEquivalentTo(1)), HaveField("Unusable", BeEquivalentTo(1)),
			HaveField("Checked", BeEquivalentTo(4)), HaveField("FinishedTime", Not(BeNil())))))
		w.live(a, 5*aDay)
		g.Expect(w.writes(kindBackup)-writes).To(Equal(2), "a change is written once")
		g.Expect(w.posts()).To(HaveLen(posts), "nothing is imported by itself")

		w.removeInCBR(itemOf(1).ID)
		w.restoreInCBR(itemOf(0).ID)
		w.live(a, aDay)
		g.Expect([]string{w.said("b0"), w.said("b1")}).To(Equal([]string{"True UsableAgain", "False Missing"}))
		g.Expect(w.writes(kindBackup) - writes).To(Equal(4))
		w.live(a, 5*aDay)
		g.Expect(w.writes(kindBackup) - writes).To(Equal(4))
		g.Expect(w.project().Status.Audit).To(HaveValue(And(HaveField("Missing", BeEquivalentTo(1)), HaveField("Unusable", BeZero()))))
	})
}

func TestWhatIsMissingIsImportedAgainOnRequestAlone(t *testing.T) {
	auditedWorld(t, 2, func(g Gomega, w *world, a *actor) {
		w.removeInCBR(itemOf(0).ID)
		w.live(a, aDay)
		g.Expect(w.said("b0")).To(Equal("False Missing"))
		w.request(kindBackup, "b0")
		w.live(a, time.Hour)
		g.Expect(w.reason("b0")).To(Equal(v1alpha1.ReasonImported))
		g.Expect(w.said("b0")).To(BeEmpty(), "what was said of the import before is over")
		g.Expect(w.audit.tries(itemOf(0).ID)).To(Equal(2))
		g.Expect(w.project().Status.Audit.Missing).To(BeZero())
	})
}

func TestARequestForWhatIsThereAgainSaysSo(t *testing.T) {
	auditedWorld(t, 2, func(g Gomega, w *world, a *actor) {
		w.removeInCBR(itemOf(0).ID)
		w.live(a, aDay)
		w.restoreInCBR(itemOf(0).ID)
		w.request(kindBackup, "b0")
		w.live(a, time.Minute)
		g.Expect([]string{w.reason("b0"), w.said("b0")}).To(Equal([]string{v1alpha1.ReasonImported, "True UsableAgain"}))
		g.Expect(w.audit.tries(itemOf(0).ID)).To(Equal(1))
	})
}

// A person who has put something right in CBR need not wait for a day.
func TestARequestAtTheProjectAuditsAtOnce(t *testing.T) {
	auditedWorld(t, 2, func(g Gomega, w *world, a *actor) {
		w.removeInCBR(itemOf(0).ID)
		before := w.audits()
		w.request(kindProject, firstProject)
		w.live(a, time.Minute)
		g.Expect(w.said("b0")).To(Equal("False Missing"))
		g.Expect(w.audits()).To(BeNumerically(">", before))
		after := w.audits()
		w.live(a, time.Minute)
		g.Expect(w.audits()).To(Equal(after), "once")
	})
}

func TestNoAuditWhileThereShallBeNone(t *testing.T) {
	for name, change := range map[string]func(w *world){
		"suspended":  func(w *world) { w.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Suspend = true }) },
		"turned off": func(w *world) { w.editProject(intervalOf(0)) },
		"in back-off": func(w *world) {
			w.configure(func(o *cbrtest.Options) {
				o.Refusals = []cbrtest.Refusal{{APIError: cbrtest.APIError{Status: 401, Code: "APIGW.0307"}}}
			})
			w.request(kindBackup, "b0") // whose look-up finds it out
		},
	} {
		t.Run(name, func(t *testing.T) {
			auditedWorld(t, 2, func(g Gomega, w *world, a *actor) {
				w.removeInCBR(itemOf(1).ID)
				change(w)
				w.live(a, time.Minute)
				before := w.audits()
				w.live(a, aDay)
				g.Expect(w.audits()).To(Equal(before))
				g.Expect(w.said("b1")).To(BeEmpty())
			})
		})
	}
}

func TestAProjectThatIsBeingDeletedIsNotAudited(t *testing.T) {
	auditedWorld(t, 2, func(g Gomega, w *world, a *actor) {
		before := w.audits()
		w.server.remove(kindProject, firstProject)
		w.live(a, 3*aDay)
		g.Expect(w.audits()).To(Equal(before))
	})
}

func TestAnEditOfTheIntervalTakesEffect(t *testing.T) {
	auditedWorld(t, 2, func(g Gomega, w *world, a *actor) {
		w.live(a, aDay)
		before := w.audits()
		w.editProject(intervalOf(10 * time.Minute))
		w.live(a, time.Hour)
		g.Expect(w.audits()-before).To(BeNumerically(">=", 2*5), "a list is two pages")
		w.editProject(intervalOf(240 * time.Hour))
		w.live(a, time.Minute)
		before = w.audits()
		w.live(a, 2*aDay)
		g.Expect(w.audits() - before).To(BeNumerically("<=", 2))
	})
}

// What CBR does not tell changes nothing, and the time of the latest audit does not advance. When it tells again, all is found.
func TestWhatIsNotToldChangesNothing(t *testing.T) {
	refused := func(operation cbr.Operation, answer cbrtest.APIError) func(*cbrtest.Options) {
		return func(o *cbrtest.Options) {
			o.Refusals = []cbrtest.Refusal{{Calls: cbrtest.Calls(operation), APIError: answer}}
		}
	}
	for name, trouble := range map[string]func(*cbrtest.Options){
		"the list fails":               refused(cbr.OperationListBackups, cbrtest.APIError{Status: 500, Code: "BackupService.9910"}),
		"the list is forbidden":        refused(cbr.OperationListBackups, cbrtest.APIError{Status: 403, Message: "Policy doesn't allow {action} to be performed."}),
		"the list is throttled":        refused(cbr.OperationListBackups, cbrtest.APIError{Status: 429, Code: "APIGW.0308"}),
		"the list is a proxy's page":   refused(cbr.OperationListBackups, cbrtest.APIError{Status: 200, Shape: cbrtest.ShapeHTML}),
		"the list of tasks fails":      refused(cbr.OperationListTasks, cbrtest.APIError{Status: 502, Shape: cbrtest.ShapeHTML}),
		"questions fail":               refused(cbr.OperationGetBackup, cbrtest.APIError{Status: 500, Code: "BackupService.9910"}),
		"questions find a proxy":       refused(cbr.OperationGetBackup, cbrtest.APIError{Status: 404, Shape: cbrtest.ShapeHTML}),
		"the list does not hold still": func(o *cbrtest.Options) { o.ListShift, o.MaxPage = 2, 2 },
		"the list hides some":          func(o *cbrtest.Options) { o.GrantDefaultOnly = true },
	} {
		t.Run(name, func(t *testing.T) {
			auditedWorld(t, 6, func(g Gomega, w *world, a *actor) {
				w.live(a, aDay)
				last, posts := w.lastAudit(), len(w.posts())
				w.configure(trouble)
				w.removeInCBR(itemOf(0).ID)
				writes := w.writes(kindBackup)
				w.live(a, 2*aDay)
				g.Expect(w.lastAudit()).To(Equal(last))
				g.Expect(w.writes(kindBackup)).To(Equal(writes))
				g.Expect(w.projectReason()).To(Equal(v1alpha1.ReasonUsable), "an audit is of no concern to calls")

				w.answersWell()
				w.live(a, aDay)
				g.Expect(w.lastAudit()).To(BeTemporally(">", last))
				g.Expect(w.said("b0")).To(Equal("False Missing"))
				g.Expect(w.posts()).To(HaveLen(posts))
			})
		})
	}
}

// One that cannot be asked for concerns itself alone: the others are told of, though the audit is not complete.
func TestOneThatCannotBeAskedForConcernsItself(t *testing.T) {
	auditedWorld(t, 6, func(g Gomega, w *world, a *actor) {
		w.live(a, aDay)
		last := w.lastAudit()
		for number := range 3 {
			w.removeInCBR(itemOf(number).ID)
		}
		w.unreadable(itemOf(0).ID, cbrtest.APIError{Status: 500, Code: "BackupService.9910"})
		w.live(a, aDay)
		g.Expect([]string{w.said("b0"), w.said("b1"), w.said("b2")}).To(Equal([]string{"", "False Missing", "False Missing"}))
		g.Expect(w.lastAudit()).To(Equal(last))
	})
}

// A backup in a passing status is neither missing nor unusable.
func TestAPassingStatusChangesNothing(t *testing.T) {
	auditedWorld(t, 2, func(g Gomega, w *world, a *actor) {
		w.live(a, aDay)
		last, writes := w.lastAudit(), w.writes(kindBackup)
		w.cloud.SetBackupStatus("", "deleting", itemOf(0).ID)
		w.live(a, aDay)
		g.Expect(w.writes(kindBackup)).To(Equal(writes))
		g.Expect(w.lastAudit()).To(Equal(last))
		w.removeInCBR(itemOf(0).ID)
		w.live(a, 2*time.Hour)
		g.Expect(w.said("b0")).To(Equal("False Missing"))
	})
}

// An id in capitals is the one that CBR shows in lower case.
func TestAuditsCompareIDsFolded(t *testing.T) {
	scripted(t, v1alpha1.LookupBeforeFirstSubmission, 0, func(t *testing.T, w *world) {
		g, a := NewWithT(t), w.actors[0]
		w.configure(func(o *cbrtest.Options) { o.FoldCase = true })
		for _, name := range []string{"a", "b"} {
			w.declare(name, strings.ToUpper(itemOf(w.created).ID), "vm")
		}
		w.live(a, time.Hour)
		w.removeInCBR(itemOf(1).ID)
		w.live(a, aDay)
		g.Expect([]string{w.said("a"), w.said("b")}).To(Equal([]string{"", "False Missing"}))
	})
}

// What was imported a moment ago may not be shown yet.
func TestAbsenceRightAfterAnImportIsNotMissing(t *testing.T) {
	scripted(t, v1alpha1.LookupBeforeFirstSubmission, 2, func(t *testing.T, w *world) {
		g, a := NewWithT(t), w.actors[0]
		w.liveUntil(a, time.Minute, w.allImported)
		w.removeInCBR(itemOf(0).ID) // nothing tells that from one that is not shown yet
		w.request(kindProject, firstProject)
		w.live(a, time.Minute)
		g.Expect(w.audits()).NotTo(BeZero())
		g.Expect(w.said("b0")).To(BeEmpty())
		w.live(a, time.Hour)
		w.request(kindProject, firstProject)
		w.live(a, time.Minute)
		g.Expect(w.said("b0")).To(Equal("False Missing"))
	})
}

// An audit that hangs delays nothing: what is declared meanwhile is imported, and followed, as ever.
func TestAnAuditDelaysNothing(t *testing.T) {
	auditedWorld(t, 3, func(g Gomega, w *world, a *actor) {
		w.cloud.Inject(cbrtest.Fault{Operation: cbr.OperationListBackups, Delay: 10 * time.Minute})
		w.request(kindProject, firstProject)
		w.live(a, time.Second)
		last := w.lastAudit()
		w.createBackup()
		began := time.Now()
		g.Expect(w.liveUntil(a, time.Minute, w.allImported)).To(BeTrue())
		g.Expect(time.Since(began)).To(BeNumerically("<", 15*time.Second))
		g.Expect(w.lastAudit()).To(Equal(last))
	})
}

// An audit that ends with its process is made again by the next.
func TestAnAuditMayBeLost(t *testing.T) {
	auditedWorld(t, 3, func(g Gomega, w *world, a *actor) {
		w.removeInCBR(itemOf(0).ID)
		w.cloud.Inject(cbrtest.Fault{Operation: cbr.OperationListBackups, Delay: 10 * time.Minute})
		w.request(kindProject, firstProject)
		w.live(a, time.Second)
		w.restart(0)
		w.live(w.actors[0], aDay+auditCatchUp)
		g.Expect(w.said("b0")).To(Equal("False Missing"))
		g.Expect(w.lastAudit()).NotTo(BeZero())
	})
}

// A process that ends waits for no audit.
func TestAnAuditIsAbandonedByAShutdown(t *testing.T) {
	auditedWorld(t, 3, func(g Gomega, w *world, a *actor) {
		w.cloud.Inject(cbrtest.Fault{Operation: cbr.OperationListBackups, Delay: 10 * time.Minute})
		w.request(kindProject, firstProject)
		w.live(a, time.Second)
		began := time.Now()
		w.quieten()
		a.reconciler.Drain(w.ctx)
		g.Expect(time.Since(began)).To(BeNumerically("<", time.Second))
	})
}

// With more that is gone than one audit asks for, the next ones go on, and no time stands there before all are told of.
func TestVeryManyAreFoundOneAfterTheOther(t *testing.T) {
	before := maxDoubted
	maxDoubted = 7
	defer func() { maxDoubted = before }()
	scripted(t, v1alpha1.LookupNever, 0, func(t *testing.T, w *world) {
		g, a := NewWithT(t), w.actors[0]
		w.batchesOf(50)
		w.declareMany(40)
		w.live(a, time.Hour)
		for number := range 30 {
			w.removeInCBR(cbrtest.Backup(1000 + number).ID)
		}
		g.Expect(w.liveUntil(a, aDay, func() bool { return !w.lastAudit().IsZero() })).To(BeTrue())
		g.Expect(w.project().Status.Audit.Missing).To(BeEquivalentTo(30))
		g.Expect(w.project().Status.Audit.Checked).To(BeEquivalentTo(40))
		for number := range 30 {
			w.restoreInCBR(cbrtest.Backup(1000 + number).ID)
		}
		last := w.lastAudit()
		g.Expect(w.liveUntil(a, aDay, func() bool { return w.lastAudit().After(last) })).To(BeTrue())
		g.Expect(w.project().Status.Audit.Missing).To(BeZero())
	})
}

// auditScript is what becomes of backups in CBR, drawn.
func auditScript(t *rapid.T) []func(w *world) {
	kinds := map[string]func(w *world, id string, answer cbrtest.APIError){
		"gone":   func(w *world, id string, _ cbrtest.APIError) { w.removeInCBR(id) },
		"broken": func(w *world, id string, _ cbrtest.APIError) { w.breakInCBR(id) },
		"usable": func(w *world, id string, _ cbrtest.APIError) {
			if w.audit.gone[cbr.Fold(id)] {
				w.restoreInCBR(id)
			}
		},
		"hidden": func(w *world, _ string, _ cbrtest.APIError) {
			w.configure(func(o *cbrtest.Options) { o.GrantDefaultOnly = true })
		},
		"moving": func(w *world, _ string, _ cbrtest.APIError) {
			w.configure(func(o *cbrtest.Options) { o.ListShift, o.MaxPage = 1, 2 })
		},
		"failing": func(w *world, id string, answer cbrtest.APIError) { w.unreadable(id, answer) },
		"well":    func(w *world, _ string, _ cbrtest.APIError) { w.answersWell() },
	}
	var script []func(*world)
	for range rapid.IntRange(1, 8).Draw(t, "steps") {
		answer := rapid.SampledFrom(unreadableAnswers).Draw(t, "answer")
		kind := rapid.SampledFrom([]string{"gone", "gone", "broken", "usable", "hidden", "moving", "failing", "well"}).Draw(t, "kind")
		number := rapid.IntRange(0, 5).Draw(t, "number")
		script = append(script, func(w *world) {
			w.note("%s: b%d", kind, number)
			kinds[kind](w, itemOf(number).ID, answer)
		})
	}
	return script
}

// answersWell has CBR answer every question, and show all in its lists.
func (w *world) answersWell() {
	w.configure(func(o *cbrtest.Options) {
		o.GrantDefaultOnly, o.ListShift, o.MaxPage, o.GetError, o.Refusals = false, 0, 0, nil, nil
	})
}

// auditViolation plays a script of what becomes of imported backups, with an audit after each step, and returns what was told wrongly, or
// is not told in the end, when CBR answers well.
func auditViolation(t *testing.T, script []func(*world), alter func(*Reconciler)) (broken string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := newWorld(ctx, v1alpha1.LookupBeforeFirstSubmission, 6, alter)
		w.kill(w.actors[1])
		a := w.actors[0]
		w.live(a, time.Hour)
		for _, step := range script {
			step(w)
			w.request(kindProject, firstProject)
			w.live(a, 20*time.Minute)
		}
		w.answersWell()
		w.live(a, 3*aDay)
		broken = w.audit.findings() + w.untold()
		if broken != "" {
			broken += "\n" + strings.Join(w.trace, "\n")
		}
		w.end(cancel)
	})
	return broken
}

// untold tells which BackupSyncs do not say what CBR shows.
func (w *world) untold() string {
	shown := map[string]string{}
	for _, each := range w.cloud.Appearances("") {
		shown[cbr.Fold(each.ID)] = each.Status
	}
	var wrong []string
	for _, backup := range w.server.backups() {
		wanted := map[string]backupsync.Availability{"": backupsync.BackupMissing, string(cbr.BackupAvailable): backupsync.BackupAvailable,
			string(cbr.BackupError): backupsync.BackupUnusable}[shown[cbr.Fold(backup.Spec.BackupID)]]
		if said := backupsync.AvailabilityOf(backup); said != wanted {
			wrong = append(wrong, fmt.Sprintf("%s is said to be %s, and is %s", backup.Name, said, wanted))
		}
	}
	return strings.Join(wrong, "\n")
}

// TestPropertyAuditsTellTheTruth: whatever CBR hides, moves or refuses meanwhile, nothing is said to be gone that is shown, nothing is
// imported again, and in the end every BackupSync says what is so.
func TestPropertyAuditsTellTheTruth(t *testing.T) {
	scripts(t, 60)
	rapid.Check(t, func(rt *rapid.T) {
		if broken := auditViolation(t, auditScript(rt), nil); broken != "" {
			rt.Fatal(broken)
		}
	})
}

// withoutARule are ways to examine what is doubted that leave something out.
var withoutARule = map[string]func(*auditRun, context.Context, *evidence.BackupList, []string) (examination, error){
	"a backup that the list lacks is asked for": func(a *auditRun, ctx context.Context, list *evidence.BackupList, names []string) (examination, error) {
		backups, err := a.read(ctx, list.Began, names)
		var found examination
		for _, backup := range backups {
			if shown, _, _ := list.Shows(backup.Spec.BackupID); !shown {
				found.findings = append(found.findings, finding{backup, backupsync.BackupMissing, list.Began})
			}
		}
		return found, err
	},
	"a question that is not answered tells nothing": func(a *auditRun, ctx context.Context, list *evidence.BackupList, names []string) (examination, error) {
		backups, err := a.read(ctx, list.Began, names)
		var found examination
		for _, backup := range backups {
			if _, failed := a.source.GetBackup(ctx, backup.Spec.BackupID); failed != nil {
				found.findings = append(found.findings, finding{backup, backupsync.BackupMissing, list.Began})
			}
		}
		return found, err
	},
}

// The property has teeth: without any one of these rules a script is found that has something said which is not so.
func TestTeethOfTheAudit(t *testing.T) {
	for name, examine := range withoutARule {
		t.Run(name, func(t *testing.T) {
			generator := rapid.Custom(auditScript)
			for try := range 200 {
				script := generator.Example(try)
				broken := auditViolation(t, script, func(r *Reconciler) { r.audits.examine = examine })
				if !strings.Contains(broken, "though CBR has always shown") {
					continue
				}
				if broken := auditViolation(t, script, nil); broken != "" {
					t.Fatalf("with all rules: %s", broken)
				}
				return
			}
			t.Fatal("no violation is found")
		})
	}
}
