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

package verify

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"sigs.k8s.io/yaml"
)

// formats are what -o takes, besides "" for a table.
var formats = []string{"", "wide", "json", "yaml"}

// output is what -o json and yaml print.
type output struct {
	Projects []*Report `json:"projects"`
}

// write writes reports in a format.
func write(out io.Writer, format string, reports []*Report, limit int) error {
	switch format {
	case "json":
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(output{reports})
	case "yaml":
		text, err := yaml.Marshal(output{reports})
		if err != nil {
			return err
		}
		_, err = out.Write(text)
		return err
	}
	for i, report := range reports {
		if i > 0 {
			if _, err := fmt.Fprintln(out); err != nil {
				return err
			}
		}
		if err := printTable(out, report, format == "wide", limit); err != nil {
			return err
		}
	}
	return nil
}

// printTable prints a report for people.
func printTable(out io.Writer, report *Report, wide bool, limit int) error {
	if _, err := fmt.Fprintf(out, "CBRProject %s/%s: cloud project %s at %s\n", report.Namespace, report.Project, report.ProjectID, report.Endpoint); err != nil {
		return err
	}
	if len(report.Findings) > 0 {
		if err := printFindings(out, report.Findings, wide, limit); err != nil {
			return err
		}
	}
	for _, text := range remarks(report) {
		if _, err := fmt.Fprintln(out, text); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(out, summary(report))
	return err
}

func printFindings(out io.Writer, findings []Finding, wide bool, limit int) error {
	table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	header := []string{"FINDING", "BACKUPSYNC", "BACKUP-ID", "STATUS"}
	if wide {
		header = append(header, "SAYS", "BACKUP-NAME", "RESOURCE", "RESOURCE-ID", "CREATED", "PROVIDER")
	}
	_, _ = fmt.Fprintln(table, strings.Join(append(header, "DETAIL"), "\t")) // Flush returns the error
	shown, hidden := map[Kind]int{}, 0
	for i := range findings {
		found := &findings[i]
		if shown[found.Kind]++; limit > 0 && shown[found.Kind] > limit {
			hidden++
			continue
		}
		_, _ = fmt.Fprintln(table, strings.Join(row(found, wide), "\t"))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if hidden > 0 {
		_, err := fmt.Fprintf(out, "%d more are not shown: --limit\n", hidden)
		return err
	}
	return nil
}

// row returns the columns of a finding.
func row(found *Finding, wide bool) []string {
	columns := []string{string(found.Kind), or(found.BackupSync), found.BackupID, or(found.Status)}
	if wide {
		return append(columns, or(found.Says), or(found.BackupName), or(found.Resource), or(found.ResourceID), created(found), or(found.Provider), found.Detail)
	}
	detail := found.Detail
	if found.Kind == Undeclared {
		detail = fmt.Sprintf("%s of %s, created %s. %s", or(found.BackupName), or(cmp.Or(found.Resource, found.ResourceID)), created(found), detail)
	}
	return append(columns, detail)
}

func or(text string) string { return cmp.Or(text, "-") }

func created(found *Finding) string {
	if found.Created == nil {
		return "-"
	}
	return found.Created.UTC().Format(time.RFC3339)
}

// remarks are what is to be known of a report besides its findings.
func remarks(report *Report) []string {
	var texts []string
	if report.Problem != "" {
		texts = append(texts, "UNKNOWN: "+report.Problem)
	}
	if report.ListUnknown != "" {
		texts = append(texts, "UNKNOWN: "+report.ListUnknown)
	}
	for _, note := range report.Notes {
		texts = append(texts, "Note: "+note)
	}
	return texts
}

// summary returns the line that ends a report.
func summary(report *Report) string {
	c := &report.Counts
	text := fmt.Sprintf("%s, of which %d say that CBR has them: %d confirmed, %d missing, %d unusable, %d unknown.",
		several(c.BackupSyncs, "BackupSync"), c.Imported, c.Confirmed, c.Missing, c.Unusable, c.Unknown)
	if c.Listed > 0 || c.Pages > 0 {
		text += fmt.Sprintf(" CBR lists %s: %d undeclared, %d present though not imported from here, %d that differ. Asked with %s of lists and for %s singly.",
			several(c.Listed, "backup"), c.Undeclared, c.Present, c.Differs, several(c.Pages, "page"), several(c.Singles, "backup"))
	}
	return text
}

func several(count int, what string) string {
	if count == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", count, what)
}
