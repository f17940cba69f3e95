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
	"bytes"
	"cmp"
	"encoding/json"
	"html"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxErrorBytes bounds what is read of an error's body: codes and messages are short.
	maxErrorBytes = 64 << 10
	// maxPlainText is the length in bytes up to which a body that is plain text counts as a message, maxPlainMessage how many
	// characters are kept of it, or of the title of a page.
	maxPlainText    = 1024
	maxPlainMessage = 200
)

// refusal is what the body of an error says, in whichever of the known shapes it comes.
type refusal struct {
	statement
	empty          bool // the answer has no body at all
	isObject       bool // the body is a JSON object
	itemNotFound   bool // OpenStack's answer to an id that is not known
	deniedByPolicy bool // a permission is missing, in the words of the policy engine
}

// statement is what one JSON object says of an error in one style.
type statement struct{ Code, Message, Title, RequestID string }

// readRefusal reads the body of an error. What cannot be read says nothing.
func readRefusal(body io.Reader) refusal {
	content, err := io.ReadAll(io.LimitReader(body, maxErrorBytes+1))
	switch {
	case err == nil && len(content) == 0:
		return refusal{empty: true}
	case len(content) > maxErrorBytes:
		return refusal{statement: statement{Message: pageTitle(content)}}
	}
	if said, isObject := parseRefusal(content); isObject {
		return said
	}
	return refusal{statement: statement{Message: cmp.Or(pageTitle(content), plainText(content))}}
}

// parseRefusal reads a JSON object. Code and message stand in it, or one level deep in one of its members:
// {"error_code","error_msg"}, {"code","message"}, {"error": {"code","message"}}, {"badRequest": {"message","code"}}.
func parseRefusal(body []byte) (said refusal, isObject bool) {
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil || members == nil {
		return refusal{}, false
	}
	statements := statementsOf(bytes.TrimSpace(body))
	for _, name := range slices.Sorted(maps.Keys(members)) { // the same one wins each time
		statements = append(statements, statementsOf(members[name])...)
	}
	said.statement, said.isObject = choose(statements), true
	said.itemNotFound = said.Code == "404" && choose(statementsOf(members["itemNotFound"])).Code == "404"
	said.deniedByPolicy = strings.HasPrefix(said.Message, "Policy doesn't allow ")
	return said, true
}

// scalar is a text, or a number as it is written. Anything else is passed over.
type scalar string

// UnmarshalJSON reads a text or a number.
func (s *scalar) UnmarshalJSON(data []byte) error {
	*s = ""
	if json.Unmarshal(data, (*string)(s)) != nil && (data[0] == '-' || data[0] >= '0' && data[0] <= '9') {
		*s = scalar(data)
	}
	return nil
}

// statementsOf returns what an object says in each of the styles that are known, none if it is no object.
func statementsOf(object []byte) []statement {
	var fields struct {
		SnakeCode    scalar `json:"error_code"`
		SnakeMessage scalar `json:"error_msg"`
		CamelCode    scalar `json:"errorCode"`
		CamelMessage scalar `json:"errorMsg"`
		Code         scalar `json:"code"`
		Message      scalar `json:"message"`
		Title        scalar `json:"title"`
		RequestID    scalar `json:"request_id"`
	}
	if !bytes.HasPrefix(object, []byte("{")) || json.Unmarshal(object, &fields) != nil {
		return nil
	}
	return []statement{
		{Code: string(fields.SnakeCode), Message: string(fields.SnakeMessage)},
		{Code: string(fields.CamelCode), Message: string(fields.CamelMessage)},
		{Code: string(fields.Code), Message: string(fields.Message)},
		{Title: string(fields.Title), RequestID: string(fields.RequestID)},
	}
}

// choose returns the code of CBR or the gateway, if there is one, else the first code, with the message that belongs to it,
// else with the first message, or with the first title.
func choose(statements []statement) statement {
	slices.SortStableFunc(statements, func(a, b statement) int { return cmp.Compare(b.weight(), a.weight()) })
	var chosen statement
	for _, each := range statements {
		chosen.Code = cmp.Or(chosen.Code, each.Code)
		chosen.Message = cmp.Or(chosen.Message, each.Message)
		chosen.Title = cmp.Or(chosen.Title, each.Title)
		chosen.RequestID = cmp.Or(chosen.RequestID, each.RequestID)
	}
	chosen.Message = cmp.Or(chosen.Message, chosen.Title)
	return chosen
}

// weight orders statements: codes of a known author, other codes, then what has no code, in the order of their styles.
func (s statement) weight() int {
	_, gateway := gatewayCode(s.Code)
	switch {
	case gateway || fromCBR(s.Code):
		return 2
	case s.Code != "":
		return 1
	default:
		return 0
	}
}

// titleTag finds the title of a page of HTML.
var titleTag = regexp.MustCompile(`(?is)^\s*(?:<.*?)?<title[^>]*>(.*?)</title`)

// pageTitle returns the title of a page of HTML, "" without one.
func pageTitle(body []byte) string {
	found := titleTag.FindSubmatch(body)
	if found == nil {
		return ""
	}
	return shortened(html.UnescapeString(string(found[1])))
}

// plainText returns the beginning of a short text, "" if the body is something else: JSON of another shape, or cut off, or
// bytes that are no text.
func plainText(body []byte) string {
	body = bytes.TrimSpace(body)
	if len(body) == 0 || len(body) > maxPlainText || bytes.IndexByte([]byte("<{[\""), body[0]) >= 0 || json.Valid(body) || !utf8.Valid(body) {
		return ""
	}
	return shortened(string(body))
}

// shortened returns the beginning of a text on one line.
func shortened(text string) string {
	printable := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, text)
	characters := []rune(strings.Join(strings.Fields(printable), " "))
	return string(characters[:min(len(characters), maxPlainMessage)])
}
