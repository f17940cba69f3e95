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

package manifest

import (
	"strings"
	"testing"

	yaml3 "go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"backupsync.dev/operator/api/v1alpha1"
)

// readers are the readers of YAML that manifests meet: kubectl's and Flux's (YAML 1.1), and kustomize's (1.2).
var readers = map[string]func([]byte, any) error{
	"sigs.k8s.io/yaml": func(text []byte, into any) error { return yaml.Unmarshal(text, into) },
	"yaml v3":          yaml3.Unmarshal,
}

// maxKey is the longest key that YAML takes without a question mark. Keys of labels and annotations are shorter.
const maxKey = 1024

// readBack reads a text as a value, and as a key.
func readBack(t *testing.T, text string) {
	t.Helper()
	for name, unmarshal := range readers {
		var value, key map[string]any
		if err := unmarshal([]byte("key: "+Scalar(text)+"\n"), &value); err != nil || value["key"] != text {
			t.Errorf("%s: %q is written as %s, and read as %v, %v", name, text, Scalar(text), value, err)
		}
		if len(Scalar(text)) >= maxKey {
			continue
		}
		if err := unmarshal([]byte(Scalar(text)+": value\n"), &key); err != nil || key[text] != "value" {
			t.Errorf("%s: the key %q is written as %s, and read as %v, %v", name, text, Scalar(text), key, err)
		}
	}
}

// Texts that a reader of YAML could take for something else are read as the texts that they are.
func TestScalars(t *testing.T) {
	for _, text := range []string{
		"", " ", "on", "On", "OFF", "yes", "n", "Y", "true", "False", "null", "NULL", "~", "nan", ".nan", ".inf", "-.Inf", "inf", "1", "-1", "+1", "1e3", "1E3", "1.5", "1_000", "0x1f", "0o17", "017", "0b11", "1.", ".5",
		"12:30:45", "190:20:30", "2019-03-26", "2019-03-26T08:01:00Z", "=", "<<", "-", "--", "---", "...", "- a", "a: b", "a:", ":a", "a #b", "#a", "&a", "*a", "!a", "!!str a", "%a", "@a", "`a", "'a'", "\"a\"", "a\"b\\c", "[a]", "{a: b}",
		"a, b", "?", "? a", "|", ">", "a\nb", "\ta", "a\u2028b", "\u00a0", "\u0085", "\ufeffa", "a\u200bb", "\x00", "\x7f", "备份", "备: 份", "OS::VMware::Server", "a/b", "1/2", "e3", "1e3/4", "😀", "\U000e0001", "\U0010ffff", "\ue000", "\ufffd", "\ufffe",
		"1f9e6b47-7655-4a19-b563-21b4ef023025", "12345678-1234-1234-1234-123456789012", "1e345678-1234-1234-1234-123456789012", "1555230361623e4ce4700dab84b7d8169a5eaec05227d", "12e03",
	} {
		readBack(t, text)
	}
}

// What needs no quotes has none: manifests look as one writes them.
func TestPlainScalars(t *testing.T) {
	for _, text := range []string{"erp-01", "备份_1", "OS::VMware::Server", "1f9e6b47-7655-4a19-b563-21b4ef023025", "6abec15e-7baf-4d79-b5a9-6b98a2da7020/cfe0295c", "vmware.backups"} {
		if Scalar(text) != text {
			t.Errorf("%s is quoted", text)
		}
	}
}

// Names are names of objects. Ids that are none become some, and stay apart.
func TestNames(t *testing.T) {
	spec := &v1alpha1.BackupSyncSpec{BackupID: "1F9E6B47-7655-4A19-B563-21B4EF023025", BackupName: "备份", ResourceName: "ERP 01 (old)", CreatedAt: 1553587260}
	for template, want := range map[string]string{
		"":                         "1f9e6b47-7655-4a19-b563-21b4ef023025",
		"{{ lower .backup_id }}":   "1f9e6b47-7655-4a19-b563-21b4ef023025",
		"{{ dns .resource_name }}": "erp-01-old",
		"{{ dns .resource_name }}-{{ date \"20060102\" .created_at }}":     "erp-01-old-20190326",
		"{{ dns (printf \"%s %s\" .resource_name (short 8 .backup_id)) }}": "erp-01-old-1f9e6b47",
		"{{ dns (printf \"%s.%s\" .backup_name (hash .backup_name)) }}":    Hash("备份"),
		"{{ if .resource_type }}{{ dns .resource_type }}{{ end }}":         "os-native-server",
		"{{ dns (printf \"%0300d\" 1) }}":                                  strings.Repeat("0", 253),
	} {
		names, err := ByTemplate(template)
		if err != nil {
			t.Errorf("%s: %v", template, err)
			continue
		}
		if name, err := names.Name(spec); err != nil || name != want {
			t.Errorf("%s gives %q, %v", template, name, err)
		}
	}
	seen := map[string]string{}
	for _, id := range []string{"a", "a_b", "a-b", "a..b", "a.b", "a.-b", "a-", "a_", "0", "x" + strings.Repeat("_", 127), strings.Repeat("A", 128)} {
		name := byID(id)
		if wrong := validation.IsDNS1123Subdomain(name); len(wrong) > 0 {
			t.Errorf("%q becomes %q: %v", id, name, wrong)
		}
		if other, twice := seen[name]; twice {
			t.Errorf("%q and %q become %q", id, other, name)
		}
		seen[name] = id
	}
}

// Templates that cannot work are refused before a row is read, and names that are none when they are made.
func TestTemplatesThatCannotWork(t *testing.T) {
	for template, says := range map[string]string{
		"{{ .color }}":              "color",
		"{{ .backup_id":             "read the template",
		"{{ upper 1 }}":             "upper",
		"{{ short 1 2 }}":           "expected string",
		"{{ printf \"%5000d\" 1 }}": "far too long",
	} {
		if _, err := ByTemplate(template); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", template, err)
		}
	}
	names, err := ByTemplate("{{ .resource_name }}")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := names.Name(&v1alpha1.BackupSyncSpec{ResourceName: "ERP 01"}); err == nil || !strings.Contains(err.Error(), "the function dns makes one") {
		t.Error(err)
	}
}

// Whatever a text is, it is read back by all readers.
func FuzzScalar(f *testing.F) {
	for _, seed := range []string{"on", "1e3", "a: b", "备份", "\x00", "\u2028"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		readBack(t, strings.ToValidUTF8(text, ""))
	})
}

// Whatever a text is, what becomes of it is a name, or nothing.
func FuzzDNS(f *testing.F) {
	f.Add("ERP 01")
	f.Add("..a-.b_")
	f.Fuzz(func(t *testing.T, text string) {
		if name := DNS(text); name != "" && len(validation.IsDNS1123Subdomain(name)) > 0 {
			t.Errorf("%q becomes %q", text, name)
		}
	})
}
