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

package rivals

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
)

// The defaults of controller-runtime and of the workqueue below it.
const (
	plainPoll          = 10 * time.Second
	defaultQPS         = 20
	defaultBurst       = 30
	defaultBackoff     = 5 * time.Millisecond
	defaultMaxBackoff  = 1000 * time.Second
	defaultBucketRate  = 10 // retries a second
	defaultBucketBurst = 100
)

// Plain models an operator as controller-runtime's book has it: a BackupSync is a key, a reconcile makes one call or
// polls one task, one reconcile at a time, and what fails is tried again with the default back-off. It works on the
// BackupSyncs of one namespace that has no CBRProject.
type Plain struct {
	Config      *rest.Config
	Namespace   string
	Count       int // of the BackupSyncs
	CBR         *cbr.Client
	Compression Compression

	kubernetes client.Client
	imported   atomic.Int64
	all        context.CancelFunc
}

// Imported returns how many BackupSyncs were brought to their end so far.
func (p *Plain) Imported() int { return int(p.imported.Load()) }

// Run starts the operator, and stops it when all BackupSyncs have come to their end.
func (p *Plain) Run(ctx context.Context) error {
	ctx, p.all = context.WithCancel(ctx)
	defer p.all()
	manager, err := p.newManager()
	if err != nil {
		return fmt.Errorf("plain operator: %w", err)
	}
	p.kubernetes = manager.GetClient()
	shared := true // another run in this process may have used the name
	err = ctrl.NewControllerManagedBy(manager).For(&v1alpha1.BackupSync{}).Named("plain").
		WithOptions(controller.Options{RateLimiter: p.limiter(), SkipNameValidation: &shared}).Complete(p)
	if err != nil {
		return fmt.Errorf("plain operator: %w", err)
	}
	return manager.Start(ctx)
}

func (p *Plain) newManager() (ctrl.Manager, error) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	config := rest.CopyConfig(p.Config)
	config.QPS, config.Burst = defaultQPS*float32(p.Compression), defaultBurst
	return ctrl.NewManager(config, ctrl.Options{
		Scheme:  scheme,
		Metrics: metricsserver.Options{BindAddress: "0"},
		Cache:   cache.Options{DefaultNamespaces: map[string]cache.Config{p.Namespace: {}}},
	})
}

// limiter is the default one of controller-runtime, on compressed time.
func (p *Plain) limiter() workqueue.TypedRateLimiter[reconcile.Request] {
	return workqueue.NewTypedMaxOfRateLimiter(
		workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](p.Compression.Of(defaultBackoff), p.Compression.Of(defaultMaxBackoff)),
		&bucket{interval: p.Compression.Of(time.Second / defaultBucketRate), burst: defaultBucketBurst},
	)
}

// Reconcile submits a BackupSync, or looks at its task.
func (p *Plain) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	backup := &v1alpha1.BackupSync{}
	if err := p.kubernetes.Get(ctx, request.NamespacedName, backup); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	switch {
	case meta.IsStatusConditionTrue(backup.Status.Conditions, v1alpha1.ConditionReady):
		return reconcile.Result{}, nil
	case backup.Status.OperationLogID == "":
		return p.submit(ctx, backup)
	default:
		return p.poll(ctx, backup)
	}
}

func (p *Plain) submit(ctx context.Context, backup *v1alpha1.BackupSync) (reconcile.Result, error) {
	imports, err := p.CBR.ImportBackups(ctx, []cbr.Backup{backupsync.Item(&backup.Spec)})
	if err != nil {
		return reconcile.Result{}, err
	}
	backup.Status.OperationLogID = imports[0].OperationLogID
	return reconcile.Result{RequeueAfter: p.Compression.Of(plainPoll)}, p.kubernetes.Status().Update(ctx, backup)
}

func (p *Plain) poll(ctx context.Context, backup *v1alpha1.BackupSync) (reconcile.Result, error) {
	task, err := p.CBR.GetOperationLog(ctx, backup.Status.OperationLogID)
	if err != nil {
		return reconcile.Result{}, err
	}
	if !task.Status.Final() {
		return reconcile.Result{RequeueAfter: p.Compression.Of(plainPoll)}, nil
	}
	meta.SetStatusCondition(&backup.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionReady,
		Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonImported, Message: "The task has ended: " + string(task.Status)})
	if err := p.kubernetes.Status().Update(ctx, backup); err != nil {
		return reconcile.Result{}, err
	}
	if p.imported.Add(1) == int64(p.Count) {
		p.all()
	}
	return reconcile.Result{}, nil
}
