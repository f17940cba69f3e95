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

package explain

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cli/text"
)

// page writes an explanation for a person.
type page struct {
	text.Terminal
	*Explanation
	lines []string
}

var stateColours = map[string]text.Colour{
	backupsync.Pending.String(): text.Waiting, backupsync.Running.String(): text.Busy, backupsync.Imported.String(): text.Good, backupsync.Failed.String(): text.Bad,
}

// render returns the lines of an explanation.
func render(terminal text.Terminal, so *Explanation) []string {
	p := &page{Terminal: terminal, Explanation: so}
	p.add(fmt.Sprintf("%s  %s", p.Paint(text.Strong, so.Namespace+"/"+so.Name), p.Paint(stateColours[so.State], strings.TrimSuffix(so.State+", "+so.Reason, ", "))))
	p.wrapped(so.Message)
	if so.Unavailable != "" {
		p.wrapped("But: " + so.Unavailable)
	}
	p.declared()
	p.history()
	if so.Waits != nil {
		p.section("Waits for")
		p.wrapped(p.upTo(so.Waits))
	}
	p.project()
	p.drift()
	p.duplicates()
	p.list("Mind", so.Notes)
	p.list("What to do", so.Advice)
	return p.lines
}

func (p *page) add(line string) { p.lines = append(p.lines, line) }

func (p *page) section(title string) {
	p.add("")
	p.add(p.Paint(text.Strong, title))
}

func (p *page) wrapped(words string) {
	p.lines = append(p.lines, text.Wrap(words, p.Width, "  ")...)
}

// list writes a section of paragraphs. Commands in it are not broken: they are to be copied.
func (p *page) list(title string, paragraphs []string) {
	if len(paragraphs) == 0 {
		return
	}
	p.section(title)
	for _, each := range paragraphs {
		words, command, hasCommand := strings.Cut(each, ": kubectl ")
		if !hasCommand {
			p.wrapped(each)
			continue
		}
		p.wrapped(words + ":")
		p.add("    kubectl " + command)
	}
}

func (p *page) declared() {
	spec := &p.Declared
	made := time.Unix(spec.CreatedAt, 0)
	p.section("Declares")
	rows := [][]string{
		{"  backup", spec.BackupID},
		{"  name", spec.BackupName},
		{"  of", fmt.Sprintf("%s, %s (%s)", text.Clean(spec.ResourceName), text.Clean(spec.ResourceID), text.Clean(spec.ResourceType))},
		{"  made", fmt.Sprintf("%s (%s ago)", made.UTC().Format(time.RFC3339), text.Age(p.Time.Sub(made)))},
		{"  in", text.Clean(spec.BucketName) + ", " + text.Clean(spec.ImagePath)},
		{"  for", "the CBRProject " + spec.ProjectRef.Name},
	}
	if spec.Suspend {
		rows = append(rows, []string{"  suspend", "true: it is not sent"})
	}
	p.lines = append(p.lines, text.Table(rows)...)
}

func (p *page) history() {
	p.section("What has happened")
	for _, each := range p.History {
		const indent = "                        "
		lines := text.Wrap(each.What, max(p.Width, 60), indent)
		lines[0] = "  " + each.Time.UTC().Format(time.RFC3339) + "  " + strings.TrimSpace(lines[0])
		p.lines = append(p.lines, lines...)
	}
}

// upTo says what is waited for, and until when.
func (p *page) upTo(wait *Wait) string {
	said := strings.ToUpper(wait.For[:1]) + wait.For[1:]
	if wait.Until == nil {
		return said + "."
	}
	left := wait.Until.Sub(p.Time.Time)
	when := "in " + text.Age(left)
	if left < 0 {
		when = text.Age(-left) + " ago"
	}
	return fmt.Sprintf("%s: %s (%s).", said, wait.Until.UTC().Format(time.RFC3339), when)
}

// project tells of the CBRProject where it may be what holds the backup up.
func (p *page) project() {
	of := &p.Project
	if p.Waits == nil || !of.Exists {
		return
	}
	p.section("Its CBRProject " + of.Name)
	if of.DeletionTime != nil {
		p.wrapped("It is being deleted. Before, it said this.")
	}
	p.wrapped(fmt.Sprintf("Ready is %s (%s): %s", of.Ready, of.Reason, of.Message))
	if p.Call != nil {
		p.wrapped(fmt.Sprintf("Its journal holds the call %s with this backup, and %s in all, which began %s ago. Nothing of it is sent again before "+
			"its outcome is known.", p.Call.ID, text.Count(p.Call.Backups, "backup"), text.Age(p.Time.Sub(p.Call.StartTime.Time))))
	}
}

func (p *page) drift() {
	if p.Drift == nil {
		return
	}
	p.section("Drifted: the manifest differs from what CBR has accepted")
	var rows [][]string
	for _, each := range p.Drift.Fields {
		rows = append(rows, []string{"  " + each.Field, "CBR has " + shown(each.Sent, each.Declared), "declared is " + shown(each.Declared, each.Sent)})
	}
	p.lines = append(p.lines, text.Table(rows)...)
	p.wrapped(p.Drift.Note)
}

// shown is a value of a field that differs from another value. Where they look the same, they are quoted, so that it is seen what differs.
func shown(value, other string) string {
	if clean := text.Clean(value); clean != text.Clean(other) {
		return clean
	}
	return strconv.QuoteToASCII(value)
}

func (p *page) duplicates() {
	if len(p.Duplicates) == 0 {
		return
	}
	p.section("Others that declare the same backup")
	var rows [][]string
	for _, each := range p.Duplicates {
		what := ""
		switch {
		case each.Owns:
			what = "owns the backup"
		case each.Project != p.Project.Name:
			what = "is of another CBRProject, and counts for nothing here"
		}
		rows = append(rows, []string{"  " + each.Name, each.Project, each.Reason, what})
	}
	p.lines = append(p.lines, text.Table(rows)...)
}
