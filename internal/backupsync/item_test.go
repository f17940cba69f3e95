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
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	. "github.com/onsi/gomega"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
)

// The item of the vendor's example of ImportBackup, as it is sent, and its hash. Hashes stand in the status of every
// BackupSync: where this test fails, another version of the hash is due.
func TestHashOfTheVendorsExample(t *testing.T) {
	g := NewWithT(t)
	sent, err := json.Marshal(Item(&newBackup().Spec))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(sent)).To(Equal(`{"backup_id":"1f9e6b47-7655-4a19-b563-21b4ef023025","backup_name":"backup_name",` +
		`"bucket_name":"1555230361623e4ce4700dab84b7d8169a5eaec05227d",` +
		`"image_path":"6abec15e-7baf-4d79-b5a9-6b98a2da7020/cfe0295c-5939-4b31-96cd-161b4725e7ad/cfe0295c-5939-4b31-96cd-161b4725e7ad",` +
		`"resource_id":"96f7512d-239d-3f31-80cf-d1ce041df9a6","resource_name":"resource_name","resource_type":"OS::Native::Server",` +
		`"created_at":1553587260}`))
	g.Expect(Hash(&newBackup().Spec)).To(Equal("v1:j_hxiBBQZqA7rscf5R4piA"))
}

// What stands in a manifest is either sent, and then hashed, or no part of the item.
func TestHashIsOfEveryFieldOfTheItem(t *testing.T) {
	notSent := []string{"ProjectRef", "Suspend"}
	sent := map[string]string{} // the fields of the item, by those of the manifest
	for _, field := range reflect.VisibleFields(reflect.TypeFor[v1alpha1.BackupSyncSpec]()) {
		t.Run(field.Name, func(t *testing.T) {
			g := NewWithT(t)
			changed := newBackup()
			change(t, reflect.ValueOf(&changed.Spec).Elem().FieldByIndex(field.Index))
			differing := differingFields(Item(&newBackup().Spec), Item(&changed.Spec))
			if slices.Contains(notSent, field.Name) {
				g.Expect(differing).To(BeEmpty())
				g.Expect(Hash(&changed.Spec)).To(Equal(itsHash))
				g.Expect(Differs(&changed.Spec, itsHash)).To(BeFalse())
				return
			}
			g.Expect(differing).To(HaveLen(1), "each field of the manifest is one of the item")
			g.Expect(sent).NotTo(HaveKey(differing[0]))
			sent[differing[0]] = field.Name
			g.Expect(Hash(&changed.Spec)).NotTo(Equal(itsHash))
			g.Expect(Differs(&changed.Spec, itsHash)).To(BeTrue())
		})
	}
	NewWithT(t).Expect(sent).To(HaveLen(reflect.TypeFor[cbr.Backup]().NumField()), "all fields of an item: %v", sent)
}

// change gives a field of a manifest another value.
func change(t *testing.T, field reflect.Value) {
	t.Helper()
	switch field.Kind() {
	case reflect.String:
		field.SetString(field.String() + "x")
	case reflect.Int64:
		field.SetInt(field.Int() + 1)
	case reflect.Bool:
		field.SetBool(!field.Bool())
	case reflect.Struct:
		change(t, field.FieldByName("Name"))
	default:
		t.Fatalf("a %s", field.Kind())
	}
}

func differingFields(a, b cbr.Backup) []string {
	var names []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[cbr.Backup]()) {
		if !reflect.ValueOf(a).FieldByIndex(field.Index).Equal(reflect.ValueOf(b).FieldByIndex(field.Index)) {
			names = append(names, field.Name)
		}
	}
	return names
}

// Where one text ends and the next begins counts, too.
func TestHashKeepsFieldsApart(t *testing.T) {
	g := NewWithT(t)
	a, b := newBackup().Spec, newBackup().Spec
	a.BackupName, a.BucketName = "erp", "01-backups"
	b.BackupName, b.BucketName = "erp01-", "backups"
	g.Expect(Hash(&a)).NotTo(Equal(Hash(&b)))
	a.BackupName, a.BucketName = b.BucketName, b.BackupName
	g.Expect(Hash(&a)).NotTo(Equal(Hash(&b)))
}

// A hash fits status.sentHash and the records of a journal, whatever the manifest holds.
func TestHashFits(t *testing.T) {
	g := NewWithT(t)
	g.Expect(itsHash).To(MatchRegexp(`^v1:[A-Za-z0-9_-]{22}$`))
	odd := newBackup(func(b *v1alpha1.BackupSync) { b.Spec.ResourceName = "备份<&>\xff" })
	g.Expect(Hash(&odd.Spec)).To(MatchRegexp(`^v1:[A-Za-z0-9_-]{22}$`))
}

func TestDiffers(t *testing.T) {
	for name, c := range map[string]struct {
		hash string
		want bool
	}{
		"its own":                             {itsHash, false},
		"that of another item":                {editedHash, true},
		"none: nothing was sent":              {"", false},
		"of another version: it cannot tell":  {unknownHash, false},
		"of a version that begins alike":      {"v10:" + itsHash[3:], false},
		"without a version":                   {itsHash[3:], false},
		"of this version, and nothing behind": {"v1:", true},
	} {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(Differs(&newBackup().Spec, c.hash)).To(Equal(c.want))
		})
	}
}
