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
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Sample is one value of a metric.
type Sample struct {
	Name   string
	Labels map[string]string
	Value  float64
}

// Scrape reads the metrics of the named families from a URL, in the text format of Prometheus.
func Scrape(ctx context.Context, url string, names ...string) ([]Sample, error) {
	text, err := Get(ctx, url)
	if err != nil {
		return nil, err
	}
	return parse(text, names)
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

// parse reads the samples of the named families. Lines of others are passed over unread: an API server has very many.
func parse(text []byte, names []string) ([]Sample, error) {
	var samples []Sample
	scanner := bufio.NewScanner(bytes.NewReader(text))
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		line := scanner.Text()
		if !ofAny(line, names) {
			continue
		}
		sample, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("read the metric %q: %w", line, err)
		}
		samples = append(samples, sample)
	}
	return samples, scanner.Err()
}

func ofAny(line string, names []string) bool {
	for _, name := range names {
		rest, found := strings.CutPrefix(line, name)
		if found && rest != "" && (rest[0] == '{' || rest[0] == ' ') {
			return true
		}
	}
	return false
}

// parseLine reads `name{label="value",...} number`.
func parseLine(line string) (Sample, error) {
	head, number, found := cutLast(line)
	if !found {
		return Sample{}, fmt.Errorf("no value")
	}
	value, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return Sample{}, err
	}
	sample := Sample{Labels: map[string]string{}, Value: value}
	name, labels, found := strings.Cut(head, "{")
	sample.Name = name
	for labels = strings.TrimSuffix(labels, "}"); found && labels != ""; {
		label, rest, isPair := strings.Cut(labels, "=")
		quoted, err := strconv.QuotedPrefix(rest)
		if !isPair || err != nil {
			return Sample{}, fmt.Errorf("a label is not NAME=\"VALUE\"")
		}
		if sample.Labels[label], err = strconv.Unquote(quoted); err != nil {
			return Sample{}, err
		}
		labels = strings.TrimPrefix(rest[len(quoted):], ",")
	}
	return sample, nil
}

// cutLast cuts a line at its last space.
func cutLast(line string) (before, after string, found bool) {
	at := strings.LastIndexByte(line, ' ')
	if at < 0 {
		return line, "", false
	}
	return strings.TrimSpace(line[:at]), line[at+1:], true
}
