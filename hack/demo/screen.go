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

package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// Control sequences of a terminal.
const (
	cursorUp   = "\x1b[%dA"
	clearBelow = "\r\x1b[J"
	wrapOff    = "\x1b[?7l" // long lines are cut, not continued: the height stays known
	wrapOn     = "\x1b[?7h"
)

// screen is where the demo writes. On a terminal a table is redrawn in place; elsewhere its summary is printed when it
// has changed.
type screen struct {
	out      io.Writer
	terminal bool
	height   int // of the table on the screen
	last     []string
}

func newScreen(file *os.File) *screen {
	info, err := file.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb" && os.Getenv("TERM") != ""
	return &screen{out: file, terminal: terminal}
}

// printf prints text below everything so far.
func (s *screen) printf(format string, values ...any) {
	_, _ = fmt.Fprintf(s.out, format, values...) // nobody could be told
}

// show shows a table in place of the one before.
func (s *screen) show(elapsed string, summary, rows []string) {
	if s.terminal {
		s.redraw(slices.Concat([]string{"", "  " + elapsed + "  " + summary[0]}, indented(summary[1:]), []string{""}, indented(rows)))
		return
	}
	if !slices.Equal(summary[:1], s.last) {
		s.last = slices.Clone(summary[:1])
		s.printf("  %s  %s\n", elapsed, summary[0])
	}
}

func indented(lines []string) []string {
	indented := make([]string, 0, len(lines))
	for _, line := range lines {
		indented = append(indented, "        "+line)
	}
	return indented
}

func (s *screen) redraw(lines []string) {
	var text strings.Builder
	if s.height > 0 {
		fmt.Fprintf(&text, cursorUp, s.height)
	}
	text.WriteString(clearBelow + wrapOff + strings.Join(lines, "\n") + "\n" + wrapOn)
	s.height = len(lines)
	s.printf("%s", text.String())
}

// settle leaves the table where it is: what follows goes below it.
func (s *screen) settle() {
	if s.height > 0 {
		s.printf("\n")
	}
	s.height, s.last = 0, nil
}
