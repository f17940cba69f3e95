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
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
)

// write is one write, at an object of its own.
type write struct {
	kind    string
	object  client.Object
	targets []*target // that it is for
}

// plan returns the writes for the targets that are acted on. All that have failed of a project are one request at the project, as
// that does the same; what a request there would do besides is done by none.
func (o *options) plan(targets []*target, in homes) []write {
	writes := make([]write, 0, len(targets))
	byProject := map[string][]*target{}
	var order []string
	for _, each := range targets {
		if each.backup() != nil && o.verb == retry && o.everyFailed() {
			name := each.backup().Spec.ProjectRef.Name
			if byProject[name] == nil {
				order = append(order, name)
			}
			byProject[name] = append(byProject[name], each)
		} else if each.verdict.decision == acted {
			writes = append(writes, write{kind: each.kind, object: each.object, targets: []*target{each}})
		}
	}
	for _, name := range order {
		writes = append(writes, planProject(in.projects[name], byProject[name])...)
	}
	return writes
}

// planProject returns the writes for all that have failed of a project.
func planProject(project *v1alpha1.CBRProject, failed []*target) []write {
	var taken []*target
	alone := true // a request would not try any that is passed over
	for _, each := range failed {
		if each.verdict.decision == acted {
			taken = append(taken, each)
		} else if !backupsync.IsDuplicate(each.backup()) && each.reason != v1alpha1.ReasonUnknownOutcome {
			alone = false
		}
	}
	if project != nil && alone && len(taken) > 1 && judgeProjectRetry(project).decision == acted && !pauses(project) {
		return []write{{kind: kindProject, object: project, targets: taken}}
	}
	return singly(taken)
}

// pauses reports whether a request at a project may end a pause of its, which nobody has asked for.
func pauses(project *v1alpha1.CBRProject) bool {
	return readyOf(project.Status.Conditions).Status != metav1.ConditionTrue
}

func singly(targets []*target) []write {
	writes := make([]write, 0, len(targets))
	for _, each := range targets {
		writes = append(writes, write{kind: each.kind, object: each.object, targets: []*target{each}})
	}
	return writes
}

// patchOf is a merge patch that changes nothing but what a verb changes, and that an object of the same name that came later refuses.
func patchOf(v verb, object client.Object, request string) client.Patch {
	metadata := map[string]any{"uid": object.GetUID()}
	patch := map[string]any{"metadata": metadata}
	switch v {
	case retry:
		metadata["annotations"] = map[string]any{v1alpha1.RequestedAtAnnotation: request}
	case suspend:
		patch["spec"] = map[string]any{"suspend": true}
	default:
		patch["spec"] = map[string]any{"suspend": nil} // nothing of ours is left behind
	}
	data, err := json.Marshal(patch)
	if err != nil {
		panic(err) // texts: it cannot fail
	}
	return client.RawPatch(types.MergePatchType, data)
}

// outcome is what has become of a target.
type outcome uint8

const (
	notReached outcome = iota
	written
	failed
)

// result is what has become of a target, and by what.
type result struct {
	*target
	outcome outcome
	err     error
	through string // the CBRProject of the request, if it stands there
}

// writer writes.
type writer struct {
	client   client.Client
	options  *options
	request  string // the value of the annotation
	progress func(done, of int)
}

const (
	// concurrentWrites are under way at once. The API server's priority and fairness regulates beyond that.
	concurrentWrites = 16
	// writeTimeout bounds a write, also one that is under way at an interrupt: whether it went well is to be known.
	writeTimeout = 30 * time.Second
)

// all makes the writes, and returns what has become of each target. When the context ends, those under way are completed, and no more
// are begun.
func (w *writer) all(ctx context.Context, writes []write) []result {
	var results []result
	var single []write
	for _, each := range writes {
		if each.kind != kindProject || len(each.targets) == 1 && each.targets[0].kind == kindProject {
			single = append(single, each)
			continue
		}
		out, err := w.one(ctx, each)
		if apierrors.IsForbidden(err) { // who may write BackupSyncs may not write projects: one by one, then
			single = append(single, singly(each.targets)...)
			continue
		}
		for _, of := range each.targets {
			results = append(results, result{target: of, outcome: out, err: err, through: kindProject + "/" + each.object.GetName()})
		}
	}
	return append(results, w.each(ctx, single)...)
}

// each makes writes that are for one target each.
func (w *writer) each(ctx context.Context, writes []write) []result {
	results := make([]result, len(writes))
	var group errgroup.Group
	group.SetLimit(concurrentWrites)
	var done atomic.Int64
	for i, each := range writes {
		group.Go(func() error {
			results[i].target = each.targets[0]
			results[i].outcome, results[i].err = w.one(ctx, each)
			w.progress(int(done.Add(1)), len(writes))
			return nil
		})
	}
	_ = group.Wait() // none returns an error
	return results
}

// one makes one write, unless the context has ended.
func (w *writer) one(ctx context.Context, each write) (outcome, error) {
	if ctx.Err() != nil {
		return notReached, nil
	}
	if w.options.dryRun == dryRunClient {
		return written, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	var options []client.PatchOption
	if w.options.dryRun == dryRunServer {
		options = append(options, client.DryRunAll)
	}
	object := newObject(each.kind)
	object.SetNamespace(each.object.GetNamespace())
	object.SetName(each.object.GetName())
	err := w.client.Patch(ctx, object, patchOf(w.options.verb, each.object, w.request), options...)
	if err == nil {
		return written, nil
	}
	return failed, explainWrite(each, err)
}

// explainWrite says what a refused write means.
func explainWrite(of write, err error) error {
	name := of.object.GetName()
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%s %s was deleted meanwhile", of.kind, name)
	case apierrors.IsConflict(err), apierrors.IsInvalid(err) && strings.Contains(err.Error(), "metadata.uid"): // which the patch holds against that
		return fmt.Errorf("%s %s was deleted and created again meanwhile: run the command again", of.kind, name)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("you may not patch %s %s: %w", of.kind, name, err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("patch %s %s: no answer in %s, it may or may not be written: run the command again", of.kind, name, writeTimeout)
	default:
		return fmt.Errorf("patch %s %s: %w", of.kind, name, err)
	}
}
