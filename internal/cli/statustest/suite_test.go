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

// Package statustest tests the commands that show how imports go on a real API server: status, failed, pending, running and explain.
package statustest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cli"
	"backupsync.dev/operator/internal/cli/backups"
	"backupsync.dev/operator/internal/e2e/cluster"
	"backupsync.dev/operator/internal/e2e/testbed"
)

// bed is the cluster that the tests share. Each has a namespace of its own.
var bed *cluster.Cluster

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (status int) {
	ctrl.SetLogger(logr.Discard())
	root, err := cluster.ModuleRoot()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if _, err := cluster.Assets(root); err != nil {
		fmt.Fprintln(os.Stderr, "skipped:", err)
		if os.Getenv("CI") == "" {
			return 0
		}
		return 1
	}
	if bed, err = start(root); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := bed.Stop(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			status = 1
		}
	}()
	return m.Run()
}

// start starts a cluster with the kinds, but no operator.
func start(root string) (*cluster.Cluster, error) {
	started, err := cluster.Start(context.Background(), root)
	if err != nil {
		return nil, err
	}
	if err := installCRDs(started.Config, filepath.Join(root, "config", "crd", "bases")); err != nil {
		_ = started.Stop(context.Background()) // the first error tells more
		return nil, err
	}
	return started, nil
}

func installCRDs(config *rest.Config, folder string) error {
	_, err := envtest.InstallCRDs(config, envtest.CRDInstallOptions{Paths: []string{folder}, ErrorIfPathMissing: true})
	return err
}

// number makes names that no other test has.
var number atomic.Int32

// namespace makes a namespace.
func namespace(t testing.TB) string {
	t.Helper()
	made := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("test-%d", number.Add(1))}}
	must(t, bed.Client.Create(t.Context(), made))
	return made.Name
}

// project makes a CBRProject, and writes its status, if one is given.
func project(t testing.TB, namespace, name string, status *v1alpha1.CBRProjectStatus) *v1alpha1.CBRProject {
	t.Helper()
	made := testbed.Project(namespace, name, "https://cbr.example.com", fmt.Sprintf("%s-%s", namespace, name))
	must(t, bed.Client.Create(t.Context(), made))
	if status != nil {
		made.Status = *status
		made.Status.ObservedGeneration = made.Generation
		must(t, bed.Client.Status().Update(t.Context(), made))
	}
	return made
}

// usable is the status of a project that counts so many.
func usable(counts v1alpha1.BackupCounts) *v1alpha1.CBRProjectStatus {
	counts.Total = counts.Pending + counts.Running + counts.Imported + counts.Failed
	return &v1alpha1.CBRProjectStatus{
		Backups: &counts,
		Conditions: []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonUsable,
			Message: "Endpoint and credentials are set, and CBR has not refused them.", LastTransitionTime: metav1.Now()}},
	}
}

// backup makes a BackupSync with the status that a change of it has.
func backup(t testing.TB, made *v1alpha1.BackupSync, becomes func(*v1alpha1.BackupSync) *v1alpha1.BackupSync) *v1alpha1.BackupSync {
	t.Helper()
	must(t, bed.Client.Create(t.Context(), made))
	if becomes != nil {
		made = becomes(made)
		must(t, bed.Client.Status().Update(t.Context(), made))
	}
	return made
}

// result is what a command has written, and its exit status.
type result struct {
	out, errOut string
	status      int
}

// runCommand runs a command against the cluster.
func runCommand(t testing.TB, command func(*cli.Factory) *cobra.Command, arguments ...string) result {
	t.Helper()
	return runContext(t.Context(), command, arguments...)
}

func runContext(ctx context.Context, command func(*cli.Factory) *cobra.Command, arguments ...string) result {
	return runWith(ctx, bed.Kubeconfig, command, arguments...)
}

func runWith(ctx context.Context, kubeconfig string, command func(*cli.Factory) *cobra.Command, arguments ...string) result {
	var out, errOut bytes.Buffer
	f := cli.NewFactory("test", genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: &out, ErrOut: &errOut})
	root := cli.NewCommand(f, command(f)) //nolint:contextcheck // completion has the context of its command
	root.SetContext(ctx)
	root.SetArgs(append(arguments, "--kubeconfig="+kubeconfig))
	status := cli.Run(f, root)
	return result{out: out.String(), errOut: errOut.String(), status: status}
}

func reader(t testing.TB) *backups.Reader {
	t.Helper()
	made, err := backups.NewReader(bed.Config)
	must(t, err)
	return made
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func now() metav1.Time { return metav1.NewTime(time.Now().Truncate(time.Second)) }
