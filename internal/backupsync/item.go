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

package backupsync

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
)

// Item returns the item of a sync call that declares a backup.
func Item(spec *v1alpha1.BackupSyncSpec) cbr.Backup {
	return cbr.Backup{
		ID: spec.BackupID, Name: spec.BackupName, BucketName: spec.BucketName, ImagePath: spec.ImagePath,
		ResourceID: spec.ResourceID, ResourceName: spec.ResourceName, ResourceType: spec.ResourceType,
		CreatedAt: spec.CreatedAt,
	}
}

// hashVersion tells how a hash was made: the first 16 bytes of the SHA-256 of the item's JSON, as it is sent. Whoever
// changes that, or the JSON of an item, takes another version: hashes of different versions cannot be compared.
const hashVersion = "v1:"

// Hash identifies the item of a manifest: status.sentHash, once it is sent.
func Hash(spec *v1alpha1.BackupSyncSpec) string {
	encoded, err := json.Marshal(Item(spec))
	if err != nil {
		panic(err) // strings and a number: it cannot fail
	}
	sum := sha256.Sum256(encoded)
	return hashVersion + base64.RawURLEncoding.EncodeToString(sum[:16])
}

// Differs reports whether the item of a manifest is certainly not the one that a hash identifies. Of no hash, or one of
// an unknown version, it cannot be told: then it reports false.
func Differs(spec *v1alpha1.BackupSyncSpec, hash string) bool {
	return strings.HasPrefix(hash, hashVersion) && Hash(spec) != hash
}
