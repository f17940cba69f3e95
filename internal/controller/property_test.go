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
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/batch"
	"backupsync.dev/operator/internal/racedetector"
)

// move is one step of a script. What it does depends on what is possible when it is its turn.
type move struct {
	Do, Which, How uint8
}

// The moves of a script, by how often they are drawn.
const (
	moveOpen    = 12 // a waiting request goes well
	moveFault   = 14 // or does not
	moveBegin   = 17 // a process begins a pass
	moveDeliver = 19 // a process sees some of what has changed
	moveSleep   = 21 // time goes by
	moveRestart = 22 // a process is killed and started anew
	moveArrive  = 23 // a request arrives whose sender has given up on it
	movePerson  = 25 // a person changes manifests
	moveDamage  = 26 // somebody writes conditions: they are nobody's memory
	moveHalt    = 27 // a process is halted where it is, or goes on
	moves       = 27

	moveDisturb = 29 // the cloud changes, or a person does something about it
	wildMoves   = 29
)

// maxModelBackups bounds what a script creates.
const maxModelBackups = 9

// drawMove draws one of the first so many moves.
func drawMove(of uint8) *rapid.Generator[move] {
	return rapid.Custom(func(t *rapid.T) move {
		return move{
			Do:    rapid.Uint8Range(0, of-1).Draw(t, "do"),
			Which: rapid.Uint8Range(0, 7).Draw(t, "which"),
			How:   rapid.Uint8Range(0, 15).Draw(t, "how"),
		}
	})
}

// play makes a move.
func (w *world) play(m move) {
	synctest.Wait()
	a := w.actors[int(m.Which)%2]
	w.mutex.Lock()
	ready := w.ready()
	w.mutex.Unlock()
	switch {
	case m.Do < moveFault && len(ready) > 0:
		outcome := goesWell
		if m.Do >= moveOpen {
			outcome = verdict(1 + int(m.How)%int(verdicts-1))
		}
		w.open(ready[int(m.Which)%len(ready)], outcome)
	case m.Do < moveBegin:
		w.begin(a)
	case m.Do < moveDeliver:
		for _, part := range w.delivered(m) {
			a.advance(part, int(m.How))
		}
	case m.Do < moveSleep:
		length := []time.Duration{time.Millisecond, time.Second, 4 * time.Second, 15 * time.Second}[m.How%4]
		time.Sleep(length) // in the bubble: it takes no time
		w.note("%s go by", length)
	case m.Do < moveRestart:
		w.restart(int(m.Which) % 2)
	case m.Do < moveArrive:
		w.arrive(int(m.Which))
	case m.Do < movePerson:
		w.edit(m)
	case m.Do < moveDamage:
		w.damage(m)
	case m.Do < moveHalt:
		w.mutex.Lock()
		a.halted = !a.halted
		w.mutex.Unlock()
		w.note("%s is halted: %t", a.name, a.halted)
	default:
		w.disturb(m)
	}
	synctest.Wait()
}

// ready are the requests that wait for their turn, of processes that are not halted; the mutex is held.
func (w *world) ready() []int {
	var ready []int
	for i, g := range w.waiting {
		if !g.actor.halted {
			ready = append(ready, i)
		}
	}
	return ready
}

// damage writes conditions that say something else than the facts, or none.
func (w *world) damage(m move) {
	condition := func(kind string, status metav1.ConditionStatus, reason string) metav1.Condition {
		return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: "It is not so.", LastTransitionTime: metav1.Now()}
	}
	conditions := [][]metav1.Condition{
		nil,
		{condition(v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.ReasonQueued)},
		{condition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonImported)},
		{condition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonRejected), condition(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonRejected)},
		{condition(v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.ReasonOperationRunning)},
	}[int(m.How)%5]
	name := fmt.Sprintf("b%d", int(m.Which)%w.created)
	w.note("the conditions of %s are damaged", name)
	_ = w.server.change(kindBackup, name, func(object client.Object) (client.Object, error) {
		object.(*v1alpha1.BackupSync).Status.Conditions = conditions
		return object, nil
	})
}

// edit does what a person does: another backup, a note at one or at the project, a manifest deleted and applied anew.
func (w *world) edit(m move) {
	number := int(m.Which) % w.created
	name := fmt.Sprintf("b%d", number)
	switch m.How % 4 {
	case 0:
		if w.created < maxModelBackups {
			w.createBackup()
		}
	case 1:
		w.annotate(kindBackup, name)
	case 2:
		w.annotate(kindProject, firstProject)
	default: // what was imported under the old one is only known to CBR
		if w.observe == v1alpha1.LookupBeforeFirstSubmission {
			w.note("%s is deleted and created anew", name)
			w.server.remove(kindBackup, name)
			w.server.create(w.behaviour.spell(modelBackup(number)))
		}
	}
}

func (w *world) annotate(kind, name string) {
	w.note("%s %s is annotated", kind, name)
	_ = w.server.change(kind, name, func(object client.Object) (client.Object, error) {
		object.SetAnnotations(map[string]string{"note": fmt.Sprint(len(w.trace))})
		return object, nil
	})
}

// settle ends all faults and lets everything come to its end: by the processes as they are, or by a new one that is
// left alone. It returns what is not well then.
func (w *world) settle(alone bool) string {
	if alone {
		w.kill(w.actors[0])
		w.restart(1)
	}
	w.quieten()
	var left string
	for range 200 {
		w.turn()
		if left = w.unsettled(); left == "" && w.underWay(func() int { return len(w.late) }) == 0 {
			return ""
		}
		time.Sleep(time.Second)
	}
	return left
}

// quieten lets all that waits for its turn go well, and what comes after it not wait.
func (w *world) quieten() {
	w.mutex.Lock()
	w.quiet, w.actors[0].halted, w.actors[1].halted = true, false, false
	w.mutex.Unlock()
	synctest.Wait()
	for w.underWay(func() int { return len(w.waiting) }) > 0 {
		w.open(0, goesWell)
		synctest.Wait()
	}
}

// turn has each process see all there is, and make the passes that are due.
func (w *world) turn() {
	for _, a := range w.actors {
		a.sees()
		w.begin(a)
		synctest.Wait()
	}
}

func (w *world) underWay(count func() int) int {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return count()
}

func (w *world) unsettled() string {
	for _, backup := range w.server.backups() {
		if backupsync.StateOf(backup) != backupsync.Imported {
			return fmt.Sprintf("%s is lost: %s", backup.Name, readyOf(backup.Status.Conditions).Reason)
		}
		found := backup.Status.Outcome == v1alpha1.OutcomeAlreadyImported && backup.Status.OperationLogID == "" // without a look at old tasks
		if ids := w.cloud.OperationLogIDs(backup.Spec.BackupID); !found && !slices.Contains(ids, backup.Status.OperationLogID) {
			return fmt.Sprintf("%s names the task %q, not %v", backup.Name, backup.Status.OperationLogID, ids)
		}
	}
	object, err := w.server.get(kindProject, firstProject)
	if err != nil {
		return err.Error()
	}
	if left := object.(*v1alpha1.CBRProject).Status.Journal.Submissions; len(left) > 0 {
		return fmt.Sprintf("%d submissions stay recorded", len(left))
	}
	return ""
}

// violation plays a script in a world of its own, whose cloud does as one would wish, and returns how it breaks the promise, with what
// happened; "" if it does not.
func violation(t *testing.T, script []move, observe v1alpha1.LookupPolicy, alter func(*Reconciler)) string {
	t.Helper()
	return played(t, script, observe, alter, func(*world) {}, (*world).settle)
}

// wildViolation is violation in a cloud of some behaviour, by all that the audit finds, and with the end that a world comes to when
// its cloud has been well for hours.
func wildViolation(t *testing.T, script []move, observe v1alpha1.LookupPolicy, cloud behaviour) string {
	t.Helper()
	broken := played(t, script, observe, nil, func(w *world) { w.behave(cloud) }, (*world).settleWell)
	if broken != "" {
		broken += "\nin the cloud " + cloud.String()
	}
	return broken
}

// played plays a script and what follows it, and returns what is wrong, with what happened.
func played(t *testing.T, script []move, observe v1alpha1.LookupPolicy, alter func(*Reconciler), begin func(*world), settle func(*world, bool) string) string {
	t.Helper()
	var broken string
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := newWorldOf(ctx, observe, 5, alter, begin)
		for _, m := range script {
			if w.play(m); w.audit.findings() != "" {
				break
			}
		}
		left := ""
		if w.audit.findings() == "" {
			left = settle(w, len(script)%2 == 0)
		}
		broken = strings.TrimSpace(w.audit.findings() + "\n" + left)
		w.end(cancel)
		if broken != "" {
			broken += "\n" + strings.Join(w.trace, "\n")
		}
	})
	return broken
}

// end kills the processes, and lets pass what they still wait for: in the bubble that takes no time.
func (w *world) end(cancel context.CancelFunc) {
	w.kill(w.actors[0])
	w.kill(w.actors[1])
	cancel()
	time.Sleep(time.Hour)
}

func drawScript() *rapid.Generator[[]move] {
	return rapid.SliceOfN(drawMove(moves), 20, 250)
}

// hasty makes lost writes final soon, and lists worth their while: with all retries, and the numbers of backups that
// lists take, a script would rarely be long enough.
func hasty(t *testing.T) {
	t.Helper()
	retries, reads, lookUps := writeRetries, maxSingleReads, fewAsked
	writeRetries.Steps, maxSingleReads, fewAsked = 2, 2, 1
	t.Cleanup(func() { writeRetries, maxSingleReads, fewAsked = retries, reads, lookUps })
}

// TestPropertyNeverTwice plays some hundred scripts; -rapid.checks=20000 plays more.
func TestPropertyNeverTwice(t *testing.T) {
	hasty(t)
	scripts(t, 300)
	for _, observe := range []v1alpha1.LookupPolicy{v1alpha1.LookupNever, v1alpha1.LookupBeforeFirstSubmission} {
		t.Run(string(observe), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(rt *rapid.T) {
				if broken := violation(t, drawScript().Draw(rt, "script"), observe, nil); broken != "" {
					rt.Fatal(broken)
				}
			})
		})
	}
}

// TestPropertyNeverTwiceInAnyCloud is TestPropertyNeverTwice in clouds of all kinds: what is said of backups is true, none is ever
// accepted without need, and when the cloud is well again everything comes to its end.
func TestPropertyNeverTwiceInAnyCloud(t *testing.T) {
	hasty(t)
	scripts(t, 100)
	for _, observe := range []v1alpha1.LookupPolicy{v1alpha1.LookupNever, v1alpha1.LookupBeforeFirstSubmission} {
		t.Run(string(observe), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(rt *rapid.T) {
				cloud := drawBehaviour().Draw(rt, "cloud")
				script := rapid.SliceOfN(drawMove(wildMoves), 10, 250).Draw(rt, "script")
				if broken := wildViolation(t, script, observe, cloud); broken != "" {
					rt.Fatal(broken)
				}
			})
		})
	}
}

// ownChecks is what a test has set -rapid.checks to, if that was not asked for.
var ownChecks string

// scripts has rapid play so many scripts, if the flag does not say otherwise.
func scripts(t *testing.T, count int) {
	t.Helper()
	checks := flag.Lookup("rapid.checks")
	if now := checks.Value.String(); now != checks.DefValue && now != ownChecks {
		return
	}
	if racedetector.Enabled {
		count = max(count/10, 1)
	}
	ownChecks = strconv.Itoa(count)
	if err := checks.Value.Set(ownChecks); err != nil {
		t.Fatal(err)
	}
}

// acceptedAgain is how the audit tells that a backup was accepted twice.
const acceptedAgain = "was accepted again"

// maxTries bounds the search for a violation.
const maxTries = 5000

// The property has teeth: without any one of these rules a script is found that breaks the promise.
func TestTeethOfTheProperty(t *testing.T) {
	hasty(t)
	for name, alter := range map[string]func(*Reconciler){
		"1: a record without its precondition": func(r *Reconciler) { r.protocol.record = recordAnyway },
		"2: a strike before the outcome is written": func(r *Reconciler) {
			r.protocol.clear = func(w *writer, submission string, _ []string) { w.clear(submission, nil) }
		},
		"3: trust in the traces of another": func(r *Reconciler) {
			r.protocol.refresh = func(*preflighter, context.Context) error { return nil }
		},
		"4: a record struck without a look": func(r *Reconciler) { r.protocol.resolve = forgetRecords },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for try := range maxTries {
				script := drawScript().Example(try)
				if !strings.Contains(violation(t, script, v1alpha1.LookupNever, alter), acceptedAgain) {
					continue
				}
				script = shrunk(t, script, alter)
				if broken := violation(t, script, v1alpha1.LookupNever, nil); broken != "" {
					t.Fatalf("the script breaks the promise with all rules: %s", broken)
				}
				t.Logf("found by script %d, with %d moves left:\n%s", try, len(script), violation(t, script, v1alpha1.LookupNever, alter))
				return
			}
			t.Fatalf("no violation in %d scripts", maxTries)
		})
	}
}

// shrunk leaves out of a script what its violation does not need.
func shrunk(t *testing.T, script []move, alter func(*Reconciler)) []move {
	t.Helper()
	for length := len(script) / 2; length > 0; length /= 2 {
		for from := 0; from+length <= len(script); {
			shorter := slices.Delete(slices.Clone(script), from, from+length)
			if strings.Contains(violation(t, shorter, v1alpha1.LookupNever, alter), acceptedAgain) {
				script = shorter
			} else {
				from += length
			}
		}
	}
	return script
}

// recordAnyway is record without rule 1: a conflict is overcome by reading the project again.
func recordAnyway(s *submitter, ctx context.Context, calls [][]batch.Candidate) ([]submission, error) { //nolint:revive // as a method expression
	for {
		submissions, err := s.record(ctx, calls)
		if !errors.Is(err, errConflict) {
			return submissions, err
		}
		current := &v1alpha1.CBRProject{}
		if err := s.live.Get(ctx, s.key, current); err != nil {
			return nil, err
		}
		s.setProject(current)
	}
}

// forgetRecords is recovery without rule 4: what became of a recorded call is of no interest.
func forgetRecords(r *resolver, _ context.Context) error { //nolint:revive // as a method expression
	if r.project == nil {
		return nil
	}
	for _, submission := range r.project.Status.Journal.Submissions {
		r.clear(submission.ID, nil)
		r.requeueNow()
	}
	return nil
}
