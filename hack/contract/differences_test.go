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

package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/sdktime"
)

// decode reads JSON as it is written, numbers unchanged.
func decode(t *testing.T, text []byte) any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		t.Fatalf("%q is not JSON: %v", text, err)
	}
	return value
}

// differences tells in what a model of the SDK's differs from the JSON that it was read from: members that it does not know,
// required ones that are not there, and values that are others.
func differences(at string, written any, read reflect.Value) []string {
	if read.Kind() == reflect.Pointer {
		if read.IsNil() {
			return unless(written == nil, "%s: %v was not read", at, written)
		}
		return differences(at, written, read.Elem())
	}
	if written == nil {
		return unless(read.IsZero(), "%s: null was read as %v", at, read)
	}
	if text, isText := textOf(read); isText {
		return unless(sameText(fmt.Sprint(written), text), "%s: %v was read as %s", at, written, text)
	}
	switch read.Kind() {
	case reflect.Struct:
		return objectDifferences(at, written, read)
	case reflect.Slice:
		return listDifferences(at, written, read)
	default:
		return unless(fmt.Sprint(written) == fmt.Sprint(read), "%s: %v was read as %v", at, written, read)
	}
}

func unless(holds bool, format string, arguments ...any) []string {
	if holds {
		return nil
	}
	return []string{fmt.Sprintf(format, arguments...)}
}

// textOf returns the text of an enumeration's value or of a time.
func textOf(read reflect.Value) (string, bool) {
	switch value := read.Interface().(type) {
	case interface{ Value() string }:
		return value.Value(), true
	case sdktime.SdkTime:
		return time.Time(value).Format(time.RFC3339Nano), true
	default:
		return "", false
	}
}

// sameText reports whether two texts are the same, or the same time.
func sameText(a, b string) bool {
	return a == b || !instant(a).IsZero() && instant(a).Equal(instant(b))
}

// instant reads one of the formats that CBR writes times in; the zero time for what is none.
func instant(text string) time.Time {
	for _, layout := range []string{"2006-01-02T15:04:05.999999999", time.RFC3339Nano} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC()
		}
	}
	return time.Time{}
}

func objectDifferences(at string, written any, read reflect.Value) []string {
	members, isObject := written.(map[string]any)
	if !isObject {
		return unless(false, "%s: %v is no object", at, written)
	}
	var found []string
	known := map[string]bool{}
	for i := range read.NumField() {
		name, options, _ := strings.Cut(read.Type().Field(i).Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		known[name] = true
		value, present := members[name]
		if !present {
			found = append(found, unless(options == "omitempty", "%s: the required member %s is missing", at, name)...)
		}
		found = append(found, differences(at+"."+name, value, read.Field(i))...)
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		found = append(found, unless(known[name], "%s: the SDK knows no member %s", at, name)...)
	}
	return found
}

func listDifferences(at string, written any, read reflect.Value) []string {
	elements, isList := written.([]any)
	if !isList || len(elements) != read.Len() {
		return unless(false, "%s: %v was read as a list of %d", at, written, read.Len())
	}
	var found []string
	for i, element := range elements {
		found = append(found, differences(fmt.Sprintf("%s[%d]", at, i), element, read.Index(i))...)
	}
	return found
}

func TestDifferencesAreNoticed(t *testing.T) {
	type inner struct {
		Text   string           `json:"text"`
		Number *int32           `json:"number,omitempty"`
		Time   *sdktime.SdkTime `json:"time,omitempty"`
	}
	type outer struct {
		List   *[]inner `json:"list,omitempty"`
		Status int      `json:"-"`
	}
	at := sdktime.SdkTime(time.Date(2026, 3, 1, 12, 0, 0, 5000000, time.UTC))
	read := outer{List: &[]inner{{Text: "a", Number: pointer(int32(7)), Time: &at}}, Status: 200}
	for written, want := range map[string]int{
		`{"list":[{"text":"a","number":7,"time":"2026-03-01T12:00:00.005"}]}`:            0,
		`{"list":[{"text":"a","number":7,"time":"2026-03-01T12:00:00.005+00:00"}]}`:      0,
		`{"list":[{"text":"b","number":8,"time":"2026-03-01T12:00:00Z"}]}`:               3,
		`{"list":[{"number":7,"time":"2026-03-01T12:00:00.005"}]}`:                       2, // required, and read as something
		`{"list":[{"text":"a","number":7,"time":"2026-03-01T12:00:00.005Z","more":{}}]}`: 1,
		`{"list":[]}`:            1,
		`{"list":null}`:          1,
		`{"list":{},"else":[1]}`: 2,
		`[]`:                     1,
	} {
		if got := differences("", decode(t, []byte(written)), reflect.ValueOf(read)); len(got) != want {
			t.Errorf("%s: %d differences, want %d: %q", written, len(got), want, got)
		}
	}
}
