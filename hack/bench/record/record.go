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

// Package record reads what processes tell of themselves: the metrics of the manager and of the API server.
package record

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"k8s.io/client-go/rest"
)

// The metrics that are read. The first four are those of every process that serves the collectors of the Prometheus client.
const (
	// CPUSeconds is the processor time since the start of the process.
	CPUSeconds = "process_cpu_seconds_total"
	// ResidentBytes is the memory that the process holds.
	ResidentBytes = "process_resident_memory_bytes"
	// HeapBytes is what is on the heap; after a collection, what is alive.
	HeapBytes = "go_memstats_heap_alloc_bytes"
	// AllocatedBytes is what was ever allocated on the heap.
	AllocatedBytes = "go_memstats_alloc_bytes_total"
	// Backups counts the BackupSyncs, by namespace, project and state.
	Backups = "backupsync_backups"
	// Requests counts what an API server has answered, by resource, subresource and verb.
	Requests = "apiserver_request_total"
	// StorageBytes is the size of etcd's database file, in which deleted and older versions leave holes.
	StorageBytes = "apiserver_storage_size_bytes"
)

// Reading is what the metrics of a process said at a moment, by name.
type Reading map[string]model.Vector

// Labels are the labels of a sample.
type Labels = model.Metric

// Read reads the metrics at a URL.
func Read(ctx context.Context, url string) (Reading, error) {
	text, err := Get(ctx, url)
	if err != nil {
		return nil, err
	}
	return parse(text)
}

// ReadServer reads the metrics of an API server.
func ReadServer(ctx context.Context, server rest.Interface) (Reading, error) {
	text, err := server.Get().AbsPath("/metrics").Do(ctx).Raw()
	if err != nil {
		return nil, fmt.Errorf("read the metrics of the API server: %w", err)
	}
	return parse(text)
}

func parse(text []byte) (Reading, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("parse metrics: %w", err)
	}
	reading := Reading{}
	for _, name := range []string{CPUSeconds, ResidentBytes, HeapBytes, AllocatedBytes, Backups, Requests, StorageBytes} {
		family, found := families[name]
		if !found {
			continue
		}
		if reading[name], err = expfmt.ExtractSamples(&expfmt.DecodeOptions{}, family); err != nil {
			return nil, fmt.Errorf("parse the metric %s: %w", name, err)
		}
	}
	return reading, nil
}

// Sum adds up the samples of a metric that a function picks. It is 0 without any.
func (r Reading) Sum(name string, pick func(Labels) bool) float64 {
	total := 0.0
	for _, sample := range r[name] {
		if pick(sample.Metric) {
			total += float64(sample.Value)
		}
	}
	return total
}

// Value returns the value of a metric of one sample. It is not a number if there is none: no range holds that.
func (r Reading) Value(name string) float64 {
	if len(r[name]) != 1 {
		return math.NaN()
	}
	return float64(r[name][0].Value)
}

// uncompressed does not ask for compression: to compress its metrics would cost the process that is measured more than
// all else about them.
var uncompressed = &http.Client{Transport: &http.Transport{DisableCompression: true}}

// Get reads what is at a URL.
func Get(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", url, err)
	}
	response, err := uncompressed.Do(request)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", url, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, bytes.TrimSpace(body))
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", url, err)
	}
	return body, nil
}
