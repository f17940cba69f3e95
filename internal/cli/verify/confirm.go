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
	"context"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/connection"
)

// confirm reads the BackupSyncs once more, and takes back what is not so any more: others import, apply and delete while CBR is asked.
func (v *verification) confirm(ctx context.Context) error {
	if len(v.report.Findings) == 0 {
		return nil
	}
	v.progress.show("Reading the BackupSyncs again")
	now, declaredNow := map[string]declared{}, map[string]bool{}
	for _, found := range v.report.Findings {
		if found.Kind == Undeclared {
			declaredNow[cbr.Fold(found.BackupID)] = false
		} else {
			now[found.BackupSync] = declared{claim: claimsOther}
		}
	}
	see := func(backup *v1alpha1.BackupSync) {
		if _, told := now[backup.Name]; told {
			now[backup.Name] = declaredOf(backup)
		}
		if _, told := declaredNow[cbr.Fold(backup.Spec.BackupID)]; told {
			declaredNow[cbr.Fold(backup.Spec.BackupID)] = true
		}
	}
	if err := eachBackupSync(ctx, v.reader, client.ObjectKeyFromObject(v.project), func() {}, see); err != nil {
		return err
	}
	if err := v.confirmElsewhere(ctx, declaredNow); err != nil {
		return err
	}
	v.report.Findings = slices.DeleteFunc(v.report.Findings, func(found Finding) bool {
		if found.Kind == Undeclared {
			return declaredNow[cbr.Fold(found.BackupID)]
		}
		before, after := v.manifests.of(found.BackupID), now[found.BackupSync]
		return after.claim != before.claim || after.at != before.at
	})
	return nil
}

// confirmElsewhere looks for what no manifest of the project declares among those of other CBRProjects of the same cloud project.
func (v *verification) confirmElsewhere(ctx context.Context, declaredNow map[string]bool) error {
	if len(declaredNow) == 0 {
		return nil
	}
	others, everywhere, err := siblings(ctx, v.reader, v.project, connection.CloudProjectOf)
	if err != nil {
		return err
	}
	if !everywhere {
		v.report.Notes = append(v.report.Notes, "You may not list CBRProjects in all namespaces: a CBRProject of another namespace may declare what is told as undeclared.")
	}
	for _, other := range others {
		if err := eachBackupSync(ctx, v.reader, other, func() {}, func(backup *v1alpha1.BackupSync) {
			if _, told := declaredNow[cbr.Fold(backup.Spec.BackupID)]; told {
				declaredNow[cbr.Fold(backup.Spec.BackupID)] = true
			}
		}); err != nil {
			v.report.Notes = append(v.report.Notes, "The BackupSyncs of CBRProject "+other.String()+", of the same cloud project, could not be read: they may declare what is told as undeclared.")
		}
	}
	return nil
}
