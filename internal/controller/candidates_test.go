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
	"time"

	. "github.com/onsi/gomega"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/batch"
)

func TestGathering(t *testing.T) {
	suspected := batch.NewBisection()
	suspected.CallRefused([]batch.Member{{BackupSync: &v1alpha1.BackupSync{}}, {BackupSync: &v1alpha1.BackupSync{}}}, false, true, 0, "code")
	for name, test := range map[string]struct {
		count    int
		suspects batch.Bisection
		want     time.Time
	}{
		"nothing":                         {count: 0},
		"too few for a full call":         {count: 2, want: seconds(1)},
		"a full call":                     {count: 3},
		"suspects, which have their turn": {count: 2, suspects: suspected},
	} {
		t.Run(name, func(t *testing.T) {
			p := &planner{planMemory: &planMemory{bisection: test.suspects}}
			NewWithT(t).Expect(p.batchDue(queued(test.count), batch.Rules{Size: 3, Window: time.Second, MaxWait: 10 * time.Second})).To(Equal(test.want))
		})
	}
}
