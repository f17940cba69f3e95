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
	"errors"
	"fmt"
	"slices"
	"strings"

	"backupsync.dev/operator/internal/cli/generate/inventory"
)

// Columns say which column holds which field.
type Columns struct {
	explicit map[string]*Field // nil for columns that are to be ignored
}

// NewColumns returns the columns that are known by their names, and those that are named: "column=field" each, or
// "column=" to ignore one.
func NewColumns(named []string) (*Columns, error) {
	columns := &Columns{explicit: map[string]*Field{}}
	for _, one := range named {
		at := strings.LastIndex(one, "=")
		if at < 0 {
			return nil, fmt.Errorf("--map %q: it must be COLUMN=FIELD, or COLUMN= to ignore a column", one)
		}
		column, name := inventory.Trim(one[:at]), strings.TrimSpace(one[at+1:])
		field := Named(name)
		if field == nil && name != "" {
			return nil, fmt.Errorf("--map %q: there is no field %q: the fields are %s", one, name, strings.Join(names(all), ", "))
		}
		if _, twice := columns.explicit[column]; twice {
			return nil, fmt.Errorf("--map %q: the column is named twice", one)
		}
		columns.explicit[column] = field
	}
	return columns, nil
}

// Layout is which field each of a row's columns holds.
type Layout struct {
	columns []string
	fields  []*Field // nil where a column holds none
}

// Fits reports whether a row has these columns.
func (l *Layout) Fits(cells []inventory.Cell) bool {
	return l != nil && slices.EqualFunc(l.columns, cells, func(column string, cell inventory.Cell) bool { return column == cell.Column })
}

// Unknown returns the columns that hold no field.
func (l *Layout) Unknown() []string {
	var unknown []string
	for index, column := range l.columns {
		if l.fields[index] == nil && column != inventory.ReasonColumn && column != "" {
			unknown = append(unknown, column)
		}
	}
	return unknown
}

// Layout returns which field each column holds. A column that was named goes before those that are known. It is an error if two
// hold the same field.
func (c *Columns) Layout(columns []string) (*Layout, error) {
	layout := &Layout{columns: columns, fields: make([]*Field, len(columns))}
	holder := map[*Field]string{}
	taken := map[*Field]bool{}
	for _, column := range columns {
		taken[c.explicit[column]] = true
	}
	for index, column := range columns {
		field, named := c.explicit[column]
		if !named {
			if field = known(column); taken[field] {
				field = nil
			}
		}
		if field == nil {
			continue
		}
		if other, twice := holder[field]; twice {
			return nil, fmt.Errorf("the columns %s and %s both hold %s: name the one that is meant, by --map %s",
				inventory.Show(other), inventory.Show(column), field.Name, inventory.Show(column+"="+field.Name))
		}
		holder[field] = column
		layout.fields[index] = field
	}
	return layout, nil
}

// Missing returns an error that names the required fields that no column holds, and the names of columns that would; nil if
// there are none.
func (l *Layout) Missing() error {
	var missing []string
	for _, field := range all {
		if field.Required && !slices.Contains(l.fields, field) {
			missing = append(missing, fmt.Sprintf("  %s (or %s)", field.Name, strings.Join(append([]string{field.Spec}, field.Synonyms...), ", ")))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("no column holds these fields, which every backup must have:\n%s\nCapitals, blanks, \"_\" and \"-\" make no difference. "+
		"The columns are %s. Name others by --map COLUMN=FIELD", strings.Join(missing, "\n"), shown(l.columns))
}

// Unused returns an error that names the columns of --map that none of some layouts has, nil if all were there.
func (c *Columns) Unused(seen map[string]bool) error {
	var unused []string
	for column := range c.explicit {
		if !seen[column] {
			unused = append(unused, column)
		}
	}
	if len(unused) == 0 {
		return nil
	}
	slices.Sort(unused)
	return errors.New("--map names columns that no inventory has: " + shown(unused))
}

// Named reports whether a column is one that was named.
func (c *Columns) Named(column string) bool {
	_, named := c.explicit[column]
	return named
}

// Holds reports whether a column holds a field.
func (c *Columns) Holds(column string) bool {
	field, named := c.explicit[column]
	if !named {
		field = known(column)
	}
	return field != nil
}

// maxColumns is how many columns are shown.
const maxColumns = 30

func shown(columns []string) string {
	var quoted []string
	for _, column := range columns[:min(len(columns), maxColumns)] {
		quoted = append(quoted, inventory.Show(column))
	}
	if len(columns) > maxColumns {
		quoted = append(quoted, fmt.Sprintf("and %d more", len(columns)-maxColumns))
	}
	return strings.Join(quoted, ", ")
}

func names(fields []*Field) []string {
	found := make([]string, 0, len(fields))
	for _, field := range fields {
		found = append(found, field.Name)
	}
	return found
}
