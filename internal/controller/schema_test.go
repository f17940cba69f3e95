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

package controller_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/google/uuid"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/yaml"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/connection"
	"backupsync.dev/operator/internal/controller"
)

// CRDs are of the whole cluster: each of these tests has an API server of its own.

var crdBases = filepath.Join("..", "..", "config", "crd", "bases")

// outdated is how CRDs are older than those of config/crd/bases: what they lack.
type outdated struct {
	selectableFields bool
	project, backup  []string // paths of fields in the status of the two kinds
}

// write writes the CRDs that lack it, and returns their folder.
func (o outdated) write(t *testing.T) string {
	g := NewWithT(t)
	folder := t.TempDir()
	files, err := filepath.Glob(filepath.Join(crdBases, "*.yaml"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(files).To(HaveLen(2))
	for _, file := range files {
		data, err := os.ReadFile(file)
		g.Expect(err).NotTo(HaveOccurred())
		var crd unstructured.Unstructured
		g.Expect(yaml.Unmarshal(data, &crd.Object)).To(Succeed())
		o.alter(g, crd.Object)
		data, err = yaml.Marshal(crd.Object)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(os.WriteFile(filepath.Join(folder, filepath.Base(file)), data, 0o600)).To(Succeed())
	}
	return folder
}

func (o outdated) alter(g Gomega, crd map[string]any) {
	kind, _, err := unstructured.NestedString(crd, "spec", "names", "kind")
	g.Expect(err).NotTo(HaveOccurred())
	versions, _, err := unstructured.NestedSlice(crd, "spec", "versions")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(versions).To(HaveLen(1))
	version := versions[0].(map[string]any)
	if o.selectableFields {
		g.Expect(version).To(HaveKey("selectableFields"))
		delete(version, "selectableFields")
	}
	for _, path := range map[string][]string{kindProject: o.project, kindBackup: o.backup}[kind] {
		// Rules over the whole object speak of the fields: an older CRD has neither.
		unstructured.RemoveNestedField(version, "schema", "openAPIV3Schema", "x-kubernetes-validations")
		selected, _, err := unstructured.NestedSlice(version, "selectableFields")
		g.Expect(err).NotTo(HaveOccurred())
		version["selectableFields"] = slices.DeleteFunc(selected, func(field any) bool {
			return field.(map[string]any)["jsonPath"] == ".status."+path
		})
		fields := []string{"schema", "openAPIV3Schema", "properties", "status"}
		for _, name := range strings.Split(path, ".") {
			fields = append(fields, "properties", name)
		}
		_, found, err := unstructured.NestedMap(version, fields...)
		g.Expect(found, err).To(BeTrue(), path)
		unstructured.RemoveNestedField(version, fields...)
	}
	g.Expect(unstructured.SetNestedSlice(crd, versions, "spec", "versions")).To(Succeed())
}

// outdatedWorld is a world of one namespace in a cluster of its own.
type outdatedWorld struct {
	*world
	t      *testing.T
	config *rest.Config
	client client.Client
	lines  atomic.Int32 // that the check of the CRDs has logged
}

func newOutdatedWorld(t *testing.T, folder string) *outdatedWorld {
	g := NewWithT(t)
	environment := &envtest.Environment{CRDDirectoryPaths: []string{folder}, ErrorIfCRDPathMissing: true}
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		environment.BinaryAssetsDirectory = filepath.Join("..", "..", "bin", "k8s")
	}
	t.Cleanup(func() { _ = environment.Stop() })
	started, err := environment.Start()
	g.Expect(err).NotTo(HaveOccurred(), "make controlplane puts etcd and kube-apiserver into bin/k8s")
	started.QPS = -1
	objects := runtime.NewScheme()
	g.Expect(clientgoscheme.AddToScheme(objects)).To(Succeed())
	g.Expect(v1alpha1.AddToScheme(objects)).To(Succeed())
	live, err := client.New(started, client.Options{Scheme: objects})
	g.Expect(err).NotTo(HaveOccurred())
	return &outdatedWorld{t: t, config: started, client: live,
		world: &world{namespace: metav1.NamespaceDefault, cloud: cbrtest.NewServer(t, cbrtest.Options{}), requests: &requestLog{}}}
}

// start starts a controller, with a check of the CRDs if that is wanted. It stops with the test, or by what is returned.
func (w *outdatedWorld) start(checks bool, changes ...func(*controller.Options)) (stop func()) {
	g := NewWithT(w.t)
	enabled := true
	manager, err := ctrl.NewManager(w.config, ctrl.Options{
		Scheme:     w.client.Scheme(),
		Logger:     logr.Discard(),
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: &enabled},
		Cache:      cache.Options{DefaultTransform: controller.TrimCached, ReaderFailOnMissingInformer: true},
		Client:     client.Options{Cache: &client.CacheOptions{EnableReadYourWritesConsistency: &enabled}},
	})
	g.Expect(err).NotTo(HaveOccurred())
	endpoints, err := connection.ParseEndpointPatterns("http://127.0.0.1:*")
	g.Expect(err).NotTo(HaveOccurred())
	options := controller.Options{Identity: uuid.NewString(), AllowedEndpoints: endpoints}
	impatient(&options)
	for _, change := range changes {
		change(&options)
	}
	if checks {
		published, err := discovery.NewDiscoveryClientForConfig(w.config)
		g.Expect(err).NotTo(HaveOccurred())
		log := funcr.New(func(_, line string) { w.lines.Add(1); w.t.Log(line) }, funcr.Options{})
		options.Schema = controller.NewSchemaCheck(published.OpenAPIV3(), log)
	}
	reconciler, err := controller.NewReconciler(manager.GetClient(), manager.GetAPIReader(), manager.GetEventRecorder("backupsync"), options)
	g.Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.Background())
	g.Expect(reconciler.SetupWithManager(ctx, manager, manager.GetCache())).To(Succeed())
	stopped := make(chan error, 1)
	go func() { stopped <- manager.Start(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-stopped; err != nil {
			w.t.Errorf("the manager: %v", err)
		}
	})
	w.t.Cleanup(stop)
	return stop
}

// install applies the CRDs of a folder over those that are there.
func (w *outdatedWorld) install(folder string) {
	_, err := envtest.InstallCRDs(w.config, envtest.CRDInstallOptions{Paths: []string{folder}, ErrorIfPathMissing: true})
	NewWithT(w.t).Expect(err).NotTo(HaveOccurred())
}

// declare creates backups, from a number to before another one.
func (w *outdatedWorld) declare(from, to int) {
	for number := from; number < to; number++ {
		NewWithT(w.t).Expect(w.client.Create(w.t.Context(), w.backup(number))).To(Succeed())
	}
}

// conditions returns the conditions of the project as the API server has them.
func (w *outdatedWorld) conditions() []metav1.Condition {
	project := w.project()
	NewWithT(w.t).Expect(w.client.Get(w.t.Context(), client.ObjectKeyFromObject(project), project)).To(Succeed())
	return project.Status.Conditions
}

// reasons counts the backups by the reason of Ready.
func (w *outdatedWorld) reasons() map[string]int {
	var list v1alpha1.BackupSyncList
	NewWithT(w.t).Expect(w.client.List(w.t.Context(), &list, client.InNamespace(w.namespace))).To(Succeed())
	counts := map[string]int{}
	for _, backup := range list.Items {
		counts[backupReason(&backup)]++
	}
	return counts
}

// patiently is long enough for CRDs to be looked at again, which happens every 10 s, on a slow machine.
const patiently = time.Minute

// expectOutdated expects that the project says in which way the CRDs are older than the operator, and that nothing was sent.
func (w *outdatedWorld) expectOutdated(says string) {
	w.t.Helper()
	g := NewWithT(w.t)
	g.Eventually(w.conditions, patiently, "50ms").Should(ContainElements(
		And(HaveField("Type", v1alpha1.ConditionReady), HaveField("Status", metav1.ConditionFalse), HaveField("Reason", v1alpha1.ReasonCRDsOutdated),
			HaveField("Message", ContainSubstring(says))),
		And(HaveField("Type", v1alpha1.ConditionStalled), HaveField("Status", metav1.ConditionTrue))))
	g.Expect(w.cloud.SyncCalls()).To(BeZero(), "what was sent to CBR")
}

// expectImports expects that everything is imported by itself, and each backup only once.
func (w *outdatedWorld) expectImports(count int) {
	w.t.Helper()
	g := NewWithT(w.t)
	g.Eventually(w.reasons, patiently, "100ms").Should(Equal(map[string]int{v1alpha1.ReasonImported: count}))
	g.Expect(w.cloud.Accepted()).To(HaveLen(count))
	g.Expect(w.cloud.AcceptedTwice()).To(BeEmpty())
	g.Eventually(w.conditions, patiently, "100ms").Should(ContainElement(HaveField("Reason", v1alpha1.ReasonUsable)))
}

func (w *outdatedWorld) apply(objects ...client.Object) {
	for _, object := range objects {
		NewWithT(w.t).Expect(w.client.Create(w.t.Context(), object)).To(Succeed())
	}
}

// With CRDs that are older than the operator nothing is sent, and what they lack is named. When those of this version are
// applied, all goes on by itself.
func TestOutdatedCRDs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lack  outdated
		says  string
		lines int32 // of the check; 0 for a controller without one, which goes by what the API server has kept
	}{
		"without selectable fields": {lines: 1, lack: outdated{selectableFields: true},
			says: "they lack the selectable field spec.projectRef.name of BackupSync, the selectable field spec.backupID of BackupSync"},
		"without the record of calls": {lines: 1, lack: outdated{project: []string{"journal.submissions"}},
			says: "(they lack CBRProject.status.journal.submissions). Apply those of the operator's version, the way they were installed: helm upgrade, or kubectl apply -k config/crd."},
		"without what was sent and its outcome": {lines: 1, lack: outdated{backup: []string{"sentHash", "outcome"}},
			says: "(they lack BackupSync.status.outcome, BackupSync.status.sentHash). Apply those of the operator's version"},
		"without the record of calls, and without a check": {lack: outdated{project: []string{"journal.submissions"}},
			says: "they did not keep what was written"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newOutdatedWorld(t, c.lack.write(t))
			w.apply(w.secret(cbrtest.Token), w.project())
			w.declare(0, 3)
			w.start(c.lines > 0)
			w.expectOutdated(c.says)
			if c.lines > 0 {
				NewWithT(t).Expect(w.cloud.Ledger()).To(BeEmpty(), "calls of any kind")
			}
			w.declare(3, 6) // which asks for another pass
			NewWithT(t).Consistently(w.cloud.SyncCalls, 2*time.Second, "100ms").Should(BeZero())
			NewWithT(t).Expect(w.lines.Load()).To(Equal(c.lines), "lines in the log")
			w.install(crdBases)
			w.expectImports(6)
		})
	}
}

// The check of the start says nothing of CRDs that are replaced by older ones later: what they do not keep does.
func TestOutdatedCRDsThatReplaceNewerOnes(t *testing.T) {
	t.Parallel()
	w := newOutdatedWorld(t, crdBases)
	w.apply(w.secret(cbrtest.Token), w.project())
	w.start(true)
	w.declare(0, 2)
	w.expectImports(2)
	calls := w.cloud.SyncCalls()

	w.install(outdated{project: []string{"journal.submissions"}}.write(t))
	g := NewWithT(t)
	g.Eventually(w.keepsRecords, patiently, "100ms").Should(BeFalse())
	w.declare(2, 5)
	g.Eventually(w.conditions, patiently, "50ms").Should(ContainElement(HaveField("Reason", v1alpha1.ReasonCRDsOutdated)))
	g.Consistently(w.cloud.SyncCalls, 2*time.Second, "100ms").Should(Equal(calls))
	w.install(crdBases)
	w.expectImports(5)
}

// An outcome that was not kept is no reason to send a backup again, even where nobody looks before a call.
func TestOutdatedCRDsThatDropAnOutcome(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	w := newOutdatedWorld(t, crdBases)
	clock := clocktesting.NewFakePassiveClock(time.Now())
	w.cloud.Configure(func(options *cbrtest.Options) { options.TaskDuration, options.Clock = time.Hour, clock })
	w.apply(w.secret(cbrtest.Token), w.project(sendAtOnce))
	w.declare(0, 2)
	w.start(true)
	g.Eventually(w.reasons, patiently, "50ms").Should(Equal(map[string]int{v1alpha1.ReasonOperationRunning: 2}))

	w.install(outdated{backup: []string{"sentHash", "outcome"}}.write(t))
	clock.SetTime(clock.Now().Add(time.Hour))
	g.Eventually(w.conditions, patiently, "50ms").Should(ContainElement(HaveField("Reason", v1alpha1.ReasonCRDsOutdated)))
	w.install(crdBases)
	g.Eventually(w.conditions, patiently, "50ms").Should(ContainElement(HaveField("Reason", v1alpha1.ReasonUsable)))
	g.Consistently(w.cloud.AcceptedTwice, 2*time.Second, "50ms").Should(BeEmpty())
	g.Eventually(w.reasons, patiently, "100ms").Should(Or(Equal(map[string]int{v1alpha1.ReasonImported: 2}), Equal(map[string]int{v1alpha1.ReasonAlreadyImported: 2})))
	g.Expect(w.cloud.AcceptedTwice()).To(BeEmpty())
}

// keepsRecords reports whether the API server keeps the records of calls.
func (w *outdatedWorld) keepsRecords() bool {
	g := NewWithT(w.t)
	project := w.project()
	project.Name, project.Spec.ProjectID = "probe", "probe"
	g.Expect(client.IgnoreAlreadyExists(w.client.Create(w.t.Context(), project))).To(Succeed())
	before := project.DeepCopy()
	project.Status.Journal.Submissions = []v1alpha1.Submission{{ID: uuid.NewString(), StartTime: metav1.NowMicro(),
		Items: []v1alpha1.SubmittedItem{{BackupID: "probe", Hash: "probe"}}}}
	g.Expect(w.client.Status().Patch(w.t.Context(), project, client.MergeFrom(before), client.DryRunAll)).To(Succeed())
	return len(project.Status.Journal.Submissions) > 0
}
