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
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cli/generate/inventory"
)

// The fields are those of an item of ImportBackup.
func TestFieldsAreThoseOfTheAPI(t *testing.T) {
	text, err := json.Marshal(cbr.Backup{})
	if err != nil {
		t.Fatal(err)
	}
	var item map[string]any
	if err := json.Unmarshal(text, &item); err != nil {
		t.Fatal(err)
	}
	for _, field := range All() {
		if _, there := item[field.Name]; !there {
			t.Errorf("the API has no %s", field.Name)
		}
	}
	if len(item) != len(All()) {
		t.Errorf("the API has %d fields: %v", len(item), item)
	}
}

// Columns are known by the names that inventories give them.
func TestColumns(t *testing.T) {
	for column, want := range map[string]string{
		"backup_id": "backup_id", "backupID": "backup_id", "Backup ID": "backup_id", "BACKUP-ID": "backup_id", "backup.uuid": "backup_id", "备份ID": "backup_id",
		"VM Name": "resource_name", "bucket": "bucket_name", "createdAt": "created_at", "Creation Time": "created_at", "id": "", "name": "", "": "", "reject_reason": "",
	} {
		columns, err := NewColumns(nil)
		if err != nil {
			t.Fatal(err)
		}
		layout, err := columns.Layout([]string{column})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if layout.fields[0] != nil {
			got = layout.fields[0].Name
		}
		if got != want {
			t.Errorf("%q is taken for %q, not %q", column, got, want)
		}
	}
}

// A column that is named goes before one that is known, and what contradicts itself is refused.
func TestNamedColumns(t *testing.T) {
	for name, c := range map[string]struct {
		named, columns []string
		fields, says   string
	}{
		"another column":   {named: []string{"uuid=backup_id"}, columns: []string{"backup_id", "uuid"}, fields: " backup_id"},
		"in other words":   {named: []string{"uuid=backupID"}, columns: []string{"uuid"}, fields: "backup_id"},
		"with an equals":   {named: []string{"a=b=backup_id"}, columns: []string{"a=b"}, fields: "backup_id"},
		"ignored":          {named: []string{"backup_id="}, columns: []string{"backup_id", "backup_uuid"}, fields: " backup_id"},
		"two of a field":   {columns: []string{"backup_id", "Backup ID"}, says: `"backup_id" and "Backup ID" both hold backup_id`},
		"two that are so":  {named: []string{"a=backup_id", "b=backup_id"}, columns: []string{"a", "b"}, says: "both hold backup_id"},
		"no such field":    {named: []string{"a=color"}, says: `no field "color"`},
		"no equals":        {named: []string{"a"}, says: "COLUMN=FIELD"},
		"one column twice": {named: []string{"a=backup_id", "a=backup_name"}, says: "twice"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := laidOut(c.named, c.columns)
			if c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) || c.says == "" && (err != nil || got != c.fields) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func laidOut(named, header []string) (string, error) {
	columns, err := NewColumns(named)
	if err != nil {
		return "", err
	}
	layout, err := columns.Layout(header)
	if err != nil {
		return "", err
	}
	var found []string
	for _, field := range layout.fields {
		if field == nil {
			found = append(found, "")
		} else {
			found = append(found, field.Name)
		}
	}
	return strings.Join(found, " "), nil
}

// A header without required fields is one error, which names what would do.
func TestMissingColumns(t *testing.T) {
	columns, _ := NewColumns(nil)
	layout, err := columns.Layout([]string{"backup_id", "backup_name", "bucket", "path", "vm_id", "VM", "created_at"})
	if err != nil {
		t.Fatal(err)
	}
	err = layout.Missing()
	if err == nil || !strings.Contains(err.Error(), "resource_name (or resourceName, vmname, servername") || !strings.Contains(err.Error(), `"VM"`) || strings.Contains(err.Error(), "resource_type (") {
		t.Error(err)
	}
}

// Times are read as inventories write them. What may be another time is refused.
func TestTimes(t *testing.T) {
	shanghai, err := Zone("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	berlin, _ := Zone("Europe/Berlin")
	east, _ := Zone("+08:00")
	for _, c := range []struct {
		value any
		zone  *time.Location
		want  any
		says  string
	}{
		{value: "1553587260", want: 1553587260}, {value: json.Number("1553587260"), want: 1553587260}, {value: "1553587260.9", want: 1553587260},
		{value: "1553587260123", want: 1553587260}, {value: json.Number("1553587260000"), want: 1553587260}, {value: "2147483647999", want: 2147483647},
		{value: "2147483648000", want: 2147483648000}, {value: "1553587260000000", want: 1553587260000000}, {value: "99999999999", want: 99999999999}, {value: "315532800", want: 315532800}, {value: "001553587260", want: 1553587260}, {value: "+1553587260", want: 1553587260},
		{value: "2019-03-26T08:01:00Z", want: 1553587260}, {value: "2019-03-26T16:01:00+08:00", want: 1553587260}, {value: "2019-03-26T08:01:00.584418Z", want: 1553587260},
		{value: "2019-03-26 16:01:00 +0800", want: 1553587260}, {value: "2019-03-26 08:01:00Z", want: 1553587260},
		{value: "2019-03-26 16:01:00", zone: shanghai, want: 1553587260}, {value: "2019-03-26 16:01:00", zone: east, want: 1553587260}, {value: "2019/3/26 16:01:00", zone: shanghai, want: 1553587260},
		{value: "2019-03-26T16:01:00.5", zone: shanghai, want: 1553587260}, {value: "2019-03-26 08:01", zone: time.UTC, want: 1553587260},
		{value: "2019-03-26 16:01:00", says: "--time-zone"}, {value: "2019-03-31 02:30:00", zone: berlin, says: "no such time"}, {value: "2019-10-27 02:30:00", zone: berlin, says: "two such times"},
		{value: "2019-10-27 01:30:00", zone: berlin, want: 1572132600}, {value: "2019-10-27 03:30:00", zone: berlin, want: 1572143400},
		{value: "1.55359E+09", says: "scientific"}, {value: "2019-03-26", zone: time.UTC, says: "no time"},
		{value: "26.03.2019 08:01:00", zone: time.UTC, says: "no time"}, {value: "03/26/2019 08:01:00", zone: time.UTC, says: "no time"}, {value: "yesterday", says: "no time"}, {value: "1.2.3", says: "no number"}, {value: ".", says: "no number"},
		{value: "99999999999999999999", says: "no number"}, {value: true, want: true},
		{value: "20190326", says: "looks like a date"}, {value: "201903260801", says: "looks like a date"}, {value: "2019032608", says: "looks like a date"}, {value: "20190326080100", says: "looks like a date"},
		{value: "20190326.0", says: "looks like a date"}, {value: "20190326.", says: "looks like a date"}, {value: "+20190326", says: "looks like a date"}, {value: "020190326", says: "looks like a date"},
		{value: "201903260801.00", says: "looks like a date"}, {value: json.Number("20190326.0"), says: "looks like a date"},
		{value: "43550", says: "before 1980"}, {value: "43550.3340", says: "before 1980"}, {value: json.Number("43550.334"), says: "before 1980"}, {value: "26032019", says: "before 1980"}, {value: "260320190801", says: "before 1980"},
		{value: "190326080100", says: "before 1980"}, {value: "315532799", says: "before 1980"}, {value: "-20190326", says: "before 1980"}, {value: "0", says: "before 1980"}, {value: "1970-01-01T00:00:00Z", says: "before 1980"},
	} {
		got, err := seconds(c.value, c.zone)
		if c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) || c.says == "" && (err != nil || fmt.Sprint(got) != fmt.Sprint(c.want)) {
			t.Errorf("%v is read as %v, %v; not %v, %q", c.value, got, err, c.want, c.says)
		}
	}
	if _, err := Zone("Mars/Olympus"); err == nil {
		t.Error("there is no such zone")
	}
}

// White space is removed and told. Formulas and what cannot be seen are taken as they are, and told.
func TestValues(t *testing.T) {
	for _, c := range []struct {
		value  any
		csv    bool
		want   any
		remark []Remark
	}{
		{value: "erp", want: "erp"},
		{value: "\ufeff\u3000erp 01\t\u200b", want: "erp 01", remark: []Remark{Trimmed}},
		{value: "=1+1", want: "=1+1", remark: []Remark{Formula}},
		{value: " @erp", want: "@erp", remark: []Remark{Trimmed, Formula}},
		{value: `="007"`, csv: true, want: "007", remark: []Remark{ForExcel}}, {value: `=" =a"`, csv: true, want: "=a", remark: []Remark{ForExcel, Trimmed, Formula}},
		{value: `=""`, csv: true, want: nil}, {value: `="007"`, want: `="007"`, remark: []Remark{Formula}}, {value: `="a"&"b"`, csv: true, want: `="a"&"b"`, remark: []Remark{Formula}},
		{value: "erp\u200b01", want: "erp\u200b01", remark: []Remark{Invisible}},
		{value: "erp\u00a001", want: "erp\u00a001", remark: []Remark{Invisible}},
		{value: "erp\n01", want: "erp\n01"}, // the rules refuse it
		{value: "  ", csv: true, want: nil}, {value: "", csv: true, want: nil}, {value: "", want: ""}, {value: nil, want: nil},
		{value: json.Number("7"), want: int64(7)}, {value: true, want: true},
	} {
		item := Item{Spec: map[string]any{}}
		item.take(Named("resource_name"), c.value, c.csv, nil)
		var remarks []Remark
		for _, note := range item.Notes {
			remarks = append(remarks, note.Remark)
		}
		if item.Spec["resourceName"] != c.want || !slices.Equal(remarks, c.remark) {
			t.Errorf("%q is taken as %q with %q", c.value, item.Spec["resourceName"], remarks)
		}
	}
}

// Ids that are no UUIDs are taken, as nothing says that CBR refuses them, and told: one that is cut off is a backup that CBR does not have.
func TestIDs(t *testing.T) {
	for id, told := range map[string]bool{
		"1f9e6b47-7655-4a19-b563-21b4ef023025": false, "1F9E6B47-7655-4A19-B563-21B4EF023025": false,
		"1f9e6b47-7655-4a19-b563-21b4ef02302": true, "1f9e6b4707655-4a19-b563-21b4ef023025": true, "1f9e6b47-7655-4a19-b563-21b4ef02302g": true, "vm-7": true,
	} {
		item := Item{Spec: map[string]any{}}
		item.take(Named(backupID), id, true, nil)
		if noted := slices.ContainsFunc(item.Notes, func(note Note) bool { return note.Remark == NoUUID }); noted != told || item.Spec["backupID"] != id {
			t.Errorf("%s: noted is %t, taken as %v", id, noted, item.Spec["backupID"])
		}
	}
}

// A problem shows what cannot be seen, and cuts what is long.
func TestProblemsAreShown(t *testing.T) {
	problem := Problem{Field: "backup_name", Value: "a\x1b[31m\n" + strings.Repeat("x", 500), Rule: "it is odd"}
	if text := problem.String(); !strings.HasPrefix(text, `backup_name: "a\x1b[31m\n`) || len(text) > 150 || !strings.HasSuffix(text, `"...: it is odd`) {
		t.Error(text)
	}
	if inventory.Show("备") != `"备"` {
		t.Error("Chinese characters can be seen")
	}
}
