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

package inventory

import (
	"encoding/csv"
	"errors"
	"io"
	"strings"
)

// Many exports write ="007", so that spreadsheets take the cell for a text and keep its zeros. A CSV has "=""007""" for it, and what
// spreadsheets save is 007: all three are the same text.
const formulaBegin, formulaEnd = `="`, `"`

// Plain returns the text in a cell such as ="007", and whether it is one.
func Plain(cell string) (string, bool) {
	inner, begins := strings.CutPrefix(Trim(cell), formulaBegin)
	inner, ends := strings.CutSuffix(inner, formulaEnd)
	if !begins || !ends || strings.Contains(strings.ReplaceAll(inner, `""`, ""), `"`) {
		return cell, false // none, or a formula that computes something
	}
	return strings.ReplaceAll(inner, `""`, `"`), true
}

// formulaRow returns the cells of a row that is no CSV for nothing but cells such as ="007", and whether it is one.
func formulaRow(text string, comma rune) ([]string, bool) {
	quoted, formulas := bare(text, byte(comma))
	reader := csv.NewReader(strings.NewReader(quoted))
	reader.Comma = comma
	cells, err := reader.Read()
	if _, more := reader.Read(); err != nil || !errors.Is(more, io.EOF) {
		return nil, false
	}
	for _, index := range formulas {
		cells[index] = formulaBegin + strings.ReplaceAll(cells[index], `"`, `""`) + formulaEnd
	}
	return cells, true
}

// bare returns a row without the = of cells such as ="007", and which these are.
func bare(text string, comma byte) (string, []int) {
	var made strings.Builder
	var formulas []int
	cell, begins, quoted, open := 0, true, false, false
	for at := range len(text) {
		if begins && strings.HasPrefix(text[at:], formulaBegin) {
			formulas = append(formulas, cell)
			continue // the cell begins with the quote
		}
		quoted = quoted && !begins || begins && text[at] == '"'
		open = open != (quoted && text[at] == '"')
		made.WriteByte(text[at])
		if begins = !open && text[at] == comma; begins {
			cell++
		}
	}
	return made.String(), formulas
}
