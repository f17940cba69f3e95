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
	"encoding/json"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// listedBackups is a page of the list of backups, of which only ids and statuses are kept. What no page shows counts as
// absent, so that no id may be lost by an element, or a page, that is not as it should be.
type listedBackups Page[ListedBackup]

// errIrregular says that a page is not as documented. It may still be readable.
var errIrregular = errors.New("not a page as documented")

// decode reads the page in one go if it is as documented, which takes a fifth of the time: whoever looks for a
// hundred new backups among a hundred thousand reads 50 MB. Else it is taken apart with patience.
func (p *listedBackups) decode(body []byte) error {
	if p.scan(body) == nil {
		return nil
	}
	return p.dissect(body)
}

// dissect reads a page element by element, passing over those that are no backups.
func (p *listedBackups) dissect(body []byte) error {
	var parts struct {
		List  *[]json.RawMessage `json:"backups"`
		Count count              `json:"count"`
	}
	if err := decodeObject(body, &parts); err != nil {
		return err
	}
	if parts.List == nil {
		return errNoList
	}
	*p = listedBackups{Size: len(*parts.List), Count: int(parts.Count)}
	for _, backup := range decodeEach[ListedBackup](*parts.List) {
		p.keep(backup)
	}
	return nil
}

func (p *listedBackups) keep(backup ListedBackup) {
	if backup.ID != "" {
		p.Items = append(p.Items, backup)
	}
}

// scan passes over all of a page but ids, statuses and its count. It leaves anything but what is documented to others.
func (p *listedBackups) scan(body []byte) error {
	*p = listedBackups{}
	listed := false
	decoder := jsontext.NewDecoder(bytes.NewBuffer(body), jsontext.AllowDuplicateNames(true)) // the names that count are looked at here
	err := eachMember(decoder, func(name []byte) error {
		switch {
		case bytes.EqualFold(name, []byte(`"backups"`)):
			if listed {
				return errIrregular
			}
			listed = true
			return p.scanList(decoder)
		case bytes.EqualFold(name, []byte(`"count"`)):
			value, err := decoder.ReadValue()
			if err != nil {
				return err
			}
			return json.Unmarshal(value, (*count)(&p.Count))
		default:
			return decoder.SkipValue()
		}
	})
	if err != nil {
		return err
	}
	if _, err := decoder.ReadToken(); !errors.Is(err, io.EOF) || !listed {
		return errIrregular
	}
	return nil
}

func (p *listedBackups) scanList(decoder *jsontext.Decoder) error {
	if err := enter(decoder, '['); err != nil {
		return err
	}
	for decoder.PeekKind() != ']' {
		backup, err := scanBackup(decoder)
		if err != nil {
			return err
		}
		p.Size++
		p.keep(backup)
	}
	_, err := decoder.ReadToken()
	return err
}

// scanBackup returns the id and the status of an object, which must have an id.
func scanBackup(decoder *jsontext.Decoder) (ListedBackup, error) {
	var backup ListedBackup
	identified, rated := false, false
	err := eachMember(decoder, func(name []byte) error {
		switch {
		case bytes.EqualFold(name, []byte(`"id"`)):
			return scanText(decoder, &identified, &backup.ID)
		case bytes.EqualFold(name, []byte(`"status"`)):
			return scanText(decoder, &rated, (*string)(&backup.Status))
		default:
			return decoder.SkipValue()
		}
	})
	if err == nil && !identified {
		err = errIrregular
	}
	return backup, err
}

// scanText reads a text that must not have been there before.
func scanText(decoder *jsontext.Decoder, before *bool, text *string) error {
	if *before || decoder.PeekKind() != '"' {
		return errIrregular
	}
	*before = true
	value, err := decoder.ReadValue()
	switch {
	case err != nil:
		return err
	case string(value) == `"available"`: // nearly all are: a hundred thousand need not hold it a hundred thousand times
		*text = string(BackupAvailable)
		return nil
	}
	unquoted, err := jsontext.AppendUnquote(nil, value)
	*text = string(unquoted)
	return err
}

// eachMember calls a function with the name of each member of an object, as it is written. The function reads the value.
func eachMember(decoder *jsontext.Decoder, read func(name []byte) error) error {
	if err := enter(decoder, '{'); err != nil {
		return err
	}
	for decoder.PeekKind() != '}' {
		name, err := decoder.ReadValue()
		if err != nil {
			return err
		}
		if bytes.ContainsRune(name, '\\') { // an escaped name could be any
			return errIrregular
		}
		if err := read(name); err != nil {
			return err
		}
	}
	_, err := decoder.ReadToken()
	return err
}

// enter begins an object or a list.
func enter(decoder *jsontext.Decoder, kind jsontext.Kind) error {
	if decoder.PeekKind() != kind {
		return errIrregular
	}
	_, err := decoder.ReadToken()
	return err
}
