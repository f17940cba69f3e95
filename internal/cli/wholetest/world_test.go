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

package wholetest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/e2e/testbed"
)

// The namespaces.
const (
	north = "north"
	south = "south" // has more CBRProjects than status reads one by one
	attic = "attic" // has none
)

// cell is so many BackupSyncs of a CBRProject, of which each kind has its turn.
type cell struct {
	namespace, project string
	count              int
	kinds              []kind
}

// cells make 10,000 BackupSyncs. More than 5,000 of north/erp are open: status does not read them all.
var cells = func() []cell {
	all := slices.Concat(open, over)
	made := []cell{
		{north, "erp", 5700, open}, {north, "erp", 700, over}, {north, "files", 900, all}, {north, "paused", 200, all}, {north, "stalled", 200, all},
		{north, "unseen", 100, all}, {north, "gone", 300, orphaned}, {south, "erp", 900, all}, {south, "gone", 100, orphaned}, {attic, "gone", 100, orphaned},
	}
	for number := range 8 {
		made = append(made, cell{south, fmt.Sprintf("branch-%d", number), 100, simple})
	}
	return made
}()

// backup is a BackupSync, and what is true of it.
type backup struct {
	kind
	object *v1alpha1.BackupSync // as it is stored
	owner  string               // of a duplicate
}

func (b *backup) project() string { return b.object.Spec.ProjectRef.Name }
func (b *backup) erp() bool       { return b.object.Labels["team"] == "erp" }

// message is that of its condition Ready, as the API server has it: what has no status gets that of the CRD.
func (b *backup) message() string {
	if b.becomes == nil {
		return v1alpha1.QueuedMessage
	}
	for _, condition := range b.object.Status.Conditions {
		if condition.Type == v1alpha1.ConditionReady {
			return condition.Message
		}
	}
	return ""
}

// world is what there is.
type world struct {
	now      time.Time
	backups  []*backup
	projects []*v1alpha1.CBRProject
	latest   stored // what was read last
}

// newWorld works out what there is to be.
func newWorld() *world {
	w := &world{now: time.Now().UTC().Truncate(time.Second)}
	for _, each := range cells {
		for number := range each.count {
			w.add(each, each.kinds[number%len(each.kinds)])
		}
	}
	for _, each := range cells {
		if each.project != "gone" && !slices.ContainsFunc(w.projects, func(made *v1alpha1.CBRProject) bool {
			return made.Namespace == each.namespace && made.Name == each.project
		}) {
			w.projects = append(w.projects, w.newProject(each.namespace, each.project))
		}
	}
	slices.SortFunc(w.projects, func(a, b *v1alpha1.CBRProject) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	return w
}

// oldestLate has the oldest one of north/erp be number 5,600: it is not among the first 5,000 by name.
const oldestLate = 6296

// add makes the next BackupSync. Each was created between 10 and 47 hours ago, two in the same second, and not in the order of their names.
func (w *world) add(to cell, of kind) {
	number := len(w.backups)
	object := testbed.Manifest(to.namespace, to.project, number, 500)
	object.Name = object.Spec.BackupID // as generate names them
	object.Spec.ProjectRef.Kind = v1alpha1.ProjectKindCBRProject
	object.UID, object.Generation = types.UID(uuid.NewString()), 1
	age := 47*time.Hour - time.Duration((number*3119+oldestLate)%9973/2)*26*time.Second
	object.CreationTimestamp = metav1.NewTime(w.now.Add(-age))
	object.Labels = map[string]string{"team": []string{"erp", "files", "mail"}[number%3]}
	object.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl", Operation: metav1.ManagedFieldsOperationApply, APIVersion: "cbr.backupsync.dev/v1alpha1",
		FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:backupID":{},"f:bucketName":{},"f:projectRef":{"f:name":{}}}}`)}}
	made := &backup{kind: of, object: object}
	if of.name == duplicateKind {
		made.owner = w.backups[number-1].object.Name
		object.Spec.BackupID = strings.ToUpper(made.owner)
		made.becomes = waits(given{Owner: made.owner})
	}
	at := times{now: metav1.NewTime(w.now), submitted: metav1.NewTime(w.now.Add(time.Hour - age)), finished: metav1.NewTime(w.now.Add(2*time.Hour - age))}
	if of.before != nil {
		of.before(object)
	}
	if made.becomes != nil {
		object.Status.Conditions = defaultConditions()
		object.Status.ObservedGeneration = -1
		made.object = made.becomes(object, at)
	}
	if of.after != nil {
		of.after(made.object, at)
	}
	w.backups = append(w.backups, made)
}

// defaultConditions are those of the CRD, which the API server gives to what has no status.
func defaultConditions() []metav1.Condition {
	return []metav1.Condition{
		{Type: v1alpha1.ConditionReady, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonQueued, Message: v1alpha1.QueuedMessage, LastTransitionTime: metav1.Unix(0, 0)},
		{Type: v1alpha1.ConditionReconciling, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonQueued, Message: v1alpha1.QueuedMessage, LastTransitionTime: metav1.Unix(0, 0)},
	}
}

// newProject makes a CBRProject that has the status that the operator writes: with what is true of its BackupSyncs.
func (w *world) newProject(namespace, name string) *v1alpha1.CBRProject {
	made := testbed.Project(namespace, name, "https://127.0.0.1:1", namespace+"-"+name)
	if name == "unseen" {
		return made
	}
	status := &made.Status
	ready := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonUsable,
		Message: "Endpoint and credentials are set, and CBR has not refused them.", LastTransitionTime: metav1.NewTime(w.now)}
	switch name {
	case "paused":
		made.Spec.Suspend = true
		ready.Status, ready.Reason, ready.Message = metav1.ConditionUnknown, v1alpha1.ReasonSuspended, "spec.suspend is set: no new sync calls are made."
	case "stalled":
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, v1alpha1.ReasonCredentialsMissing, "The Secret cbr does not exist. Create it."
		stalled := ready
		stalled.Type, stalled.Status = v1alpha1.ConditionStalled, metav1.ConditionTrue
		status.Conditions = append(status.Conditions, stalled)
	}
	status.Conditions = append(status.Conditions, ready)
	status.ObservedGeneration = 1
	of := func(each *backup) bool { return each.object.Namespace == namespace && each.project() == name }
	counts := v1alpha1.BackupCounts{Pending: w.count(of, in(pending)), Running: w.count(of, in(running)), Imported: w.count(of, in(imported)), Failed: w.count(of, in(failed))}
	counts.Total = w.count(of)
	if drifted := w.count(of, func(each *backup) bool { return each.countedDrifted }); drifted > 0 {
		counts.Drifted = ptr.To(drifted)
	}
	status.Backups = &counts
	status.Audit = &v1alpha1.AuditSummary{FinishedTime: ptr.To(metav1.NewTime(w.now.Add(-11 * time.Hour))), Checked: counts.Imported,
		Missing:  w.count(of, func(each *backup) bool { return each.lost == v1alpha1.ReasonMissing }),
		Unusable: w.count(of, func(each *backup) bool { return each.lost == v1alpha1.ReasonUnusable })}
	if namespace == north && name == "erp" {
		status.Journal = w.journal(of)
	}
	return made
}

// journal has a call of 50 backups whose outcome is not known for long, and one of 20 that is under way.
func (w *world) journal(of func(*backup) bool) v1alpha1.Journal {
	unknown := w.those(of, func(each *backup) bool { return each.reason == v1alpha1.ReasonOutcomeUnknown })
	call := func(id string, age time.Duration, backups []*backup) v1alpha1.Submission {
		made := v1alpha1.Submission{ID: id, StartTime: metav1.NewMicroTime(w.now.Add(-age))}
		for _, each := range backups {
			made.Items = append(made.Items, v1alpha1.SubmittedItem{BackupID: each.object.Spec.BackupID, Hash: backupsync.Hash(&each.object.Spec)})
		}
		return made
	}
	return v1alpha1.Journal{Submissions: []v1alpha1.Submission{call("lost-answer", 10*time.Minute, unknown[:50]), call("under-way", 5*time.Second, unknown[50:70])},
		RecentCalls: []v1alpha1.CallCount{{EndTime: metav1.NewMicroTime(w.now.Add(-20 * time.Second)), Calls: 7}, {EndTime: metav1.NewMicroTime(w.now.Add(-2 * time.Minute)), Calls: 9}}}
}

// those returns the BackupSyncs of which all is true that is asked.
func (w *world) those(are ...func(*backup) bool) []*backup {
	var found []*backup
	for _, each := range w.backups {
		if !slices.ContainsFunc(are, func(is func(*backup) bool) bool { return !is(each) }) {
			found = append(found, each)
		}
	}
	return found
}

func (w *world) count(are ...func(*backup) bool) int32 { return int32(len(w.those(are...))) }

func in(state string) func(*backup) bool {
	return func(each *backup) bool { return each.state == state }
}

// of takes those of a namespace, or of all, and of a CBRProject, or of all.
func of(namespace, project string) func(*backup) bool {
	return func(each *backup) bool {
		return (namespace == "" || each.object.Namespace == namespace) && (project == "" || each.project() == project)
	}
}

// older orders by age, those of the same second by namespace and name.
func older(a, b *backup) int {
	return cmp.Or(a.object.CreationTimestamp.Compare(b.object.CreationTimestamp.Time), byName(a, b))
}

func byName(a, b *backup) int {
	return cmp.Or(strings.Compare(a.object.Namespace, b.object.Namespace), strings.Compare(a.object.Name, b.object.Name))
}

func names(of []*backup) []string {
	found := make([]string, 0, len(of))
	for _, each := range of {
		found = append(found, each.object.Name)
	}
	return found
}

// build makes the cluster what the world is.
func (w *world) build(t *testing.T) {
	t.Helper()
	for _, name := range []string{north, south, attic} {
		cluster.Create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	for _, each := range w.projects {
		cluster.Create(t, each.DeepCopy())
	}
	holder := "manager-0"
	cluster.Create(t, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: north, Name: "cbr.backupsync.dev"},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, RenewTime: ptr.To(metav1.NewMicroTime(w.now.Add(-2 * time.Second))), LeaseDurationSeconds: ptr.To(int32(600))}})
	must(t, testbed.Store(t.Context(), cluster.Etcd(), len(w.backups), func(number int) *v1alpha1.BackupSync { return w.backups[number].object }))
	must(t, wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		var list v1alpha1.BackupSyncList
		err := cluster.Client.List(ctx, &list)
		if apierrors.IsTooManyRequests(err) || apierrors.IsNotFound(err) { // the API server is still to read what was put there
			return false, nil
		}
		return len(list.Items) == len(w.backups), err
	}))
}

// TestTenThousandBackupSyncs first asks, and then acts.
func TestTenThousandBackupSyncs(t *testing.T) {
	w := newWorld()
	if len(w.backups) != 10_000 {
		t.Fatalf("there are %d BackupSyncs", len(w.backups))
	}
	begun := time.Now()
	w.build(t)
	t.Logf("%d BackupSyncs are there after %s", len(w.backups), time.Since(begun).Round(time.Millisecond))
	w.latest = w.read(t)
	for _, part := range []struct {
		name string
		test func(*world, *testing.T)
	}{
		{"the API server takes them", (*world).testStatusesAreValid},
		{"status", (*world).testStatus},
		{"status beyond the limit", (*world).testStatusBeyondTheLimit},
		{"status as text", (*world).testStatusText},
		{"status --fail-on", (*world).testFailOn},
		{"lists", (*world).testLists},
		{"tables", (*world).testTables},
		{"explain", (*world).testExplain},
		{"doctor", (*world).testDoctor},
		{"generate", (*world).testGenerate},
		{"retry", (*world).testRetry},
		{"suspend and resume", (*world).testSuspension},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.test(w, t) }) && strings.HasPrefix(part.name, "the API") {
			t.FailNow()
		}
	}
}

// testStatusesAreValid has the API server check one BackupSync of each kind: they were stored without that.
func (w *world) testStatusesAreValid(t *testing.T) {
	for _, each := range w.oneOfEach() {
		made := each.object.DeepCopy()
		made.Name, made.UID, made.ManagedFields, made.ResourceVersion, made.Finalizers = made.Name+"-new", "", nil, "", nil
		made.CreationTimestamp, made.DeletionTimestamp, made.DeletionGracePeriodSeconds = metav1.Time{}, nil, nil
		if err := cluster.Client.Create(t.Context(), made, client.DryRunAll); err != nil {
			t.Errorf("%s: %v", each.name, err)
		}
		var stored v1alpha1.BackupSync
		must(t, cluster.Client.Get(t.Context(), client.ObjectKeyFromObject(each.object), &stored))
		stored.ManagedFields = nil
		if err := cluster.Client.Status().Update(t.Context(), &stored, client.DryRunAll); err != nil {
			t.Errorf("%s: %v", each.name, err)
		}
	}
}

// oneOfEach returns the first BackupSync of each kind.
func (w *world) oneOfEach() []*backup {
	var found []*backup
	seen := map[string]bool{}
	for _, each := range w.backups {
		if key := each.name + fmt.Sprint(each.project() == "gone"); !seen[key] {
			seen[key] = true
			found = append(found, each)
		}
	}
	return found
}
