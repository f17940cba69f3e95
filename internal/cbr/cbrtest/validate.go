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

package cbrtest

import (
	"encoding/json"
	"mime"
	"net/http"
	"regexp"
	"unicode/utf8"

	"backupsync.dev/operator/internal/cbr"
)

// decodeImport reads an ImportBackup request. The API documents every field as required; that one it does not
// know is refused too is an assumption.
func decodeImport(request *http.Request, body []byte) ([]cbr.Backup, *APIError) {
	if len(body) > maxRequestBytes {
		return nil, &APIError{Status: http.StatusRequestEntityTooLarge, Code: "APIGW.0201", Message: "Request entity too large"}
	}
	if mediaType, _, err := mime.ParseMediaType(request.Header.Get("Content-Type")); err != nil || mediaType != "application/json" {
		return nil, invalid("Content-Type %q is not application/json", request.Header.Get("Content-Type"))
	}
	if request.URL.RawQuery != "" {
		return nil, invalid("ImportBackup takes no query, got %q", request.URL.RawQuery)
	}
	var content map[string]json.RawMessage
	if err := json.Unmarshal(body, &content); err != nil {
		return nil, invalid("body: %v", err)
	}
	var items []map[string]json.RawMessage
	if len(content) != 1 || json.Unmarshal(content["sync"], &items) != nil {
		return nil, invalid("body: must be an object with a list of objects called sync, and nothing else")
	}
	if len(items) < 1 || len(items) > cbr.MaxImportItems {
		return nil, invalid("sync: %d items, must be 1 to %d", len(items), cbr.MaxImportItems)
	}
	return decodeItems(items)
}

func decodeItems(items []map[string]json.RawMessage) ([]cbr.Backup, *APIError) {
	backups := make([]cbr.Backup, 0, len(items))
	seen := make(map[string]bool, len(items))
	for i, item := range items {
		backup, problem := decodeItem(item)
		if problem == "" && seen[backup.ID] {
			problem = "backup_id: more than once in this call"
		}
		if problem != "" {
			return nil, invalid("sync[%d].%s", i, problem)
		}
		seen[backup.ID] = true
		backups = append(backups, backup)
	}
	return backups, nil
}

// decodeItem returns an item of an import, or what is wrong with it.
func decodeItem(item map[string]json.RawMessage) (cbr.Backup, string) {
	var backup cbr.Backup
	texts := map[string]*string{
		"backup_id": &backup.ID, "backup_name": &backup.Name, "bucket_name": &backup.BucketName,
		"image_path": &backup.ImagePath, "resource_id": &backup.ResourceID, "resource_name": &backup.ResourceName,
		"resource_type": &backup.ResourceType,
	}
	for name := range item {
		if texts[name] == nil && name != "created_at" {
			return backup, name + ": no such field"
		}
	}
	for _, field := range fields {
		value, found := item[field.name]
		if !found {
			return backup, field.name + ": required"
		}
		if isString := len(value) > 0 && value[0] == '"'; !isString || json.Unmarshal(value, texts[field.name]) != nil {
			return backup, field.name + ": must be a string"
		}
		if !field.valid(*texts[field.name]) {
			return backup, field.name + ": must be " + field.want
		}
	}
	createdAt, problem := decodeSeconds(item["created_at"])
	backup.CreatedAt = createdAt
	return backup, problem
}

var namePattern = regexp.MustCompile(`^[-_0-9A-Za-z\x{4E00}-\x{9FA5}\x{F900}-\x{FA2D}]{1,64}$`)

// fields are the texts of an item and their limits (ImportBackup, table BackupSync).
var fields = []struct {
	name  string
	want  string
	valid func(string) bool
}{
	{"backup_id", "not empty", notEmpty},
	{"backup_name", "1 to 64 digits, letters, Chinese characters, _ and -", namePattern.MatchString},
	{"bucket_name", "1 to 255 characters", bucketName},
	{"image_path", "not empty", notEmpty},
	{"resource_id", "not empty", notEmpty},
	{"resource_name", "a text", func(string) bool { return true }},
	{"resource_type", "not empty", notEmpty},
}

func notEmpty(text string) bool { return text != "" }

func bucketName(text string) bool {
	length := utf8.RuneCountInString(text)
	return length >= 1 && length <= 255
}

// decodeSeconds takes an integer of 32 bits, and not a number that merely has an integer's value.
func decodeSeconds(value json.RawMessage) (int64, string) {
	if value == nil {
		return 0, "created_at: required"
	}
	var seconds *int32
	if json.Unmarshal(value, &seconds) != nil || seconds == nil {
		return 0, "created_at: must be an integer of 32 bits"
	}
	return int64(*seconds), ""
}
