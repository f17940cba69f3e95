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
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/spf13/cobra"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/cli"
	"backupsync.dev/operator/internal/cli/testcluster"
)

var cluster *testcluster.Cluster

func TestMain(m *testing.M) { os.Exit(testcluster.Run(m, filepath.Join("..", "..", ".."), &cluster)) }

// commands are those of this package, with a terminal or without.
func commands(terminal bool) func(*cli.Factory) []*cobra.Command {
	return func(f *cli.Factory) []*cobra.Command {
		asks := func(io.Reader) bool { return terminal }
		return []*cobra.Command{newCommand(f, retry, asks, &cobra.Command{Use: "retry"}), newCommand(f, suspend, asks, &cobra.Command{Use: "suspend"}),
			newCommand(f, resume, asks, &cobra.Command{Use: "resume"})}
	}
}

// line is a command line in a namespace, without a terminal.
func line(namespace string) testcluster.CommandLine {
	return testcluster.CommandLine{Cluster: cluster, Namespace: namespace, Commands: commands(false)}
}

// asked is a command line on a terminal, where somebody answers.
func asked(namespace, answer string) testcluster.CommandLine {
	return testcluster.CommandLine{Cluster: cluster, Namespace: namespace, Commands: commands(true), In: strings.NewReader(answer)}
}

// in puts a BackupSync into a namespace.
func in(namespace string, backup *v1alpha1.BackupSync) *v1alpha1.BackupSync {
	backup.Namespace, backup.Generation = namespace, 0
	return backup
}

// failedBackups creates rejected BackupSyncs.
func failedBackups(t *testing.T, namespace string, count int) {
	t.Helper()
	for i := range count {
		cluster.Create(t, in(namespace, backupWith(fmt.Sprintf("failed-%d", i), backupsync.Circumstances{}, outcomeOf(v1alpha1.OutcomeRejected))))
	}
}

// createProject creates the CBRProject, usable.
func createProject(t *testing.T, namespace string) {
	t.Helper()
	project := projectWith(metav1.ConditionTrue, v1alpha1.ReasonUsable, false)
	project.Namespace, project.Generation = namespace, 0
	project.Spec = v1alpha1.CBRProjectSpec{Region: "cn-north-4", ProjectID: cbrtest.ProjectID,
		Credentials: v1alpha1.Credentials{Type: v1alpha1.CredentialsToken, SecretRef: v1alpha1.SecretReference{Name: "cbr"}}}
	project.Status.Conditions[0].LastTransitionTime = metav1.Now()
	cluster.Create(t, project)
}

func backupNamed(t *testing.T, namespace, name string) *v1alpha1.BackupSync {
	t.Helper()
	backup := &v1alpha1.BackupSync{}
	if err := cluster.Client.Get(t.Context(), types.NamespacedName{Namespace: namespace, Name: name}, backup); err != nil {
		t.Fatal(err)
	}
	return backup
}

func projectNamed(t *testing.T, namespace string) *v1alpha1.CBRProject {
	t.Helper()
	project := &v1alpha1.CBRProject{}
	if err := cluster.Client.Get(t.Context(), types.NamespacedName{Namespace: namespace, Name: "default"}, project); err != nil {
		t.Fatal(err)
	}
	return project
}

// awaitUsable waits until the operator says that the CBRProject can be used.
func awaitUsable(t *testing.T, namespace string) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		project := &v1alpha1.CBRProject{}
		err := cluster.Client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: "default"}, project)
		return meta.IsStatusConditionTrue(project.Status.Conditions, v1alpha1.ConditionReady), err
	}); err != nil {
		t.Fatal("the CBRProject is not usable: ", err)
	}
}

// requested counts the BackupSyncs that somebody has asked to be tried again.
func requested(t *testing.T, namespace string) int {
	t.Helper()
	var list v1alpha1.BackupSyncList
	if err := cluster.Client.List(t.Context(), &list, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	count := 0
	for i := range list.Items {
		if backupsync.Requested(&list.Items[i]) {
			count++
		}
	}
	return count
}

// editor is a user who may write BackupSyncs of a namespace, and only see CBRProjects.
func editor(t *testing.T, namespace string) string {
	t.Helper()
	name := "editor-" + namespace
	cluster.Create(t, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"backupsyncs"}, Verbs: []string{"get", "list", "watch", "patch"}},
		{APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"cbrprojects"}, Verbs: []string{"get", "list", "watch"}}}},
		&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}}})
	return cluster.User(t, name)
}

// expect holds an output to its status and to what it says.
func expect(t *testing.T, got testcluster.Output, status int, says ...string) {
	t.Helper()
	if got.Status != status {
		t.Errorf("exit status %d, want %d:\n%s%s", got.Status, status, got.Out, got.Err)
	}
	for _, each := range says {
		if !strings.Contains(got.Out+got.Err, each) {
			t.Errorf("%q is not said in:\n%s%s", each, got.Out, got.Err)
		}
	}
}

// secretOf is the Secret of the projects.
func secretOf(namespace string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "cbr"}, Data: map[string][]byte{v1alpha1.TokenKey: []byte(cbrtest.Token)}}
}
