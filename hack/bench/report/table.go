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

package report

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Table shows the figures as a markdown table whose columns are aligned for those who read it as text.
func (r *Results) Table() string {
	rows := make([][]string, 0, 1+len(r.Figures))
	rows = append(rows, []string{"id", "work", "figure", "goal", "met"})
	for i := range r.Figures {
		figure := &r.Figures[i]
		goal, met := figure.Verdict.Goal, mark(figure.Verdict)
		rows = append(rows, []string{figure.Measure, cell(figure.Work), cell(figure.Text), goal, met})
	}
	return aligned(rows)
}

// mark says in a word how a figure stands. One that misses the goal but has not left its range is known of.
func mark(verdict Verdict) string {
	switch {
	case verdict.Goal == "":
		return ""
	case verdict.Left:
		return "**no**"
	case !verdict.Met:
		return "not yet"
	default:
		return "yes"
	}
}

// cell keeps a text from ending its cell.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

func aligned(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for column, text := range row {
			widths[column] = max(widths[column], utf8.RuneCountInString(text))
		}
	}
	var table strings.Builder
	for i, row := range rows {
		writeRow(&table, row, widths, " ")
		if i == 0 {
			rules := make([]string, len(widths))
			for column, width := range widths {
				rules[column] = strings.Repeat("-", width+2)
			}
			writeRow(&table, rules, widths, "")
		}
	}
	return table.String()
}

func writeRow(table *strings.Builder, row []string, widths []int, margin string) {
	for column, text := range row {
		padding := max(widths[column]-utf8.RuneCountInString(text), 0)
		fmt.Fprintf(table, "|%s%s%s%s", margin, text, strings.Repeat(" ", padding), margin)
	}
	table.WriteString("|\n")
}
