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
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
)

// Operators that work in several namespaces. Here a CBRProject and its BackupSyncs stand for those of a namespace.

// cacheKind is through what a process reads them.
type cacheKind int

const (
	oneOfAll  cacheKind = iota // a cache of everything
	oneOfEach                  // a cache of each namespace, and a client that routes: package namespaces
	oneOfBoth                  // a cache of both namespaces, in which each is watched for itself: what controller-runtime makes
)

// emptyNamespace is a namespace that is watched, and holds nothing.
const emptyNamespace = "empty"

// namespaces are those that a process says to watch.
func (k cacheKind) namespaces() []string {
	if k == oneOfAll {
		return nil
	}
	return []string{modelNamespace, emptyNamespace}
}

// partOf names what holds the objects of a kind that belong to a project.
func (w *world) partOf(kind, project string) string {
	if w.caches == oneOfAll || kind == kindSecret {
		return kind
	}
	return kind + "/" + project
}

// partWith names what holds an object.
func (w *world) partWith(object client.Object) string {
	if backup, ok := object.(*v1alpha1.BackupSync); ok {
		return w.partOf(kindBackup, backup.Spec.ProjectRef.Name)
	}
	return w.partOf(kindOf(object), object.GetName())
}

// partsOf are all parts of a kind.
func (w *world) partsOf(kind string) []string {
	return slices.Compact([]string{w.partOf(kind, firstProject), w.partOf(kind, secondProject)})
}

func (w *world) parts() []string {
	var parts []string
	for _, kind := range modelKinds {
		parts = append(parts, w.partsOf(kind)...)
	}
	return parts
}

// delivered are the parts of which a move delivers changes: those of one namespace.
func (w *world) delivered(m move) []string {
	project := []string{firstProject, secondProject}[int(m.Which)/2%2]
	var parts []string
	for _, kind := range modelKinds {
		parts = append(parts, w.partOf(kind, project))
	}
	return parts
}

// historyOf returns the history of a part.
func (w *world) historyOf(part string) []modelEvent {
	kind, _, divided := strings.Cut(part, "/")
	all := w.server.events(kind)
	if !divided {
		return all
	}
	var history []modelEvent
	for _, change := range all {
		if w.partWith(change.object) == part {
			history = append(history, change)
		}
	}
	return history
}

// believe is catchUp as a cache of both namespaces does it: it goes by the newest version that either has shown.
func (a *actor) believe(part, name string) {
	kind, _, _ := strings.Cut(part, "/")
	var newest, shown int64
	for _, each := range a.world.partsOf(kind) {
		newest = max(newest, a.newest(each, name))
		if position := a.caches[each].position; position > 0 {
			shown = max(shown, a.world.historyOf(each)[position-1].revision)
		}
	}
	if shown < newest {
		a.advanceLocked(part, len(a.world.historyOf(part))-a.caches[part].position)
	}
}

// trusting has a process trust what its caches show, as it may with a cache of everything, and nothing else: what it remembers of its
// own calls would save it.
func trusting(r *Reconciler) {
	r.options.Namespaces, r.options.forgetsCalls = []string{modelNamespace}, true
}

// TestPropertySeveralNamespaces plays scripts with a cache for each of two namespaces, which lag each for itself: no backup is ever
// submitted twice, and none is lost.
func TestPropertySeveralNamespaces(t *testing.T) {
	hasty(t)
	scripts(t, 300)
	for _, policy := range []v1alpha1.LookupPolicy{v1alpha1.LookupNever, v1alpha1.LookupBeforeFirstSubmission} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(rt *rapid.T) {
				if broken := rivalryIn(t, oneOfEach, drawScript().Draw(rt, "script"), policy, nil); broken != "" {
					rt.Fatal(broken)
				}
			})
		})
	}
}

// The property has teeth: with a cache of both namespaces that is trusted a script is found that breaks the promise. It does not with a
// cache for each.
func TestTeethOfSeveralNamespaces(t *testing.T) {
	hasty(t)
	for try := range maxTries {
		script := drawScript().Example(try)
		if !strings.Contains(rivalryIn(t, oneOfBoth, script, v1alpha1.LookupNever, trusting), "accepted twice") {
			continue
		}
		for _, alter := range []func(*Reconciler){nil, trusting} {
			if broken := rivalryIn(t, oneOfEach, script, v1alpha1.LookupNever, alter); broken != "" {
				t.Fatalf("the script breaks the promise with a cache for each: %s", broken)
			}
		}
		t.Logf("found by script %d", try)
		return
	}
	t.Fatalf("no violation in %d scripts", maxTries)
}

// overtakenFrom plays how a process sends what another CBRProject, of another namespace, has imported: the cache of that namespace is so
// far behind that it does not show it, and the project is gone. It returns what was accepted twice.
func overtakenFrom(t *testing.T, alter func(*Reconciler)) (twice []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := newWorldOf(ctx, v1alpha1.LookupNever, 1, alter, func(w *world) { w.caches = oneOfEach })
		first, second := w.actors[0], w.actors[1]
		w.reach(first, goesWell)
		w.server.remove(kindProject, firstProject)
		w.live(first, 20*time.Second)
		w.kill(first)
		if w.project() != nil || w.reason("b0") == v1alpha1.ReasonQueued {
			t.Fatal("the first project is not gone, or has imported nothing")
		}

		w.createProject(secondProject)
		w.server.create(modelBackupOf(secondProject, "c1", 1))
		passes := func() {
			for range 6 {
				for _, part := range []string{w.partOf(kindProject, firstProject), w.partOf(kindProject, secondProject), w.partOf(kindBackup, secondProject)} {
					second.advance(part, second.behind(part))
				}
				w.passOver(second, 1, "nothing")
				time.Sleep(time.Second)
			}
		}
		passes() // from here on, what it sees of its own project is all there is
		w.server.create(modelBackupOf(secondProject, "c0", 0))
		passes()
		if reason := w.reason("c0"); reason == v1alpha1.ReasonQueued {
			t.Fatalf("c0 is %s", reason)
		}
		twice = w.twiceInOne()
		t.Log(strings.Join(w.trace, "\n"))
		w.end(cancel)
	})
	return twice
}

// Without a look at CBR, what BackupSyncs of other namespaces show is read live. To trust the caches would not do: they are not all of the
// same time.
func TestPropertyImportedFromAnotherNamespace(t *testing.T) {
	if twice := overtakenFrom(t, nil); len(twice) > 0 {
		t.Errorf("accepted twice: %v", twice)
	}
	if twice := overtakenFrom(t, trusting); len(twice) == 0 {
		t.Error("nothing is accepted twice though the caches are trusted: the live reads are not needed any more")
	}
}
