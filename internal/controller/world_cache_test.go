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
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
)

// errModelConnection is a lost connection to the API server: the request may have been carried out or not.
var errModelConnection = errors.New("the connection to the API server was lost")

// modelCache is what a process has seen of one kind, or of what belongs to one CBRProject of it: all changes up to a position in the history.
type modelCache struct {
	position int
	objects  map[string]client.Object
	mutex    sync.Mutex       // guards written: a pass writes several objects at a time
	written  map[string]int64 // the newest version that this process has written, by name
}

// advance takes in the next changes of a part, as the watch would deliver them.
func (a *actor) advance(part string, count int) {
	a.reading.Lock()
	defer a.reading.Unlock()
	a.advanceLocked(part, count)
}

func (a *actor) advanceLocked(part string, count int) {
	cache := a.caches[part]
	if a.cannotRead(part) {
		return
	}
	history := a.world.historyOf(part)
	for ; count > 0 && cache.position < len(history); count-- {
		a.takeIn(cache, history[cache.position])
		cache.position++
	}
}

// behind is the number of changes of a part that the process has not seen.
func (a *actor) behind(part string) int {
	a.reading.Lock()
	defer a.reading.Unlock()
	return len(a.world.historyOf(part)) - a.caches[part].position
}

// sees has a process see everything that has happened.
func (a *actor) sees() {
	for _, part := range a.world.parts() {
		a.advance(part, a.behind(part))
	}
}

// takeIn does with a change what the informers and the handlers of SetupWithManager do.
func (a *actor) takeIn(cache *modelCache, change modelEvent) {
	name := change.object.GetName()
	before, known := cache.objects[name]
	if change.deleted {
		delete(cache.objects, name)
	} else {
		trimmed, err := TrimCached(copyOf(change.object))
		if err != nil {
			panic(err)
		}
		cache.objects[name] = trimmed.(client.Object)
	}
	switch object := change.object.(type) {
	case *v1alpha1.BackupSync:
		handler := a.reconciler.backupHandler()
		switch {
		case change.deleted:
			handler.Delete(a.world.ctx, event.DeleteEvent{Object: object}, a.queue())
		case known:
			handler.Update(a.world.ctx, event.UpdateEvent{ObjectOld: before, ObjectNew: object}, a.queue())
		default:
			handler.Create(a.world.ctx, event.CreateEvent{Object: object}, a.queue())
		}
	case *v1alpha1.CBRProject:
		old, _ := before.(*v1alpha1.CBRProject)
		if change.deleted || old == nil || old.Generation != object.Generation || !equalMaps(old.Annotations, object.Annotations) {
			a.ask()
		}
	default:
		a.ask()
	}
}

func equalMaps(a, b map[string]string) bool { return fmt.Sprint(a) == fmt.Sprint(b) }

// modelQueue lets the event handlers ask for a pass.
type modelQueue struct {
	queue
	ask func()
}

func (a *actor) queue() queue { return modelQueue{ask: a.ask} }

// Add asks for a pass.
func (q modelQueue) Add(reconcileRequest) { q.ask() }

// cachedClient is the client of a process: it reads its cache, which includes the process's own writes, and
// writes to the API server. Each of its requests waits for its turn.
type cachedClient struct {
	client.Client
	actor *actor
}

// Get reads the cache.
func (c cachedClient) Get(ctx context.Context, key client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	kind := kindOf(object)
	if err := c.actor.request(ctx, "cache: get "+kind, gateCache); err != nil {
		return err
	}
	if c.actor.cannotRead(c.actor.world.partOf(kind, key.Name)) {
		return errUnreadable
	}
	c.actor.reading.Lock()
	defer c.actor.reading.Unlock()
	for _, part := range c.actor.world.partsOf(kind) {
		c.actor.catchUp(part, key.Name)
		if found, known := c.actor.caches[part].objects[key.Name]; known {
			copyInto(object, found)
			return nil
		}
	}
	return apierrors.NewNotFound(resourceOf(kind), key.Name)
}

// List reads BackupSyncs from an index of the cache. What it returns is shared. The list with which a pass begins
// waits for its turn, so that much may happen between it and the read of the project.
func (c cachedClient) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	var selected client.ListOptions
	selected.ApplyOptions(options)
	if projects, ok := list.(*v1alpha1.CBRProjectList); ok && selected.FieldSelector == nil {
		return c.listProjects(ctx, projects, func(client.Object) bool { return true })
	} else if ok {
		cloudProject := selected.FieldSelector.Requirements()[0].Value
		return c.listProjects(ctx, projects, func(object client.Object) bool { return slices.Contains(cloudProjectKeys(object), cloudProject) })
	}
	requirement := selected.FieldSelector.Requirements()[0]
	kind := gateCache
	if requirement.Field == indexActive {
		kind = gateRead
	}
	if err := c.actor.request(ctx, "cache: list "+kindBackup, kind); err != nil {
		return err
	}
	c.actor.reading.Lock()
	defer c.actor.reading.Unlock()
	parts := c.actor.world.partsOf(kindBackup)
	if requirement.Field != indexBackup {
		parts = []string{c.actor.world.partOf(kindBackup, requirement.Value)}
		if c.actor.cannotRead(parts[0]) {
			return errUnreadable
		}
	}
	parts = slices.DeleteFunc(parts, c.actor.cannotRead)
	index := map[string]client.IndexerFunc{indexActive: activeKeys, indexStalled: stalledKeys, indexBackup: backupKeys}[requirement.Field]
	backups := list.(*v1alpha1.BackupSyncList)
	for _, part := range parts {
		if !selected.DisableReadYourWritesConsistency {
			c.actor.catchUp(part, "")
		}
		for _, object := range c.actor.caches[part].objects {
			if slices.Contains(index(object), requirement.Value) {
				backups.Items = append(backups.Items, *object.(*v1alpha1.BackupSync))
			}
		}
	}
	slices.SortFunc(backups.Items, func(a, b v1alpha1.BackupSync) int { return backupsync.Older(&a, &b) })
	return nil
}

// listProjects reads projects from the cache.
func (c cachedClient) listProjects(ctx context.Context, list *v1alpha1.CBRProjectList, wanted func(client.Object) bool) error {
	if err := c.actor.request(ctx, "cache: list "+kindProject, gateCache); err != nil {
		return err
	}
	c.actor.reading.Lock()
	defer c.actor.reading.Unlock()
	for _, part := range slices.DeleteFunc(c.actor.world.partsOf(kindProject), c.actor.cannotRead) {
		for _, object := range c.actor.caches[part].objects {
			if wanted(object) {
				list.Items = append(list.Items, *object.(*v1alpha1.CBRProject))
			}
		}
	}
	return nil
}

// catchUp, with the caches held, brings a cache to where it includes the process's own writes: of one object, or of all of it.
func (a *actor) catchUp(part, name string) {
	if a.world.caches == oneOfBoth {
		a.believe(part, name)
		return
	}
	newest, cache := a.newest(part, name), a.caches[part]
	history := a.world.historyOf(part)
	for cache.position < len(history) && history[cache.position].revision <= newest {
		a.advanceLocked(part, 1)
	}
}

// newest is the newest version that the process has written in a part: of one object, or of all.
func (a *actor) newest(part, name string) (newest int64) {
	cache := a.caches[part]
	cache.mutex.Lock()
	defer cache.mutex.Unlock()
	for written, revision := range cache.written {
		if name == "" || written == name {
			newest = max(newest, revision)
		}
	}
	return newest
}

// Patch patches the metadata of a project.
func (c cachedClient) Patch(ctx context.Context, object client.Object, patch client.Patch, _ ...client.PatchOption) error {
	data, err := patch.Data(object)
	if err != nil {
		return err
	}
	kind, key := kindOf(object), object.GetName()
	return c.actor.write(ctx, "patch "+kind, object, func() (client.Object, error) {
		return c.actor.world.server.patch(kind, key, data, false)
	})
}

// Status writes the status subresource.
func (c cachedClient) Status() client.SubResourceWriter { return statusWriter{actor: c.actor} }

type statusWriter struct {
	client.SubResourceWriter
	actor *actor
}

// Patch patches the status of a project or a BackupSync.
func (w statusWriter) Patch(ctx context.Context, object client.Object, patch client.Patch, _ ...client.SubResourcePatchOption) error {
	data, err := patch.Data(object)
	if err != nil {
		return err
	}
	kind, key := kindOf(object), object.GetName()
	return w.actor.write(ctx, fmt.Sprintf("patch status of %s to %s", key, readyReasonIn(data)), object, func() (client.Object, error) {
		return w.actor.world.server.patch(kind, key, data, true)
	})
}

// longestWrite is how long a write may be on its way whose sender has given up. Nothing of the promise rests on it.
const longestWrite = time.Minute

// write makes a write and remembers its version, if its answer comes.
func (a *actor) write(ctx context.Context, name string, object client.Object, write func() (client.Object, error)) error {
	verdict := a.enter(ctx, name, gateWrite)
	if verdict == arrivesLate {
		a.world.later(a.name+" "+name, longestWrite, func() {
			if _, err := write(); err != nil {
				a.world.note("  %s: %v", name, apierrors.ReasonForError(err))
			}
		})
	}
	if verdict != goesWell && verdict != answerLost {
		return errModelConnection
	}
	written, err := write()
	if err != nil {
		a.world.note("  %s: %v", name, apierrors.ReasonForError(err))
	}
	if verdict == answerLost {
		return errModelConnection
	}
	if err != nil {
		return err
	}
	cache := a.caches[a.world.partWith(written)]
	cache.mutex.Lock()
	cache.written[object.GetName()] = resourceVersion(written)
	cache.mutex.Unlock()
	copyInto(object, written)
	return nil
}

// request waits for the turn of a read.
func (a *actor) request(ctx context.Context, name string, kind gateKind) error {
	if a.enter(ctx, name, kind) != goesWell {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return errModelConnection
	}
	return nil
}

// liveReader reads the API server.
type liveReader struct {
	client.Reader
	actor *actor
}

// List lists the BackupSyncs, or those of one backup, in one page.
func (r liveReader) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	var selected client.ListOptions
	selected.ApplyOptions(options)
	if selected.Namespace == emptyNamespace || r.actor.world.mayNotRead(ctx) {
		return r.actor.world.forbidden(kindBackup, secondProject)
	}
	backupID, one := "", false
	if selected.FieldSelector != nil {
		backupID, one = selected.FieldSelector.RequiresExactMatch("spec.backupID")
	}
	project, ofOne := "", false
	if selected.FieldSelector != nil {
		project, ofOne = selected.FieldSelector.RequiresExactMatch("spec.projectRef.name")
	}
	if projects, ok := list.(*v1alpha1.CBRProjectList); ok {
		return r.listProjects(ctx, projects)
	}
	if err := r.actor.request(ctx, "live: list "+kindBackup, gateRead); err != nil {
		return err
	}
	for _, backup := range r.actor.world.server.backups() {
		if r.actor.world.forbidden(kindBackup, backup.Name) == nil && (!ofOne || backup.Spec.ProjectRef.Name == project) && (!one || backup.Spec.BackupID == backupID) {
			list.(*v1alpha1.BackupSyncList).Items = append(list.(*v1alpha1.BackupSyncList).Items, *backup)
		}
	}
	return nil
}

func (r liveReader) listProjects(ctx context.Context, list *v1alpha1.CBRProjectList) error {
	if err := r.actor.request(ctx, "live: list "+kindProject, gateRead); err != nil {
		return err
	}
	for _, project := range r.actor.world.server.projects() {
		if r.actor.world.forbidden(kindProject, project.Name) == nil {
			list.Items = append(list.Items, project)
		}
	}
	return nil
}

// Get reads the API server.
func (r liveReader) Get(ctx context.Context, key client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	kind := kindOf(object)
	if err := r.actor.request(ctx, fmt.Sprintf("live: get %s %s", kind, key.Name), gateRead); err != nil {
		return err
	}
	if err := r.actor.world.forbidden(kind, key.Name); err != nil {
		return err
	}
	found, err := r.actor.world.server.get(kind, key.Name)
	if err != nil {
		return err
	}
	copyInto(object, found)
	return nil
}
