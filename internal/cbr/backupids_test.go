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

package cbr

import (
	"slices"
	"testing"
)

// regular and irregular are pages to begin with.
var (
	regular = []string{
		`{"backups":[],"count":0}`,
		`{"count":2,"offset":0,"backups":[{"id":"a","name":null,"children":[{"id":"x"}]},{"extra":{"id":[1]},"id":"b"}],"limit":1000}`,
		` {"backups" : [ { "id" : "\u0061\ud83d\ude00" } ] , "count" : null } `,
		`{"BACKUPS":[{"Id":"a"}],"count":"many"}`,
		`{"backups":[{"id":"a","status":"available"},{"Status":"\u0065rror","id":"b"},{"status":"","id":"c"},{"id":"d"}]}`,
	}
	irregular = []string{
		``, `null`, `[]`, `{}`, `{"backups":null}`, `{"backups":{}}`, `{"backups":[]} {}`, `{"backups":[{"id":"a"}]`, `{"backups":[{"id":"a"},]}`,
		`{"backups":[null,{"id":[]},{"id":"a"},"x",{}],"count":1}`, `{"backups":[{"id":"a","ID":"b"}]}`, `{"backups":[],"backups":[{"id":"a"}]}`,
		"{\"backups\":[{\"id\":\"\xff\"}]}", `{"backups":[{"id":"a","id":null}]}`, `{"backups":[{"id":"\ud800"}]}`,
		`{"backups":[{"id":"a","\u0069d":"b"}]}`,
		`{"backups":[{"id":"a","status":null}]}`, `{"backups":[{"id":"a","status":7}]}`, `{"backups":[{"id":"a","status":"error","STATUS":"available"}]}`,
	}
)

func TestRegularPagesAreReadInOneGo(t *testing.T) {
	for _, body := range regular {
		var page listedBackups
		if err := page.scan([]byte(body)); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}
	for _, body := range irregular {
		var page listedBackups
		if err := page.scan([]byte(body)); err == nil {
			t.Errorf("%s passes for regular", body)
		}
	}
}

// What is read in one go must be what encoding/json reads: an id that is not seen passes for a backup that is not in CBR.
func FuzzScanBackupIDs(f *testing.F) {
	for _, body := range slices.Concat(regular, irregular) {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var scanned, dissected listedBackups
		if scanned.scan(body) != nil {
			return
		}
		if err := dissected.dissect(body); err != nil {
			t.Fatalf("%q is read as %+v, but cannot be read: %v", body, scanned, err)
		}
		if !slices.Equal(scanned.Items, dissected.Items) || scanned.Size != dissected.Size || scanned.Count != dissected.Count {
			t.Errorf("%q is read as %+v, but is %+v", body, scanned, dissected)
		}
	})
}
