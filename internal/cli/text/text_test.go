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
	"bytes"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestShare(t *testing.T) {
	for _, test := range []struct {
		name   string
		cells  int
		counts []int
		want   []int
	}{
		{"nothing", 10, []int{0, 0}, []int{0, 0}},
		{"all one", 10, []int{7, 0}, []int{10, 0}},
		{"halves", 10, []int{5, 5}, []int{5, 5}},
		{"one in a hundred thousand is seen", 10, []int{99_999, 1, 0}, []int{9, 1, 0}},
		{"remainders", 10, []int{1, 1, 1}, []int{4, 3, 3}},
		{"too few cells", 2, []int{1, 1, 1}, []int{0, 1, 1}},
		{"no cells", 0, []int{3, 4}, []int{0, 0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Share(test.cells, test.counts); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestBar(t *testing.T) {
	parts := []Part{{Count: 6, Glyph: '#', Colour: Good}, {Count: 3, Glyph: '='}, {Count: 1, Glyph: '!', Colour: Bad}}
	if got, want := (Terminal{}).Bar(12, parts), "[######===!]"; got != want {
		t.Errorf("without colours: %q, want %q", got, want)
	}
	if got, want := (Terminal{Colour: true}).Bar(12, parts[:1]), "[\x1b[32m##########\x1b[0m]"; got != want {
		t.Errorf("with colours: %q, want %q", got, want)
	}
	if got, want := (Terminal{}).Bar(6, []Part{{Glyph: '#'}}), "[    ]"; got != want {
		t.Errorf("of nothing: %q, want %q", got, want)
	}
}

func TestGroupedAndCount(t *testing.T) {
	for number, want := range map[int]string{0: "0", 12: "12", 123: "123", 1234: "1,234", 100000: "100,000", 1234567: "1,234,567", -123456: "-123,456"} {
		if got := Grouped(number); got != want {
			t.Errorf("Grouped(%d) is %q, want %q", number, got, want)
		}
	}
	if got := Count(1, "call") + ", " + Count(2000, "backup"); got != "1 call, 2,000 backups" {
		t.Errorf("Count: %q", got)
	}
}

func TestAge(t *testing.T) {
	const day = 24 * time.Hour
	for span, want := range map[time.Duration]string{
		-time.Second: "0s", 45*time.Second + 300*time.Millisecond: "45s", 119 * time.Second: "119s", 2 * time.Minute: "2m",
		9*time.Minute + 59*time.Second: "9m59s", 12*time.Minute + 30*time.Second: "12m", 3*time.Hour + 20*time.Minute: "3h20m", 30 * time.Hour: "30h",
		3*day + 4*time.Hour: "3d4h", 40 * day: "40d", 740 * day: "2y10d",
	} {
		if got := Age(span); got != want {
			t.Errorf("Age(%s) is %q, want %q", span, got, want)
		}
	}
}

func TestShorten(t *testing.T) {
	for _, test := range []struct {
		text    string
		columns int
		want    string
	}{
		{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"ab cd", 4, "ab…"}, {"备份备份", 8, "备份备份"}, {"备份备份", 6, "备份…"}, {"abc", 0, "…"},
	} {
		if got := Shorten(test.text, test.columns); got != test.want {
			t.Errorf("Shorten(%q, %d) is %q, want %q", test.text, test.columns, got, test.want)
		}
	}
}

func TestWrap(t *testing.T) {
	got := Wrap("the quick brown averyveryverylongword fox", 14, "  ")
	want := []string{"  the quick", "  brown", "  averyveryverylongword", "  fox"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if lines := Wrap(" ", 10, "  "); len(lines) != 0 {
		t.Errorf("of nothing: %q", lines)
	}
}

func TestTable(t *testing.T) {
	got := strings.Join(Table([][]string{{"NAME", "AGE"}, {"备份", "1s"}, {"longer", ""}}), "\n")
	if want := "NAME    AGE\n备份    1s\nlonger"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOnlyTerminalsHaveColours(t *testing.T) {
	nothing := func(string) string { return "" }
	file, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for name, got := range map[string]Terminal{"buffer": Detect(&bytes.Buffer{}, nothing), "file": Detect(file, nothing)} {
		if got != (Terminal{Width: DefaultWidth}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
