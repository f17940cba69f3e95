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

	"golang.org/x/sync/errgroup"

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
