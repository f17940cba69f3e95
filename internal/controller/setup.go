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
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/connection"
	"backupsync.dev/operator/internal/namespaces"
)

// +kubebuilder:rbac:groups=cbr.backupsync.dev,resources=backupsyncs;cbrprojects,verbs=get;list;watch
// +kubebuilder:rbac:groups=cbr.backupsync.dev,resources=cbrprojects,verbs=patch
// +kubebuilder:rbac:groups=cbr.backupsync.dev,resources=backupsyncs/status;cbrprojects/status,verbs=update;patch
// +kubebuilder:rbac:groups="",resources=secrets;configmaps,verbs=get
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Back-off of passes that fail for the API server's sake. The default of the workqueue starts at 5 ms.
const (
	passRetry    = time.Second
	passMaxRetry = 5 * time.Minute
	passTimeout  = 10 * time.Minute
)

const controllerName = "cbrproject"

// SetupWithManager adds the indexes, the watches and the controller to the manager. The caches are those that the client reads: that
// of the manager, or one for each namespace.
func (r *Reconciler) SetupWithManager(ctx context.Context, manager ctrl.Manager, caches ...cache.Cache) error {
	warm := true
	building := ctrl.NewControllerManagedBy(manager).
		Named(controllerName).
		WatchesRawSource(source.Func(func(ctx context.Context, q queue) error {
			r.queue.Store(&q)
			context.AfterFunc(ctx, r.audits.stop)
			return nil
		})).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: r.options.MaxConcurrentProjects,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](passRetry, passMaxRetry),
			EnableWarmup:            &warm,
			ReconciliationTimeout:   passTimeout,
			LogConstructor:          passLog(manager.GetLogger()),
		})
	for _, each := range caches {
		if err := addIndexes(ctx, each); err != nil {
			return err
		}
		r.watch(building, each)
		if late, is := each.(*namespaces.Cache); is {
			late.OnReadable(func() { r.requeueAll(ctx) })
		}
	}
	return building.Complete(r)
}

// watch adds the watches of a cache to a controller.
func (r *Reconciler) watch(building *builder.Builder, of cache.Cache) {
	asked := predicate.Or[client.Object](predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{})
	building.
		WatchesRawSource(namespaces.Source(of, source.Kind[client.Object](of, &v1alpha1.CBRProject{}, &handler.EnqueueRequestForObject{}, asked))).
		WatchesRawSource(namespaces.Source(of, source.Kind[client.Object](of, &v1alpha1.BackupSync{}, r.backupHandler()))).
		WatchesRawSource(namespaces.Source(of, source.Kind[client.Object](of, &v1alpha1.CBRProject{}, r.rivalHandler())))
}

// addIndexes adds the indexes to a cache that is not started yet.
func addIndexes(ctx context.Context, to cache.Cache) error {
	for _, index := range []struct {
		object client.Object
		name   string
		keys   client.IndexerFunc
	}{
		{&v1alpha1.BackupSync{}, indexActive, activeKeys},
		{&v1alpha1.BackupSync{}, indexStalled, stalledKeys},
		{&v1alpha1.CBRProject{}, indexCloudProject, cloudProjectKeys},
	} {
		if err := to.IndexField(ctx, index.object, index.name, index.keys); err != nil {
			return fmt.Errorf("add the index %s: %w", index.name, err)
		}
	}
	backups, err := to.GetInformer(ctx, &v1alpha1.BackupSync{}, cache.BlockUntilSynced(false))
	if err != nil {
		return fmt.Errorf("make the informer of BackupSyncs: %w", err)
	}
	if err := backups.AddIndexers(unscoped(indexBackup, backupKeys)); err != nil {
		return fmt.Errorf("add the index %s: %w", indexBackup, err)
	}
	return nil
}

// passLog names the project in the log of a pass, at once and as a string: each step, and each value that is no string, takes
// kilobytes, for passes that log nothing.
func passLog(log logr.Logger) func(*reconcile.Request) logr.Logger {
	log = log.WithValues("controller", controllerName)
	return func(request *reconcile.Request) logr.Logger {
		if request == nil {
			return log
		}
		return log.WithValues("CBRProject", request.String())
	}
}

// rivalHandler has the other projects of a cloud project look at their claim when one of them comes, goes, changes its spec, or
// takes or gives back its own.
func (r *Reconciler) rivalHandler() handler.EventHandler {
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) { r.enqueueRivals(ctx, e.Object, q) },
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) { r.enqueueRivals(ctx, e.Object, q) },
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) {
			before, after := e.ObjectOld.(*v1alpha1.CBRProject), e.ObjectNew.(*v1alpha1.CBRProject)
			moved := connection.CloudProjectOf(&before.Spec) != connection.CloudProjectOf(&after.Spec)
			if moved {
				r.enqueueRivals(ctx, before, q)
			}
			if moved || before.Status.Journal.CloudProject != after.Status.Journal.CloudProject {
				r.enqueueRivals(ctx, after, q)
			}
		},
	}
}

func (r *Reconciler) enqueueRivals(ctx context.Context, object client.Object, q queue) {
	project, ok := object.(*v1alpha1.CBRProject)
	if !ok {
		return
	}
	others, err := r.projectsOf(ctx, connection.CloudProjectOf(&project.Spec))
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "CBRProjects could not be told of another one", "CBRProject", project.Name)
		return
	}
	for i := range others {
		if other := &others[i]; other.UID != project.UID {
			enqueue(q, client.ObjectKeyFromObject(other))
		}
	}
}

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// eventHandler maps the events of BackupSyncs to their project, and keeps the counts. It does not use the low
// priority that controller-runtime gives to the initial list: after a restart those are the backups that have
// waited longest.
type eventHandler struct{ counts *stateCounts }

func (r *Reconciler) backupHandler() handler.EventHandler { return eventHandler{counts: r.counts} }

// Create takes in a BackupSync that is new, or new to this process.
func (h eventHandler) Create(_ context.Context, e event.CreateEvent, q queue) {
	h.observe(e.Object, q)
}

// Update takes in a changed BackupSync. The changes that this process has made itself are no news.
func (h eventHandler) Update(_ context.Context, e event.UpdateEvent, q queue) {
	h.observe(e.ObjectNew, q)
}

// Delete takes in a BackupSync that is gone.
func (h eventHandler) Delete(_ context.Context, e event.DeleteEvent, q queue) {
	if backup, ok := e.Object.(*v1alpha1.BackupSync); ok {
		h.counts.forget(backup)
		enqueue(q, projectKey(backup))
	}
}

// Generic does nothing: there are no such events here.
func (eventHandler) Generic(context.Context, event.GenericEvent, queue) {}

func (h eventHandler) observe(object client.Object, q queue) {
	backup, ok := object.(*v1alpha1.BackupSync)
	if !ok {
		return
	}
	if news := h.counts.observe(backup); news {
		enqueue(q, projectKey(backup))
	}
}

// requeue asks for a pass over a project, from any goroutine.
func (r *Reconciler) requeue(project types.NamespacedName) {
	if q := r.queue.Load(); q != nil {
		enqueue(*q, project)
	}
}

// requeueAll asks for a pass over each project: what they wait for may be over.
func (r *Reconciler) requeueAll(ctx context.Context) {
	var projects v1alpha1.CBRProjectList
	if err := r.client.List(ctx, &projects, client.UnsafeDisableDeepCopy, client.DisableReadYourWritesConsistency); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "CBRProjects could not be told that a namespace can be read")
		return
	}
	for i := range projects.Items {
		r.requeue(client.ObjectKeyFromObject(&projects.Items[i]))
	}
}

func enqueue(q queue, project types.NamespacedName) {
	q.Add(reconcile.Request{NamespacedName: project})
}
