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

package rules_test

import (
	"testing"

	"backupsync.dev/operator/config/crd"
	"backupsync.dev/operator/internal/cli/generate/rules"
)

func object() map[string]any {
	return map[string]any{
		"apiVersion": "cbr.backupsync.dev/v1alpha1", "kind": "BackupSync", "metadata": map[string]any{"name": "erp"},
		"spec": map[string]any{
			"projectRef": map[string]any{"name": "default"}, "backupID": "1f9e6b47-7655-4a19-b563-21b4ef023025", "backupName": "备份_1",
			"bucketName": "vmware-backups", "imagePath": "6abec15e-7baf-4d79-b5a9-6b98a2da7020/cfe0295c-5939-4b31-96cd-161b4725e7ad", "resourceID": "96f7512d-239d-3f31-80cf-d1ce041df9a6",
			"resourceName": "erp 01", "createdAt": int64(1553587260),
		},
	}
}

func BenchmarkCheck(b *testing.B) {
	checker, err := rules.New(crd.BackupSyncs)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if found := checker.Check(b.Context(), object()); len(found) > 0 {
			b.Fatal(found)
		}
	}
}
