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

package evidence

import (
	"context"
	"hash/maphash"

	"backupsync.dev/operator/internal/cbr"
)

// Bounds of the reading of a list.
const (
	// maxReadings is how often a list is read from its start that does not hold still.
	maxReadings = 3
	// maxPages bounds one reading of a list, for a server whose list has no end.
	maxPages = 5000
	// maxStuck is how many pages in a row may bring the reading no further.
	maxStuck = 6
	// maxOverlap is how many elements of a page are read again with the next. More than one, so that a few that leave the
	// list do not make the reading begin again.
	maxOverlap = 20
)

// Bounds of what is kept of a list, for a server that shows without end what must be kept. A list that holds more is not seen as a whole.
const (
	maxKept      = 100_000  // elements, of some 400 bytes
	maxKeptBytes = 16 << 20 // of their texts
	maxWatched   = 200_000  // elements of which the first sight is kept, of some 50 bytes
)

var seed = maphash.MakeSeed()

// hashOf is what is kept of an id of a long list. Two ids of the same hash cost a question, not a mistake.
func hashOf(id string) uint64 { return maphash.String(seed, cbr.Fold(id)) }

// listing reads a list that may change meanwhile, in pages that may be shorter than asked for.
type listing[T any] struct {
	fetch func(ctx context.Context, offset int) (cbr.Page[T], error)
	id    func(*T) string
	// begin is called when a reading begins, see with each element.
	begin func()
	see   func(*T)
	// enough, if set, is asked after each page whether the rest matters, with the number of elements that are left as
	// far as is known.
	enough func(left int) bool

	pages int                 // that were read
	seen  map[uint64]struct{} // hashes of the ids that the last reading has shown
	off   rule
}

// ending is how a reading of a list ends.
type ending int

const (
	moved    ending = iota // the list did not hold still, or does not hold as many elements as CBR counts
	complete               // every element was seen that was in the list all the time
	stopped                // the rest does not matter
)

// read reads the list, again from the start if it has moved.
func (l *listing[T]) read(ctx context.Context) (ending, error) {
	for range maxReadings {
		l.begin()
		how, err := l.readOnce(ctx)
		if err != nil || how != moved {
			return how, err
		}
	}
	return moved, nil
}

const (
	countsCompared  rule = "as many different ids were seen as CBR counts"
	anchorsCompared rule = "the last element of a page is seen again with the next page"
	emptyPageNeeded rule = "a list ends with an empty page"
)

// reading is how far one reading has come.
type reading struct {
	next   int    // elements of the list up to here have been read
	anchor string // id of the last of them, "" if it cannot be told
	size   int    // of the last page that was not empty
	count  int    // as CBR counted with it

	plain    bool // the next page is asked for without an overlap: it should be empty
	wasEmpty bool // it was, and now the anchor must still be in its place
	stuck    int
	seen     map[uint64]struct{}
	unnamed  int // elements without an id
	repeated bool
}

// offset is where the next page begins.
func (r *reading) offset() int {
	if r.plain || r.anchor == "" {
		return r.next
	}
	return r.next - min(maxOverlap, max(1, r.size/10))
}

// readOnce reads the list from its start. A page begins before the end of the one before it, and must show its last element
// again: then nothing that came before has left the list, which would have moved elements past the reader unseen. The end is
// an empty page, behind an element that is still in its place. The count alone is no proof of it: whether it is one of the
// list, of the page or of what is left is not documented well enough.
func (l *listing[T]) readOnce(ctx context.Context) (ending, error) {
	r := &reading{seen: map[uint64]struct{}{}}
	l.seen = r.seen
	for range maxPages {
		offset := r.offset()
		page, err := l.fetch(ctx, offset)
		if err != nil {
			return moved, err
		}
		l.pages++
		if page.Size == 0 || offset == r.next && r.plain {
			if over, how := l.emptyOrPlain(r, page, offset); over {
				return how, nil
			}
		} else if over, how := l.take(r, page, offset); over {
			return how, nil
		}
		if r.stuck++; r.stuck > maxStuck {
			return moved, nil
		}
		if l.enough != nil && page.Size > 0 && l.enough(leftAfter(page, r.next)) {
			return stopped, nil
		}
	}
	return moved, nil
}

// leftAfter returns how many elements are left after a page: after a full one at least one, whatever CBR counts.
func leftAfter[T any](page cbr.Page[T], next int) int {
	left := max(0, page.Count-next)
	if page.Size >= cbr.MaxPageSize {
		left = max(left, 1)
	}
	return left
}

// emptyOrPlain takes in a page that is empty, or should be. What it holds if it is not is left to a page that overlaps.
func (l *listing[T]) emptyOrPlain(r *reading, page cbr.Page[T], offset int) (over bool, how ending) {
	switch {
	case page.Size > 0:
		r.plain, r.wasEmpty = false, false
		return false, moved
	case offset < r.next:
		return true, moved // the list has become shorter than what was read of it
	case r.anchor == "", page.Count == r.next && r.count == r.next, l.off == anchorsCompared:
		return true, l.ended(r, page.Count)
	default: // without a count that says the same
		r.plain, r.wasEmpty = false, true
		return false, moved
	}
}

// take takes in a page, and returns whether and how the reading is over.
func (l *listing[T]) take(r *reading, page cbr.Page[T], offset int) (over bool, how ending) {
	anchored, last := r.next == offset, ""
	for i := range page.Items {
		last = l.id(&page.Items[i])
		if last == r.anchor && last != "" {
			anchored = true
		}
		r.note(last, offset < r.next)
		l.see(&page.Items[i])
	}
	r.unnamed += page.Size - len(page.Items)
	if !anchored && l.off != anchorsCompared {
		return true, moved
	}
	further := last != r.anchor || last == ""
	if !further && r.wasEmpty {
		return true, l.ended(r, page.Count)
	}
	if further {
		r.stuck, r.wasEmpty = 0, false
	}
	r.next, r.size, r.count, r.anchor = offset+page.Size, page.Size, page.Count, last
	if len(page.Items) != page.Size {
		r.anchor = "" // an element that cannot be read may be the last one
	}
	r.plain = !further || page.Count == r.next
	if l.off == emptyPageNeeded && page.Size < cbr.MaxPageSize && page.Count <= r.next {
		return true, l.ended(r, page.Count)
	}
	return false, moved
}

// note notes an element.
func (r *reading) note(id string, overlap bool) {
	if id == "" {
		r.unnamed++
		return
	}
	hash := hashOf(id)
	if _, known := r.seen[hash]; known && !overlap {
		r.repeated = true
	}
	r.seen[hash] = struct{}{}
}

// ended reports whether a reading that has come to the end of the list has seen all of it. Elements of the same age may come
// in another order with each page: then some are seen twice, and as many not at all.
func (l *listing[T]) ended(r *reading, count int) ending {
	seen := len(r.seen)
	if !r.repeated {
		seen += r.unnamed
	}
	if seen < max(count, r.count) && l.off != countsCompared {
		return moved
	}
	return complete
}
