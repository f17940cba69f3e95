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

package record

import (
	"reflect"
	"testing"
)

const exposition = `# HELP apiserver_request_total [STABLE] Counter of apiserver requests
# TYPE apiserver_request_total counter
apiserver_request_total{code="200",resource="backupsyncs",subresource="status",verb="PATCH"} 1.2e+03
apiserver_request_total{code="409",resource="backupsyncs",subresource="status",verb="PATCH"} 2
apiserver_request_total{code="200",resource="leases",subresource="",verb="PUT"} 7
apiserver_request_total_other{verb="GET"} 9
go_memstats_alloc_bytes_total 5.5e+06
odd{path="a \"quoted\", {braced} one"} 1
`

func TestParse(t *testing.T) {
	got, err := parse([]byte(exposition), []string{"go_memstats_alloc_bytes_total", "odd", "go_memstats"})
	if err != nil {
		t.Fatal(err)
	}
	want := []Sample{
		{Name: "go_memstats_alloc_bytes_total", Labels: map[string]string{}, Value: 5.5e6},
		{Name: "odd", Labels: map[string]string{"path": `a "quoted", {braced} one`}, Value: 1},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}

func TestParseRefusesWhatIsNoMetric(t *testing.T) {
	for _, line := range []string{"odd", "odd x", `odd{a=b} 1`, `odd{a} 1`, `odd{a="b} 1`} {
		if got, err := parseLine(line); err == nil {
			t.Errorf("%s: got %+v", line, got)
		}
	}
}

func TestRequests(t *testing.T) {
	samples, err := parse([]byte(exposition), []string{requestsTotal})
	if err != nil {
		t.Fatal(err)
	}
	if len(samples) != 3 {
		t.Fatalf("got %+v", samples)
	}
	patch, renewal := Request{Resource: "backupsyncs", Subresource: "status", Verb: "PATCH"}, Request{Resource: "leases", Verb: "PUT"}
	later := Requests{patch: 1202, renewal: 7}.Since(Requests{patch: 1000, renewal: 7})
	if want := (Requests{patch: 202}); !reflect.DeepEqual(later, want) {
		t.Errorf("got %v", later)
	}
	if got := later.Count(Request.Writes); got != 202 {
		t.Errorf("got %d writes", got)
	}
	if (Request{Verb: "LIST"}).Writes() {
		t.Error("a list is taken for a write")
	}
}
