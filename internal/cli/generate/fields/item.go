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

package fields

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"

	"backupsync.dev/operator/internal/cli/generate/inventory"
)

// Problem is what is wrong with a row.
type Problem struct {
	// Field is the name of a field in the API, empty if it is the row itself.
	Field string
	// Value is what the field holds, nil if that does not matter.
	Value any
	// Rule is what it breaks, as a sentence about the field.
	Rule string
}

// String returns the problem on one line.
func (p Problem) String() string {
	text := p.Rule
	if p.Value != nil {
		text = fmt.Sprintf("%s: %s", show(p.Value), text)
	}
	if p.Field != "" {
		text = p.Field + ": " + text
	}
	return text
}

func show(value any) string {
	if text, isText := value.(string); isText {
		return inventory.Show(text)
	}
	return fmt.Sprint(value)
}

// Remark is a kind of remark about values that were taken.
type Remark string

// The remarks.
const (
	ForExcel  Remark = "the =\"...\" around it, by which spreadsheets take it for a text, was removed"
	Trimmed   Remark = "white space at its ends, seen or not, was removed"
	Formula   Remark = "it begins with =, +, - or @, which spreadsheets take for a formula: it was taken as it is"
	Invisible Remark = "it holds characters inside that cannot be seen: it was taken as it is"
	NoUUID    Remark = "it is no UUID, as the ids that CBR shows are, and CBR may refuse it: it was taken as it is"
)

// Note is a remark about a field of a row.
type Note struct {
	Field  string
	Value  string
	Remark Remark
}

// Item is what a row says of a backup.
type Item struct {
	// Spec holds the fields by their names in the spec of a BackupSync, with values of JSON.
	Spec     map[string]any
	Problems []Problem
	Notes    []Note
}

// Item returns what a row with these columns says. Times without a zone are those of zone, and refused if it is nil.
func (l *Layout) Item(row inventory.Row, zone *time.Location) Item {
	item := Item{Spec: make(map[string]any, len(all)+2)}
	for index, cell := range row.Cells {
		if field := l.fields[index]; field != nil {
			item.take(field, cell.Value, row.Shape.Format == inventory.CSV, zone)
		}
	}
	return item
}

// take adds a value. An empty cell of a CSV is none, as null is.
func (i *Item) take(field *Field, value any, isCSV bool, zone *time.Location) {
	if text, isText := value.(string); isText {
		value = i.text(field, text, isCSV)
	}
	if value == nil || value == "" && isCSV {
		return
	}
	if field.Name == createdAt {
		moment, err := seconds(value, zone)
		if err != nil {
			i.Problems = append(i.Problems, Problem{Field: field.Name, Value: value, Rule: err.Error()})
			moment = int64(earliest) // stands in: with a field missing, the rules would not judge all others
		}
		value = moment
	}
	i.Spec[field.Spec] = plain(value)
}

// text returns a text without the white space around it, and what a CSV has around texts for spreadsheets. It tells what cannot be seen of it.
func (i *Item) text(field *Field, text string, isCSV bool) string {
	note := func(remark Remark) {
		i.Notes = append(i.Notes, Note{Field: field.Name, Value: text, Remark: remark})
	}
	if plain, is := inventory.Plain(text); is && isCSV {
		if plain != "" {
			note(ForExcel)
		}
		text = plain
	}
	trimmed := inventory.Trim(text)
	if trimmed != text && trimmed != "" {
		note(Trimmed)
	}
	if field.Name == createdAt || trimmed == "" {
		return trimmed
	}
	if field.Name == backupID && !isUUID(trimmed) {
		note(NoUUID)
	}
	if strings.ContainsRune("=+-@", rune(trimmed[0])) {
		note(Formula)
	}
	if strings.ContainsFunc(trimmed, invisible) {
		note(Invisible)
	}
	return trimmed
}

// isUUID reports whether a text looks as ids do in CBR's API. Its reference has no rule for them, so that others are not rejected.
func isUUID(text string) bool {
	const groups = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
	if len(text) != len(groups) {
		return false
	}
	for at := range len(text) {
		isHyphen, isDigit := text[at] == '-', strings.IndexByte("0123456789abcdefABCDEF", text[at]) >= 0
		if wantsHyphen := groups[at] == '-'; wantsHyphen && !isHyphen || !wantsHyphen && !isDigit {
			return false
		}
	}
	return true
}

// invisible reports whether a character cannot be seen, or looks like a blank and is none.
func invisible(r rune) bool {
	return unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Z, r) && r != ' '
}

// plain returns a value as the rules take it.
func plain(value any) any {
	number, isNumber := value.(json.Number)
	if !isNumber {
		return value
	}
	if whole, err := number.Int64(); err == nil {
		return whole
	}
	fraction, _ := number.Float64() // out of range it is infinite, and refused as no text
	return fraction
}
