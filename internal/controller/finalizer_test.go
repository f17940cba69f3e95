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
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
)

// The pass has no client: a write would panic.
func TestTheFinalizerStaysForTheNextCall(t *testing.T) {
	g := NewWithT(t)
	project := &v1alpha1.CBRProject{ObjectMeta: metav1.ObjectMeta{Finalizers: []string{Finalizer}}}
	idle := &pass{now: noon.Time, project: project, memory: &memory{releaseDue: noon.Time.Add(time.Second)}}
	g.Expect(idle.releaseProject(t.Context())).To(Succeed())
	g.Expect(idle.wake).To(Equal(noon.Time.Add(time.Second)), "a pass that removes it")

	over := &pass{now: noon.Time, project: project, memory: &memory{releaseDue: noon.Time}, Reconciler: &Reconciler{}}
	g.Expect(func() { _ = over.releaseProject(t.Context()) }).To(Panic(), "the write")
}
