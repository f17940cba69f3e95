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
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
)

// A new reason must not be forgotten: what is done costs no memory, and who has to do something is told.
func TestEachReasonIsTrimmedOrTold(t *testing.T) {
	for _, reason := range backupsync.Reasons() {
		live, has := lives[reason]
		if !has {
			t.Errorf("there is no BackupSync that is %s among those of the tests", reason)
			continue
		}
		backup := live()
		row, _ := backupsync.Conditions(reason)
		cached, err := TrimCached(backup.DeepCopy())
		if err != nil {
			t.Fatal(err)
		}
		if isTrimmed := cached != nil && trimmed(cached.(*v1alpha1.BackupSync)); isTrimmed != (row.Ready == metav1.ConditionTrue) {
			t.Errorf("%s with Ready %s: trimmed %v", reason, row.Ready, isTrimmed)
		}
		if told, has := backupEvent(backup); row.Stalled && (!has || told.message == "" || told.reason != reason) {
			t.Errorf("%s is stalled, and its event is %+v", reason, told)
		}
	}
}
