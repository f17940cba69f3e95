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

	"k8s.io/client-go/rest"
)

// serverStorage has a label that tells which etcd it speaks of: there is one.
const serverStorage = "apiserver_storage_size_bytes"

// ServerUsage is what an API server and its storage take.
type ServerUsage struct {
	// CPUSeconds is the API server's processor time since its start.
	CPUSeconds float64
	// ResidentBytes is the memory that the API server holds.
	ResidentBytes float64
	// StorageBytes is the size of etcd's database file, in which deleted and older versions leave holes.
	StorageBytes float64
}

// ServerUsageOf reads an API server's metrics.
func ServerUsageOf(ctx context.Context, server rest.Interface) (ServerUsage, error) {
	names := []string{cpuSeconds, residentBytes, serverStorage}
	samples, err := scrapeServer(ctx, server, names...)
	if err != nil {
		return ServerUsage{}, err
	}
	values, err := valuesOf(samples, names)
	if err != nil {
		return ServerUsage{}, fmt.Errorf("read the metrics of the API server: %w", err)
	}
	return ServerUsage{CPUSeconds: values[cpuSeconds], ResidentBytes: values[residentBytes], StorageBytes: values[serverStorage]}, nil
}

// scrapeServer reads some of an API server's metrics.
func scrapeServer(ctx context.Context, server rest.Interface, names ...string) ([]Sample, error) {
	text, err := server.Get().AbsPath("/metrics").Do(ctx).Raw()
	if err != nil {
		return nil, fmt.Errorf("read the metrics of the API server: %w", err)
	}
	return parse(text, names)
}
