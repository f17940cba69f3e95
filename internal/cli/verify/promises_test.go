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
package verify

import (
	"strings"
	"testing"
	"time"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/cbr/evidence"
)

// A command that is shown to be copied names the namespace: in that of the context it finds nothing, or another BackupSync of the name.
func TestTheHintNamesTheNamespace(t *testing.T) {
	found, is := tell(&declared{name: "erp-01", backupID: "a-1", claim: claimsImported}, sight{verdict: evidence.Verdict{Kind: evidence.Absent}})
	if !is || !strings.Contains(found.Detail, "kubectl") || !strings.Contains(found.Detail, " -n ") {
		t.Errorf("%+v", found)
	}
}

// Who names a BackupSync is told of its backup, whichever of several declares it: CBR does not have it, and nothing is no answer.
func TestANamedDuplicateIsTold(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	for _, outcome := range []v1alpha1.Outcome{v1alpha1.OutcomeImported, v1alpha1.OutcomeDuplicate} {
		second := backupOf(1, outcome, time.Hour)
		second.Name = "second"
		cluster := &objects{backups: []v1alpha1.BackupSync{imported(1), second}}
		report := play(t, cluster, server, func(c *command) { c.names, c.fails = []string{"second"}, []Kind{Missing, Unusable, Unknown} })
		if err := (&command{fails: []Kind{Missing, Unusable, Unknown}}).verdict([]*Report{report}); err == nil {
			t.Errorf("second, as %s, is fine: %s", outcome, summary(report))
		}
	}
}
