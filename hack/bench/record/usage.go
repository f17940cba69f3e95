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
	names := []string{cpuSeconds, residentBytes, heapBytes, allocatedBytes}
	samples, err := Scrape(ctx, metricsURL, names...)
	if err != nil {
		return Usage{}, err
	}
	values, err := valuesOf(samples, names)
	if err != nil {
		return Usage{}, fmt.Errorf("read %s: %w", metricsURL, err)
	}
	return Usage{CPUSeconds: values[cpuSeconds], ResidentBytes: values[residentBytes],
		HeapBytes: values[heapBytes], AllocatedBytes: values[allocatedBytes]}, nil
}

// valuesOf returns the values of metrics that have one sample each, all of which there must be.
func valuesOf(samples []Sample, names []string) (map[string]float64, error) {
	values := map[string]float64{}
	for _, sample := range samples {
		values[sample.Name] = sample.Value
	}
	for _, name := range names {
		if _, found := values[name]; !found {
			return nil, fmt.Errorf("there is no metric %s", name)
		}
	}
	return values, nil
}
