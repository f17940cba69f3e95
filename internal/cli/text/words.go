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

package text

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/width"
)

// Grouped writes a number as people read it: 100,000.
func Grouped(number int) string {
	digits := strconv.Itoa(number)
	for at := len(digits) - 3; at > 0 && digits[at-1] != '-'; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// Count writes a number of things: "1 call", "20 calls".
func Count(number int, thing string) string {
	if number != 1 {
		thing += "s"
	}
	return Grouped(number) + " " + thing
}

// Age writes a time span in its two largest units: 45s, 12m, 3h20m, 5d, 2y10d.
func Age(span time.Duration) string {
	span = max(span, 0).Truncate(time.Second)
	const day, year = 24 * time.Hour, 365 * 24 * time.Hour
	switch {
	case span < 2*time.Minute:
		return fmt.Sprintf("%ds", span/time.Second)
	case span < 10*time.Minute:
		return both(span, time.Minute, "m", time.Second, "s")
	case span < 3*time.Hour:
		return fmt.Sprintf("%dm", span/time.Minute)
	case span < 8*time.Hour:
		return both(span, time.Hour, "h", time.Minute, "m")
	case span < 2*day:
		return fmt.Sprintf("%dh", span/time.Hour)
	case span < 8*day:
		return both(span, day, "d", time.Hour, "h")
	case span < 2*year:
		return fmt.Sprintf("%dd", span/day)
	default:
		return both(span, year, "y", day, "d")
	}
}

func both(span, large time.Duration, largeName string, small time.Duration, smallName string) string {
	written := fmt.Sprintf("%d%s", span/large, largeName)
	if rest := span % large / small; rest > 0 {
		written += fmt.Sprintf("%d%s", rest, smallName)
	}
	return written
}

// Width returns how many columns a text takes on a terminal: Chinese characters take two.
func Width(text string) int {
	columns := 0
	for _, r := range text {
		columns += columnsOf(r)
	}
	return columns
}

func columnsOf(r rune) int {
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	default:
		return 1
	}
}

// Shorten returns a text that takes so many columns at most. Where something is missing, it ends with "…".
func Shorten(text string, columns int) string {
	if Width(text) <= columns {
		return text
	}
	taken := 0
	for at, r := range text {
		if taken += columnsOf(r); taken > columns-1 {
			return strings.TrimRight(text[:at], " ") + "…"
		}
	}
	return text
}

// Wrap breaks a text at its spaces into lines that take so many columns at most, each after an indent. A word that is longer has a line
// of its own.
func Wrap(text string, columns int, indent string) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && Width(indent)+Width(line)+1+Width(word) > columns {
			lines, line = append(lines, indent+line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		lines = append(lines, indent+line)
	}
	return lines
}

// Table returns rows with their columns below each other, two spaces apart, without spaces at the ends of lines.
func Table(rows [][]string) []string {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], Width(cell))
		}
	}
	lines := make([]string, 0, len(rows))
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell + strings.Repeat(" ", widths[i]-Width(cell)+2))
		}
		lines = append(lines, strings.TrimRight(line.String(), " "))
	}
	return lines
}
