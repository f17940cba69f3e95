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

package inventory_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"

	"backupsync.dev/operator/internal/cli/generate/inventory"
)

// taken keeps what is read.
type taken struct {
	shape *inventory.Shape
	rows  []inventory.Row
}

func (k *taken) Begin(shape *inventory.Shape) error {
	k.shape = shape
	return nil
}

func (k *taken) Row(row inventory.Row) error {
	k.rows = append(k.rows, row)
	return nil
}

// String returns one line for each row: where, and its cells or its error.
func (k *taken) String() string {
	var lines []string
	for _, row := range k.rows {
		text := fmt.Sprintf("%d:", row.Line)
		for _, cell := range row.Cells {
			text += fmt.Sprintf(" %s=%v", cell.Column, cell.Value)
		}
		if row.Err != nil {
			text += " ERROR " + row.Err.Error()
		}
		lines = append(lines, text)
	}
	return strings.Join(lines, "\n")
}

func readAll(ctx context.Context, text string, options inventory.Options) (*taken, inventory.Info, error) {
	options.Field = func(column string) bool { return column == "id" }
	kept := &taken{}
	info, err := inventory.Read(ctx, "inventory", strings.NewReader(text), options, kept)
	return kept, info, err
}

func encoded(t *testing.T, in encoding.Encoding, text string) string {
	t.Helper()
	made, err := in.NewEncoder().String(text)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// Rows are read from all that inventories are.
func TestRead(t *testing.T) {
	gb := func(text string) string { return encoded(t, simplifiedchinese.GB18030, text) }
	utf16 := func(order unicode.Endianness, mark unicode.BOMPolicy, text string) string {
		return encoded(t, unicode.UTF16(order, mark), text)
	}
	const chinese = "id,name\n1,备份\n"
	for name, c := range map[string]struct {
		text, rows string
		options    inventory.Options
		format     inventory.Format
		guessed    inventory.Encoding
	}{
		"commas":                      {text: "id,name\n1,a\n2,b\n", rows: "2: id=1 name=a\n3: id=2 name=b"},
		"semicolons":                  {text: "id;name\n1;a,b\n", rows: "2: id=1 name=a,b"},
		"tabs":                        {text: "id\tname\n1\ta;b\n", rows: "2: id=1 name=a;b"},
		"bars":                        {text: "id|name\n1|a\n", rows: "2: id=1 name=a"},
		"a header with commas inside": {text: "\"id, of it\";\"a, b, c\"\n1;a\n", rows: "2: id, of it=1 a, b, c=a"},
		"what Excel says first":       {text: "sep=;\r\nid;na,me,s\r\n1;a\r\n", rows: "3: id=1 na,me,s=a"},
		"line feeds and returns":      {text: "id,name\r\n1,a\r\n\r\n2,b", rows: "2: id=1 name=a\n4: id=2 name=b"},
		"a quoted line break":         {text: "id,name\n1,\"a\nb\"\n2,b\n", rows: "2: id=1 name=a\nb\n4: id=2 name=b"},
		"white space in the header":   {text: " id , name\u00a0\n1, a \n", rows: "2: id=1 name= a "},
		"trailing separators":         {text: "id,name,,\n1,a,,\n", rows: "2: id=1 name=a"},
		"a mark of UTF-8":             {text: "\ufeff\"id\",name\n1,备份\n", rows: "2: id=1 name=备份"},
		"UTF-8":                       {text: chinese, rows: "2: id=1 name=备份"},
		"GB18030":                     {text: gb(chinese), rows: "2: id=1 name=备份", guessed: inventory.GB18030},
		"GB18030 that is named":       {text: gb(chinese), rows: "2: id=1 name=备份", options: inventory.Options{Encoding: inventory.GB18030}},
		"GB18030 in the header":       {text: gb("备份ID,name\n1,a\n"), rows: "2: 备份ID=1 name=a", guessed: inventory.GB18030},
		"UTF-16 with a mark":          {text: utf16(unicode.LittleEndian, unicode.UseBOM, chinese), rows: "2: id=1 name=备份"},
		"UTF-16, big, with a mark":    {text: utf16(unicode.BigEndian, unicode.UseBOM, chinese), rows: "2: id=1 name=备份"},
		"UTF-16 without a mark":       {text: utf16(unicode.LittleEndian, unicode.IgnoreBOM, chinese), rows: "2: id=1 name=备份", guessed: inventory.UTF16},
		"UTF-16, big, without a mark": {text: utf16(unicode.BigEndian, unicode.IgnoreBOM, chinese), rows: "2: id=1 name=备份", guessed: inventory.UTF16},
		"a mark against what is said": {text: "\ufeff" + chinese, rows: "2: id=1 name=备份", options: inventory.Options{Encoding: inventory.GB18030}},

		"a body":                       {text: "{\"sync\": [\n {\"id\": \"a\",\n  \"at\": 1},\n {\"id\": \"b\"}\n]}", rows: "2: id=a at=1\n4: id=b", format: inventory.JSON},
		"a body with other members":    {text: `{"count": 1, "backups": [{"id": "a"}], "next": null}`, rows: "1: id=a", format: inventory.JSON},
		"a bare array":                 {text: " [\n{\"id\": \"a\"}, {\"id\": null}]\n", rows: "2: id=a\n2: id=<nil>", format: inventory.JSON},
		"one object over lines":        {text: "{\n\"id\": \"a\"}\n{\n\"id\": \"b\"}", rows: "1: id=a\n3: id=b", format: inventory.JSON},
		"an array with others in it":   {text: `[1, {"id": "a"}]`, rows: "1: ERROR it is no JSON object with the fields of a backup\n1: id=a", format: inventory.JSON},
		"lines":                        {text: "{\"id\": \"a\"}\n\n{\"id\": \"备\"}\r\n", rows: "1: id=a\n3: id=备", format: inventory.JSONLines},
		"a broken line":                {text: "{\"id\": \"a\"}\n{\"id\": \n{\"id\": \"b\"}", rows: "1: id=a\n2: ERROR the line is no JSON object\n3: id=b", format: inventory.JSONLines},
		"lines of bodies":              {text: "{\"sync\": [{\"id\": \"a\"}]}\n{\"sync\": [{\"id\": \"b\"}]}\n", rows: "1: id=a\n2: id=b", options: inventory.Options{Format: inventory.JSONLines}},
		"a member twice":               {text: `[{"id": "a", "id": "b"}]`, rows: "1: id=a id=b", format: inventory.JSON},
		"JSON in UTF-16":               {text: utf16(unicode.LittleEndian, unicode.UseBOM, `[{"id": "备"}]`), rows: "1: id=备", format: inventory.JSON},
		"a row with lists":             {text: "[{\"id\": \"a\", \"items\": [{\"n\": 1}], \"sync\": []},\n{\"backups\": [], \"x\": [1], \"id\": \"b\"}]", rows: "1: id=a items=[] sync=[]\n2: backups=[] x=[] id=b", format: inventory.JSON},
		"lines with lists":             {text: "{\"id\": \"a\", \"items\": []}\n{\"items\": [\"x\"],\n\"id\": \"b\"}", rows: "1: id=a items=[]\n2: ERROR the line is no JSON object\n3: ERROR the line is no JSON object", format: inventory.JSONLines},
		"rows before a row":            {text: "[{\"items\": [{\"id\": \"a\"},\n{\"id\": \"b\"}], \"id\": \"c\"}]", rows: "1: id=a\n2: id=b\n2: items=[] id=c ERROR it has fields of a backup, and before them the list \"items\", which was read as rows: without that list it is a row", format: inventory.JSON},
		"a broken quote":               {text: "id,name\n1,a\"b\n2,b\n", rows: "2: ERROR column 4 of line 2: bare \" in non-quoted-field: put the whole cell in quotes, and write each quote in it twice\n3: id=2 name=b"},
		"texts for Excel":              {text: "=\"id\",name\r\n=\"007\",\"a, b\"\r\n\r\n2,=\"b,c\"", rows: "2: id==\"007\" name=a, b\n4: id=2 name==\"b,c\""},
		"a formula for Excel":          {text: "id,name\n1,=\"a\"&\"b\"\n2,b\n", rows: "2: ERROR column 4 of line 2: bare \" in non-quoted-field: put the whole cell in quotes, and write each quote in it twice\n3: id=2 name=b"},
		"text behind a quote":          {text: "id,name\n1,\"a\"b\n2,b\n", rows: "2: ERROR column 5 of line 2: extraneous or missing \" in quoted-field: put the whole cell in quotes, and write each quote in it twice\n3: id=2 name=b"},
		"too few cells":                {text: "id,name\n1\n", rows: "2: id=1 ERROR the row has 1 cells, the header 2: look for a separator or a quote too many or too few"},
		"too many cells":               {text: "id,name\n1,2,3\n", rows: "2: id=1 name=2 =3 ERROR the row has 3 cells, the header 2: look for a separator or a quote too many or too few"},
		"other bytes behind the start": {text: "id,name\n1," + strings.Repeat("备", 40000) + "\n2,\xff\xfe\n", options: inventory.Options{Encoding: inventory.UTF8}, rows: "2: id=1 name=" + strings.Repeat("备", 40000) + "\n3: id=2 name=\xff\xfe ERROR \"name\": \"\\xff\\xfe\": it holds bytes that are no UTF-8, as the inventory otherwise is: correct the row, or name the encoding by --encoding"},
	} {
		t.Run(name, func(t *testing.T) {
			kept, info, err := readAll(t.Context(), c.text, c.options)
			if err != nil {
				t.Fatal(err)
			}
			if kept.String() != c.rows || info.Guessed != c.guessed {
				t.Errorf("read as %q\n%s\nnot\n%s", info.Guessed, kept, c.rows)
			}
			if c.format != "" && kept.shape.Format != c.format {
				t.Errorf("taken for %s", kept.shape.Format)
			}
		})
	}
}

// An object that was taken for a body is told if it has no rows, but other members: it may have been meant as one.
func TestHollow(t *testing.T) {
	for text, at := range map[string]string{
		`{"count": 0, "backups": []}`: "inventory:1", "[{\"items\": []},\n{\"items\": [], \"uuid\": \"a\"}]": "inventory:2", `{"backups": []}`: "", `{"n": 1, "sync": [{"id": "a"}]}`: "", `{"id": "a", "sync": []}`: "",
	} {
		if _, info, err := readAll(t.Context(), text, inventory.Options{}); err != nil || info.HollowAt != at || (info.Hollow == 1) != (at != "") {
			t.Errorf("%s: %+v, %v", text, info, err)
		}
	}
}

// What cannot be read to its end says where and why.
func TestUnreadable(t *testing.T) {
	for name, c := range map[string]struct {
		text, says string
		options    inventory.Options
	}{
		"nothing":                {text: "", says: "inventory: it is empty"},
		"a workbook":             {text: "PK\x03\x04....", says: "save the sheet as CSV"},
		"compressed":             {text: "\x1f\x8b\x08\x00", says: "gunzip"},
		"a quote never closed":   {text: "id,name\n1,a\n2,\"b\n3,c\n4,d\n", says: "inventory:3: column"},
		"a very long row":        {text: "id,name\n1,\"" + strings.Repeat("x\n", inventory.MaxRow), says: "longer than"},
		"a very long object":     {text: `[{"id": "` + strings.Repeat("x", 8*inventory.MaxRow), says: "longer than"},
		"a very long line":       {text: strings.Repeat("x", 2*inventory.MaxRow), says: "inventory:1: the line is longer", options: inventory.Options{Format: inventory.JSONLines}},
		"JSON that is cut off":   {text: "[\n{\"id\": 1},\n{\"id\"", says: "inventory:3: the JSON ends in the middle"},
		"JSON that is none":      {text: "[\n{\"id\": 1},\n{id: 2}]", says: "inventory:3: "},
		"carriage returns alone": {text: "id,name\r1,a\r2,b\r", says: "carriage return alone"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := readAll(t.Context(), c.text, c.options)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("it says %v, not %q", err, c.says)
			}
		})
	}
}

// The reading ends with the context.
func TestReadEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := readAll(ctx, "id\n1\n", inventory.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("it goes on: %v", err)
	}
}

// Rejected rows are read again as they were, and the reason is not taken for a value. This holds also for rejects of rejects.
func TestRejectsAreReadAgain(t *testing.T) {
	for name, text := range map[string]string{
		"CSV":             "id;name\n1;\"a;\"\"b\"\n2;\"c\nd\"\n3;备\n",
		"CSV for Excel":   "id,name\n=\"007\",\"a, b\"\n2,=\"c\"\n",
		"CSV with a mark": "\ufeffid,name\n1,a\n",
		"too few cells":   "id,name,more\n1\n1,2\n",
		"too many cells":  "id,name\n1,2,3\n1,2,3,4\n",
		"broken quotes":   "id,name\n1,a\"b\n2,b\n",
		"JSON":            `{"sync": [{"id": "a", "n": 1.50, "x": [1, {"y": null}]}, {"id": "b"}]}`,
		"JSON lines":      "{\"id\": \"a\"}\n{broken\n",
	} {
		t.Run(name, func(t *testing.T) {
			first, _, err := readAll(t.Context(), text, inventory.Options{})
			if err != nil {
				t.Fatal(err)
			}
			again := first
			for range 2 {
				again, _, err = readAll(t.Context(), written(t, again), inventory.Options{Format: first.shape.Format})
				if err != nil {
					t.Fatal(err)
				}
				compare(t, first.rows, again.rows)
			}
		})
	}
}

func written(t *testing.T, kept *taken) string {
	t.Helper()
	var out bytes.Buffer
	rejects := inventory.NewRejects(&out, kept.shape)
	for _, row := range kept.rows {
		if err := rejects.Write(row, "it is \"wrong\";\nreally"); err != nil {
			t.Fatal(err)
		}
	}
	if err := rejects.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// compare compares rows but for their lines and reasons.
func compare(t *testing.T, before, after []inventory.Row) {
	t.Helper()
	if len(before) != len(after) {
		t.Fatalf("%d rows became %d", len(before), len(after))
	}
	for index := range before {
		if (before[index].Err == nil) != (after[index].Err == nil) || before[index].Raw != after[index].Raw {
			t.Errorf("row %d became another: %v, then %v", index, before[index].Err, after[index].Err)
		}
		if before[index].Err != nil {
			continue
		}
		if a, b := values(before[index]), values(after[index]); a != b {
			t.Errorf("%s became %s", a, b)
		}
	}
}

func values(row inventory.Row) string {
	text := ""
	for _, cell := range row.Cells {
		if cell.Column != inventory.ReasonColumn {
			text += fmt.Sprintf("%s=%v ", cell.Column, cell.Value)
		}
	}
	return text
}

// Whatever the bytes are, they are read or refused: rows come in their order, and rejected rows can be written.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{"id,name\n1,a\n", "sep=;\nid;name\n1;\"a\n\"\n", `{"sync": [{"id": "a"}]}`, "[1, {\"id\": 2}]", "{\"items\": [{}],\n\"id\": 1}", "{\"id\": 1}\n{", "\xff\xfei\x00d\x00", "id\n\xb1\xb8", "\ufeffid\n"} {
		f.Add([]byte(seed), uint8(0))
	}
	formats := []inventory.Format{inventory.Auto, inventory.JSON, inventory.JSONLines, inventory.CSV}
	encodings := []inventory.Encoding{inventory.AutoEncoding, inventory.UTF8, inventory.GB18030, inventory.UTF16}
	f.Fuzz(func(t *testing.T, text []byte, choice uint8) {
		options := inventory.Options{Format: formats[choice%4], Encoding: encodings[choice/4%4]}
		kept, _, err := readAll(t.Context(), string(text), options)
		line := 0
		for _, row := range kept.rows {
			if row.Line < line || row.Line < 1 || row.Line > 1+bytes.Count(text, []byte("\n")) {
				t.Fatalf("line %d behind line %d", row.Line, line)
			}
			line = row.Line
		}
		if err == nil && len(kept.rows) > 0 {
			written(t, kept)
		}
	})
}
