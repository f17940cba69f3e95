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
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/namespaces"
)

// Somebody takes the rights in the second project's namespace away, and gives them back. In a world with a cache for each namespace that is the
// one that options call emptyNamespace.

// errUnreadable is what the client of package namespaces answers to reads of that namespace.
var errUnreadable = &namespaces.UnreadableError{Namespace: emptyNamespace, Refusal: "forbidden"}

// passOf is the key of a context for the project that a pass is over.
type passOf struct{}

// turnOutage takes the rights away or gives them back. Of the processes that run, some go on to see what changes: their watches have not ended yet.
func (w *world) turnOutage(on bool, blinds uint8) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.outage != on {
		w.trace = append(w.trace, fmt.Sprintf("the second namespace may be read: %t", !on))
	}
	w.outage = on
	for index, a := range w.actors {
		a.blind = on && (a.blind || blinds>>index&1 == 1)
		if !on {
			a.lanes[0].asked, a.lanes[1].asked = true, true
		}
	}
	w.server.forbid = w.forbidden
}

func (w *world) isOutage() bool {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.outage
}

// isSecond reports whether an object is the second project, or one of its backups.
func isSecond(kind, name string) bool {
	return name == secondProject || kind == kindBackup && strings.HasPrefix(name, "c")
}

// forbidden is what the API server answers to a request for an object, nil if it may be made.
func (w *world) forbidden(kind, name string) error {
	if w.isOutage() && isSecond(kind, name) {
		return apierrors.NewForbidden(resourceOf(kind), name, errors.New("no rights"))
	}
	return nil
}

// mayNotRead reports whether a pass may not read the namespace that it is over.
func (w *world) mayNotRead(ctx context.Context) bool {
	return w.isOutage() && ctx.Value(passOf{}) == secondProject
}

// unreadable is what package namespaces tells the process.
func (a *actor) unreadable() []string {
	a.world.mutex.Lock()
	defer a.world.mutex.Unlock()
	if a.blind {
		return []string{emptyNamespace}
	}
	return nil
}

// cannotRead reports whether a part of the cache cannot be read.
func (a *actor) cannotRead(part string) bool {
	return strings.HasSuffix(part, "/"+secondProject) && len(a.unreadable()) > 0
}

// heedless has a process go on as if what it cannot read were not there.
func heedless(r *Reconciler) {
	r.options.Unreadable = nil
	r.live = heedlessReader{r.live}
}

type heedlessReader struct{ client.Reader }

// List lists nothing where that is forbidden.
func (r heedlessReader) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	err := r.Reader.List(ctx, list, options...)
	var selected client.ListOptions
	if selected.ApplyOptions(options).Namespace == emptyNamespace && apierrors.IsForbidden(err) {
		return nil
	}
	return err
}

func outagesIn(t *testing.T, script []move, policy v1alpha1.LookupPolicy, alter func(*Reconciler)) string {
	t.Helper()
	return rivalryOf(t, oneOfEach, script, policy, alter, func(w *world) { w.outages = true })
}

// Nothing is submitted twice, and nothing is lost, while one of two namespaces can be read at times only.
func TestPropertyUnreadableNamespace(t *testing.T) {
	hasty(t)
	scripts(t, 300)
	for _, policy := range []v1alpha1.LookupPolicy{v1alpha1.LookupNever, v1alpha1.LookupBeforeFirstSubmission} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(rt *rapid.T) {
				if broken := outagesIn(t, drawScript().Draw(rt, "script"), policy, nil); broken != "" {
					rt.Fatal(broken)
				}
			})
		})
	}
}

// newWorldOfTwo makes a world of two cloud projects, with a cache for each namespace, in which nothing is looked up before it is sent.
func newWorldOfTwo(ctx context.Context, alter func(*Reconciler)) *world {
	w := newWorldOf(ctx, v1alpha1.LookupNever, 1, alter, func(w *world) { w.caches = oneOfEach })
	w.cloud.Configure(func(options *cbrtest.Options) { options.ProjectIDs = []string{cbrtest.ProjectID, elsewhere} })
	return w
}

// takenUnseen plays a project that has imported, whose namespace cannot be read by the process that comes next, and another one that turns to the
// same cloud project then. It returns what CBR has accepted twice, and why the other one waits.
func takenUnseen(t *testing.T, alter func(*Reconciler)) (twice []string, waits string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := newWorldOfTwo(ctx, alter)
		w.point(firstProject, elsewhere)
		w.createProject(secondProject)
		w.server.create(modelBackupOf(secondProject, "c1", 1))
		w.kill(w.actors[1])
		w.live(w.actors[0], 30*time.Second)
		if reason := w.reason("c1"); reason != v1alpha1.ReasonImported {
			t.Fatalf("c1 is %s", reason)
		}
		w.turnOutage(true, 0)
		w.restart(0)
		w.point(firstProject, cbrtest.ProjectID)
		w.createBackup() // the same as c1
		w.live(w.actors[0], time.Minute)
		waits = w.projectReason()
		w.turnOutage(false, 0)
		w.live(w.actors[0], 10*time.Second)
		w.actors[0].ask() // as the event does by which the other one gives its claim back
		w.live(w.actors[0], time.Minute)
		if twice = w.twiceInOne(); len(twice) == 0 && w.reason("b1") != v1alpha1.ReasonAlreadyImported {
			t.Errorf("b1 is %s", w.reason("b1"))
		}
		t.Log(strings.Join(w.trace, "\n"))
		w.end(cancel)
	})
	return twice, waits
}

// A process that took what it cannot read for empty would submit backups twice.
func TestPropertyCloudProjectOfWhatCannotBeRead(t *testing.T) {
	if twice, waits := takenUnseen(t, nil); len(twice) > 0 || waits != v1alpha1.ReasonNamespaceUnreadable {
		t.Errorf("accepted twice: %v; it is %s", twice, waits)
	}
	if twice, _ := takenUnseen(t, heedless); len(twice) == 0 {
		t.Error("nothing is accepted twice though a project takes what it cannot see: it need not wait any more")
	}
}

// rash takes a claim that stands for one that was confirmed.
func rash(r *Reconciler) {
	r.protocol.mayCall = func(p *planner, ctx context.Context) (bool, error) {
		believed := p.project.DeepCopy()
		believed.Status.Journal.ConfirmedGeneration = believed.Generation
		p.setProject(believed)
		return p.mayCall(ctx)
	}
}

// claimedAndEnded plays the end of a process between the write of a claim and the list that confirms it, while a call of the project that it
// has not seen is on its way, and a process that may not read that one's namespace afterwards. It returns what CBR has accepted twice, and
// why the project waits.
func claimedAndEnded(t *testing.T, alter func(*Reconciler)) (twice []string, waits string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := newWorldOfTwo(ctx, alter)
		w.point(firstProject, elsewhere)
		w.createProject(secondProject)
		w.server.create(modelBackupOf(secondProject, "c0", 0))
		w.actors[1].sees()
		for range 4 {
			w.passOver(w.actors[1], 1, "cloud: POST")
		}
		w.point(firstProject, cbrtest.ProjectID)
		first := w.partOf(kindProject, firstProject)
		w.actors[0].advance(first, w.actors[0].behind(first)) // it does not see the other one
		for range 4 {
			w.passOver(w.actors[0], 0, "live: list "+kindProject)
		}
		if claim := w.project().Status.Journal; claim.CloudProject == "" || claim.ConfirmedGeneration != 0 || len(w.posts()) > 0 {
			t.Fatalf("the claim is %+v, after %d calls", claim, len(w.posts()))
		}
		w.turnOutage(true, 0)
		w.restart(0)
		for range 6 {
			w.passOver(w.actors[0], 0, "nothing")
			time.Sleep(200 * time.Millisecond) // together less than a call may take to begin
		}
		waits = w.projectReason()
		w.turnOutage(false, 0)
		w.quieten() // the call arrives
		for range 60 {
			w.turn()
			time.Sleep(time.Second)
		}
		twice = w.twiceInOne()
		if left := w.unimported(firstProject); left != "" {
			t.Error(left)
		}
		t.Log(strings.Join(w.trace, "\n"))
		w.end(cancel)
	})
	return twice, waits
}

// A claim alone is not enough for a process that cannot read all namespaces: nobody may have looked since it was written.
func TestPropertyClaimThatNobodyConfirmed(t *testing.T) {
	if twice, waits := claimedAndEnded(t, nil); len(twice) > 0 || waits != v1alpha1.ReasonNamespaceUnreadable {
		t.Errorf("accepted twice: %v; it is %s", twice, waits)
	}
	if twice, _ := claimedAndEnded(t, rash); len(twice) == 0 {
		t.Error("nothing is accepted twice though the claim alone is trusted: its confirmation is not needed in the journal any more")
	}
}

// A project that has its cloud project goes on with another process, which cannot read all namespaces, also after an edit that was looked at. One
// that has it not waits.
func TestPropertyClaimThatStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := newWorldOfTwo(ctx, nil)
		w.kill(w.actors[1])
		w.live(w.actors[0], 20*time.Second)
		w.batchesOf(1)
		w.live(w.actors[0], 20*time.Second)
		if journal := w.project().Status.Journal; journal.ConfirmedGeneration != w.project().Generation {
			t.Errorf("the claim is confirmed for the generation %d of %d", journal.ConfirmedGeneration, w.project().Generation)
		}
		w.turnOutage(true, 3)
		w.restart(0)
		w.createBackup()
		w.live(w.actors[0], time.Minute)
		if reason := w.reason("b1"); reason != v1alpha1.ReasonImported {
			t.Errorf("b1 is %s", reason)
		}

		w.point(firstProject, elsewhere)
		w.createBackup()
		w.live(w.actors[0], time.Minute)
		ready, calls := readyOf(w.project().Status.Conditions), len(w.posts())
		if ready.Reason != v1alpha1.ReasonNamespaceUnreadable || !strings.Contains(ready.Message, emptyNamespace) || calls != 2 {
			t.Errorf("it is %s after %d calls: %s", ready.Reason, calls, ready.Message)
		}
		w.turnOutage(false, 0)
		w.live(w.actors[0], time.Minute)
		if !w.allImported() || w.projectReason() != v1alpha1.ReasonUsable {
			t.Errorf("%v; the project is %s", w.reasons(), w.projectReason())
		}
		t.Log(strings.Join(w.trace, "\n"))
		w.end(cancel)
	})
}
