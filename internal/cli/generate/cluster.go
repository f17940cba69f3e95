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

package generate

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"backupsync.dev/operator/internal/cli/generate/fields"
	"backupsync.dev/operator/internal/cli/generate/inventory"
	"backupsync.dev/operator/internal/cli/generate/server"
)

// asked is how many backups the API server is asked for before the answers are told.
const asked = 256

// cluster has the API server judge each manifest, and writes none.
type cluster struct {
	runner    *runner
	checker   *server.Checker
	namespace string
	rows      []inventory.Row
	objects   []*unstructured.Unstructured
	existing  int
	differing int
}

func (r *runner) openCluster(ctx context.Context) (sink, error) {
	connected, err := r.connect()
	if err != nil {
		return nil, err
	}
	namespace := r.settings.frame.Namespace
	if namespace == "" {
		if namespace, err = r.namespace(); err != nil {
			return nil, err
		}
	}
	opened := &cluster{runner: r, checker: server.New(connected, r.settings.concurrency), namespace: namespace}
	there, err := opened.checker.Project(ctx, namespace, r.settings.frame.Project)
	if err != nil {
		return nil, err
	}
	if !there {
		r.report.note("there is no CBRProject %s/%s: the backups would wait until there is", namespace, r.settings.frame.Project)
	}
	return opened, nil
}

func (c *cluster) add(ctx context.Context, one made) error {
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(one.text, &object.Object); err != nil {
		return fmt.Errorf("read the manifest of %s: %w", one.row.Where(), err)
	}
	object.SetNamespace(c.namespace)
	c.rows, c.objects = append(c.rows, one.row), append(c.objects, object)
	if len(c.rows) < asked {
		return nil
	}
	return c.ask(ctx)
}

// ask has the manifests judged that have come, and tells the verdicts in their order.
func (c *cluster) ask(ctx context.Context) error {
	verdicts, err := c.checker.Check(ctx, c.objects)
	if err != nil {
		return err
	}
	rows, objects := c.rows, c.objects
	c.rows, c.objects = nil, nil
	for index, verdict := range verdicts {
		if err := c.verdict(rows[index], objects[index].GetName(), verdict); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) verdict(row inventory.Row, name string, verdict server.Verdict) error {
	if verdict.Exists {
		c.existing++
	}
	if len(verdict.Differs) > 0 {
		c.differing++
		c.runner.report.say("%s: BackupSync %s/%s exists and would change: %s", row.Where(), c.namespace, name, strings.Join(verdict.Differs, ", "))
	}
	if len(verdict.Refusals) == 0 {
		return nil
	}
	var problems []fields.Problem
	for _, refusal := range verdict.Refusals {
		problem := fields.Problem{Field: refusal.Path, Rule: "the API server refuses it: " + refusal.Reason}
		if known := fields.InSpec(refusal.Path); known != nil {
			problem.Field = known.Name
		}
		problems = append(problems, problem)
	}
	c.runner.report.counts.written--
	return c.runner.reject(row, problems)
}

func (c *cluster) commit(ctx context.Context) error {
	if err := c.ask(ctx); err != nil {
		return err
	}
	if c.existing > 0 {
		c.runner.report.note("%d of the backups exist in namespace %s already, of which %d would change", c.existing, c.namespace, c.differing)
	}
	return nil
}

func (c *cluster) discard() error { return nil }
