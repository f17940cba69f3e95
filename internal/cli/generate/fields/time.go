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

package fields

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// milliseconds is where the CustomResourceDefinition takes a number for milliseconds.
const milliseconds = 100_000_000_000

// earliest is 1980-01-01 in seconds. Dates that are taken for numbers, and the days that spreadsheets count, are before it; no backup is.
const earliest = 315_532_800

// zoned and zoneless are the forms of times that are read.
var (
	zoned    = []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999 Z07:00", "2006-01-02T15:04:05.999999999Z0700", "2006-01-02 15:04:05.999999999 -0700"}
	zoneless = []string{"2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006/1/2 15:04:05", "2006-01-02 15:04", "2006/1/2 15:04"}
)

// Zone returns a time zone: the name of one, or an offset such as +08:00.
func Zone(name string) (*time.Location, error) {
	if parsed, err := time.Parse("Z07:00", name); err == nil && name != "" {
		_, offset := parsed.Zone()
		return time.FixedZone(name, offset), nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "" {
		return nil, fmt.Errorf("%q is no time zone: give a name such as Asia/Shanghai, or an offset such as +08:00", name)
	}
	return zone, nil
}

// seconds returns the time of a cell in seconds since the epoch. Parts of a second are dropped. What may be a number but is no
// time is returned as it is: the rules tell what is wrong with it.
func seconds(value any, zone *time.Location) (any, error) {
	found, err := read(value, zone)
	if moment, isTime := found.(int64); isTime && err == nil && moment < earliest {
		return nil, errors.New("it is a time before 1980, as dates and the day numbers of spreadsheets are where they are taken for seconds. " + writeDates)
	}
	return found, err
}

// writeDates says how dates are written.
const writeDates = "Write it as 2019-03-26 08:01:00 with --time-zone, or with a zone"

func read(value any, zone *time.Location) (any, error) {
	switch value := value.(type) {
	case json.Number:
		return number(string(value))
	case string:
		if isNumber(value) {
			return number(value)
		}
		return written(value, zone)
	default:
		return value, nil
	}
}

func isNumber(text string) bool {
	return text != "" && strings.Trim(text, "0123456789.eE+-") == "" && !strings.Contains(text[1:], "-")
}

// number reads seconds or milliseconds.
func number(text string) (any, error) {
	if strings.ContainsAny(text, "eE") {
		return nil, errors.New("it is in scientific notation, as spreadsheets write what they have rounded: format the column as a number without decimals, and export it again")
	}
	whole, _, _ := strings.Cut(text, ".") // tables of numbers with gaps are exported with fractions
	if isDate(strings.TrimLeft(whole, "+0")) {
		return nil, errors.New("it looks like a date, not like seconds since 1970. " + writeDates)
	}
	found, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || strings.Count(text, ".") > 1 {
		return nil, errors.New("it is no number of seconds or milliseconds since 1970")
	}
	if found >= milliseconds && found/1000 <= math.MaxInt32 {
		found /= 1000
	}
	return found, nil
}

// isDate reports whether digits are a date such as 20190326, 2019032608 or 201903260801. As seconds or milliseconds they would be before
// 1980, or with an hour after 2032.
func isDate(digits string) bool {
	for _, layout := range []string{"20060102", "2006010215", "200601021504", "20060102150405"} {
		if date, err := time.Parse(layout, digits); err == nil && date.Year() >= 1980 && date.Year() < 2100 {
			return true
		}
	}
	return false
}

// written reads a date with a time.
func written(text string, zone *time.Location) (any, error) {
	for _, layout := range zoned {
		if found, err := time.Parse(layout, text); err == nil {
			return found.Unix(), nil
		}
	}
	for _, layout := range zoneless {
		found, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		if zone == nil {
			return nil, errors.New("it does not say in which time zone: give --time-zone, for example Asia/Shanghai or UTC")
		}
		return at(found, zone)
	}
	return nil, errors.New("it is no time: write 2019-03-26T08:01:00Z, 2019-03-26 08:01:00 with --time-zone, or seconds or milliseconds since 1970")
}

// at returns the moment when the clocks of a zone show a time. There may be none, or two, where clocks are changed.
func at(shown time.Time, zone *time.Location) (any, error) {
	wall := func(moment time.Time) bool {
		return moment.In(zone).Format(time.DateTime) == shown.Format(time.DateTime)
	}
	found := time.Date(shown.Year(), shown.Month(), shown.Day(), shown.Hour(), shown.Minute(), shown.Second(), 0, zone)
	if !wall(found) {
		return nil, fmt.Errorf("there was no such time in %s: its clocks were put forward over it", zone)
	}
	for _, shift := range []time.Duration{30 * time.Minute, time.Hour, 2 * time.Hour} {
		if wall(found.Add(shift)) || wall(found.Add(-shift)) {
			return nil, fmt.Errorf("there were two such times in %s, as its clocks were put back over it: write it with an offset, such as 2019-03-26T08:01:00+08:00", zone)
		}
	}
	return found.Unix(), nil
}
