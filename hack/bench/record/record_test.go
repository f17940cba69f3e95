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
	"math"
	"testing"
)

const exposition = `# HELP apiserver_request_total [STABLE] Counter of apiserver requests
# TYPE apiserver_request_total counter
apiserver_request_total{code="200",resource="backupsyncs",subresource="status",verb="PATCH"} 1.2e+03
apiserver_request_total{code="409",resource="backupsyncs",subresource="status",verb="PATCH"} 2
apiserver_request_total{code="200",resource="leases",subresource="",verb="PUT"} 7
apiserver_request_total_other{verb="GET"} 9
# TYPE go_memstats_alloc_bytes_total counter
go_memstats_alloc_bytes_total 5.5e+06
`

func TestReading(t *testing.T) {
	reading, err := parse([]byte(exposition))
	if err != nil {
		t.Fatal(err)
	}
	if got := reading.Value(AllocatedBytes); got != 5.5e6 {
		t.Errorf("the value is %g", got)
	}
	if got := reading.Sum(Requests, func(labels Labels) bool { return labels["resource"] == "backupsyncs" }); got != 1202 {
		t.Errorf("the sum is %g", got)
	}
	if got := reading.Sum(Backups, func(Labels) bool { return true }); got != 0 {
		t.Errorf("the sum of nothing is %g", got)
	}
	if got := reading.Value(CPUSeconds); !math.IsNaN(got) {
		t.Errorf("the value of nothing is %g", got)
	}
}
