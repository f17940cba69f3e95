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

package backups

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
)

// Several queries are under way when the first of them is told that the CRD is older: each is asked again.
func TestQueriesAtOnceWithAnOlderCRD(t *testing.T) {
	const atOnce = 3
	var arrived sync.WaitGroup
	arrived.Add(atOnce)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if !strings.Contains(r.URL.Query().Get("fieldSelector"), outcomeField) {
			_, _ = w.Write([]byte(`{"kind":"BackupSyncList","apiVersion":"cbr.backupsync.dev/v1alpha1","items":[{"metadata":{"name":"a"}}]}`))
			return
		}
		arrived.Done()
		arrived.Wait() // none is answered before all have asked
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"BadRequest","code":400,"message":"field label not supported: status.outcome"}`))
	}))
	defer server.Close()
	reader, err := NewReader(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	var group errgroup.Group
	for range atOnce {
		group.Go(func() error {
			found, _, err := reader.All(t.Context(), Query{Namespace: "n", Ended: Open})
			if err == nil && len(found) != 1 {
				t.Errorf("found %v", found)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}
