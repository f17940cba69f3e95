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

package folder

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Objects are assigned to files by the bits of their keys, as in a trie: a file takes all objects whose keys begin as its name says, and is
// split in two where these are more than a file may hold. So the files follow from the set of objects alone, whatever their order, and
// an object more changes one file, or splits it.

// kustomizationFile lists the others.
const kustomizationFile = "kustomization.yaml"

// trie goes through a spool in the order of keys.
type trie struct {
	spool *spool
	most  int // the objects of a file
	file  func(name string, objects []entry) error
}

// walk calls file for each file with its objects. Only those of one part, or of one file, are in memory at once.
func (t *trie) walk(ctx context.Context, from, to int, bits string) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	count := 0
	for part := from; part < to; part++ {
		count += t.spool.counts[part]
	}
	if count > t.most && to-from > 1 {
		middle := (from + to) / 2
		if err := t.walk(ctx, from, middle, bits+"0"); err != nil {
			return err
		}
		return t.walk(ctx, middle, to, bits+"1")
	}
	objects, err := t.spool.load(from, to)
	if err != nil {
		return err
	}
	return t.split(objects, bits)
}

// split divides objects, which are in the order of their keys, until there are few enough for a file.
func (t *trie) split(objects []entry, bits string) error {
	switch {
	case len(objects) == 0:
		return nil
	case len(objects) <= t.most || len(bits) == 64:
		slices.SortFunc(objects, func(a, b entry) int { return strings.Compare(a.name, b.name) })
		return t.file(fileName(t.most, bits, objects), objects)
	}
	middle := slices.IndexFunc(objects, func(one entry) bool { return one.key>>(63-len(bits))&1 == 1 })
	if middle < 0 {
		middle = len(objects)
	}
	if err := t.split(objects[:middle], bits+"0"); err != nil {
		return err
	}
	return t.split(objects[middle:], bits+"1")
}

// maxFileName leaves room for a hash and an ending in what file systems take.
const maxFileName = 200

// fileName names a file by the object that it is for, or by the bits of the keys of several.
func fileName(most int, bits string, objects []entry) string {
	switch {
	case most > 1 && bits == "":
		return "backups.yaml"
	case most > 1:
		return "backups-" + bits + ".yaml"
	}
	name := objects[0].name
	if len(name) > maxFileName || name+".yaml" == kustomizationFile {
		sum := sha256.Sum256([]byte(name))
		name = fmt.Sprintf("%s-%s", name[:min(len(name), maxFileName)], hex.EncodeToString(sum[:8]))
	}
	return name + ".yaml"
}

// separator begins each object of a file.
const separator = "---\n"

// content returns a file: its first line, and the objects in the order of their names.
func content(objects []entry) (string, []byte) {
	var text []byte
	for _, one := range objects {
		text = append(append(text, separator...), one.text...)
	}
	return headOf(text), text
}

func headOf(text []byte) string {
	sum := sha256.Sum256(text)
	return head(sum[:])
}

// kustomization returns the file that lists others. They must be sorted.
func kustomization(files []string) (string, []byte) {
	var text strings.Builder
	text.WriteString("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n")
	if len(files) == 0 {
		text.WriteString("resources: []\n")
	} else {
		text.WriteString("resources:\n")
	}
	for _, file := range files {
		text.WriteString("- " + file + "\n")
	}
	return headOf([]byte(text.String())), []byte(text.String())
}
