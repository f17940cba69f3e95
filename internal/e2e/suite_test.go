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

// Package e2e_test looks at the operator from outside: the real binary under its real roles, on a real API server, with
// kubectl in front of it and a simulated CBR behind it.
package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	ctrl "sigs.k8s.io/controller-runtime"

	"backupsync.dev/operator/internal/e2e/cluster"
)

const (
	suiteTimeout = 4 * time.Minute // without the builds: 40 s
	specTimeout  = time.Minute
	stopTimeout  = 15 * time.Second
)

// What the specs share. Each has a namespace of its own, so that none sees what another does.
var (
	kubernetes    *cluster.Cluster
	simulator     *cluster.Simulator
	managerBinary string
	// commandsBinary is kubectl backupsync.
	commandsBinary string
	// leader is the manager that works. A spec that ends it puts another one in its place.
	leader *cluster.Manager
	// managers are all that were ever started.
	managers []*cluster.Manager
	// token is the IAM token that the simulator takes.
	token = "token-" + uuid.NewString()
)

func TestE2E(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(time.Minute)
	SetDefaultEventuallyPollingInterval(100 * time.Millisecond)
	EnforceDefaultTimeoutsWhenUsingContexts()
	RunSpecs(t, "E2E")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	ctrl.SetLogger(logr.Discard()) // of envtest: what goes wrong is in its errors
	root, err := cluster.ModuleRoot()
	Expect(err).NotTo(HaveOccurred())
	_, err = cluster.Assets(root)
	if errors.Is(err, cluster.ErrNoControlPlane) && os.Getenv("KUBEBUILDER_ASSETS") == "" && os.Getenv("CI") == "" {
		Skip(err.Error())
	}
	Expect(err).NotTo(HaveOccurred())
	folder := GinkgoT().TempDir()
	managerBinary = binary(ctx, root, folder, "manager", ".")
	commandsBinary = binary(ctx, root, folder, "kubectl-backupsync", "./cmd/kubectl-backupsync")
	simulatorBinary := binary(ctx, root, folder, "cbrsim", "./hack/cbrsim")

	kubernetes, err = cluster.Start(ctx, root)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func(ctx SpecContext) { Expect(kubernetes.Stop(ctx)).To(Succeed()) }, NodeTimeout(time.Minute))
	Expect(kubernetes.Install(ctx)).To(Succeed())
	simulator, err = kubernetes.StartSimulator(ctx, "cbrsim", simulatorBinary,
		"--latency=20ms", "--task-duration=500ms", "--token="+token, "--project-id="+strings.Join(cloudProjects(), ","))
	Expect(err).NotTo(HaveOccurred())
	leader = startManager(ctx)
}, NodeTimeout(suiteTimeout))

// The roles are enough, and nothing has failed in a way that no spec looks at.
var _ = AfterSuite(func() {
	for _, manager := range managers {
		log, err := manager.Log()
		Expect(err).NotTo(HaveOccurred())
		Expect(log).NotTo(ContainSubstring("forbidden"), "the log of %s", manager.Name)
		Expect(log).NotTo(ContainSubstring("panic"), "the log of %s", manager.Name)
	}
})

var _ = ReportAfterEach(func(report SpecReport) {
	if report.Failed() && leader != nil {
		GinkgoWriter.Printf("The end of the log of %s:\n%s\n", leader.Name, cluster.Tail(leader.LogFile, 30))
	}
})

func binary(ctx context.Context, root, folder, name, goPackage string) string {
	GinkgoHelper()
	path, err := cluster.Binary(ctx, root, folder, name, goPackage)
	Expect(err).NotTo(HaveOccurred())
	GinkgoWriter.Printf("%s is %s\n", name, path)
	return path
}

// startManager starts another manager, which leads or stands by.
func startManager(ctx context.Context) *cluster.Manager {
	GinkgoHelper()
	manager, err := kubernetes.StartManager(ctx, fmt.Sprintf("manager-%d", len(managers)+1), managerBinary)
	Expect(err).NotTo(HaveOccurred())
	managers = append(managers, manager)
	return manager
}

func kubectl(ctx context.Context, arguments ...string) string {
	GinkgoHelper()
	output, err := kubernetes.Kubectl(ctx, arguments...)
	Expect(err).NotTo(HaveOccurred())
	return output
}

func ledger(ctx context.Context) *cluster.Ledger {
	GinkgoHelper()
	current, err := simulator.Ledger(ctx)
	Expect(err).NotTo(HaveOccurred())
	return current
}
