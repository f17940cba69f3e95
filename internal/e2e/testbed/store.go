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

package testbed

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"backupsync.dev/operator/api/v1alpha1"
)

const (
	// together is how many BackupSyncs a transaction of etcd puts: it takes 128 at most.
	together = 100
	// transactions are under way at once.
	transactions = 4
)

// Store puts BackupSyncs into etcd as the API server would, which takes seconds rather than many minutes, and lets them have any age, and
// be under deletion. The API server checks nothing of them.
func Store(ctx context.Context, etcd string, count int, of func(number int) *v1alpha1.BackupSync) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(transactions)
	for first := 0; first < count; first += together {
		group.Go(func() error {
			var puts []any
			for number := first; number < min(first+together, count); number++ {
				stored := of(number)
				written, err := json.Marshal(stored)
				if err != nil {
					return fmt.Errorf("write the BackupSync %s: %w", stored.Name, err)
				}
				key := "/registry/cbr.backupsync.dev/backupsyncs/" + stored.Namespace + "/" + stored.Name
				puts = append(puts, map[string]any{"requestPut": map[string]string{
					"key": base64.StdEncoding.EncodeToString([]byte(key)), "value": base64.StdEncoding.EncodeToString(written)}})
			}
			return transact(ctx, etcd, puts)
		})
	}
	return group.Wait()
}

// StorePending makes so many more, which are pending, as Add does. It puts them into etcd: the first one is made by the API server, and is the
// pattern of all others. It returns when the API server has taken them in.
func (g *Generator) StorePending(ctx context.Context, etcd string, count int) error {
	return g.store(ctx, etcd, count, false)
}

// StoreImported makes so many more, which are imported, in the same way: each as it is once it was created, and then as it is once the
// operator has written its last status.
func (g *Generator) StoreImported(ctx context.Context, etcd string, count int) error {
	return g.store(ctx, etcd, count, true)
}

func (g *Generator) store(ctx context.Context, etcd string, count int, imported bool) error {
	if count == 0 {
		return nil
	}
	number := g.First + g.Count
	versions, err := g.addPattern(ctx, number, imported)
	if err != nil {
		return fmt.Errorf("create the BackupSync that is the pattern of %d others: %w", count-1, err)
	}
	uids := make([]types.UID, count)
	for i := range uids {
		uids[i] = types.UID(uuid.NewString())
	}
	for _, version := range versions {
		err := Store(ctx, etcd, count-1, func(i int) *v1alpha1.BackupSync { return g.like(version, number+1+i, uids[i]) })
		if err != nil {
			return fmt.Errorf("store %d BackupSyncs in the namespace %s: %w", count-1, g.Namespace, err)
		}
	}
	g.Count += count
	return g.expectLike(ctx, versions[len(versions)-1], number+count-1)
}

// addPattern creates a BackupSync, and returns it as it was before it had its status, and, if it is to be imported, as it was after.
func (g *Generator) addPattern(ctx context.Context, number int, imported bool) ([]*v1alpha1.BackupSync, error) {
	if err := g.create(ctx, number); err != nil {
		return nil, err
	}
	created, err := g.read(ctx, number, "")
	if err != nil || !imported {
		return []*v1alpha1.BackupSync{created}, err
	}
	if err := g.patchStatus(ctx, number, g.ImportedStatus(number)); err != nil {
		return nil, err
	}
	ended, err := g.read(ctx, number, "")
	return []*v1alpha1.BackupSync{created, ended}, err
}

// like returns the BackupSync of a number with all that the API server has added to another one.
func (g *Generator) like(pattern *v1alpha1.BackupSync, number int, uid types.UID) *v1alpha1.BackupSync {
	made, stored := g.Manifest(number), pattern.DeepCopy()
	made.Spec.ProjectRef.Kind = pattern.Spec.ProjectRef.Kind // a default
	stored.Name, stored.UID, stored.ResourceVersion, stored.Spec = made.Name, uid, "", made.Spec
	if stored.Status.Outcome != "" {
		stored.Status = g.ImportedStatus(number)
	}
	return stored
}

// expectLike waits until the API server has taken in the last BackupSync that was stored, and returns an error if it does not show it as it
// shows the pattern.
func (g *Generator) expectLike(ctx context.Context, pattern *v1alpha1.BackupSync, number int) error {
	shown, err := g.read(ctx, number, "")
	if err != nil {
		return fmt.Errorf("read a stored BackupSync: %w", err)
	}
	for { // until then it answers that the version is too large, or, of a transaction that it is about to take in, that there is none
		_, err := g.read(ctx, number, shown.ResourceVersion)
		if err == nil {
			break
		}
		if !apierrors.IsTimeout(err) && !apierrors.IsNotFound(err) {
			return fmt.Errorf("read a stored BackupSync from what the API server has taken in: %w", err)
		}
		if err := Pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	want := g.like(pattern, number, shown.UID)
	for _, each := range []*v1alpha1.BackupSync{shown, want} { // they differ by the moment
		each.ResourceVersion = ""
		each.Status.SubmittedTime, each.Status.FinishedTime = nil, nil
		for i := range each.Status.Conditions {
			each.Status.Conditions[i].LastTransitionTime = metav1.Time{}
		}
	}
	if !equality.Semantic.DeepEqual(shown, want) {
		return fmt.Errorf("the API server shows what was stored as %+v, and not as %+v", shown, want)
	}
	return nil
}

func transact(ctx context.Context, etcd string, puts []any) error {
	body, err := json.Marshal(map[string]any{"success": puts})
	if err != nil {
		return fmt.Errorf("write a transaction: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, etcd+"/v3/kv/txn", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make the request to etcd: %w", err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("ask etcd: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("etcd answers %s", answer.Status)
	}
	return nil
}
