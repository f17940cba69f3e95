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
	"testing"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/yaml"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/controller"
)

// readCRD returns the CRD of a kind.
func readCRD(t *testing.T, plural string) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "config", "crd", "bases", "cbr.backupsync.dev_"+plural+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.Unmarshal(content, crd); err != nil {
		t.Fatal(err)
	}
	return crd
}

// statusOf returns the schema of a CRD's status.
func statusOf(crd *apiextensionsv1.CustomResourceDefinition) apiextensionsv1.JSONSchemaProps {
	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["status"]
}

// Where the CRDs in the cluster are older than the operator, what it writes would be dropped: nothing is sent, and the project says
// so. Once they are current everything goes on.
func TestOutdatedCRDs(t *testing.T) {
	for name, c := range map[string]struct {
		age     func(backups, projects *apiextensionsv1.CustomResourceDefinition)
		checked bool // whether the operator looks at the CRDs by itself, too
	}{
		"without selectable fields": {func(backups, _ *apiextensionsv1.CustomResourceDefinition) {
			backups.Spec.Versions[0].SelectableFields = nil
		}, true},
		"without records": {withoutRecords, true},
		"without records, told by the answer to the record's write alone": {withoutRecords, false},
		"without outcomes": {func(backups, _ *apiextensionsv1.CustomResourceDefinition) {
			delete(statusOf(backups).Properties, "outcome")
			delete(statusOf(backups).Properties, "sentHash")
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			backups, projects := readCRD(t, "backupsyncs"), readCRD(t, "cbrprojects")
			c.age(backups, projects)
			o := startOutdated(t, c.checked, backups, projects)
			cloud := cbrtest.NewServer(t, cbrtest.Options{})
			o.declare(g, cloud)
			g.Eventually(o.reason, time.Minute).Should(Equal(v1alpha1.ReasonCRDsOutdated))
			g.Consistently(cloud.SyncCalls, 3*time.Second).Should(BeZero())

			if c.checked {
				_, err := envtest.InstallCRDs(o.config, envtest.CRDInstallOptions{Paths: []string{filepath.Join("..", "..", "config", "crd", "bases")}})
				g.Expect(err).NotTo(HaveOccurred())
				g.Eventually(cloud.SyncCalls, time.Minute).Should(Equal(1))
				g.Eventually(o.reason, time.Minute).Should(Equal(v1alpha1.ReasonUsable))
			}
		})
	}
}

func withoutRecords(_, projects *apiextensionsv1.CustomResourceDefinition) {
	delete(statusOf(projects).Properties["journal"].Properties, "submissions")
	projects.Spec.Versions[0].Schema.OpenAPIV3Schema.XValidations = nil // they speak of records
}

// outdated is a control plane of its own, with a controller.
type outdated struct {
	client client.Client
	config *rest.Config
}

func startOutdated(t *testing.T, checked bool, crds ...*apiextensionsv1.CustomResourceDefinition) *outdated {
	t.Helper()
	g := NewWithT(t)
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Setenv("KUBEBUILDER_ASSETS", filepath.Join("..", "..", "bin", "k8s"))
	}
	environment := &envtest.Environment{CRDs: crds}
	t.Cleanup(func() { _ = environment.Stop() })
	restConfig, err := environment.Start()
	g.Expect(err).NotTo(HaveOccurred())
	kinds := runtime.NewScheme()
	g.Expect(clientgoscheme.AddToScheme(kinds)).To(Succeed())
	g.Expect(v1alpha1.AddToScheme(kinds)).To(Succeed())
	enabled := true
	manager, err := ctrl.NewManager(restConfig, ctrl.Options{
		Scheme: kinds, Metrics: metricsserver.Options{BindAddress: "0"}, Controller: config.Controller{SkipNameValidation: &enabled},
		Cache:  cache.Options{DefaultTransform: controller.TrimCached, ReaderFailOnMissingInformer: true},
		Client: client.Options{Cache: &client.CacheOptions{EnableReadYourWritesConsistency: &enabled}},
	})
	g.Expect(err).NotTo(HaveOccurred())
	endpoints, err := controller.ParseEndpointPatterns("http://127.0.0.1:*")
	g.Expect(err).NotTo(HaveOccurred())
	options := controller.Options{Identity: uuid.NewString(), AllowedEndpoints: endpoints}
	if checked {
		published, err := discovery.NewDiscoveryClientForConfig(restConfig)
		g.Expect(err).NotTo(HaveOccurred())
		options.Schema = controller.NewSchemaCheck(published.OpenAPIV3(), manager.GetLogger())
	}
	reconciler, err := controller.NewReconciler(manager.GetClient(), manager.GetAPIReader(), manager.GetEventRecorder("backupsync"), options)
	g.Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(t.Context())
	g.Expect(reconciler.SetupWithManager(ctx, manager)).To(Succeed())
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		g.Expect(<-ended).To(Succeed())
	})
	direct, err := client.New(restConfig, client.Options{Scheme: kinds})
	g.Expect(err).NotTo(HaveOccurred())
	return &outdated{client: direct, config: restConfig}
}

// declare creates a project of a cloud, and a backup.
func (o *outdated) declare(g *WithT, cloud *cbrtest.Server) {
	w := &world{namespace: "default", cloud: cloud}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "cbr"}, StringData: map[string]string{v1alpha1.TokenKey: cbrtest.Token}}
	for _, object := range []client.Object{secret, w.project(), w.backup(1)} {
		g.Expect(o.client.Create(context.Background(), object)).To(Succeed())
	}
}

// reason returns the reason of the project's Ready.
func (o *outdated) reason() string {
	var project v1alpha1.CBRProject
	if err := o.client.Get(context.Background(), client.ObjectKey{Namespace: "default", Name: "default"}, &project); err != nil {
		return err.Error()
	}
	return projectReason(&project)
}
