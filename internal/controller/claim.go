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
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/connection"
)

// One CBRProject imports into a cloud project: two would share neither the records of calls nor the account's rate. The
// oldest has it, and says so by the claim in its journal. What must hold, whatever is created, edited or deleted when, is
// that no two of them make calls at the same time, and that the next one begins only when CBR shows all that the one
// before has sent:
//
//   - A project makes no call while an older one of the same cloud project exists, or while any other has the claim.
//   - A project gives its claim back when it sees an older one, once none of its calls is recorded any more.
//   - A process that has found the claim of a project written lists the other projects live before it plans calls, once:
//     of two that have both written their claims, at least one sees the other. A cache of one piece would show as much,
//     with our own write; the caches of several namespaces lag each for itself.
//   - A project takes no claim while a namespace that the operator watches cannot be read: one there may have it. Where the claim stands, and
//     the journal says that all other projects were read live since it was written, calls go on: it is as good as a list of this process.
//   - A project that takes the claim after another one had it waits until calls have settled, reads its candidates live
//     and looks each backup up, as after a change of writer. Where nothing tells that there was another one, a backup is
//     looked up if a BackupSync of another project declares it that CBR has accepted.
//
// A project cannot leave its cloud project while calls are recorded or tasks run (CRD), nor be deleted while calls are (finalizer).

// indexCloudProject finds the CBRProjects of a cloud project.
const indexCloudProject = "cloudProject"

func cloudProjectKeys(object client.Object) []string {
	return []string{connection.CloudProjectOf(&object.(*v1alpha1.CBRProject).Spec)}
}

// claim is what a pass knows of its project's right to the cloud project.
type claim struct {
	cloudProject string
	// rival is another CBRProject that has it, or is to have it; nil if there is none.
	rival *v1alpha1.CBRProject
	// takeover says that the claim was another's before, and is taken by this pass.
	takeover bool
	// from is when calls may be made: after a takeover, when those of the other project have settled.
	from time.Time
	// unreadable are the namespaces that must be read before the project may have it.
	unreadable []string
	// confirmed is the generation of the spec for which the claim is known to have stood since all other projects were read, 0 for none.
	confirmed int64
	// overtaken says that another process has written the project since this was found out, and may have given the claim back, and taken it again: it is
	// to be found out again.
	overtaken bool
}

// findClaim finds out whether the project has the cloud project to itself, as far as the cache shows.
func (l *loader) findClaim(ctx context.Context) error {
	l.claim = claim{cloudProject: connection.CloudProjectOf(&l.project.Spec)}
	unreadable := l.options.unreadable()
	found, err := l.projectsOf(ctx, l.claim.cloudProject)
	if err != nil {
		return err
	}
	l.readBy()
	l.claim.rival = olderClaimant(l.project, found)
	journal := &l.project.Status.Journal
	if l.claim.rival == nil && (l.takesOver() || journal.CloudProject != l.claim.cloudProject) {
		l.claim.unreadable = unreadable
	}
	switch {
	case l.claim.rival != nil || len(l.claim.unreadable) > 0:
		return nil
	case l.takesOver():
		l.claim.takeover = true
		l.claim.from = l.now.Add(l.options.settlesWithin())
		l.lostOwnership()
	case journal.TakeoverTime != nil:
		l.claim.from = l.tookOver(journal, l.now).Add(l.options.settlesWithin())
	}
	return nil
}

// takesOver reports whether another project may have had the claim before, as far as this process and the journal know.
func (l *loader) takesOver() bool {
	journal := &l.project.Status.Journal
	return l.cloudProjects.usedByAnother(l.claim.cloudProject, l.project.UID) || journal.CloudProject == "" && journal.WriterID != ""
}

// projectsOf returns the CBRProjects of a cloud project that the cache shows, without a wait for the writes of any of them. They
// must not be changed.
func (r *Reconciler) projectsOf(ctx context.Context, cloudProject string) ([]v1alpha1.CBRProject, error) {
	var found v1alpha1.CBRProjectList
	if err := r.client.List(ctx, &found, client.MatchingFields{indexCloudProject: cloudProject}, client.UnsafeDisableDeepCopy,
		client.DisableReadYourWritesConsistency); err != nil {
		return nil, fmt.Errorf("list the CBRProjects of the cloud project: %w", err)
	}
	return found.Items, nil
}

// olderClaimant returns the CBRProject, of those that import into the same cloud project, that keeps another one from doing so: the
// oldest if that is older, or any that has the claim. It is nil if there is none.
func olderClaimant(project *v1alpha1.CBRProject, all []v1alpha1.CBRProject) *v1alpha1.CBRProject {
	var found *v1alpha1.CBRProject
	cloudProject := connection.CloudProjectOf(&project.Spec)
	for i := range all {
		other := &all[i]
		if other.UID == project.UID || connection.CloudProjectOf(&other.Spec) != cloudProject {
			continue
		}
		if olderProject(other, project) || other.Status.Journal.CloudProject == cloudProject {
			if found == nil || olderProject(other, found) {
				found = other
			}
		}
	}
	return found
}

// olderProject orders CBRProjects by age; those of the same second by namespace and name.
func olderProject(a, b *v1alpha1.CBRProject) bool {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Namespace, b.Namespace),
		cmp.Compare(a.Name, b.Name)) < 0
}

// mayCall reports whether the project may make calls as far as its claim is concerned, and asks for a pass when it may. What is
// read of BackupSyncs and of CBR after it has reported so includes all that other projects have done.
func (p *planner) mayCall(ctx context.Context) (bool, error) {
	switch {
	case p.claim.rival != nil:
		return false, nil
	case len(p.claim.unreadable) > 0:
		p.requeueAt(p.now.Add(unreadableWait))
		return false, nil
	case p.claim.takeover || p.project.Status.Journal.CloudProject != p.claim.cloudProject:
		p.requeueNow() // with the claim that the report writes
		return false, nil
	case p.claim.from.After(p.now):
		p.requeueAt(p.claim.from)
		return false, nil
	default:
		return p.confirmClaim(ctx)
	}
}

// applyClaim writes the claim into a status.
func (s *scope) applyClaim(journal *v1alpha1.Journal) {
	switch {
	case s.claim.overtaken:
	case s.claim.rival == nil && len(s.claim.unreadable) > 0:
	case s.claim.rival == nil && s.claim.takeover:
		taken := metav1.NewMicroTime(s.now)
		s.forgetScope(journal)
		journal.CloudProject, journal.ConfirmedGeneration, journal.TakeoverTime = s.claim.cloudProject, 0, &taken
	case s.claim.rival == nil && journal.CloudProject != s.claim.cloudProject:
		s.forgetScope(journal)
		journal.CloudProject, journal.ConfirmedGeneration, journal.TakeoverTime = s.claim.cloudProject, 0, nil
	case s.claim.rival == nil && s.claim.confirmed != 0:
		journal.ConfirmedGeneration = s.claim.confirmed
	case s.claim.rival == nil:
	case len(journal.Submissions) == 0:
		journal.CloudProject, journal.ConfirmedGeneration, journal.TakeoverTime = "", 0, nil
	}
}

// forgetScope forgets whose tasks are, when the project turns to another cloud project: that may be another cloud.
func (s *scope) forgetScope(journal *v1alpha1.Journal) {
	if journal.CloudProject != s.claim.cloudProject {
		journal.TaskScope, journal.TaskDateLagMilliseconds = "", nil
	}
}

// confirmClaim reads the other projects live, once for each version of the project's spec that this process makes calls for,
// and reports whether none of them stands against the claim, which is written. If a namespace cannot be read, it is enough that the journal
// says so: the claim stands without a break since another process has read all of them.
func (p *planner) confirmClaim(ctx context.Context) (bool, error) {
	confirmed := fmt.Sprintf("%s/%d/%s", p.project.UID, p.project.Generation, p.claim.cloudProject)
	if p.confirmedClaim != confirmed {
		found, unreadable, err := p.liveProjects(ctx)
		if err != nil {
			return false, err
		}
		if p.claim.rival = olderClaimant(p.project, found); p.claim.rival != nil {
			return false, nil
		}
		if len(unreadable) > 0 && p.project.Status.Journal.ConfirmedGeneration != p.project.Generation {
			p.claim.unreadable = unreadable
			p.requeueAt(p.now.Add(unreadableWait))
			return false, nil
		}
		p.confirmedClaim = confirmed
	}
	p.claim.confirmed = p.project.Generation
	return true, nil
}

// liveProjects reads the CBRProjects with the project's id that the operator watches, from the API server, and returns the namespaces that
// it may not read.
func (r *reader) liveProjects(ctx context.Context) (all []v1alpha1.CBRProject, unreadable []string, err error) {
	for _, namespace := range r.options.Namespaces {
		var found v1alpha1.CBRProjectList
		err := r.live.List(ctx, &found, client.InNamespace(namespace), client.MatchingFields{"spec.projectID": r.project.Spec.ProjectID})
		if r.isElsewhere(namespace, err) {
			unreadable = append(unreadable, namespace)
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("list the CBRProjects of the cloud project: %w", err)
		}
		all = slices.Concat(all, found.Items)
	}
	return all, unreadable, nil
}

// isElsewhere reports whether an error of a list says that a namespace must not be read which is not that of the project.
func (r *reader) isElsewhere(namespace string, err error) bool {
	return apierrors.IsForbidden(err) && namespace != r.key.Namespace && namespace != metav1.NamespaceAll
}

// unreadableMessage says what keeps the project from taking the cloud project.
func (r *reporter) unreadableMessage() string {
	names := r.claim.unreadable
	which := "The namespace " + names[0]
	if more := len(names) - 1; more > 0 {
		which += fmt.Sprintf(" (and %d more)", more)
	}
	return which + " cannot be read: a CBRProject there may have this cloud project, and only one may. Restore the operator's Role and RoleBinding " +
		"there, or take it out of --watch-namespaces: calls then begin automatically."
}

// inUseMessage says what keeps the project from making calls. It names no object of another namespace.
func (r *reporter) inUseMessage() string {
	rival := "Another CBRProject"
	if r.claim.rival != nil && r.claim.rival.Namespace == r.key.Namespace {
		rival = "The CBRProject " + r.claim.rival.Name
	}
	switch {
	case r.claim.rival == nil:
		return fmt.Sprintf("Another CBRProject may have imported into this cloud project before. Calls begin within %s, when CBR shows all that may "+
			"have been sent.", r.options.settlesWithin().Round(time.Second))
	case olderProject(r.claim.rival, r.project):
		return rival + ", which is older, imports into the same cloud project (endpoint and projectID), and only one may. Delete one " +
			"of the two, and declare the backups in the namespace of the other."
	default:
		return rival + ", which is younger, still has calls in the same cloud project (endpoint and projectID). Calls begin when it has " +
			"let go of it. Only one may import there: delete one of the two."
	}
}

// cloudProjects remembers which CBRProject of this process has used a cloud project last. A deleted one leaves no trace but this.
type cloudProjects struct {
	mutex  sync.Mutex
	usedBy map[string]types.UID
}

// use notes that a CBRProject makes calls.
func (c *cloudProjects) use(cloudProject string, by types.UID) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.usedBy[cloudProject] = by
}

// usedByAnother reports whether another CBRProject has made the latest calls.
func (c *cloudProjects) usedByAnother(cloudProject string, than types.UID) bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	by, used := c.usedBy[cloudProject]
	return used && by != than
}
