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

package fields

import (
	"strings"
	"unicode"
)

// Field is a field of a backup.
type Field struct {
	// Name is its name in CBR's API, Spec its name in the spec of a BackupSync.
	Name, Spec string
	// Required reports that every backup must have it.
	Required bool
	// Synonyms are other names of columns that hold it, as Fold folds them.
	Synonyms []string
}

// The fields that are more than a text.
const (
	backupID  = "backup_id"  // CBR's are UUIDs
	createdAt = "created_at" // is no text
)

// all are the fields, in the order of the API.
var all = []*Field{
	{Name: backupID, Spec: "backupID", Required: true, Synonyms: []string{"backupuuid", "备份id"}},
	{Name: "backup_name", Spec: "backupName", Required: true, Synonyms: []string{"备份名称"}},
	{Name: "bucket_name", Spec: "bucketName", Required: true, Synonyms: []string{"bucket", "obsbucket", "obsbucketname", "桶名称"}},
	{Name: "image_path", Spec: "imagePath", Required: true, Synonyms: []string{"backuppath", "path", "镜像路径"}},
	{Name: "resource_id", Spec: "resourceID", Required: true, Synonyms: []string{"resourceuuid", "vmid", "vmuuid", "serverid", "资源id"}},
	{Name: "resource_name", Spec: "resourceName", Required: true, Synonyms: []string{"vmname", "servername", "资源名称"}},
	{Name: "resource_type", Spec: "resourceType", Synonyms: []string{"资源类型"}},
	{Name: createdAt, Spec: "createdAt", Required: true, Synonyms: []string{"backuptime", "creationtime", "createtime", "createdtime", "创建时间"}},
}

// All returns the fields, in the order of the API.
func All() []*Field { return all }

// Named returns the field with a name, of the API or of the spec, nil if there is none.
func Named(name string) *Field {
	for _, field := range all {
		if fold(name) == fold(field.Name) {
			return field
		}
	}
	return nil
}

// InSpec returns the field at a path such as "spec.backupID", nil if there is none.
func InSpec(path string) *Field {
	for _, field := range all {
		if path == "spec."+field.Spec {
			return field
		}
	}
	return nil
}

// fold returns what is the same of backup_id, backupId, "Backup ID" and BACKUP-ID.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, name)
}

// known returns the field that a column holds by its name, nil if there is none.
func known(column string) *Field {
	folded := fold(column)
	for _, field := range all {
		if folded == fold(field.Name) {
			return field
		}
		for _, synonym := range field.Synonyms {
			if folded == synonym {
				return field
			}
		}
	}
	return nil
}
