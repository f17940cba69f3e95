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

// Package server has the API server judge BackupSyncs without storing them: by everything that an administrator has put into its way, too.
package server

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
)

// Verdict is what the API server says of an object.
type Verdict struct {
	// Refusals are why it is refused; empty if it is not.
	Refusals []Refusal
	// Exists reports that there is an object of this name, Differs which parts of it would change, such as spec.backupName.
	Exists  bool
	Differs []string
}

// Refusal is one reason, and the path of the field that it is about, empty for the object.
type Refusal struct{ Path, Reason string }

// Checker asks an API server.
type Checker struct {
	client      client.Client
	concurrency int
}

// New returns a checker that has so many calls under way at once.
func New(made client.Client, concurrency int) *Checker {
	return &Checker{client: made, concurrency: concurrency}
}

// Project reports whether there is the CBRProject. An error means that nothing can be judged.
func (c *Checker) Project(ctx context.Context, namespace, name string) (bool, error) {
	err := c.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &v1alpha1.CBRProject{})
	switch {
	case err == nil || apierrors.IsForbidden(err): // who may write backups need not be allowed to read projects
		return true, nil
	case meta.IsNoMatchError(err):
		return false, errors.New("the cluster does not know the kinds CBRProject and BackupSync: install the operator's CustomResourceDefinitions")
	case apierrors.IsNotFound(err):
		return false, nil
	default:
		return false, fmt.Errorf("read CBRProject %s/%s: %w", namespace, name, err)
	}
}

// Check returns a verdict for each object, in their order. An error means that the rest was not judged, for a reason that is no object's.
func (c *Checker) Check(ctx context.Context, objects []*unstructured.Unstructured) ([]Verdict, error) {
	verdicts := make([]Verdict, len(objects))
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(c.concurrency)
	for index, object := range objects {
		group.Go(func() error {
			verdict, err := c.one(within, object)
			verdicts[index] = verdict
			return err
		})
	}
	return verdicts, group.Wait()
}

func (c *Checker) one(ctx context.Context, object *unstructured.Unstructured) (Verdict, error) {
	existing := &unstructured.Unstructured{}
	existing.SetGroupVersionKind(object.GroupVersionKind())
	err := c.client.Get(ctx, client.ObjectKeyFromObject(object), existing)
	switch {
	case apierrors.IsNotFound(err):
		return refused(c.client.Create(ctx, object.DeepCopy(), client.DryRunAll))
	case err != nil:
		return Verdict{}, fmt.Errorf("read BackupSync %s/%s: %w", object.GetNamespace(), object.GetName(), err)
	}
	applied := object.DeepCopy()
	verdict, err := refused(c.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(applied), client.ForceOwnership, client.DryRunAll))
	verdict.Exists = true
	if err == nil && len(verdict.Refusals) == 0 {
		verdict.Differs = differences(existing, applied)
	}
	return verdict, err
}

// differences returns the paths of what an object would change in an existing one.
func differences(existing, applied *unstructured.Unstructured) []string {
	var found []string
	for path, parts := range map[string][]string{"metadata.labels": {"metadata", "labels"}, "metadata.annotations": {"metadata", "annotations"}, "spec": {"spec"}} {
		before, _, _ := unstructured.NestedMap(existing.Object, parts...)
		after, _, _ := unstructured.NestedMap(applied.Object, parts...)
		for key, value := range after {
			if !reflect.DeepEqual(before[key], value) {
				found = append(found, path+"."+key)
			}
		}
	}
	slices.Sort(found)
	return found
}

// refused tells what is wrong with an object from what is wrong with the call.
func refused(err error) (Verdict, error) {
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return Verdict{}, nil
	case !errors.As(err, &status) || !blamesObject(err):
		return Verdict{}, fmt.Errorf("ask the API server for its judgement: %w", err)
	}
	var refusals []Refusal
	if details := status.Status().Details; details != nil && apierrors.IsInvalid(err) {
		for _, cause := range details.Causes {
			refusals = append(refusals, Refusal{Path: cause.Field, Reason: cause.Message})
		}
	}
	if len(refusals) == 0 {
		refusals = []Refusal{{Reason: status.Status().Message}}
	}
	return Verdict{Refusals: refusals}, nil
}

// blamesObject reports whether another object might be taken. A policy or a webhook forbids an object; a role forbids them all.
func blamesObject(err error) bool {
	switch {
	case apierrors.IsForbidden(err):
		return !strings.Contains(err.Error(), " cannot ")
	default:
		return apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) ||
			apierrors.IsRequestEntityTooLargeError(err)
	}
}
