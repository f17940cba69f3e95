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

package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
)

// Prometheus is a process of a real Prometheus.
type Prometheus struct {
	*Process
	// URL is where it is asked.
	URL string
}

// StartPrometheus starts Prometheus with a configuration, and waits until it is ready. It listens on this machine alone.
func (c *Cluster) StartPrometheus(ctx context.Context, name, binary, configuration string) (*Prometheus, error) {
	addresses, err := FreeAddresses(ctx, 1)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(c.Dir, name+".yaml")
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		return nil, fmt.Errorf("write the configuration of %s: %w", name, err)
	}
	process, err := c.startProcess(ctx, name, binary, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(c.Dir, name+"-data"),
		"--web.listen-address="+addresses[0])
	if err != nil {
		return nil, err
	}
	prometheus := &Prometheus{Process: process, URL: "http://" + addresses[0]}
	if err := process.await(ctx, c.startTimeout(), func(ctx context.Context) bool { return answersOK(ctx, prometheus.URL+"/-/ready") }); err != nil {
		return nil, err
	}
	return prometheus, nil
}

// Sample is an element of the result of a query.
type Sample struct {
	Labels map[string]string
	Value  float64
}

// UnmarshalJSON reads an element of a vector.
func (s *Sample) UnmarshalJSON(data []byte) error {
	var element struct {
		Metric map[string]string `json:"metric"`
		Value  [2]any            `json:"value"` // the time, and the value as a text
	}
	if err := json.Unmarshal(data, &element); err != nil {
		return err
	}
	text, _ := element.Value[1].(string)
	value, err := strconv.ParseFloat(text, 64)
	s.Labels, s.Value = element.Metric, value
	return err
}

// Number reports whether the value is one: a quantile of nothing is none.
func (s *Sample) Number() bool { return !math.IsNaN(s.Value) }

// Query evaluates an expression that returns a vector, now.
func (p *Prometheus) Query(ctx context.Context, expression string) ([]Sample, error) {
	var vector struct {
		Result []Sample `json:"result"`
	}
	err := p.get(ctx, "/api/v1/query?query="+url.QueryEscape(expression), &vector)
	return vector.Result, err
}

// Alert is an alert that is pending or firing.
type Alert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	State       string            `json:"state"`
}

// Firing reports whether it is not only pending.
func (a *Alert) Firing() bool { return a.State == "firing" }

// Alerts returns those that are pending or firing now.
func (p *Prometheus) Alerts(ctx context.Context) ([]Alert, error) {
	var active struct {
		Alerts []Alert `json:"alerts"`
	}
	err := p.get(ctx, "/api/v1/alerts", &active)
	return active.Alerts, err
}

// get reads the data of an answer of the API.
func (p *Prometheus) get(ctx context.Context, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+path, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("ask %s: %w", p.Name, err)
	}
	defer response.Body.Close()
	answer := struct {
		Data  any    `json:"data"`
		Error string `json:"error"`
	}{Data: into}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("read the answer of %s: %s: %w", p.Name, response.Status, err)
	}
	if answer.Error != "" {
		return fmt.Errorf("%s answers %s: %s", p.Name, response.Status, answer.Error)
	}
	return nil
}
