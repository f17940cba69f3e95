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
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
)

const modelNamespace = "property"

// The kinds of the modelled API server.
const (
	kindProject = "CBRProject"
	kindBackup  = "BackupSync"
	kindSecret  = "Secret"
)

var modelKinds = []string{kindProject, kindBackup, kindSecret}

// modelServer is an API server in memory, as far as passes can tell it from a real one: versions, preconditions,
// merge patches, the status subresource, finalizers, and the history of each kind that a watch would show.
type modelServer struct {
	watch    func(client.Object)           // sees each version; nil for nobody
	forbid   func(kind, name string) error // refuses all writes, as missing rights do; nil for none
	deny     func(kind, name string) error // refuses writes of the status, as an admission policy does; nil for none
	mutex    sync.Mutex
	revision int64
	uids     int
	history  map[string][]modelEvent
	objects  map[string]map[string]client.Object
}

// modelEvent is one change. The object is as it is then, or as it was when it was deleted.
type modelEvent struct {
	revision int64
	object   client.Object
	deleted  bool
}

func newModelServer() *modelServer {
	server := &modelServer{revision: 100, history: map[string][]modelEvent{}, objects: map[string]map[string]client.Object{}}
	for _, kind := range modelKinds {
		server.objects[kind] = map[string]client.Object{}
	}
	return server
}

func kindOf(object client.Object) string {
	switch object.(type) {
	case *v1alpha1.CBRProject:
		return kindProject
	case *v1alpha1.BackupSync:
		return kindBackup
	default:
		return kindSecret
	}
}

func blank(kind string) client.Object {
	switch kind {
	case kindProject:
		return &v1alpha1.CBRProject{}
	case kindBackup:
		return &v1alpha1.BackupSync{}
	default:
		return &corev1.Secret{}
	}
}

// copyOf returns a copy that is the caller's own.
func copyOf(object client.Object) client.Object { return object.DeepCopyObject().(client.Object) }

// copyInto overwrites an object with another of its type.
func copyInto(target, source client.Object) {
	switch target := target.(type) {
	case *v1alpha1.CBRProject:
		source.(*v1alpha1.CBRProject).DeepCopyInto(target)
	case *v1alpha1.BackupSync:
		source.(*v1alpha1.BackupSync).DeepCopyInto(target)
	case *corev1.Secret:
		source.(*corev1.Secret).DeepCopyInto(target)
	default:
		panic(fmt.Sprintf("no kind of the model: %T", target))
	}
}

func encoded(object client.Object) []byte {
	encoded, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	return encoded
}

// decoded is what an API server would store: times lose their fractions.
func decoded(kind string, encoded []byte) client.Object {
	object := blank(kind)
	if err := json.Unmarshal(encoded, object); err != nil {
		panic(err)
	}
	return object
}

func resourceOf(kind string) schema.GroupResource { return schema.GroupResource{Resource: kind} }

func (s *modelServer) get(kind, name string) (client.Object, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	object, found := s.objects[kind][name]
	if !found {
		return nil, apierrors.NewNotFound(resourceOf(kind), name)
	}
	return copyOf(object), nil
}

func (s *modelServer) backups() []*v1alpha1.BackupSync {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var backups []*v1alpha1.BackupSync
	for _, object := range s.objects[kindBackup] {
		backups = append(backups, object.(*v1alpha1.BackupSync).DeepCopy())
	}
	slices.SortFunc(backups, backupsync.Older)
	return backups
}

func (s *modelServer) projects() []v1alpha1.CBRProject {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var projects []v1alpha1.CBRProject
	for _, object := range s.objects[kindProject] {
		projects = append(projects, *object.(*v1alpha1.CBRProject).DeepCopy())
	}
	return projects
}

// create adds an object, unless there is one of its name.
func (s *modelServer) create(object client.Object) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if _, found := s.objects[kindOf(object)][object.GetName()]; found {
		return
	}
	s.uids++
	object.SetNamespace(modelNamespace)
	object.SetUID(types.UID(fmt.Sprintf("uid-%d", s.uids)))
	object.SetGeneration(1)
	object.SetCreationTimestamp(metav1.NewTime(time.Now()))
	s.store(decoded(kindOf(object), encoded(object)))
}

// remove deletes an object without finalizers, if there is one of the name.
func (s *modelServer) remove(kind, name string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if object, found := s.objects[kind][name]; found {
		object = copyOf(object)
		object.SetDeletionTimestamp(&metav1.Time{Time: time.Now()})
		s.store(decoded(kind, encoded(object)))
	}
}

// change replaces an object by what the function makes of a copy of it. A write that changes nothing makes no
// new version.
func (s *modelServer) change(kind, name string, change func(client.Object) (client.Object, error)) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	current, found := s.objects[kind][name]
	if !found {
		return apierrors.NewNotFound(resourceOf(kind), name)
	}
	next, err := change(copyOf(current))
	if err == nil {
		s.replace(current, decoded(kind, encoded(next)))
	}
	return err
}

// replace makes another version of an object, if it is another; the mutex is held.
func (s *modelServer) replace(current, next client.Object) client.Object {
	if equality.Semantic.DeepEqual(current, next) {
		return copyOf(current)
	}
	return s.store(next)
}

// store makes an object, which is not the caller's any more, the current version; the mutex is held.
func (s *modelServer) store(object client.Object) client.Object {
	s.revision++
	kind, name := kindOf(object), object.GetName()
	object.SetResourceVersion(strconv.FormatInt(s.revision, 10))
	if s.watch != nil {
		s.watch(object)
	}
	gone := object.GetDeletionTimestamp() != nil && len(object.GetFinalizers()) == 0
	if gone {
		delete(s.objects[kind], name)
	} else {
		s.objects[kind][name] = object
	}
	s.history[kind] = append(s.history[kind], modelEvent{revision: s.revision, object: object, deleted: gone})
	return copyOf(object)
}

// events returns the history of a kind.
func (s *modelServer) events(kind string) []modelEvent {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.history[kind]
}

// checkVersion is the precondition that an object or a patch states with its uid and its resource version.
func checkVersion(current client.Object, uid types.UID, version string) error {
	if uid != "" && uid != current.GetUID() || version != "" && version != current.GetResourceVersion() {
		return apierrors.NewConflict(resourceOf(kindOf(current)), current.GetName(), fmt.Errorf("the object has been modified"))
	}
	return nil
}

// patch applies a merge patch, to the status alone or to everything else alone.
func (s *modelServer) patch(kind, name string, data []byte, status bool) (client.Object, error) {
	if s.forbid != nil {
		if err := s.forbid(kind, name); err != nil {
			return nil, err
		}
	}
	if status && s.deny != nil {
		if err := s.deny(kind, name); err != nil {
			return nil, err
		}
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	current, found := s.objects[kind][name]
	if !found {
		return nil, apierrors.NewNotFound(resourceOf(kind), name)
	}
	var precondition metav1.PartialObjectMetadata
	if err := json.Unmarshal(data, &precondition); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if err := checkVersion(current, precondition.UID, precondition.ResourceVersion); err != nil {
		return nil, err
	}
	merged, err := jsonpatch.MergePatch(encoded(current), data)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return s.replace(current, patched(current, decoded(kind, merged), status)), nil
}

// patched returns what a patch makes of an object: another status, or everything else anew.
func patched(current, merged client.Object, status bool) client.Object {
	if status {
		next := copyOf(current)
		setStatus(next, merged)
		return next
	}
	setStatus(merged, copyOf(current))
	if !equality.Semantic.DeepEqual(specOf(current), specOf(merged)) {
		merged.SetGeneration(current.GetGeneration() + 1)
	}
	return merged
}

func setStatus(target, source client.Object) {
	switch target := target.(type) {
	case *v1alpha1.CBRProject:
		target.Status = source.(*v1alpha1.CBRProject).Status
	case *v1alpha1.BackupSync:
		target.Status = source.(*v1alpha1.BackupSync).Status
	}
}

func specOf(object client.Object) any {
	switch object := object.(type) {
	case *v1alpha1.CBRProject:
		return object.Spec
	case *v1alpha1.BackupSync:
		return object.Spec
	default:
		return nil
	}
}
