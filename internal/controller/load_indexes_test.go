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
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8sruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/connection"
)

// listServer is an API server that knows how to list, and has watches wait.
type listServer map[string][]client.Object // by resource

// ServeHTTP serves the collection of a resource, in a namespace or in all.
func (s listServer) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	answer.Header().Set("Content-Type", "application/json")
	parts := strings.Split(strings.TrimPrefix(request.URL.Path, "/apis/"+v1alpha1.GroupVersion.String()+"/"), "/")
	namespace := ""
	if parts[0] == "namespaces" {
		namespace = parts[1]
	}
	objects := []client.Object{}
	for _, object := range s[parts[len(parts)-1]] {
		if namespace == "" || object.GetNamespace() == namespace {
			objects = append(objects, object)
		}
	}
	switch query := request.URL.Query(); {
	case query.Get("sendInitialEvents") == "true": // the kind of list that informers fall back from
		answer.WriteHeader(http.StatusUnprocessableEntity)
	case query.Get("watch") == "true":
		answer.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(answer).Flush()
		<-request.Context().Done()
	default:
		_ = json.NewEncoder(answer).Encode(map[string]any{"metadata": metav1.ListMeta{ResourceVersion: "1000"}, "items": objects})
	}
}

// cacheOf returns a cache as main makes it, which watches the namespaces, or all if there are none. It is filled.
func cacheOf(t testing.TB, stored listServer, namespaces ...string) cache.Cache {
	t.Helper()
	g := NewWithT(t)
	server := httptest.NewServer(stored)
	t.Cleanup(server.Close)
	scheme := k8sruntime.NewScheme()
	g.Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	mapper := meta.NewDefaultRESTMapper(nil)
	for _, kind := range []string{"BackupSync", "BackupSyncList", "CBRProject", "CBRProjectList"} {
		mapper.Add(v1alpha1.GroupVersion.WithKind(kind), meta.RESTScopeNamespace)
	}
	watched := map[string]cache.Config{}
	for _, namespace := range namespaces {
		watched[namespace] = cache.Config{}
	}
	made, err := cache.New(&rest.Config{Host: server.URL, QPS: -1}, cache.Options{Scheme: scheme, Mapper: mapper,
		DefaultNamespaces: watched, DefaultTransform: TrimCached, ReaderFailOnMissingInformer: true})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(addIndexes(t.Context(), made)).To(Succeed())
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- made.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		g.Expect(<-stopped).To(Succeed())
	})
	g.Expect(made.WaitForCacheSync(ctx)).To(BeTrue())
	return made
}

// importedBackup is a BackupSync at rest.
func importedBackup(changes ...func(*v1alpha1.BackupSync)) *v1alpha1.BackupSync {
	backup := newBackup(changes...)
	submitted := backupsync.Submitted(backup, "operation", backupsync.Hash(&backup.Spec), noon, noon)
	return backupsync.Finished(submitted, backupsync.Kept(nil), 3, noon)
}

func rejectedBackup(changes ...func(*v1alpha1.BackupSync)) *v1alpha1.BackupSync {
	backup := newBackup(changes...)
	return backupsync.Rejected(backup, backupsync.Hash(&backup.Spec), "no such image", noon)
}

func named(namespace, name, id string) func(*v1alpha1.BackupSync) {
	return func(b *v1alpha1.BackupSync) {
		b.Namespace, b.Name, b.UID, b.Spec.BackupID = namespace, name, types.UID("uid-"+namespace+"-"+name), id
	}
}

// cacheClient is a client that reads a cache.
type cacheClient struct {
	client.Client
	cache.Cache
}

func (c cacheClient) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	return c.Cache.Get(ctx, key, object, options...)
}

func (c cacheClient) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	return c.Cache.List(ctx, list, options...)
}

func (c cacheClient) IndexField(ctx context.Context, object client.Object, field string, keys client.IndexerFunc) error {
	return c.Cache.IndexField(ctx, object, field, keys)
}

// The indexes are filed as the cache of controller-runtime looks them up, whatever namespaces are watched. With a name that it does
// not look up lists fail, but with a value that it does not look up they are empty, and a second BackupSync of a backup is sent.
func TestIndexes(t *testing.T) {
	const id, other = "1f9e6b47-aaaa", "1F9E6B47-AAAA"
	stored := listServer{
		"backupsyncs": {
			importedBackup(named("team", "imported", id)),
			newBackup(named("team", "pending", other)),
			newBackup(named("team", "another", "of-another-backup")),
			rejectedBackup(named("team", "failed", "x")),
			importedBackup(named("tenant", "imported", id)),
			newBackup(named("tenant", "pending", id)),
			importedBackup(named("elsewhere", "imported", id)),
		},
		"cbrprojects": {newProject(), newProject(func(p *v1alpha1.CBRProject) { p.Namespace = "tenant" })},
	}
	for name, test := range map[string]struct {
		namespaces []string
		others     bool // whether the cache shows those of another namespace
		projects   int
	}{
		"all namespaces":     {nil, true, 2},
		"one namespace":      {[]string{"team"}, false, 1},
		"several namespaces": {[]string{"team", "tenant"}, true, 2},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			p := passAt(&Reconciler{client: cacheClient{Cache: cacheOf(t, stored, test.namespaces...)}}, scope{key: defaultProject}, newMemory()).planner()
			duplicates, err := p.syncsForBackup(t.Context(), id)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(backupNames(duplicates)).To(ConsistOf("imported", "pending"))
			g.Expect(p.reader.isForeign(id)).To(Equal(test.others))
			owner, err := p.ownerOf(t.Context(), newBackup(named("team", "pending", other)))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(owner.Name).To(Equal("imported"))

			g.Expect(p.listed(t, indexActive)).To(ConsistOf("pending", "another"))
			g.Expect(p.listed(t, indexStalled)).To(ConsistOf("failed"))
			projects, err := p.projectsOf(t.Context(), connection.CloudProjectOf(&newProject().Spec))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(projects).To(HaveLen(test.projects))
		})
	}
}

// listed returns what an index shows of the pass's project.
func (p *planner) listed(t *testing.T, index string) []string {
	var found v1alpha1.BackupSyncList
	NewWithT(t).Expect(p.client.List(t.Context(), &found, client.InNamespace(p.key.Namespace), client.MatchingFields{index: p.key.Name})).To(Succeed())
	names := []string{}
	for _, backup := range found.Items {
		names = append(names, backup.Name)
	}
	return names
}

func backupNames(backups []*v1alpha1.BackupSync) []string {
	names := []string{}
	for _, backup := range backups {
		names = append(names, backup.Name)
	}
	return names
}

// An index that shows nothing would have duplicates sent. A pass notices that it does not show what the pass is about.
func TestOwnerOf(t *testing.T) {
	waiting, owner := newBackup(named("team", "waiting", "a")), importedBackup(named("team", "owner", "a"))
	keysOf := func(working bool) client.IndexerFunc {
		if working {
			return backupKeys
		}
		return func(client.Object) []string { return nil }
	}
	for name, test := range map[string]struct {
		works  bool
		stored []client.Object
		owner  string
		fails  bool
	}{
		"it alone":                              {works: true, stored: []client.Object{waiting}, owner: "waiting"},
		"one that is imported":                  {works: true, stored: []client.Object{waiting, owner}, owner: "owner"},
		"it is deleted, and another has it":     {works: true, stored: []client.Object{owner}, owner: "owner"},
		"it is deleted":                         {works: true, owner: "waiting"},
		"it is created anew for another backup": {works: true, stored: []client.Object{recreated(waiting, "b")}, owner: "waiting"},
		"the index shows nothing":               {stored: []client.Object{waiting, owner}, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			scheme := k8sruntime.NewScheme()
			g.Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
			cluster := fake.NewClientBuilder().WithScheme(scheme).WithObjects(test.stored...).
				WithIndex(&v1alpha1.BackupSync{}, indexBackup, keysOf(test.works)).Build()
			p := passAt(&Reconciler{client: cluster}, scope{key: defaultProject}, newMemory()).planner()
			found, err := p.ownerOf(t.Context(), waiting)
			if test.fails {
				g.Expect(err).To(MatchError(ContainSubstring("does not show BackupSync waiting")))
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(found.Name).To(Equal(test.owner))
		})
	}
}

func recreated(backup *v1alpha1.BackupSync, id string) *v1alpha1.BackupSync {
	next := backup.DeepCopy()
	next.UID, next.Spec.BackupID = "another", id
	return next
}
