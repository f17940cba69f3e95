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

package generate_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"backupsync.dev/operator/internal/cli"
)

const header = "backup_id,backup_name,bucket_name,image_path,resource_id,resource_name,resource_type,created_at\n"

// row is a valid row of a CSV.
func row(id, name string) string {
	return id + "," + name + ",vmware-backups,4214f0b7/" + id + ",4214f0b7-2c9a-4e65-a8d1-7b3e5f9c0d12,erp 01,,1553587260\n"
}

// The same backups in any format give the same manifests.
func TestFormats(t *testing.T) {
	item := `{"backup_id": "1f9e6b47-7655-4a19-b563-21b4ef023025", "backup_name": "on", "bucket_name": "155523", "image_path": "6abec15e/cfe0295c",
	  "resource_id": "1e3", "resource_name": "财务 #1", "resource_type": "OS::VMware::Server", "created_at": 1553587260}`
	line := strings.ReplaceAll(item, "\n", " ") + "\n"
	for name, text := range map[string]string{
		"a body":     `{"sync": [` + item + `]}`,
		"an array":   `[` + item + `]`,
		"lines":      line + line,
		"a CSV":      header + "1f9e6b47-7655-4a19-b563-21b4ef023025,on,155523,6abec15e/cfe0295c,1e3,财务 #1,OS::VMware::Server,1553587260\n",
		"other ways": "\ufeffCreated At;VM Name;resourceId;Path;Bucket;Backup Name;Resource-Type;BACKUP ID\r\n2019-03-26T16:01:00+08:00;财务 #1\u3000;1e3;6abec15e/cfe0295c;155523; on;OS::VMware::Server;1f9e6b47-7655-4a19-b563-21b4ef023025\r\n;;;;;;;\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			got := command(t, text, "--project", "default", "-n", "backups", "--label", "team=erp", "--annotation", "note=on", "--suspend")
			if got.status != 0 {
				t.Fatal(got.err)
			}
			golden(t, "formats.yaml", got.out)
		})
	}
}

// Whatever is wrong is told with file, line, field, value and rule, and what was seen is told at the end.
func TestMessages(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("inventory.csv", strings.Replace(header, "\n", ",cluster\n", 1)+
		strings.ReplaceAll(row("a-1", "erp")+row("a-2", "für")+row("a/3", "erp")+row("A-1", "erp")+row("a-1", "other")+row("a-4", "erp")+row("a-5", ""), "\n", ",c1\n")+
		"a-6,erp,b,p,r,=cmd(),,2019-03-26 08:01:00,c1\n"+"a-7,erp,b , p,r,=cmd(),,1.5E9,c1\n"+"a-8,erp,b , p,r,=cmd(),,1553587260000,c1\n"+"a-9,erp,b,p,r,x\ty,,0,c1\n"+"a-10,\"e\"rp\",b\n"+"a-11,erp\n"+
		"a-12,"+strings.Repeat("x", 65)+",b,p,r,n,,1553587260,\n"+"a_13,erp,b,p,r,n,,1553587260,\n")
	write("more.json", `[{"backup_id": 7, "backup_name": null, "bucket_name": "", "image_path": ["p"], "resource_id": "r", "resource_name": true, "created_at": "soon", "color": 1}, "x"]`)
	got := command(t, "", "inventory.csv", "more.json", "--project", "default", "--rejects", "rejects.csv")
	if got.status != cli.ExitFound {
		t.Errorf("it exits with %d", got.status)
	}
	golden(t, "messages.txt", got.err)
	golden(t, "messages.yaml", got.out)
	golden(t, "rejects.csv", content(t, "rejects.csv"))
	golden(t, "rejects-2.json", content(t, "rejects-2.json"))
}

// A row with a list of its own, under a name that bodies have for their rows, is a row all the same: it is not lost without a word.
func TestARowWithAListIsNotLost(t *testing.T) {
	const fields = `"backup_id": "a-1", "backup_name": "erp", "bucket_name": "b", "image_path": "p", "resource_id": "r", "resource_name": "vm", "created_at": 1553587260`
	for text, says := range map[string]string{
		`[{` + fields + `, "items": []}]`:                 "1 row read: 1 written",
		`[{` + fields + `, "backups": null, "sync": []}]`: "1 row read: 1 written",
		`{` + fields + `, "backups": ["x"]}` + "\n":       "1 row read: 1 written",
		`{"items": [], ` + fields + `}` + "\n":            "1 row read: 1 written",
		`{"items": ["disk"], ` + fields + `}` + "\n":      `stdin:1: it has fields of a backup, and before them the list "items"`,
		`{"uuid": "a-1", "items": []}`:                    "Note: stdin:1: the list of rows is empty, and no other member is a backup's field",
	} {
		got := command(t, text, "--project", "default")
		if !strings.Contains(got.err, says) || strings.Contains(says, "1 written") != strings.Contains(got.out, "backupID: a-1") {
			t.Errorf("%s: status %d, %s%s", text, got.status, got.out, got.err)
		}
	}
	if got := command(t, `[{"uuid": "a-1", "items": []}]`, "--project", "default", "--map", "uuid=backup_id"); got.status != cli.ExitFound {
		t.Errorf("a column that is named: %d %s", got.status, got.err)
	}
}

// Rejected rows that were corrected are read like any inventory.
func TestRejectsAreCorrected(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rejects.csv")
	first := command(t, header+row("a-1", "erp")+row("a-2", "e r p"), "--project", "default", "--rejects", path)
	if first.status != cli.ExitFound || strings.Count(first.out, "kind: BackupSync") != 1 {
		t.Fatal(first.err)
	}
	corrected := file(t, "corrected.csv", strings.Replace(content(t, path), ",e r p,", ",erp,", 1))
	second := command(t, "", corrected, "--project", "default", "--rejects", filepath.Join(t.TempDir(), "none.csv"))
	if second.status != 0 || !strings.Contains(second.out, "backupID: a-2") || strings.Contains(second.err, "reject_reason") {
		t.Errorf("%d: %s", second.status, second.err)
	}
	if again := command(t, header, "--project", "default", "--rejects", path); again.status != cli.ExitError || !strings.Contains(again.err, "not corrected yet") {
		t.Errorf("rejects are replaced: %s", again.err)
	}
}

// A strict run writes all or nothing.
func TestStrict(t *testing.T) {
	text := header + row("a-1", "erp") + row("a-2", "e r p")
	folder := filepath.Join(t.TempDir(), "folder")
	path := file(t, "out.yaml", "")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for _, arguments := range [][]string{{}, {"-f", path}, {"--output-dir", folder}} {
		got := command(t, text, append([]string{"--project", "default", "--strict"}, arguments...)...)
		if got.status != cli.ExitFound || got.out != "" || !strings.Contains(got.err, `stdin:3: backup_name: "e r p"`) || !strings.Contains(got.err, "nothing was written") {
			t.Errorf("%v: %d %s%s", arguments, got.status, got.out, got.err)
		}
	}
	if found, err := os.ReadDir(filepath.Dir(path)); err != nil || len(found) > 0 {
		t.Errorf("there is %v", found)
	}
	if found, err := os.ReadDir(folder); err != nil || len(found) > 0 {
		t.Errorf("there is %v", found)
	}
	if got := command(t, header+row("a-1", "erp"), "--project", "default", "--strict"); got.status != 0 || !strings.Contains(got.out, "backupID: a-1") {
		t.Errorf("%d %s", got.status, got.err)
	}
}

// An inventory that cannot be read to its end changes no file.
func TestUnreadableInventories(t *testing.T) {
	folder := t.TempDir()
	if got := command(t, header+row("a-1", "erp"), "--project", "default", "--output-dir", folder); got.status != 0 {
		t.Fatal(got.err)
	}
	for text, says := range map[string]string{
		header + row("a-2", "erp") + "\"a\n\n": "stdin:3: column",
		"":                                     "stdin: it is empty",
		"backup_id,backup_name\n":              "bucket_name (or bucketName, bucket",
		"[{\"backup_id\": \"a-2\"":             "cut off",
		"backup_id,Backup ID\n":                "both hold backup_id",
		header:                                 "there is no backup to write",
	} {
		got := command(t, text, "--project", "default", "--output-dir", folder)
		if got.status != cli.ExitError || !strings.Contains(got.err, says) {
			t.Errorf("%q: %d %s", text, got.status, got.err)
		}
		if !strings.Contains(content(t, filepath.Join(folder, "backups.yaml")), "a-1") {
			t.Error("what was there is gone")
		}
	}
	if got := command(t, "", "no-such-file.csv", "--project", "default"); got.status != cli.ExitError || !strings.Contains(got.err, "no-such-file.csv") {
		t.Errorf("%d %s", got.status, got.err)
	}
}

// Two rows never give the same name silently.
func TestNamesOfSeveralRows(t *testing.T) {
	got := command(t, header+row("a-1", "erp")+row("a-2", "erp"), "--project", "default", "--name-template", "{{ .backup_name }}")
	if got.status != cli.ExitFound || !strings.Contains(got.err, "stdin:3: its object would have the name erp, as that of stdin:2 has") {
		t.Errorf("%d %s", got.status, got.err)
	}
	got = command(t, header+row("a_1", "erp")+row("a-1", "erp"), "--project", "default")
	if got.status != 0 || strings.Count(got.out, "kind: BackupSync") != 2 {
		t.Errorf("%d %s", got.status, got.err)
	}
}

// What was rejected was not taken: a later row with the same backup and other fields is.
func TestARowThatWasRejectedWasNotTaken(t *testing.T) {
	text := header + row("a-1", "erp") + row("a-2", "erp") + row("A-2", "crm") + row("a-2", "erp")
	got := command(t, text, "--project", "default", "--name-template", "{{ .backup_name }}")
	for _, says := range []string{"stdin:3: its object would have the name erp", `stdin:5: backup_id: "a-2": stdin:4 has the same backup`, "4 rows read: 2 written, 2 rejected"} {
		if !strings.Contains(got.err, says) {
			t.Errorf("%q is not told: %s", says, got.err)
		}
	}
	if got.status != cli.ExitFound || !strings.Contains(got.out, "backupID: A-2") {
		t.Errorf("%d: %s", got.status, got.out)
	}
}

// A second run with the same inventory changes nothing, and -f replaces only its own files.
func TestFiles(t *testing.T) {
	folder := t.TempDir()
	text := header
	for number := range 250 {
		text += row(fmt.Sprintf("a-%d", number), "erp")
	}
	first := command(t, text, "--project", "default", "--output-dir", folder, "--per-file", "20")
	second := command(t, text, "--project", "default", "--output-dir", folder, "--per-file", "20")
	if first.status != 0 || second.status != 0 || !strings.Contains(second.err, ": 0 files written, ") || !strings.Contains(second.err, ", 0 removed") {
		t.Errorf("%s%s", first.err, second.err)
	}
	inventory := file(t, "inventory.csv", text)
	if got := command(t, text, "--project", "default", "-f", inventory); got.status != cli.ExitError || content(t, inventory) != text {
		t.Errorf("an inventory was replaced: %d %s", got.status, got.err)
	}
}

// Contradictions are refused before anything is read.
func TestUsage(t *testing.T) {
	for _, c := range []struct {
		says      string
		arguments []string
	}{
		{"--project is missing", nil},
		{"must consist of", []string{"--project", "My_Project"}},
		{"exclude each other", []string{"--project", "p", "-f", "x", "--output-dir", "y"}},
		{"exclude each other", []string{"--project", "p", "--strict", "--rejects", "y"}},
		{"1 or more", []string{"--project", "p", "--per-file", "0"}},
		{"--format must be one of", []string{"--project", "p", "--format", "xml"}},
		{"--encoding must be one of", []string{"--project", "p", "--encoding", "big5"}},
		{"--dry-run must be one of", []string{"--project", "p", "--dry-run=maybe"}},
		{"writes no manifests", []string{"--project", "p", "--dry-run", "-f", "x"}},
		{"no time zone", []string{"--project", "p", "--time-zone", "Beijing"}},
		{"KEY=VALUE", []string{"--project", "p", "--label", "x"}},
		{"--label", []string{"--project", "p", "--label", "x=a b"}},
		{"--annotation", []string{"--project", "p", "--annotation", "a b=c"}},
		{"--namespace", []string{"--project", "p", "-n", "A"}},
		{"--name-template", []string{"--project", "p", "--name-template", "{{ .color }}"}},
		{"no field", []string{"--project", "p", "--map", "a=color"}},
		{"would be replaced", []string{"--project", "p", "x.csv", "--rejects", "x.csv"}},
		{"unknown flag", []string{"--color"}},
	} {
		if got := command(t, "", c.arguments...); got.status != cli.ExitUsage || !strings.Contains(got.err, c.says) {
			t.Errorf("%v: %d %s", c.arguments, got.status, got.err)
		}
	}
}
