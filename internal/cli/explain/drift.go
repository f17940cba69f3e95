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

package explain

import (
	"encoding/json"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
)

// driftOf returns how a manifest differs from what CBR has accepted: nil if it does not. The status holds no more than a hash of what was
// sent. What kubectl apply has left in an annotation may be that very item: then its hash is the same, and fields can be compared.
func driftOf(backup *v1alpha1.BackupSync) *Drift {
	if !backupsync.Drifted(backup) {
		return nil
	}
	applied := lastApplied(backup)
	if applied == nil || backupsync.Hash(applied) != backup.Status.SentHash {
		return &Drift{Note: "The status holds a hash of what was sent, and no more: which fields differ cannot be told. The history of the manifest, in Git for one, shows it."}
	}
	drift := &Drift{Note: "What was sent is known from the annotation " + corev1.LastAppliedConfigAnnotation + ": its hash is the one in the status."}
	declared := fieldsOf(&backup.Spec)
	for i, sent := range fieldsOf(applied) {
		if sent.value != declared[i].value {
			drift.Fields = append(drift.Fields, FieldDrift{Field: "spec." + sent.name, Sent: sent.value, Declared: declared[i].value})
		}
	}
	return drift
}

// lastApplied returns the spec that kubectl apply has applied last: nil if it left none.
func lastApplied(backup *v1alpha1.BackupSync) *v1alpha1.BackupSyncSpec {
	var applied v1alpha1.BackupSync
	if err := json.Unmarshal([]byte(backup.Annotations[corev1.LastAppliedConfigAnnotation]), &applied); err != nil {
		return nil
	}
	if applied.Spec.ResourceType == "" {
		applied.Spec.ResourceType = "OS::Native::Server" // the default of the CRD
	}
	return &applied.Spec
}

type field struct{ name, value string }

// fieldsOf are the fields of the item that CBR is sent.
func fieldsOf(spec *v1alpha1.BackupSyncSpec) []field {
	return []field{
		{"backupID", spec.BackupID}, {"backupName", spec.BackupName}, {"bucketName", spec.BucketName}, {"imagePath", spec.ImagePath},
		{"resourceID", spec.ResourceID}, {"resourceName", spec.ResourceName}, {"resourceType", spec.ResourceType},
		{"createdAt", strconv.FormatInt(spec.CreatedAt, 10)},
	}
}
