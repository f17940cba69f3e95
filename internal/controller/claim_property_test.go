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
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// elsewhere is the id of a cloud project that no other CBRProject imports into.
const elsewhere = "elsewhere"

// meddle does what people do with two CBRProjects: it creates and deletes them, and lets them point elsewhere and back.
func (w *world) meddle(m move) {
	name := []string{firstProject, secondProject}[int(m.Which)%2]
	if w.outages && m.How%3 == 0 {
		w.turnOutage(!w.isOutage(), m.Which)
		return
	}
	switch m.How % 4 {
	case 0:
		w.note("the project %s is created, if it is not there", name)
		w.createProject(name)
	case 1:
		w.note("the project %s is deleted", name)
		w.server.remove(kindProject, name)
	default:
		w.point(name, []string{cbrtest.ProjectID, elsewhere}[int(m.How)%2])
	}
}

// point edits the project id of a CBRProject. The CRD takes no such edit while calls are recorded or tasks run.
func (w *world) point(name, projectID string) {
	_ = w.server.change(kindProject, name, func(object client.Object) (client.Object, error) {
		project := object.(*v1alpha1.CBRProject)
		running := project.Status.Backups != nil && project.Status.Backups.Running > 0
		if len(project.Status.Journal.Submissions) == 0 && !running && project.Spec.ProjectID != projectID {
			w.note("the project %s points to %s", name, projectID)
			project.Spec.ProjectID = projectID
			project.Generation++
		}
		return project, nil
	})
}

// rivalry plays a script with two CBRProjects that declare the same backups, and returns how it breaks the promise: "" if it
// does not.
func rivalry(t *testing.T, script []move, policy v1alpha1.LookupPolicy, alter func(*Reconciler)) string {
	t.Helper()
	return rivalryIn(t, oneOfAll, script, policy, alter)
}

// rivalryIn is rivalry with processes that have caches of a kind.
func rivalryIn(t *testing.T, caches cacheKind, script []move, policy v1alpha1.LookupPolicy, alter func(*Reconciler)) string {
	t.Helper()
	return rivalryOf(t, caches, script, policy, alter, func(*world) {})
}

// rivalryOf is rivalryIn with something that is so from the beginning.
func rivalryOf(t *testing.T, caches cacheKind, script []move, policy v1alpha1.LookupPolicy, alter func(*Reconciler), begin func(*world)) string {
	t.Helper()
	var broken string
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := newWorldOf(ctx, policy, 4, alter, func(w *world) { w.caches = caches; begin(w) })
		w.cloud.Configure(func(options *cbrtest.Options) { options.ProjectIDs = []string{cbrtest.ProjectID, elsewhere} })
		for number := range 4 {
			w.server.create(modelBackupOf(secondProject, fmt.Sprintf("c%d", number), number))
		}
		for _, m := range script {
			if m.Do >= moveRestart && m.Do < movePerson {
				synctest.Wait()
				w.meddle(m)
				synctest.Wait()
			} else {
				w.play(m)
			}
			if len(w.twiceInOne()) > 0 {
				break
			}
		}
		if len(w.twiceInOne()) == 0 {
			broken = w.settleRivals()
		}
		if twice := w.twiceInOne(); len(twice) > 0 {
			broken = fmt.Sprintf("accepted twice: %v", twice)
		}
		w.end(cancel)
		if broken != "" {
			broken += "\n" + strings.Join(w.trace, "\n")
		}
	})
	return broken
}

// twiceInOne returns what a cloud project has accepted more than once. What was pending when a CBRProject was pointed
// elsewhere is rightly imported there.
func (w *world) twiceInOne() []string {
	accepted, twice := map[string]int{}, []string{}
	for _, call := range w.cloud.Ledger() {
		if call.Accepted == 0 {
			continue
		}
		for _, id := range call.BackupIDs {
			place := call.ProjectID + "/" + id
			if accepted[place]++; accepted[place] == 2 {
				twice = append(twice, place)
			}
		}
	}
	return twice
}

// settleRivals leaves one project alone, and returns what is not well in the end.
func (w *world) settleRivals() string {
	w.note("one project is left alone")
	w.turnOutage(false, 0)
	w.quieten()
	left := ""
	for range 400 {
		w.createProject(firstProject) // when the one that is being deleted is gone
		w.point(firstProject, cbrtest.ProjectID)
		w.server.remove(kindProject, secondProject)
		w.turn()
		if left = w.unimported(firstProject); left == "" {
			return ""
		}
		time.Sleep(time.Second)
	}
	return left
}

// unimported names a BackupSync of a project that has not ended. One whose project was pointed elsewhere while its task ran may have
// failed.
func (w *world) unimported(project string) string {
	for _, backup := range w.server.backups() {
		if backup.Spec.ProjectRef.Name == project && backupsync.StateOf(backup) < backupsync.Imported {
			return fmt.Sprintf("%s is lost: %s", backup.Name, readyOf(backup.Status.Conditions).Reason)
		}
	}
	return ""
}

// TestPropertyOneProjectPerCloudProject plays scripts with two CBRProjects of one cloud project, whatever is created, deleted
// and edited when: no backup is ever submitted twice, and none is lost.
func TestPropertyOneProjectPerCloudProject(t *testing.T) {
	hasty(t)
	for _, policy := range []v1alpha1.LookupPolicy{v1alpha1.LookupNever, v1alpha1.LookupBeforeFirstSubmission} {
		t.Run(string(policy), func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				if broken := rivalry(t, drawScript().Draw(rt, "script"), policy, nil); broken != "" {
					rt.Fatal(broken)
				}
			})
		})
	}
}

// The property has teeth: without the claim a script is found that breaks the promise.
func TestTeethOfTheClaim(t *testing.T) {
	hasty(t)
	alter := func(r *Reconciler) {
		r.protocol.mayCall = func(*planner, context.Context) (bool, error) { return true, nil }
	}
	for try := range maxTries {
		script := drawScript().Example(try)
		if !strings.Contains(rivalry(t, script, v1alpha1.LookupNever, alter), "accepted twice") {
			continue
		}
		if broken := rivalry(t, script, v1alpha1.LookupNever, nil); broken != "" {
			t.Fatalf("the script breaks the promise with all rules: %s", broken)
		}
		t.Logf("found by script %d", try)
		return
	}
	t.Fatalf("no violation in %d scripts", maxTries)
}

// Two processes take the cloud project for two CBRProjects at the same time, as neither's cache shows what the other one does.
func TestPropertyClaimsAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := newWorld(ctx, v1alpha1.LookupNever, 2, nil)
		w.cloud.Configure(func(options *cbrtest.Options) { options.ProjectIDs = []string{cbrtest.ProjectID, elsewhere} })
		w.point(firstProject, elsewhere)
		w.createProject(secondProject)
		w.point(secondProject, elsewhere)
		for number := range 2 {
			w.server.create(modelBackupOf(secondProject, fmt.Sprintf("c%d", number), number))
		}
		w.actors[0].sees()
		w.point(secondProject, cbrtest.ProjectID)
		w.actors[1].sees() // the second project alone in the cloud project
		w.point(firstProject, cbrtest.ProjectID)
		w.actors[0].sees() // both, without a claim
		for range 2 {
			w.passOver(w.actors[0], 0, "cloud: POST")
			w.passOver(w.actors[1], 1, "cloud: POST")
		}
		if calls := w.cloud.SyncCalls(); calls > 0 {
			t.Errorf("%d calls, though each has found the other's claim", calls)
		}
		w.quieten()
		for range 60 { // the older one has it in the end
			w.turn()
			time.Sleep(time.Second)
		}
		t.Log(strings.Join(w.trace, "\n"))
		if twice, left := w.twiceInOne(), w.unimported(firstProject); len(twice) > 0 || left != "" {
			t.Errorf("accepted twice: %v; %s", twice, left)
		}
		w.end(cancel)
	})
}

// passOver has a process make a pass over one project, up to a request of the given name, which waits.
func (w *world) passOver(a *actor, project int, until string) {
	w.mutex.Lock()
	w.beginIn(a, a.lanes[project])
	w.mutex.Unlock()
	w.goOn(a, project, until)
}

// goOn lets the requests of a process go well up to one of a name, or until it makes no more: its pass over a project is over, or halts.
func (w *world) goOn(a *actor, project int, until string) {
	for range 200 {
		synctest.Wait()
		w.mutex.Lock()
		next := slices.IndexFunc(w.waiting, func(g *gate) bool { return g.actor == a && !strings.HasPrefix(g.name, until) })
		passing := a.lanes[project].passing
		w.mutex.Unlock()
		if next < 0 || !passing {
			return
		}
		w.open(next, goesWell)
	}
}
