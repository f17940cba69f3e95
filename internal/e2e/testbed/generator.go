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

package testbed

import (
	"context"
	"encoding/json"
	"fmt"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
)

const (
	resource = "backupsyncs"
	// writers is how many requests at a time a generator makes: more are not faster on few cores.
	writers = 32
)

// Manifest returns the BackupSync of a number, which is one of several backups of one of so many machines. It has the lengths
// of the vendor's example, as they decide on what an object weighs.
func Manifest(namespace, project string, number, machines int) *v1alpha1.BackupSync {
	id := fmt.Sprintf("1f9e6b47-7655-4a19-b563-%012d", number)
	machine := fmt.Sprintf("96f7512d-239d-3f31-80cf-%012d", number%machines)
	return &v1alpha1.BackupSync{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "BackupSync"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("backup-%06d", number)},
		Spec: v1alpha1.BackupSyncSpec{
			ProjectRef: v1alpha1.ProjectReference{Name: project},
			BackupID:   id, BackupName: fmt.Sprintf("nightly_%06d", number), BucketName: "1555230361623e4ce4700dab84b7d8169a5eaec05227d",
			ImagePath:  "6abec15e-7baf-4d79-b5a9-6b98a2da7020/" + machine + "/" + id,
			ResourceID: machine, ResourceName: fmt.Sprintf("machine_%04d", number%machines), ResourceType: "OS::VMware::Server",
			CreatedAt: 1553587260 + int64(number),
		},
	}
}

// Generator makes BackupSyncs of a namespace, each a backup of its own, with numbers in a row.
type Generator struct {
	// Server is written to.
	Server rest.Interface
	// Namespace is theirs.
	Namespace string
	// Projects take turns, Machines too.
	Projects []string
	Machines int
	// InARow is how many BackupSyncs each project has before the next one's turn.
	InARow int
	// First is the number of the first one, Count how many there are so far.
	First, Count int
}

// NewServer returns a client of the operator's kinds that does not decode what it is answered.
func NewServer(config *rest.Config) (rest.Interface, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1
	config.APIPath, config.GroupVersion = "/apis", &v1alpha1.GroupVersion
	config.NegotiatedSerializer = serializer.NewCodecFactory(runtime.NewScheme()).WithoutConversion()
	made, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("make the client of the generator: %w", err)
	}
	return made, nil
}

// Manifest returns the BackupSync of a number.
func (g *Generator) Manifest(number int) *v1alpha1.BackupSync {
	return Manifest(g.Namespace, g.Projects[number/g.InARow%len(g.Projects)], number, g.Machines)
}

// Add creates so many more, which are pending.
func (g *Generator) Add(ctx context.Context, count int) error {
	next := g.First + g.Count
	if err := inParallel(ctx, writers, next, next+count, g.create); err != nil {
		return fmt.Errorf("create %d BackupSyncs in the namespace %s: %w", count, g.Namespace, err)
	}
	g.Count += count
	return nil
}

// WriteStatuses writes a status of each, with so many requests at a time.
func (g *Generator) WriteStatuses(ctx context.Context, atOnce int, of func(number int) v1alpha1.BackupSyncStatus) error {
	err := inParallel(ctx, atOnce, g.First, g.First+g.Count, func(ctx context.Context, number int) error {
		return g.patchStatus(ctx, number, of(number))
	})
	if err != nil {
		return fmt.Errorf("write %d statuses in the namespace %s: %w", g.Count, g.Namespace, err)
	}
	return nil
}

func (g *Generator) create(ctx context.Context, number int) error {
	body, err := json.Marshal(g.Manifest(number))
	if err != nil {
		return err
	}
	return g.Server.Post().Namespace(g.Namespace).Resource(resource).Body(body).Do(ctx).Error()
}

// read reads one, live if no version is given, else from what the API server has taken in, which is to be no older than that.
func (g *Generator) read(ctx context.Context, number int, version string) (*v1alpha1.BackupSync, error) {
	request := g.Server.Get().Namespace(g.Namespace).Resource(resource).Name(g.Manifest(number).Name)
	if version != "" {
		request = request.Param("resourceVersion", version)
	}
	answer, err := request.Do(ctx).Raw()
	if err != nil {
		return nil, err
	}
	shown := &v1alpha1.BackupSync{}
	return shown, json.Unmarshal(answer, shown)
}

// patchStatus writes a status by the barest patch there is.
func (g *Generator) patchStatus(ctx context.Context, number int, status v1alpha1.BackupSyncStatus) error {
	body, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		return err
	}
	return g.Server.Patch(types.MergePatchType).Namespace(g.Namespace).Resource(resource).Name(g.Manifest(number).Name).
		SubResource("status").Body(body).Do(ctx).Error()
}

// RunningStatus is what the operator writes when CBR has accepted a backup.
func (g *Generator) RunningStatus(number int) v1alpha1.BackupSyncStatus {
	return g.submitted(number).Status
}

// ImportedStatus is what the operator writes when the task has ended: it then leaves the BackupSync alone.
func (g *Generator) ImportedStatus(number int) v1alpha1.BackupSyncStatus {
	end := backupsync.Ending{Status: cbr.TaskSuccess}
	return backupsync.Finished(g.submitted(number), end, 0, metav1.Now()).Status
}

// submitted is a BackupSync that CBR has accepted. The operator's own functions make its status: one that differed would
// not be at rest.
func (g *Generator) submitted(number int) *v1alpha1.BackupSync {
	backup, now := g.Manifest(number), metav1.Now()
	backup.Generation = 1 // that of a new object
	operationLogID := fmt.Sprintf("154f0a9d-ba53-4e91-a3e2-%012d", number)
	return backupsync.Submitted(backup, operationLogID, backupsync.Hash(&backup.Spec), now, now)
}

// inParallel calls a function with each number from first up to, but without, end, so many at a time. It ends with the
// first error.
func inParallel(ctx context.Context, atOnce, first, end int, do func(ctx context.Context, number int) error) error {
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for number := first; number < end && working.Err() == nil; number++ {
		group.Go(func() error { return do(working, number) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return context.Cause(ctx)
}
