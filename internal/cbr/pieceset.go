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

package cbr

import (
	"math/bits"
	"math/rand/v2"
)

// piece is pieceLength bytes of a text.
type piece uint64

// pieceOf returns the piece that a text begins with.
func pieceOf(text string) (first piece) {
	for at := range pieceLength {
		first = first.followedBy(text[at])
	}
	return first
}

// followedBy returns the piece one byte further on.
func (p piece) followedBy(next byte) piece { return p>>8 | piece(next)<<56 }

// pieceSet is a set of pieces: a hash table with open addressing. A token has tens of thousands, and a map takes more than twice as long to
// fill. The factor of the hash is random, so that no secret can be made up whose pieces all want the same place.
type pieceSet struct {
	slots  []piece // a power of two, half of them empty; 0 is an empty one, and no text
	factor uint64
	shift  int
}

// newPieceSet makes a set that takes so many pieces.
func newPieceSet(size int) pieceSet {
	length := bits.Len(uint(max(2*size-1, 0)))
	return pieceSet{slots: make([]piece, 1<<length), factor: rand.Uint64() | 1, shift: 64 - length}
}

// addAll adds all pieces of a text.
func (s pieceSet) addAll(text string) {
	var this piece
	for at := range len(text) {
		this = this.followedBy(text[at])
		if at+1 >= pieceLength {
			s.slots[s.place(this)] = this
		}
	}
}

func (s pieceSet) has(p piece) bool { return p != 0 && s.slots[s.place(p)] == p }

// place returns where a piece is, or would be.
func (s pieceSet) place(p piece) uint64 {
	at, last := uint64(p)*s.factor>>s.shift, uint64(len(s.slots)-1)
	for s.slots[at] != p && s.slots[at] != 0 {
		at = (at + 1) & last
	}
	return at
}
