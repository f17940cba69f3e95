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
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"
	"slices"

	"backupsync.dev/operator/internal/cbr"
)

// settles reports whether the journal marks the backup as one of a recent call of which CBR may not show yet what it has taken. Marks are hashes:
// in rare cases it is another backup that is meant.
func settles(from *facts) bool {
	if from.project == nil {
		return false
	}
	for _, left := range from.project.Status.Journal.Settling {
		if left.Backups == "*" || slices.Contains(marks(left.Backups), markOf(from.backup.Spec.BackupID)) {
			return true
		}
	}
	return false
}

// markOf is the mark of a backup, as the operator makes it for its journal: a test there has the same example as one here.
func markOf(backupID string) uint32 {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(cbr.Fold(backupID))) // never fails
	return hash.Sum32()
}

// marks reads marks of the journal. What cannot be read marks nothing here: it is for a person to read.
func marks(written string) []uint32 {
	packed, err := base64.StdEncoding.DecodeString(written)
	if err != nil {
		return nil
	}
	var read []uint32
	for mark := range slices.Chunk(packed, 4) {
		if len(mark) == 4 {
			read = append(read, binary.BigEndian.Uint32(mark))
		}
	}
	return read
}
