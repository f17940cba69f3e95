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
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// Manifests that are deleted and applied again, while it is not known what became of a call.

// applyAgain applies the manifests of a project and of its first backups again, with the spec that the project had.
func (w *world) applyAgain(spec v1alpha1.CBRProjectSpec, backups int) {
	w.server.create(&v1alpha1.CBRProject{ObjectMeta: metav1.ObjectMeta{Name: firstProject}, Spec: spec})
	for number := range backups {
		w.server.create(modelBackup(number))
	}
	w.note("everything is applied again")
}

// deleteAll deletes a project and its first backups.
func (w *world) deleteAll(backups int) {
	for number := range backups {
		w.server.remove(kindBackup, fmt.Sprintf("b%d", number))
	}
	w.server.remove(kindProject, firstProject)
	w.note("everything is deleted")
}

func TestEverythingIsDeletedAndAppliedAgain(t *testing.T) {
	for name, lost := range lostCalls {
		for _, pause := range []time.Duration{0, 2 * time.Second, time.Minute, 10 * time.Minute} {
			t.Run(fmt.Sprintf("%s, after %s", name, pause), func(t *testing.T) {
				inEachCloud(t, v1alpha1.LookupBeforeFirstSubmission, 3, 50*time.Second, func(t *testing.T, w *world) {
					w.loseTheNext(lost.outcome)
					spec := w.project().Spec
					w.deleteAll(3)
					w.live(w.actors[0], pause)
					again := func() bool {
						w.applyAgain(spec, 3) // when the one that is being deleted is gone
						return w.project().DeletionTimestamp == nil && w.allImported()
					}
					if !w.liveUntil(w.actors[0], time.Hour, again) {
						t.Errorf("an hour later they are %v", w.reasons())
					}
				})
			})
		}
	}
}

// A project does not go before its calls have an outcome, but in the end it goes whatever CBR says.
func TestADeletedProjectGoes(t *testing.T) {
	for name, lost := range lostCalls {
		for _, readable := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, CBR answers %t", name, readable), func(t *testing.T) {
				scripted(t, v1alpha1.LookupNever, 2, func(t *testing.T, w *world) {
					w.loseTheNext(lost.outcome)
					if !readable {
						w.refuseAll(during(1000*time.Hour, cbrtest.AllCalls, cbrtest.APIError{Status: 401, Code: "APIGW.0301"}))
					}
					w.deleteAll(2)
					w.live(w.actors[0], 2*time.Second)
					if w.project() == nil {
						t.Error("the project has gone with a call whose outcome is not known")
					}
					if !w.liveUntil(w.actors[0], time.Hour, func() bool { return w.project() == nil }) {
						t.Error("the project is still there an hour later")
					}
				})
			})
		}
	}
}

// What is remembered of a project is not remembered of another one of its name.
func TestAnotherProjectOfTheSameNameBeginsAnew(t *testing.T) {
	for _, name := range []string{"401 APIGW.0307 cbr", "403 Policy", "404 APIGW.0101 cbr", "429 APIGW.0308 cbr", "502 html"} {
		for _, seen := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, a pass in between %t", name, seen), func(t *testing.T) {
				scripted(t, v1alpha1.LookupNever, 2, func(t *testing.T, w *world) {
					a := w.actors[0]
					w.refuseAll(during(2*time.Hour, cbrtest.AllCalls, refusalNamed(name)))
					w.live(a, 10*time.Minute)
					spec := w.project().Spec
					spec.Endpoint = "http://127.0.0.1:81"
					w.server.remove(kindProject, firstProject)
					if seen {
						w.live(a, time.Minute)
					}
					w.liveUntil(a, time.Hour, func() bool { return w.project() == nil })
					w.applyAgain(spec, 0)
					w.configure(func(o *cbrtest.Options) { o.Refusals = nil })
					if !w.liveUntil(a, 5*time.Minute, w.allImported) {
						t.Errorf("the new project is %s, with %d calls", w.projectReason(), len(w.posts()))
					}
				})
			})
		}
	}
}

// So it is with an edit of what was wrong.
func TestAnEditedProjectBeginsAnew(t *testing.T) {
	for _, name := range []string{"401 APIGW.0307 cbr", "403 Policy", "404 APIGW.0101 cbr", "502 html"} {
		t.Run(name, func(t *testing.T) {
			scripted(t, v1alpha1.LookupNever, 2, func(t *testing.T, w *world) {
				a := w.actors[0]
				w.refuseAll(during(2*time.Hour, cbrtest.AllCalls, refusalNamed(name)))
				w.live(a, 10*time.Minute)
				w.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Endpoint = "http://127.0.0.1:81" })
				w.configure(func(o *cbrtest.Options) { o.Refusals = nil })
				if !w.liveUntil(a, 5*time.Minute, w.allImported) {
					t.Errorf("the project is %s, with %d calls", w.projectReason(), len(w.posts()))
				}
			})
		})
	}
}
