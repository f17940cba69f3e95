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

package connection

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
)

// Each message about refused credentials fits into a condition whatever CBR or IAM says.
func TestMessagesAboutRefusedCredentials(t *testing.T) {
	for _, kind := range append(slices.Collect(maps.Keys(partsOf)), "OIDC") {
		for _, text := range []string{"", "it is so", strings.Repeat("very ", 2000), strings.Repeat("备份不存在", 1000), "<html>\r\n\x00"} {
			for _, class := range cbr.Classes {
				failed := &cbr.Error{Class: class, StatusCode: 401, Code: "APIGW.0301", Message: text, Skew: 17 * time.Minute}
				late := *failed
				late.Code = "APIGW.0303"
				known := Health{CredentialsType: kind}
				for _, message := range []string{known.rejection(failed).Message, known.rejection(&late).Message, ExplainFetch(kind, failed).Message} {
					if cleaned := backupsync.CleanMessage(message); !strings.HasSuffix(cleaned, ".") || strings.HasSuffix(cleaned, "…") {
						t.Errorf("%s, %s: not whole: %q", kind, class, cleaned)
					}
				}
				if NeedsSecret(kind) != (rejections[kind].Format != "") && kind != v1alpha1.CredentialsPodIdentity {
					t.Errorf("%s has no words of its own", kind)
				}
			}
		}
	}
}

// Whoever reads a message finds it in the documentation, with what to do.
func TestMessagesAboutCredentialsAreDocumented(t *testing.T) {
	said := []Explanation{fetchFails, podFetchFails, freshRefused, iamNotAllowed, notAllowed, explanations[cbr.Permission],
		keyRests, keyBusy, restsFromFailures, refusedElsewhere}
	said = slices.AppendSeq(said, maps.Values(fetchExplanations))
	said = slices.AppendSeq(said, maps.Values(rejections))
	rows := rowsByReason(t, credentialsPage(t))
	for _, each := range said {
		beginning, _, _ := strings.Cut(each.Format, "%s")
		beginning, _, _ = strings.Cut(beginning, ". ")
		if !slices.ContainsFunc(rows[each.Reason], func(message string) bool { return strings.HasPrefix(message, beginning) }) {
			t.Errorf("docs/credentials.md does not have %q with %s", beginning, each.Reason)
		}
	}
}

// rowsByReason reads the messages of the table of reasons. A row without a reason has the one of the row before.
func rowsByReason(t *testing.T, text string) map[string][]string {
	t.Helper()
	rows, reason := map[string][]string{}, ""
	_, table, found := strings.Cut(text, "| Reason | Message | What to do |\n|---|---|---|\n")
	if !found {
		t.Fatal("there is no table of reasons and messages")
	}
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			break
		}
		if name := strings.Trim(cells[1], " `"); name != "" {
			reason = name
		}
		rows[reason] = append(rows[reason], strings.TrimSpace(cells[2]))
	}
	return rows
}

func credentialsPage(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile("../../docs/credentials.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
