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

package v1alpha1_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
)

// pages are those that explain the kinds.
var pages = map[string]string{backupSync: "backupsync.md", cbrProject: "cbrproject.md"}

func pageOf(kind string) string {
	GinkgoHelper()
	content, err := os.ReadFile(filepath.Join("..", "..", "docs", pages[kind]))
	Expect(err).NotTo(HaveOccurred())
	return string(content)
}

// fieldRow is a row of the tables of fields: its path, and the rest.
var fieldRow = regexp.MustCompile("(?m)^\\| `((?:spec|status)[.A-Za-z\\[\\]]*)` \\|(.*)$")

// fieldRows returns the rows of the fields of a kind by their paths. Elements of a list have the path of the list.
func fieldRows(kind string) map[string]string {
	GinkgoHelper()
	rows := map[string]string{}
	for _, match := range fieldRow.FindAllStringSubmatch(pageOf(kind), -1) {
		path := strings.ReplaceAll(match[1], "[]", "")
		Expect(rows).NotTo(HaveKey(path), "it is there twice")
		rows[path] = match[2]
	}
	return rows
}

// fieldsOf returns the schemas of all fields of a kind's spec and status but those of the operator's own books.
func fieldsOf(kind string) map[string]*schema {
	GinkgoHelper()
	found := map[string]*schema{}
	schemaOf(kind).walk("", func(path string, s *schema) {
		within := strings.HasPrefix(path, "spec.") || strings.HasPrefix(path, "status.")
		if within && !strings.HasPrefix(path, "status.journal.") && found[path] == nil { // of a list, and not of its elements
			found[path] = s
		}
	})
	return found
}

// limitsOf returns what a row says of the limits of a field.
func limitsOf(s *schema) []string {
	var limits []string
	for _, bound := range []*int64{s.MaxLength, s.MaxItems, s.Minimum, s.Maximum} {
		if bound != nil {
			limits = append(limits, strconv.FormatInt(*bound, 10))
		}
	}
	for _, value := range s.Enum {
		limits = append(limits, fmt.Sprintf("`%v`", value))
	}
	if _, composite := s.Default.(map[string]any); s.Default != nil && !composite {
		limits = append(limits, fmt.Sprint(s.Default))
	}
	return limits
}

// reasonsOf returns the reasons in the groups of constants whose comment names a kind.
func reasonsOf(kind string) []string {
	GinkgoHelper()
	file, err := parser.ParseFile(token.NewFileSet(), "conditions.go", nil, parser.ParseComments)
	Expect(err).NotTo(HaveOccurred())
	var reasons []string
	for _, declaration := range file.Decls {
		group, is := declaration.(*ast.GenDecl)
		if !is || !strings.HasPrefix(group.Doc.Text(), "Reasons of a "+kind+"'s conditions") {
			continue
		}
		for _, spec := range group.Specs {
			reason, err := strconv.Unquote(spec.(*ast.ValueSpec).Values[0].(*ast.BasicLit).Value)
			Expect(err).NotTo(HaveOccurred())
			reasons = append(reasons, reason)
		}
	}
	if kind == cbrProject {
		reasons = append(reasons, v1alpha1.ReasonSuspended) // of both kinds
	}
	return reasons
}

// reasonHeading is the heading of a reason.
var reasonHeading = regexp.MustCompile("(?m)^#### `([A-Za-z]+)`$")

var _ = Describe("The page of a kind", func() {
	DescribeTable("has each field of the spec and the status, with its limits, and no other,", func(kind string) {
		rows, fields := fieldRows(kind), fieldsOf(kind)
		for path, s := range fields {
			Expect(rows).To(HaveKey(path))
			if strings.HasPrefix(path, "status.conditions.") {
				continue // of Kubernetes
			}
			for _, limit := range limitsOf(s) {
				Expect(rows[path]).To(MatchRegexp(`(^|[^0-9A-Za-z])`+regexp.QuoteMeta(limit)+`([^0-9A-Za-z]|$)`), "the limits of %s", path)
			}
		}
		for path := range rows {
			Expect(fields).To(HaveKey(path), "there is no such field")
		}
	}, Entry(nil, backupSync), Entry(nil, cbrProject))

	DescribeTable("has each reason, and no other,", func(kind string) {
		var explained []string
		for _, match := range reasonHeading.FindAllStringSubmatch(pageOf(kind), -1) {
			explained = append(explained, match[1])
		}
		Expect(len(explained)).To(BeNumerically(">", 10))
		Expect(explained).To(ConsistOf(reasonsOf(kind)))
	}, Entry(nil, backupSync), Entry(nil, cbrProject))

	DescribeTable("shows manifests that the API server takes, one of which has every field that a person may set,", func(ctx context.Context, kind string) {
		set := map[string]bool{}
		for _, text := range documentedManifests(filepath.Join("..", "..", "docs", pages[kind])) {
			for decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096); ; {
				object := &unstructured.Unstructured{}
				err := decoder.Decode(&object.Object)
				if errors.Is(err, io.EOF) {
					break
				}
				Expect(err).NotTo(HaveOccurred(), text)
				Expect(object.GetKind()).To(Equal(kind))
				notePaths(set, "spec", object.Object["spec"])
				object.SetNamespace(metav1.NamespaceDefault)
				Expect(apiserver.Create(ctx, object, client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict))).To(Succeed(), text)
			}
		}
		for path := range fieldsOf(kind) {
			if strings.HasPrefix(path, "spec.") && !strings.HasPrefix(path, "spec.credentials.secretRef.keys.") {
				Expect(set).To(HaveKey(path), "no example has it")
			}
		}
	}, Entry(nil, backupSync), Entry(nil, cbrProject))
})

// notePaths notes the paths of all fields of a value.
func notePaths(set map[string]bool, path string, value any) {
	set[path] = true
	if fields, is := value.(map[string]any); is {
		for name, each := range fields {
			notePaths(set, path+"."+name, each)
		}
	}
}
