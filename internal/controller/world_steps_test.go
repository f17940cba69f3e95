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
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/racedetector"
)

// The steps of directed scripts.

// scripted plays a directed script in a world of its own, and fails the test with all that the audit has found.
func scripted(t *testing.T, policy v1alpha1.LookupPolicy, backups int, script func(t *testing.T, w *world)) {
	t.Helper()
	if leftOut(t) {
		return
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := newWorld(ctx, policy, backups, nil)
		w.kill(w.actors[1]) // one process is enough
		script(t, w)
		if wrong := w.audit.findings(); wrong != "" {
			t.Error(wrong)
		}
		if t.Failed() || testing.Verbose() {
			t.Log(w.describe() + "\n" + strings.Join(w.excerpt(), "\n"))
		}
		w.end(cancel)
	})
}

// leftOut reports whether a row of a table is not played: with the race detector one of several is, without it all are. The rows run
// through the same code, and make test plays them both ways.
func leftOut(t *testing.T) bool {
	t.Helper()
	const oneOf = 16
	sum := fnv.New32a()
	_, _ = io.WriteString(sum, t.Name()) // never fails
	return racedetector.Enabled && strings.Contains(t.Name(), "/") && sum.Sum32()%oneOf != 0
}

// excerpt is the beginning and the end of what has happened.
func (w *world) excerpt() []string {
	const most = 60
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if len(w.trace) <= 2*most {
		return slices.Clone(w.trace)
	}
	return slices.Concat(w.trace[:most], []string{fmt.Sprintf("... %d more ...", len(w.trace)-2*most)}, w.trace[len(w.trace)-most:])
}

// describe tells what has become of everything.
func (w *world) describe() string {
	var lines []string
	for _, backup := range w.server.backups() {
		ready := readyOf(backup.Status.Conditions)
		lines = append(lines, fmt.Sprintf("%s: %s %s, task %q, accepted %d times: %s", backup.Name, ready.Status, ready.Reason,
			backup.Status.OperationLogID, w.audit.tries(backup.Spec.BackupID), ready.Message))
	}
	if len(lines) > 20 {
		lines = append(lines[:20], "...")
	}
	if project := w.project(); project != nil {
		ready := readyOf(project.Status.Conditions)
		lines = append(lines, fmt.Sprintf("project: %s %s, %d records: %s", ready.Status, ready.Reason, len(project.Status.Journal.Submissions), ready.Message))
	}
	return strings.Join(append(lines, fmt.Sprintf("%d sync calls, %d calls in all", len(w.posts()), len(w.cloud.Ledger()))), "\n")
}

// live lets a process live on its own for a time: it makes passes when they are due, or asked for by what happens.
func (w *world) live(a *actor, length time.Duration) {
	w.liveUntil(a, length, func() bool { return false })
}

// maxSteps is far more than a process takes that waits between its passes.
const maxSteps = 20_000

// liveUntil is live until something is so. It reports whether it is.
func (w *world) liveUntil(a *actor, length time.Duration, so func() bool) bool {
	w.quieten()
	defer w.unquieten()
	end := time.Now().Add(length)
	defer w.note("%s has lived until then, for up to %s", a.name, length)
	for range maxSteps {
		a.sees()
		w.begin(a)
		synctest.Wait()
		left := time.Until(end)
		if so() || left <= 0 {
			return so()
		}
		w.mutex.Lock()
		wait := w.untilDue(a)
		w.mutex.Unlock()
		time.Sleep(min(wait, left))
	}
	w.audit.found("%s makes passes without end", a.name)
	return so()
}

func (w *world) unquieten() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.quiet = false
}

// untilDue is how long nothing happens by itself, about; the mutex is held.
func (w *world) untilDue(actors ...*actor) time.Duration {
	wait := 10 * time.Minute
	for _, a := range actors {
		for _, lane := range a.lanes {
			switch {
			case a.dead:
			case lane.passing || lane.asked || len(w.late) > 0:
				wait = min(wait, 50*time.Millisecond)
			case !lane.due.IsZero():
				wait = min(wait, max(time.Until(lane.due), time.Millisecond))
			}
		}
	}
	return wait
}

// reach has a process make passes, of which all goes well, up to the end of the one with a sync call, which has the outcome.
func (w *world) reach(a *actor, outcome verdict) {
	for range 20 {
		a.sees()
		if w.pass(a, outcome, "cloud: POST") {
			return
		}
		time.Sleep(300 * time.Millisecond)
	}
	w.audit.found("%s makes no sync call", a.name)
}

// stopAt has a process make passes up to a request of the given name, which waits.
func (w *world) stopAt(a *actor, name string) {
	for range 20 {
		a.sees()
		a.ask()
		w.begin(a)
		for next := w.next(); next != ""; next = w.next() {
			if strings.HasPrefix(next, name) {
				return
			}
			w.open(0, goesWell)
		}
		time.Sleep(300 * time.Millisecond)
	}
	w.audit.found("%s makes no request %s", a.name, name)
}

// knows is what a process remembers of what CBR has shown to the first project.
func (a *actor) knows() *knowledge {
	return &a.reconciler.memories.of(types.NamespacedName{Namespace: modelNamespace, Name: firstProject}).evidence
}

// holdUp takes the request that waits, which has its turn when its gate is opened.
func (w *world) holdUp() *gate {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	held := w.waiting[0]
	w.waiting = nil
	return held
}

// next is the name of the request that waits, "" if there is none.
func (w *world) next() string {
	synctest.Wait()
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if len(w.waiting) == 0 {
		return ""
	}
	return w.waiting[0].name
}

// finish lets the pass of a process go well to its end.
func (w *world) finish(a *actor) {
	for range 400 {
		synctest.Wait()
		w.mutex.Lock()
		waiting, passing := len(w.waiting), a.passing()
		w.mutex.Unlock()
		switch {
		case waiting > 0:
			w.open(0, goesWell)
		case !passing:
			return
		default:
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// declare applies the manifest of a BackupSync of a name, a backup and a resource.
func (w *world) declare(name, id, resource string) {
	backup := modelBackup(w.created)
	w.created++
	backup.Name, backup.Spec.BackupID, backup.Spec.ResourceID = name, id, resource
	w.server.create(backup)
	w.note("%s (backup %s of %s) is created", name, id, resource)
}

// declareMany applies so many manifests, good-000 and so on.
func (w *world) declareMany(count int) {
	for number := range count {
		w.declare(fmt.Sprintf("good-%03d", number), cbrtest.Backup(1000+number).ID, fmt.Sprintf("vm-%03d", number))
	}
}

// recreate deletes a BackupSync of newWorld and applies its manifest again.
func (w *world) recreate(number int) {
	w.server.remove(kindBackup, fmt.Sprintf("b%d", number))
	w.server.create(modelBackup(number))
	w.note("b%d is deleted and created again", number)
}

// backup returns a BackupSync, nil if there is none of the name.
func (w *world) backup(name string) *v1alpha1.BackupSync {
	object, err := w.server.get(kindBackup, name)
	if err != nil {
		return nil
	}
	return object.(*v1alpha1.BackupSync)
}

// reason is that of the Ready of a BackupSync.
func (w *world) reason(name string) string { return readyOf(w.backup(name).Status.Conditions).Reason }

// reasons counts the reasons of Ready of all BackupSyncs.
func (w *world) reasons() map[string]int {
	counts := map[string]int{}
	for _, backup := range w.server.backups() {
		counts[readyOf(backup.Status.Conditions).Reason]++
	}
	return counts
}

// allImported reports whether every BackupSync is imported.
func (w *world) allImported() bool {
	return !slices.ContainsFunc(w.server.backups(), func(backup *v1alpha1.BackupSync) bool { return backupsync.StateOf(backup) != backupsync.Imported })
}

// project returns the first CBRProject, nil if it is not there.
func (w *world) project() *v1alpha1.CBRProject {
	object, err := w.server.get(kindProject, firstProject)
	if err != nil {
		return nil
	}
	return object.(*v1alpha1.CBRProject)
}

// projectReason is that of the project's Ready.
func (w *world) projectReason() string { return readyOf(w.project().Status.Conditions).Reason }

// editProject edits the spec of the project.
func (w *world) editProject(change func(*v1alpha1.CBRProjectSpec)) {
	_ = w.server.change(kindProject, firstProject, func(object client.Object) (client.Object, error) {
		change(&object.(*v1alpha1.CBRProject).Spec)
		object.SetGeneration(object.GetGeneration() + 1)
		return object, nil
	})
	w.note("the project is edited")
}

// batchesOf has calls carry up to so many backups.
func (w *world) batchesOf(size int32) {
	w.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Batch.MaxSize = size })
}

// request asks for another import, of a BackupSync or of all that is stalled in the project.
func (w *world) request(kind, name string) {
	w.note("another import is requested at %s %s", kind, name)
	concerned := w.server.backups()
	w.audit.mutex.Lock()
	for _, backup := range concerned {
		if kind == kindProject || backup.Name == name {
			w.audit.requested[cbr.Fold(backup.Spec.BackupID)] = true
		}
	}
	w.audit.mutex.Unlock()
	_ = w.server.change(kind, name, func(object client.Object) (client.Object, error) {
		object.SetAnnotations(map[string]string{v1alpha1.RequestedAtAnnotation: time.Now().String()})
		return object, nil
	})
}

// posts are the backups of each sync call that has arrived.
func (w *world) posts() [][]string {
	var calls [][]string
	for _, call := range w.cloud.Ledger() {
		if call.Operation == cbr.OperationImport {
			calls = append(calls, call.BackupIDs)
		}
	}
	return calls
}

// importElsewhere has somebody else import backups, in one call.
func (w *world) importElsewhere(t *testing.T, items ...cbr.Backup) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"sync": items})
	if err != nil {
		t.Fatal(err)
	}
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v3/"+cbrtest.ProjectID+"/backups/sync", bytes.NewReader(body))
	request.Header.Set("X-Auth-Token", cbrtest.Token)
	request.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	w.cloud.ServeHTTP(answer, request)
	if answer.Code != http.StatusOK {
		t.Fatalf("somebody else's import: %d %s", answer.Code, answer.Body)
	}
}

// itemOf is what a BackupSync of newWorld declares.
func itemOf(number int) cbr.Backup { return backupsync.Item(&modelBackup(number).Spec) }

// unreadable has CBR answer every question for a backup or a task with an error.
func (w *world) unreadable(id string, refusal cbrtest.APIError) {
	w.configure(func(options *cbrtest.Options) {
		options.GetError = func(asked string) *cbrtest.APIError {
			if cbr.Fold(asked) == cbr.Fold(id) {
				return &refusal
			}
			return nil
		}
	})
}

// refuse has CBR refuse every call that carries a backup.
func (w *world) refuse(id string, refusal cbrtest.APIError) {
	w.configure(func(options *cbrtest.Options) {
		options.Reject = func(backup cbr.Backup) *cbrtest.APIError {
			if cbr.Fold(backup.ID) == cbr.Fold(id) {
				return &refusal
			}
			return nil
		}
	})
}

// told names a refusal for a test.
func told(refusal cbrtest.APIError) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s %s", refusal.Status, refusal.Code, refusal.Shape))
}
