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
	"cmp"
	"slices"
	"strings"
)

// Part is a part of a bar.
type Part struct {
	// Count is how much it stands for.
	Count int
	// Glyph fills its cells, so that parts differ without colours.
	Glyph byte
	// Colour is that of its cells.
	Colour Colour
}

// Bar returns a bar of so many cells, its brackets included, over the parts. What is there at all has a cell at least, if there are
// enough of them.
func (t Terminal) Bar(width int, parts []Part) string {
	counts, total := make([]int, len(parts)), 0
	for i, part := range parts {
		counts[i] = part.Count
		total += part.Count
	}
	var bar strings.Builder
	cells := Share(max(width-2, 0), counts)
	for i, part := range parts {
		bar.WriteString(t.Paint(part.Colour, strings.Repeat(string(part.Glyph), cells[i])))
	}
	if total == 0 {
		bar.WriteString(strings.Repeat(" ", max(width-2, 0)))
	}
	return "[" + bar.String() + "]"
}

// Share divides cells by counts: each count above 0 has one at least, if there are enough, and the rest go to the largest remainders.
func Share(cells int, counts []int) []int {
	shares, total := make([]int, len(counts)), 0
	for _, count := range counts {
		total += count
	}
	if total == 0 {
		return shares
	}
	left := cells
	for i, count := range counts {
		if shares[i] = cells * count / total; shares[i] == 0 && count > 0 {
			shares[i] = 1
		}
		left -= shares[i]
	}
	return even(shares, counts, cells, left)
}

// even hands out the cells that are left over, by the largest remainder, or takes those that are too many from the largest share.
func even(shares, counts []int, cells, left int) []int {
	total, order := 0, make([]int, len(counts))
	for i, count := range counts {
		total, order[i] = total+count, i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(cells*counts[b]-shares[b]*total, cells*counts[a]-shares[a]*total)
	})
	for ; left > 0; left-- {
		shares[order[0]]++
		order = append(order[1:], order[0])
	}
	for ; left < 0; left++ {
		largest := 0
		for i := range shares {
			if shares[i] > shares[largest] {
				largest = i
			}
		}
		shares[largest]--
	}
	return shares
}
