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

package act

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/cli"
)

// operated is a namespace with the operator over a CBR that rejects the backup failed-0 while it is told to.
func operated(t *testing.T, count int) (namespace string, rejects *atomic.Bool, cloud *cbrtest.Server) {
	t.Helper()
	namespace, rejects = cluster.Namespace(t), &atomic.Bool{}
	rejects.Store(true)
	cloud = cbrtest.NewServer(t, cbrtest.Options{Reject: func(backup cbr.Backup) *cbrtest.APIError {
		if rejects.Load() && backup.ID == "id-failed-0" {
			return &cbrtest.APIError{Status: 400, Code: "BackupService.9900", Message: "no such image"}
		}
		return nil
	}})
	cluster.Create(t, secretOf(namespace))
	project := projectWith("", "", false)
	project.Namespace, project.Generation, project.Status = namespace, 0, v1alpha1.CBRProjectStatus{}
	project.Spec = v1alpha1.CBRProjectSpec{Endpoint: cloud.URL, ProjectID: cbrtest.ProjectID, Limits: v1alpha1.Limits{SyncCallsPerMinute: 1000},
		Credentials: v1alpha1.Credentials{Type: v1alpha1.CredentialsToken, SecretRef: v1alpha1.SecretReference{Name: "cbr"}}}
	cluster.Create(t, project)
	failedBackups(t, namespace, count)
	cluster.StartOperator(t, namespace)
	return namespace, rejects, cloud
}

func TestAWaitEndsWhenAllAreImported(t *testing.T) {
	namespace, rejects, cloud := operated(t, 12)
	rejects.Store(false)
	awaitUsable(t, namespace)
	got := line(namespace).Run(t.Context(), "retry", "--all-failed", "--yes", "--wait", "--timeout=2m")
	expect(t, got, 0, "12 of 12 were asked", "12 of 12 have ended: 12 Imported")
	if projectNamed(t, namespace).Annotations[v1alpha1.RequestedAtAnnotation] == "" {
		t.Error("the request does not stand at the project")
	}
	if calls := cloud.SyncCalls(); calls != 1 {
		t.Errorf("%d calls for 12 backups", calls)
	}
}

func TestAWaitTellsWhatHasFailedAgain(t *testing.T) {
	namespace, rejects, _ := operated(t, 2)
	got := line(namespace).Run(t.Context(), "retry", "failed-0", "failed-1", "--yes", "--wait", "--timeout=2m", "-o", "json")
	expect(t, got, cli.ExitFound, "1 of 2 have not ended well", "no such image", `"endReason": "Rejected"`)
	rejects.Store(false)
	expect(t, line(namespace).Run(t.Context(), "retry", "project", "default", "--yes", "--wait", "--timeout=2m"), 0, "1 of 1 have ended: 1 Usable")
	expect(t, line(namespace).Run(t.Context(), "suspend", "project", "default", "--wait", "--timeout=2m"), 0, "1 of 1 have ended: 1 Suspended")
	expect(t, line(namespace).Run(t.Context(), "resume", "project", "default", "--wait", "--timeout=2m"), 0, "1 of 1 have ended: 1 Usable")
}

// onText does something once when a text is written.
type onText struct {
	text string
	once sync.Once
	then func()
}

func (o *onText) Write(data []byte) (int, error) {
	if strings.Contains(string(data), o.text) {
		o.once.Do(o.then)
	}
	return len(data), nil
}

func TestAWaitEndsInTimeAndByAnInterrupt(t *testing.T) {
	namespace := cluster.Namespace(t) // no operator
	createProject(t, namespace)
	failedBackups(t, namespace, 12)
	clock := clocktesting.NewFakeClock(time.Now())
	command := line(namespace)
	command.Change = func(f *cli.Factory) { f.Clock = clock }
	command.Err = &onText{text: "waiting for 12 Rejected", then: func() { clock.Step(time.Hour) }}
	got := command.Run(t.Context(), "retry", "--reason=Rejected", "--yes", "--wait", "--timeout=10m")
	expect(t, got, cli.ExitError, "timed out after 10m0s: 12 BackupSyncs not ended", "waiting for 12 Rejected (the operator has not acted yet)")

	ctx, interrupt := context.WithCancel(t.Context())
	command = line(namespace)
	command.Err = &onText{text: "12 of 12 were suspended", then: interrupt}
	got = command.Run(ctx, "suspend", "--all", "--yes", "--wait")
	expect(t, got, cli.ExitError, "interrupted while waiting", "goes on without this command")
}

func TestAWaitTakesADeletionForAnEnd(t *testing.T) {
	namespace := cluster.Namespace(t)
	createProject(t, namespace)
	failedBackups(t, namespace, 1)
	command := line(namespace)
	command.Err = &onText{text: "waiting for 1 Rejected", then: func() {
		if err := cluster.Client.DeleteAllOf(context.WithoutCancel(t.Context()), &v1alpha1.BackupSync{}, client.InNamespace(namespace)); err != nil {
			t.Error(err)
		}
	}}
	expect(t, command.Run(t.Context(), "retry", "failed-0", "--wait", "--timeout=1m"), cli.ExitFound, "1 of 1 have ended: 1 Deleted")
}

// A wait that was not waited out is no mere finding, whatever was found besides.
func TestATimeoutIsToldByTheExitStatus(t *testing.T) {
	namespace := cluster.Namespace(t)
	createProject(t, namespace)
	failedBackups(t, namespace, 2)
	var all v1alpha1.BackupSyncList
	if err := cluster.Client.List(t.Context(), &all, client.InNamespace(namespace)); err != nil || len(all.Items) != 2 {
		t.Fatal(err, len(all.Items))
	}
	held := &all.Items[0]
	held.Spec.Suspend = true
	if err := cluster.Client.Update(t.Context(), held); err != nil {
		t.Fatal(err)
	}
	got := line(namespace).Run(t.Context(), "retry", held.Name, all.Items[1].Name, "--wait", "--timeout=1ms")
	if got.Status != cli.ExitError || !strings.Contains(got.Err, "timed out") {
		t.Errorf("status %d: %s", got.Status, got.Err)
	}
}
