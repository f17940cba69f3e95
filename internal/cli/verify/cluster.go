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

package verify

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
)

const (
	// pageSize is how many BackupSyncs are read at a time: some 2 MB.
	pageSize = 500
	// maxReadings is how often a list is read from its start that the API server forgets while it is read.
	maxReadings = 3
)

// eachBackupSync goes through the BackupSyncs of a project, page by page. It calls begin each time that it begins, which is again if the
// API server has forgotten the list.
func eachBackupSync(ctx context.Context, reader client.Reader, project client.ObjectKey, begin func(), see func(*v1alpha1.BackupSync)) error {
	for reading := 1; ; reading++ {
		begin()
		err := readBackupSyncs(ctx, reader, project, see)
		if err == nil || reading == maxReadings || !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
			return explainCluster("list BackupSyncs", project.Namespace, err)
		}
	}
}

func readBackupSyncs(ctx context.Context, reader client.Reader, project client.ObjectKey, see func(*v1alpha1.BackupSync)) error {
	for next := ""; ; {
		var page v1alpha1.BackupSyncList
		if err := reader.List(ctx, &page, client.InNamespace(project.Namespace), client.MatchingFields{"spec.projectRef.name": project.Name},
			client.Limit(pageSize), client.Continue(next)); err != nil {
			return err
		}
		for i := range page.Items {
			see(&page.Items[i])
		}
		if next = page.Continue; next == "" {
			return nil
		}
	}
}

// explainCluster says what an error of the API server means.
func explainCluster(what, namespace string, err error) error {
	where := "in namespace " + namespace
	if namespace == "" {
		where = "in all namespaces"
	}
	switch {
	case err == nil:
		return nil
	case apierrors.IsForbidden(err):
		return fmt.Errorf("you may not %s %s: have somebody give you that right (%w)", what, where, err)
	case meta.IsNoMatchError(err), apierrors.IsNotFound(err) && !isObject(err):
		return fmt.Errorf("%s: this cluster does not know the kinds of cbr.backupsync.dev: install the operator's CRDs, or choose another --context (%w)", what, err)
	default:
		return fmt.Errorf("%s %s: %w", what, where, err)
	}
}

// isObject reports whether it is one object that is not there.
func isObject(err error) bool {
	status, is := errors.AsType[*apierrors.StatusError](err)
	return is && status.ErrStatus.Details != nil && status.ErrStatus.Details.Name != ""
}

// chosen returns the projects that the command line asks for.
func (c *command) chosen(ctx context.Context, reader client.Reader) ([]v1alpha1.CBRProject, error) {
	if c.project != "" {
		var project v1alpha1.CBRProject
		err := reader.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: c.project}, &project)
		if apierrors.IsNotFound(err) && isObject(err) {
			return nil, fmt.Errorf("there is no CBRProject %s in namespace %s: kubectl get cbrp -A lists those that there are", c.project, c.namespace)
		}
		return []v1alpha1.CBRProject{project}, explainCluster("get CBRProject "+c.project, c.namespace, err)
	}
	var projects v1alpha1.CBRProjectList
	if err := reader.List(ctx, &projects, client.InNamespace(c.namespace)); err != nil {
		return nil, explainCluster("list CBRProjects", c.namespace, err)
	}
	switch found := len(projects.Items); {
	case found == 0 && c.namespace == "":
		return nil, errors.New("there is no CBRProject in this cluster")
	case found == 0:
		return nil, fmt.Errorf("there is no CBRProject in namespace %s: choose another with -n, or all with -A", c.namespace)
	case found > 1 && !c.allProjects:
		return nil, fmt.Errorf("there are %d CBRProjects in namespace %s: name one of them, %s for one, or choose all with -A", found, c.namespace, projects.Items[0].Name)
	default:
		return projects.Items, nil
	}
}

// siblings returns the other CBRProjects of the same cloud project, and whether all namespaces could be looked through.
func siblings(ctx context.Context, reader client.Reader, project *v1alpha1.CBRProject, cloudProject func(*v1alpha1.CBRProjectSpec) string) (found []client.ObjectKey, everywhere bool, err error) {
	var projects v1alpha1.CBRProjectList
	err = reader.List(ctx, &projects)
	if everywhere = !apierrors.IsForbidden(err); !everywhere {
		err = reader.List(ctx, &projects, client.InNamespace(project.Namespace))
	}
	if err != nil {
		return nil, everywhere, explainCluster("list CBRProjects", project.Namespace, err)
	}
	for i := range projects.Items {
		other := &projects.Items[i]
		if other.UID != project.UID && cloudProject(&other.Spec) == cloudProject(&project.Spec) {
			found = append(found, client.ObjectKeyFromObject(other))
		}
	}
	return found, everywhere, nil
}
