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
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// pieceLength is the length in bytes from which a piece of a secret is hidden, too: servers abbreviate what they echo.
	pieceLength = 8
	// longSecret is the length from which a secret is no word that an identifier could hold by chance.
	longSecret = 32
	// shortForm is the least length of an encoded form that is looked for: shorter ones are parts of many words.
	shortForm = 4
)

// pieces are the pieces of some secrets, as they are and encoded. Escapes are taken out of the text that is searched instead.
type pieces struct {
	texts  pieceSet // of secrets and their base64
	ids    pieceSet // likewise, of long secrets
	digits pieceSet // of hexadecimal forms, in lower case
	whole  []string // forms of secrets that are too short to be told by pieces
	beyond bool     // there are more secrets than were cut: any text may hold one
}

// maxCut bounds, in bytes, how much of secrets is cut into pieces, which take more than a hundred times as much memory. Real credentials
// have some KB, with those that they have replaced.
const maxCut = 128 << 10

// cuttable returns secrets once each, without those that go beyond the bound, and whether there are such.
func cuttable(secrets []string) (chosen []string, beyond bool) {
	left, known := maxCut, map[string]bool{}
	for _, secret := range secrets {
		switch {
		case known[secret]:
		case len(secret) > left:
			beyond = true
		default:
			known[secret] = true
			chosen = append(chosen, secret)
			left -= len(secret)
		}
	}
	return chosen, beyond
}

func cutUp(secrets []string) *pieces {
	secrets, beyond := cuttable(secrets)
	var long, short int
	for _, secret := range secrets {
		if len(secret) >= longSecret {
			long += len(secret)
		} else {
			short += len(secret)
		}
	}
	const encoded = 6 // times as long as a secret are it and its base64
	p := &pieces{texts: newPieceSet(encoded * short), ids: newPieceSet(encoded * long), digits: newPieceSet(2 * (long + short)), beyond: beyond}
	for _, secret := range secrets {
		switch length := len(secret); {
		case length >= longSecret:
			p.add(p.ids, secret)
		case length >= pieceLength:
			p.add(p.texts, secret)
		case length > 0:
			p.addShort(secret)
		}
	}
	return p
}

func (p *pieces) add(texts pieceSet, secret string) {
	texts.addAll(secret)
	if strings.Contains(secret, " ") {
		texts.addAll(strings.ReplaceAll(secret, " ", "+")) // as in a query
	}
	for before := range 3 {
		texts.addAll(base64After(before, secret))
	}
	p.digits.addAll(hex.EncodeToString([]byte(secret)))
}

func (p *pieces) addShort(secret string) {
	p.whole = append(p.whole, secret)
	digits := hex.EncodeToString([]byte(secret))
	p.addForm(digits)
	p.addForm(strings.ToUpper(digits))
	p.addForm(strings.ReplaceAll(secret, " ", "+"))
	for before := range 3 {
		padded := base64After(before, secret)
		cut := len(strings.TrimRight(padded, "="))
		if (before+len(secret))%3 != 0 {
			cut-- // this character depends on what follows the secret
		}
		p.addForm(padded)
		p.addForm(padded[:cut])
	}
}

func (p *pieces) addForm(form string) {
	if len(form) >= shortForm {
		p.whole = append(p.whole, form)
	}
}

// base64After returns what the base64 of a longer text shows of a secret that stands so many bytes after a multiple of three.
func base64After(before int, secret string) string {
	characters := []int{0, 2, 3}[before] // these depend on the bytes before it
	return base64.StdEncoding.EncodeToString([]byte("\x00\x00"[:before] + secret))[characters:]
}

// identify reports whether an identifier holds a piece of a long secret. Of hexadecimal digits there must be twice as many as
// elsewhere, as random ids are made of them.
func (p *pieces) identify(id string) bool {
	encoded := standard(id)
	for at := 0; at+pieceLength <= len(id); at++ {
		own, next := id[at:at+pieceLength], id[at+pieceLength:min(at+2*pieceLength, len(id))]
		if !hexadecimal(own) {
			if p.ids.has(pieceOf(own)) || p.ids.has(pieceOf(encoded[at:])) {
				return true
			}
			continue
		}
		if len(next) < pieceLength {
			continue
		}
		if p.ids.has(pieceOf(own)) && p.ids.has(pieceOf(next)) {
			return true
		}
		if decoded, err := hex.DecodeString(own + next); err == nil && p.ids.has(pieceOf(string(decoded))) {
			return true
		}
	}
	return false
}

// maxEscapes bounds how often a text is taken to be escaped.
const maxEscapes = 4

// hide returns a text with what is secret replaced: all of it, if that cannot be told.
func (p *pieces) hide(text string) string {
	if p.beyond {
		return hidden
	}
	var secret []bool // by byte of the text; nil while nothing was found
	mark := func(from, to int) {
		if secret == nil {
			secret = make([]bool, len(text))
		}
		for at := from; at < to; at++ {
			secret[at] = true
		}
	}
	searched := plain(text)
	for range maxEscapes {
		p.search(searched.text, func(from, to int) { mark(searched.position(from), searched.position(to)) })
		if searched = unescape(searched); searched == nil {
			break
		}
	}
	if secret == nil {
		return text
	}
	return without(text, secret)
}

// without returns a text without the characters of which some bytes are secret.
func without(text string, secret []bool) string {
	var safe strings.Builder
	in := false // what is hidden
	for at := 0; at < len(text); {
		_, size := utf8.DecodeRuneInString(text[at:])
		hide := slices.Contains(secret[at:at+size], true)
		switch {
		case !hide:
			safe.WriteString(text[at : at+size])
		case !in:
			safe.WriteString(hidden)
		}
		in, at = hide, at+size
	}
	return safe.String()
}

// search calls a function with the range of each piece in a text.
func (p *pieces) search(text string, found func(from, to int)) {
	encoded := standard(text)
	for at := 0; at+pieceLength <= len(text); at++ {
		own, changed := text[at:at+pieceLength], encoded[at:at+pieceLength]
		if p.isSecret(own) || changed != own && p.isSecret(changed) {
			found(at, at+pieceLength)
		}
	}
	for _, form := range p.whole {
		eachIn(text, form, found)
		eachIn(encoded, form, found)
	}
}

// eachIn calls a function with the range of each place where a text holds a form.
func eachIn(text, form string, found func(from, to int)) {
	for at := 0; ; at += len(form) {
		next := strings.Index(text[at:], form)
		if next < 0 {
			return
		}
		at += next
		found(at, at+len(form))
	}
}

func (p *pieces) isSecret(text string) bool {
	if this := pieceOf(text); p.ids.has(this) || p.texts.has(this) {
		return true
	}
	return hexadecimal(text) && p.digits.has(pieceOf(strings.ToLower(text)))
}

func hexadecimal(text string) bool {
	for _, c := range []byte(text) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

// standard returns base64 of the URL alphabet in the standard one. Any text keeps its length.
func standard(text string) string { return urlAlphabet.Replace(text) }

var urlAlphabet = strings.NewReplacer("-", "+", "_", "/")
