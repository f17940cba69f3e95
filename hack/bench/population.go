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

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/e2e/cluster"
)

const (
	populationNamespace = "population"
	populationLatency   = "5ms"
	// nowhere is the endpoint of a project before its simulator has one.
	nowhere = "http://127.0.0.1:9"
)

// population is a growing number of imported BackupSyncs of one project. They are in CBR, too, as they would be: whoever
// reads the list of all backups reads them.
type population struct {
	*stand
	herd      *herd
	simulator *cluster.Simulator

	atRest []restingState // B4, by step
	added  []growth       // B6, by lookupPolicy
}

// measurePopulation makes B4, B5 and B6, which share a population that grows from step to step.
func measurePopulation(ctx context.Context, s *stand) error {
	p, err := s.newPopulation(ctx)
	if err != nil {
		return err
	}
	for _, size := range s.sizes.populations {
		if size > s.sizes.takeoverAt && !s.wanted("B4") && !s.wanted("B6") {
			break
		}
		if err := errors.Join(p.grow(ctx, size), p.renewSimulator(ctx)); err != nil {
			return err
		}
		if err := p.measureStep(ctx, size); err != nil {
			return fmt.Errorf("with %d imported: %w", size, err)
		}
	}
	p.reportAtRest()
	p.reportAdditions()
	return nil
}

func (s *stand) newPopulation(ctx context.Context) (*population, error) {
	if err := s.createNamespace(ctx, populationNamespace); err != nil {
		return nil, err
	}
	p := &population{stand: s, herd: s.newHerd(populationNamespace, projectName), added: newGrowths()}
	return p, s.createProject(ctx, populationNamespace, projectName, nowhere, cbrtest.ProjectID, quickProject)
}

// quickProject makes a project lose no time by waiting.
func quickProject(spec *v1alpha1.CBRProjectSpec) {
	spec.Limits = unlimited
	spec.Batch.Window, spec.Poll.Interval = every(shortWindow), every(shortPoll)
}

// changeProject patches fields of the project's spec.
func (p *population) changeProject(ctx context.Context, spec map[string]any) error {
	patch, err := json.Marshal(map[string]any{"spec": spec})
	if err != nil {
		return fmt.Errorf("encode a change of the project: %w", err)
	}
	project := &v1alpha1.CBRProject{ObjectMeta: metav1.ObjectMeta{Namespace: populationNamespace, Name: projectName}}
	if err := p.cluster.Client.Patch(ctx, project, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return fmt.Errorf("change the project: %w", err)
	}
	return nil
}

// changeEndpoint patches the endpoint, which is locked while the journal holds calls.
func (p *population) changeEndpoint(ctx context.Context, endpoint string) error {
	if err := p.awaitJournal(ctx); err != nil {
		return err
	}
	return p.changeProject(ctx, map[string]any{"endpoint": endpoint})
}

// retire stops an operator when it has closed its journal: nobody else would before the next one starts.
func (p *population) retire(ctx context.Context, running *operator) error {
	return errors.Join(p.awaitJournal(ctx), running.stop(ctx))
}

const (
	// journalTimeout is more than an operator takes to write that the outcomes of its calls are known.
	journalTimeout = 30 * time.Second
	journalPoll    = 100 * time.Millisecond
)

// awaitJournal waits until the project's journal holds no calls.
func (p *population) awaitJournal(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, journalTimeout)
	defer cancel()
	for {
		project := &v1alpha1.CBRProject{}
		if err := p.cluster.Client.Get(ctx, client.ObjectKey{Namespace: populationNamespace, Name: projectName}, project); err != nil {
			return fmt.Errorf("read the journal of the project: %w", err)
		}
		open := len(project.Status.Journal.Submissions)
		if open == 0 {
			return nil
		}
		if err := pause(ctx, journalPoll); err != nil {
			return fmt.Errorf("the journal of the project holds %d calls: %w", open, err)
		}
	}
}

// measureStep makes what was asked for at one size of the population, with an operator that is started for it.
func (p *population) measureStep(ctx context.Context, size int) error {
	if p.wanted("B4") || p.wanted("B6") {
		running, err := p.startOperator(ctx)
		if err != nil {
			return err
		}
		if err := p.measureRest(ctx, running); err != nil {
			return err
		}
		if err := p.measureAdditions(ctx, running); err != nil {
			return err
		}
		if err := p.retire(ctx, running); err != nil {
			return err
		}
	}
	if size == p.sizes.takeoverAt && p.wanted("B5") {
		return p.measureTakeovers(ctx)
	}
	return nil
}

// grow brings the population to a size, if it is not there yet.
func (p *population) grow(ctx context.Context, size int) error {
	missing := size - p.herd.count
	if missing <= 0 {
		return nil
	}
	p.tell("B4-B6: growing the population to %s", grouped(size))
	return p.herd.addImported(ctx, missing)
}

// renewSimulator gives each step a CBR that has all backups, and no tasks: the operator lists the tasks of the last
// minutes, so that those of earlier steps would weigh on later ones.
func (p *population) renewSimulator(ctx context.Context) error {
	if p.simulator != nil {
		if err := p.simulator.Kill(); err != nil {
			return err
		}
	}
	var err error
	if p.simulator, err = p.startSimulator(ctx, "--latency="+populationLatency, "--task-duration=0s"); err != nil {
		return err
	}
	if err := p.changeEndpoint(ctx, p.simulator.URL); err != nil {
		return err
	}
	return p.store(ctx, p.herd.count)
}

// storedAtOnce keeps a request to the simulator well below the limit of its size.
const storedAtOnce = 20_000

// store tells the simulator that it has the first so many backups.
func (p *population) store(ctx context.Context, count int) error {
	for first := 0; first < count; first += storedAtOnce {
		backups := make([]map[string]string, 0, storedAtOnce)
		for number := first; number < min(first+storedAtOnce, count); number++ {
			backups = append(backups, storedBackup(number))
		}
		if err := p.simulator.Steer(ctx, "backups", map[string]any{"backups": backups}); err != nil {
			return err
		}
	}
	return nil
}
