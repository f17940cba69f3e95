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
	"backupsync.dev/operator/internal/cbr"
)

func TestLearnLead(t *testing.T) {
	const before = 42 * time.Second
	// dated is the task of a submission at noon, dated by CBR that much earlier.
	dated := func(lead time.Duration) *cbr.OperationLog {
		return &cbr.OperationLog{CreatedAt: cbr.Time{Time: noon.Add(-lead)}}
	}
	for name, test := range map[string]struct {
		tasks map[string]*cbr.OperationLog
		want  time.Duration
	}{
		"no task":                     {nil, before},
		"one":                         {map[string]*cbr.OperationLog{"one": dated(time.Second)}, time.Second},
		"the longest":                 {map[string]*cbr.OperationLog{"one": dated(time.Second), "two": dated(time.Minute), "three": dated(2 * time.Second)}, time.Minute},
		"dated later than here":       {map[string]*cbr.OperationLog{"one": dated(-time.Minute)}, 0},
		"found, long after its start": {map[string]*cbr.OperationLog{"one": dated(time.Hour), "two": dated(time.Second)}, time.Second},
		"found alone":                 {map[string]*cbr.OperationLog{"one": dated(time.Hour)}, before},
		"as far as clocks may be":     {map[string]*cbr.OperationLog{"one": dated(clockSkew)}, clockSkew},
		"without a date":              {map[string]*cbr.OperationLog{"one": {}}, before},
		"unknown to CBR":              {map[string]*cbr.OperationLog{"one": nil}, before},
		"of a submission without one": {map[string]*cbr.OperationLog{"undated": dated(time.Second)}, before},
	} {
		t.Run(name, func(t *testing.T) {
			undated := runningBackup()
			undated.Status.SubmittedAt = nil
			known := map[string][]*v1alpha1.BackupSync{
				"one": {runningBackup()}, "two": {runningBackup()}, "three": {runningBackup()}, "undated": {undated}}
			m := &memory{taskLead: before}
			m.learnLead(known, test.tasks)
			NewWithT(t).Expect(m.taskLead).To(Equal(test.want))
		})
	}
}
