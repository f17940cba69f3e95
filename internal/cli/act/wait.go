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
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cli/text"
)

// how is how something that is waited for has ended; "" while it has not.
type how string

const (
	endedWell how = "Well"
	endedBad  how = "Failed"
	endedHeld how = "Suspended"
	endedGone how = "Deleted"
)

// ending is how one object stands.
type ending struct {
	how             how
	reason, message string
}

// endingOf tells whether what a verb began at an object has come to its end.
func endingOf(v verb, object client.Object) ending {
	switch of := object.(type) {
	case *v1alpha1.BackupSync:
		return endOf(v, of.Status.Conditions, !backupsync.Requested(of) && of.Status.ObservedGeneration >= of.Generation)
	case *v1alpha1.CBRProject:
		request := backupsync.RequestOf(of)
		handled := request == "" || request == of.Status.LastHandledRequest
		return endOf(v, of.Status.Conditions, handled && of.Status.ObservedGeneration >= of.Generation)
	default:
		return ending{}
	}
}

// endOf is endingOf for conditions, if they speak of what was asked for.
func endOf(v verb, conditions []metav1.Condition, current bool) ending {
	ready := readyOf(conditions)
	if !current { // they speak of before
		return ending{reason: ready.Reason + " (the operator has not acted yet)", message: ready.Message}
	}
	found := ending{reason: ready.Reason, message: ready.Message}
	switch {
	case ready.Reason == v1alpha1.ReasonSuspended && v == suspend, ready.Status == metav1.ConditionTrue:
		found.how = endedWell
	case ready.Reason == v1alpha1.ReasonSuspended:
		found.how = endedHeld
	case isStalled(conditions) && v == suspend: // it is stopped, too
		found.how = endedWell
	case isStalled(conditions):
		found.how = endedBad
	}
	return found
}

// waiter waits until what a verb began has come to its end.
type waiter struct {
	client    client.WithWatch
	namespace string
	verb      verb
	clock     clock.Clock
	tell      func(text string)

	watchOnly func(client.Object) // told of each object, nil for one that is gone, in place of keeping count of it

	mutex    sync.Mutex
	open     map[string]ending // by name
	ended    map[string]ending
	toldAt   time.Time
	lastTold string
}

const (
	// tellEvery is the least time between two lines of progress.
	tellEvery = 2 * time.Second
	// followSingly is how many objects are followed by a watch each. More are followed by one of all.
	followSingly = 8
	// rewatchAfter is the pause before a watch that failed is begun again.
	rewatchAfter = time.Second
)

// wait follows objects of a kind until all have ended, or the context has.
func (w *waiter) wait(ctx context.Context, kind string, names []string) error {
	w.open, w.ended = map[string]ending{}, map[string]ending{}
	for _, name := range names {
		w.open[name] = ending{}
	}
	if len(names) > followSingly {
		return w.follow(ctx, kind, "", w.done)
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, name := range names {
		group.Go(func() error {
			return w.follow(ctx, kind, name, func() bool { return w.hasEnded(name) })
		})
	}
	return group.Wait()
}

// takenIn waits until the requests at CBRProjects have been acted on.
func (w *waiter) takenIn(ctx context.Context, names []string) error {
	for _, name := range names {
		handled := false
		at := &waiter{client: w.client, namespace: w.namespace, clock: w.clock, tell: w.tell, watchOnly: func(object client.Object) {
			project, there := object.(*v1alpha1.CBRProject)
			handled = handled || !there || backupsync.RequestOf(project) == project.Status.LastHandledRequest
		}}
		if err := at.follow(ctx, kindProject, name, func() bool { return handled }); err != nil {
			return err
		}
	}
	return nil
}

// mind tells when CBRProjects are not ready meanwhile, which keeps what is waited for from its end. What it may not see it does not tell.
func (w *waiter) mind(ctx context.Context, names []string) {
	for _, name := range names {
		said := ""
		at := &waiter{client: w.client, namespace: w.namespace, clock: w.clock, tell: func(string) {}, watchOnly: func(object client.Object) {
			project, there := object.(*v1alpha1.CBRProject)
			if !there {
				return
			}
			if now := unready(project); now != "" && now != said {
				said = now
				w.tell(now)
			}
		}}
		go func() { _ = at.follow(ctx, kindProject, name, func() bool { return false }) }()
	}
}

// unready says what keeps a CBRProject from sending until a person changes something, "" if nothing does.
func unready(project *v1alpha1.CBRProject) string {
	switch ready := readyOf(project.Status.Conditions); {
	case project.DeletionTimestamp != nil:
		return fmt.Sprintf("The CBRProject %s is being deleted: nothing of it is sent any more.", project.Name)
	case isStalled(project.Status.Conditions), project.Spec.Suspend:
		return fmt.Sprintf("The CBRProject %s is not ready (%s): %s", project.Name, ready.Reason, ready.Message)
	default:
		return ""
	}
}

// follow lists and watches objects of a kind, that of a name or all, until done.
func (w *waiter) follow(ctx context.Context, kind, name string, done func() bool) error {
	for {
		again, err := w.followOnce(ctx, kind, name, done)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && !again:
			return explain("follow the "+kind+"s", err)
		case err == nil && done():
			return nil
		case err != nil:
			w.tell(text.Clean(fmt.Sprintf("The watch broke off (%v). It is begun again.", err)))
		}
		select { // also of one that just ended: an API server may end each at once
		case <-w.clock.After(rewatchAfter):
		case <-ctx.Done():
		}
	}
}

// followOnce is follow until the watch ends. It reports whether it may go well again after an error.
func (w *waiter) followOnce(ctx context.Context, kind, name string, done func() bool) (again bool, err error) {
	list := listOf(kind)
	options := []client.ListOption{client.InNamespace(w.namespace)}
	if name != "" {
		options = append(options, client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector("metadata.name", name)})
	}
	if err := w.client.List(ctx, list, options...); err != nil {
		return mayPass(err), err
	}
	w.seeAll(list, name)
	if done() {
		return false, nil
	}
	raw := &metav1.ListOptions{ResourceVersion: list.GetResourceVersion()}
	watcher, err := w.client.Watch(ctx, listOf(kind), append(options, &client.ListOptions{Raw: raw})...)
	if err != nil {
		return mayPass(err), err
	}
	defer watcher.Stop()
	for {
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case event, open := <-watcher.ResultChan():
			if !open || event.Type == watch.Error {
				return true, nil
			}
			if w.seeEvent(event); done() {
				return false, nil
			}
		}
	}
}

// mayPass reports whether an error of the API server may be over later.
func mayPass(err error) bool {
	return !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) && !apierrors.IsUnauthorized(err) && !apierrors.IsBadRequest(err)
}

func listOf(kind string) client.ObjectList {
	if kind == kindProject {
		return &v1alpha1.CBRProjectList{}
	}
	return &v1alpha1.BackupSyncList{}
}

// seeAll takes in a list. What is not in it is gone.
func (w *waiter) seeAll(list client.ObjectList, name string) {
	present := map[string]bool{}
	switch of := list.(type) {
	case *v1alpha1.BackupSyncList:
		for i := range of.Items {
			present[of.Items[i].Name] = true
			w.see(&of.Items[i])
		}
	case *v1alpha1.CBRProjectList:
		for i := range of.Items {
			present[of.Items[i].Name] = true
			w.see(&of.Items[i])
		}
	}
	if w.watchOnly != nil && !present[name] {
		w.gone(name)
	}
	for _, each := range w.stillOpen() {
		if !present[each] && (name == "" || name == each) {
			w.gone(each)
		}
	}
	w.progress(false)
}

func (w *waiter) seeEvent(event watch.Event) {
	object, is := event.Object.(client.Object)
	switch {
	case !is:
	case event.Type == watch.Deleted:
		w.gone(object.GetName())
	default:
		w.see(object)
	}
	w.progress(false)
}

// see takes in one object.
func (w *waiter) see(object client.Object) {
	if w.watchOnly != nil {
		w.watchOnly(object)
		return
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	name := object.GetName()
	if _, waited := w.open[name]; !waited {
		return
	}
	found := endingOf(w.verb, object)
	if found.how == "" {
		w.open[name] = found
	} else {
		delete(w.open, name)
		w.ended[name] = found
	}
}

func (w *waiter) gone(name string) {
	if w.watchOnly != nil {
		w.watchOnly(nil)
		return
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if _, waited := w.open[name]; waited {
		delete(w.open, name)
		w.ended[name] = ending{how: endedGone, reason: string(endedGone)}
	}
}

func (w *waiter) done() bool {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return len(w.open) == 0
}

func (w *waiter) hasEnded(name string) bool {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	_, open := w.open[name]
	return !open
}

func (w *waiter) stillOpen() []string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	names := make([]string, 0, len(w.open))
	for name := range w.open {
		names = append(names, name)
	}
	return names
}

// progress tells how far it is, if that has changed, and was not told just before.
func (w *waiter) progress(last bool) {
	if w.watchOnly != nil {
		return
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	now := w.clock.Now()
	stands := standOf(w.open, w.ended)
	if stands == w.lastTold || !last && now.Sub(w.toldAt) < tellEvery {
		return
	}
	w.lastTold, w.toldAt = stands, now
	w.tell(stands)
}

// standOf says how far it is.
func standOf(open, ended map[string]ending) string {
	counts, waits := map[string]int{}, map[string]int{}
	for _, each := range ended {
		counts[each.reason]++
	}
	for _, each := range open {
		waits[orUnseen(each.reason)]++
	}
	stands := fmt.Sprintf("%d of %d have ended", len(ended), len(open)+len(ended))
	if len(ended) > 0 {
		stands += ": " + listCounts(counts)
	}
	if len(open) > 0 {
		stands += "; waiting for " + listCounts(waits)
	}
	return stands
}

func orUnseen(reason string) string {
	if reason == "" {
		return "not seen yet"
	}
	return reason
}

// errTimeout says that what is waited for has not ended in time.
var errTimeout = errors.New("timed out")

// within returns a context that ends with errTimeout after a time, by a clock; 0 stands for never.
func within(ctx context.Context, of clock.Clock, limit time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	if limit == 0 {
		return ctx, func() { cancel(nil) }
	}
	timer := of.NewTimer(limit)
	go func() {
		select {
		case <-timer.C():
			cancel(errTimeout)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { timer.Stop(); cancel(nil) }
}
