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

package doctor

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"backupsync.dev/operator/internal/cli/text"
)

// Level says how a check has ended.
type Level string

// The levels.
const (
	// OK: nothing is wrong.
	OK Level = "OK"
	// Look: it may be as it should be, and somebody should look at it.
	Look Level = "Look"
	// Fix: something is wrong.
	Fix Level = "Fix"
	// Unknown: it could not be checked.
	Unknown Level = "Unknown"
)

// Finding is what a check has found.
type Finding struct {
	// About is what was looked at: "cluster", "operator", or "CBRProject NAMESPACE/NAME".
	About string `json:"about"`
	// Check names the check.
	Check string `json:"check"`
	Level Level  `json:"level"`
	// Message says what was found, and what it means.
	Message string `json:"message"`
	// Do says what to do, with the command if there is one.
	Do string `json:"do,omitempty"`
}

func ok(format string, arguments ...any) Finding {
	return Finding{Level: OK, Message: fmt.Sprintf(format, arguments...)}
}

func look(do, format string, arguments ...any) Finding {
	return Finding{Level: Look, Message: fmt.Sprintf(format, arguments...), Do: do}
}

func fix(do, format string, arguments ...any) Finding {
	return Finding{Level: Fix, Message: fmt.Sprintf(format, arguments...), Do: do}
}

func unknown(do, format string, arguments ...any) Finding {
	return Finding{Level: Unknown, Message: "could not check: " + fmt.Sprintf(format, arguments...), Do: do}
}

// Report is all that was found.
type Report struct {
	Findings []Finding `json:"findings"`
	Fix      int       `json:"fix"`
	Look     int       `json:"look"`
	Unknown  int       `json:"unknown"`
	OK       int       `json:"ok"`
}

// reportOf counts the findings. What they repeat of pods, conditions and servers is cleaned.
func reportOf(findings []Finding) Report {
	report := Report{Findings: findings}
	for i := range findings {
		each := &findings[i]
		each.About, each.Message, each.Do = text.Clean(each.About), text.Clean(each.Message), text.Clean(each.Do)
		switch each.Level {
		case Fix:
			report.Fix++
		case Look:
			report.Look++
		case Unknown:
			report.Unknown++
		default:
			report.OK++
		}
	}
	return report
}

// marks stand before the lines.
var marks = map[Level]string{OK: "  ok    ", Look: "  LOOK  ", Fix: "  FIX   ", Unknown: "  ?     "}

const indent = "        "

// text prints a report for people.
func (r Report) text(out io.Writer) error {
	var lines strings.Builder
	about := ""
	for _, each := range r.Findings {
		if each.About != about {
			about = each.About
			fmt.Fprintln(&lines, strings.ToUpper(about[:1])+about[1:])
		}
		fmt.Fprintf(&lines, "%s%s: %s\n", marks[cmp.Or(each.Level, Unknown)], each.Check, each.Message)
		if each.Do != "" {
			fmt.Fprintf(&lines, "%sDo: %s\n", indent, each.Do)
		}
	}
	fmt.Fprintf(&lines, "\n%d to fix, %d to look at, %d could not be checked, %d ok.\n", r.Fix, r.Look, r.Unknown, r.OK)
	_, err := io.WriteString(out, lines.String())
	return err
}

// json prints a report for programs.
func (r Report) json(out io.Writer) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}
