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
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("What a person reads of a refusal", func() {
	It("tells the rule in words, and never shows a regular expression", func(ctx context.Context) {
		for kind, refusals := range map[string][]refusal{backupSync: refusedBackups, cbrProject: refusedProjects} {
			for _, refused := range refusals {
				message := expectRefused(refused.create(ctx, kind), "spec."+refused.field)
				Expect(message).To(beInWords(), "%s %s", kind, refused.when)
			}
		}
	})

	It("comes from rules that have a message and name their field, and the tables try them all", func() {
		for kind, refusals := range map[string][]refusal{backupSync: refusedBackups, cbrProject: refusedProjects} {
			schemaOf(kind).walk("", func(path string, s *schema) {
				if path == "spec" || strings.HasPrefix(path, "spec.") {
					Expect(s.Pattern).To(BeEmpty(), "%s.%s shows its pattern to people", kind, path)
				}
				for _, rule := range s.Validations {
					full := path + rule.FieldPath
					name := full[strings.LastIndex(full, ".")+1:]
					Expect(rule.Message).To(And(ContainSubstring(name), beInWords()), "%s.%s: %s", kind, path, rule.Rule)
					if strings.Contains(rule.Rule, "oldSelf") {
						continue // of an edit: see there
					}
					tried := slices.ContainsFunc(refusals, func(refused refusal) bool {
						return "spec."+refused.field == full && strings.Contains(rule.Message, refused.says)
					})
					Expect(tried).To(BeTrue(), "no refusal of the tables is one for %s of %s: %s", full, kind, rule.Message)
				}
			})
		}
	})
})

var _ = Describe("The documentation that kubectl explain shows", func() {
	DescribeTable("describes each field, beginning with its name,", func(kind string) {
		schemaOf(kind).walk("", func(path string, s *schema) {
			switch path {
			case "":
				Expect(s.Description).To(HavePrefix(kind + " "))
			case "apiVersion", "kind", "metadata": // those of Kubernetes
			default:
				for name, property := range s.Properties {
					Expect(property.Description).To(HavePrefix(name+" "), "%s.%s.%s", kind, path, name)
				}
			}
		})
		for _, name := range []string{"spec", "status"} {
			Expect(schemaOf(kind).Properties[name].Description).To(HavePrefix(name + " "))
		}
	},
		Entry("of a BackupSync", backupSync),
		Entry("of a CBRProject", cbrProject),
	)
})
