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

package generate

import (
	"bytes"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cli/generate/inventory"
)

// Whatever cells hold: what is written parses back to what they hold, is valid, and has a valid name.
func FuzzManifests(f *testing.F) {
	f.Add("1f9e6b47-7655-4a19-b563-21b4ef023025", "备份", "bucket", "a/b", "1e3", "on", "OS::VMware::Server", "1553587260")
	f.Add("A_1", "null", " x", "=1+1", "a: b #c", "\"'\\", "", "2019-03-26T08:01:00Z")
	given := flags{project: "default", format: "auto", encoding: "auto", dryRun: dryRunNone, perFile: 1, concurrency: 1, labels: []string{"on=1e3"}}
	understood, err := given.settings([]string{stdin}, "backups")
	if err != nil {
		f.Fatal(err)
	}
	layout, err := understood.columns.Layout([]string{"backup_id", "backup_name", "bucket_name", "image_path", "resource_id", "resource_name", "resource_type", "created_at"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, id, name, bucket, path, resource, machine, kind, created string) {
		values := []string{id, name, bucket, path, resource, machine, kind, created}
		row := inventory.Row{Shape: &inventory.Shape{Format: inventory.CSV}, Line: 2}
		for _, value := range values {
			row.Cells = append(row.Cells, inventory.Cell{Value: strings.ToValidUTF8(value, "?")})
		}
		one := understood.judge.row(t.Context(), read{row: row, layout: layout})
		if len(one.problems) > 0 {
			return
		}
		object, err := understood.names.Name(&one.spec)
		if err != nil || len(validation.IsDNS1123Subdomain(object)) > 0 {
			t.Fatalf("the name %q: %v", object, err)
		}
		written(t, understood, object, &one.spec)
		if one.spec.BackupName != inventory.Trim(row.Cells[1].Value.(string)) || one.spec.ResourceName != inventory.Trim(row.Cells[5].Value.(string)) {
			t.Errorf("%q became %+v", values, one.spec)
		}
	})
}

// written writes a manifest, and reads it again.
func written(t *testing.T, s *settings, name string, spec *v1alpha1.BackupSyncSpec) {
	t.Helper()
	text := s.frame.Append(nil, name, spec)
	var backup v1alpha1.BackupSync
	if err := yaml.UnmarshalStrict(text, &backup); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	want := *spec
	want.ProjectRef.Kind = "" // the cluster fills it in
	if backup.Spec != want || backup.Name != name || backup.Namespace != "backups" || backup.Labels["on"] != "1e3" {
		t.Errorf("%s\nis read as %+v, not %+v", text, backup.Spec, want)
	}
	var object map[string]any
	if err := yaml.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	object["spec"].(map[string]any)["createdAt"] = spec.CreatedAt // not the float of JSON
	if found := s.judge.rules.Check(t.Context(), object); len(found) > 0 {
		t.Errorf("%s: %v", text, found)
	}
}

// The line of progress tells the part, if the size is known.
func TestProgress(t *testing.T) {
	var nobody *progress
	nobody.rows(64)
	nobody.clear()
	if newProgress(&bytes.Buffer{}, nil) != nil {
		t.Error("there is progress without a terminal")
	}
	shown := &progress{total: 200}
	shown.read.Store(100)
	if line := shown.line(64, shown.start); line != "[###############...............]  50%, 64 rows" {
		t.Error(line)
	}
	shown.total = 0
	if line := shown.line(640, shown.start.Add(2e9)); line != "640 rows, 320 a second" {
		t.Error(line)
	}
}
