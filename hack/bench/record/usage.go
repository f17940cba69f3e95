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
	"context"
	"fmt"
)

// Usage is what a Go process has used, by its own metrics.
type Usage struct {
	// CPUSeconds is the processor time since its start.
	CPUSeconds float64
	// ResidentBytes is the memory that it holds.
	ResidentBytes float64
	// HeapBytes is what is on the heap; after a collection, what is alive.
	HeapBytes float64
	// AllocatedBytes is what was ever allocated on the heap.
	AllocatedBytes float64
}

// The metrics of every process that serves the collectors of the Prometheus client.
const (
	cpuSeconds     = "process_cpu_seconds_total"
	residentBytes  = "process_resident_memory_bytes"
	heapBytes      = "go_memstats_heap_alloc_bytes"
	allocatedBytes = "go_memstats_alloc_bytes_total"
)

// UsageOf reads the usage from a process's metrics.
func UsageOf(ctx context.Context, metricsURL string) (Usage, error) {
	samples, err := Scrape(ctx, metricsURL, cpuSeconds, residentBytes, heapBytes, allocatedBytes)
	if err != nil {
		return Usage{}, err
	}
	values := map[string]float64{}
	for _, sample := range samples {
		values[sample.Name] = sample.Value
	}
	for _, name := range []string{cpuSeconds, residentBytes, heapBytes, allocatedBytes} {
		if _, found := values[name]; !found {
			return Usage{}, fmt.Errorf("%s has no metric %s", metricsURL, name)
		}
	}
	return Usage{CPUSeconds: values[cpuSeconds], ResidentBytes: values[residentBytes],
		HeapBytes: values[heapBytes], AllocatedBytes: values[allocatedBytes]}, nil
}
