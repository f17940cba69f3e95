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
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
)

// target is an object that was chosen, and what is to become of it.
type target struct {
	kind    string
	object  client.Object
	reason  string // of Ready, when it was chosen
	verdict verdict
}

func (t *target) name() string { return t.object.GetName() }

func (t *target) backup() *v1alpha1.BackupSync {
	backup, _ := t.object.(*v1alpha1.BackupSync)
	return backup
}

func (t *target) project() *v1alpha1.CBRProject {
	project, _ := t.object.(*v1alpha1.CBRProject)
	return project
}

// reader reads what is chosen.
type reader struct {
	client    client.Reader
	namespace string
}

// pageSize is how many objects are asked for at once.
const pageSize = 500

// concurrentReads are under way at once.
const concurrentReads = 16

// explain makes an error of the API server one that says what to do.
func explain(doing string, err error) error {
	switch {
	case meta.IsNoMatchError(err):
		return fmt.Errorf("%s: the cluster has no CRDs of %s: apply config/crd, or install the chart", doing, v1alpha1.GroupVersion)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%s: you may not: %w", doing, err)
	default:
		return fmt.Errorf("%s: %w", doing, err)
	}
}

// named reads objects by their names. Names that do not exist are returned, too.
func (r *reader) named(ctx context.Context, kind string, names []string) (found []*target, missing []string, err error) {
	read := make([]*target, len(names))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(concurrentReads)
	for i, name := range names {
		group.Go(func() error {
			object := newObject(kind)
			err := r.client.Get(ctx, client.ObjectKey{Namespace: r.namespace, Name: name}, object)
			switch {
			case apierrors.IsNotFound(err):
				return nil
			case err != nil:
				return explain(fmt.Sprintf("get %s %s", kind, name), err)
			}
			read[i] = newTarget(kind, object)
			return nil
		})
	}
	err = group.Wait()
	for i, each := range read {
		if each == nil {
			missing = append(missing, names[i])
		} else {
			found = append(found, each)
		}
	}
	return found, missing, err
}

func newObject(kind string) client.Object {
	if kind == kindProject {
		return &v1alpha1.CBRProject{}
	}
	return &v1alpha1.BackupSync{}
}

func newTarget(kind string, object client.Object) *target {
	t := &target{kind: kind, object: object}
	switch of := object.(type) {
	case *v1alpha1.BackupSync:
		t.reason = reasonOf(of.Status.Conditions)
	case *v1alpha1.CBRProject:
		t.reason = reasonOf(of.Status.Conditions)
	}
	return t
}

// chosen reads the objects that the flags choose.
func (r *reader) chosen(ctx context.Context, kind string, by *options) ([]*target, error) {
	if kind == kindProject {
		projects, err := r.projects(ctx, client.MatchingLabelsSelector{Selector: by.chosen})
		found := make([]*target, 0, len(projects))
		for _, project := range projects {
			found = append(found, newTarget(kind, project))
		}
		return found, err
	}
	var found []*target
	err := r.eachBackup(ctx, by.listOptions(), func(backup *v1alpha1.BackupSync) {
		if by.takes(backup) {
			found = append(found, newTarget(kind, backup))
		}
	})
	return found, err
}

// listOptions are what the API server chooses by.
func (o *options) listOptions() []client.ListOption {
	chosen := []client.ListOption{client.MatchingLabelsSelector{Selector: o.chosen}}
	if o.project != "" {
		chosen = append(chosen, client.MatchingFields{"spec.projectRef.name": o.project})
	}
	return chosen
}

// takes reports whether the flags choose a BackupSync that the API server has chosen.
func (o *options) takes(backup *v1alpha1.BackupSync) bool {
	if len(o.reasons) > 0 && !slices.Contains(o.reasons, reasonOf(backup.Status.Conditions)) {
		return false
	}
	if o.unavailable && (backupsync.StateOf(backup) != backupsync.Imported || !lost(backup)) {
		return false
	}
	return !o.allFailed || backupsync.StateOf(backup) == backupsync.Failed
}

// lost reports whether an audit has found that CBR does not show an imported backup usable any more.
func lost(backup *v1alpha1.BackupSync) bool {
	found := backupsync.AvailabilityOf(backup)
	return found == backupsync.BackupMissing || found == backupsync.BackupUnusable
}

// eachBackup reads BackupSyncs page by page.
func (r *reader) eachBackup(ctx context.Context, by []client.ListOption, take func(*v1alpha1.BackupSync)) error {
	next := ""
	for {
		var page v1alpha1.BackupSyncList
		options := append([]client.ListOption{client.InNamespace(r.namespace), client.Limit(pageSize), client.Continue(next)}, by...)
		if err := r.client.List(ctx, &page, options...); err != nil {
			return explain("list the BackupSyncs of namespace "+r.namespace, err)
		}
		for i := range page.Items {
			take(&page.Items[i])
		}
		if next = page.Continue; next == "" {
			return nil
		}
	}
}

// projects returns the CBRProjects of the namespace by name.
func (r *reader) projects(ctx context.Context, by ...client.ListOption) (map[string]*v1alpha1.CBRProject, error) {
	var list v1alpha1.CBRProjectList
	if err := r.client.List(ctx, &list, append([]client.ListOption{client.InNamespace(r.namespace)}, by...)...); err != nil {
		return nil, explain("list the CBRProjects of namespace "+r.namespace, err)
	}
	found := map[string]*v1alpha1.CBRProject{}
	for i := range list.Items {
		found[list.Items[i].Name] = &list.Items[i]
	}
	return found, nil
}

// homes are the CBRProjects of BackupSyncs: nothing is known of them if they may not be read.
type homes struct {
	read     bool
	projects map[string]*v1alpha1.CBRProject
}

func (r *reader) homes(ctx context.Context) (homes, error) {
	projects, err := r.projects(ctx)
	if apierrors.IsForbidden(err) {
		return homes{}, nil
	}
	return homes{read: err == nil, projects: projects}, err
}

func (h homes) of(backup *v1alpha1.BackupSync) home {
	name := backup.Spec.ProjectRef.Name
	project := h.projects[name]
	return home{name: name, project: project, missing: h.read && project == nil}
}

// judge decides what becomes of each target.
func (o *options) judge(targets []*target, in homes, named bool) {
	for _, each := range targets {
		switch backup := each.backup(); {
		case backup == nil && o.verb == retry:
			each.verdict = judgeProjectRetry(each.project())
		case backup == nil:
			each.verdict = judgeProjectSuspension(each.project(), o.verb == suspend)
		case o.verb == retry:
			each.verdict = judgeRetry(backup, in.of(backup), named || len(o.reasons) > 0 || o.unavailable)
		case o.verb == suspend:
			each.verdict = judgeSuspend(backup)
		default:
			each.verdict = judgeResume(backup, in.of(backup))
		}
	}
	slices.SortStableFunc(targets, func(a, b *target) int { return strings.Compare(a.name(), b.name()) })
}
