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
	"errors"
	"fmt"
	"time"

	"backupsync.dev/operator/hack/bench/report"
	"backupsync.dev/operator/internal/cbr"
)

const (
	// firstCallTimeout bounds the wait for a call after a start or a takeover, a lease included.
	firstCallTimeout = 2 * time.Minute
	// callPoll is how often the simulator is asked for it; it has noted the time.
	callPoll = 100 * time.Millisecond
)

// measureTakeovers makes B5: a start with much to read, and the end of a leader while another one stands by.
func (p *population) measureTakeovers(ctx context.Context) error {
	if err := p.measureColdStart(ctx); err != nil {
		return err
	}
	return p.measureFailovers(ctx)
}

func (p *population) takeoverWork() string {
	return fmt.Sprintf("%s imported, %s pending", grouped(p.sizes.takeoverAt), grouped(p.sizes.added))
}

// coldStart is what one start has shown.
type coldStart struct {
	firstCall time.Duration // from the start of the process to its first sync call
	looked    time.Duration // of it, from its first call of CBR on
	informer  time.Duration // of a bare informer
}

func (p *population) measureColdStart(ctx context.Context) error {
	ratios, starts := make([]float64, 0, p.sizes.trials), make([]coldStart, 0, p.sizes.trials)
	for range p.sizes.trials {
		start, err := p.startCold(ctx)
		if err != nil {
			return err
		}
		p.tell("B5: first call %s after the start, %s of it since the first look at CBR; a bare informer takes %s",
			report.Seconds(start.firstCall), report.Seconds(start.looked), report.Seconds(start.informer))
		starts, ratios = append(starts, start), append(ratios, report.Ratio(start.firstCall, start.informer))
	}
	ratio := report.Median(ratios)
	p.results.Add(report.Figure{Measure: "B5", Name: "cold-start", Work: p.takeoverWork(), Value: ratio, Text: fmt.Sprintf(
		"%.2f x: first sync call %s after the start (%s of it looking at CBR), a bare informer reads all in %s", ratio,
		report.Seconds(medianOf(starts, func(s coldStart) time.Duration { return s.firstCall })),
		report.Seconds(medianOf(starts, func(s coldStart) time.Duration { return s.looked })),
		report.Seconds(medianOf(starts, func(s coldStart) time.Duration { return s.informer })))})
	return nil
}

// medianOf returns the median of what a function picks of each element.
func medianOf[T any, N report.Number](all []T, pick func(T) N) N {
	picked := make([]N, 0, len(all))
	for _, each := range all {
		picked = append(picked, pick(each))
	}
	return report.Median(picked)
}

func (p *population) startCold(ctx context.Context) (coldStart, error) {
	var seen coldStart
	var err error
	if seen.informer, err = p.timeBareInformer(ctx); err != nil {
		return seen, err
	}
	if err := p.herd.add(ctx, p.sizes.added); err != nil {
		return seen, err
	}
	running, err := p.startOperator(ctx)
	if err != nil {
		return seen, err
	}
	first, err := p.awaitSyncCall(ctx, running.began)
	if err != nil {
		return seen, err
	}
	seen.firstCall = first.Sub(running.began)
	calls, err := p.simulator.Calls(ctx, "")
	if err != nil {
		return seen, err
	}
	for _, call := range calls {
		if call.Time.After(running.began) {
			seen.looked = first.Sub(call.Time)
			break
		}
	}
	if _, err := awaitTally(ctx, running, ofNamespace(populationNamespace), p.herd.count); err != nil {
		return seen, err
	}
	return seen, p.retire(ctx, running)
}

// awaitSyncCall waits for the first sync call after a moment, and returns when it arrived.
func (p *population) awaitSyncCall(ctx context.Context, after time.Time) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, firstCallTimeout)
	defer cancel()
	for {
		calls, err := p.simulator.Calls(ctx, string(cbr.OperationImport))
		if err != nil {
			return time.Time{}, err
		}
		for _, call := range calls {
			if call.Time.After(after) {
				return call.Time, nil
			}
		}
		if err := pause(ctx, callPoll); err != nil {
			return time.Time{}, fmt.Errorf("no sync call came: %w", err)
		}
	}
}

// measureFailovers ends leaders, by SIGKILL and by SIGTERM, while a project has work that its suspension holds back. It
// is resumed at that moment, so that the next call is the successor's.
func (p *population) measureFailovers(ctx context.Context) error {
	arguments := p.sizes.lease.arguments()
	leader, err := p.startOperator(ctx, arguments...)
	if err != nil {
		return err
	}
	endings := []ending{
		{name: "killed", how: "SIGKILL of the leader", end: func(o *operator) error { return o.Kill() }, lease: p.sizes.lease.duration},
		{name: "terminated", how: "SIGTERM of the leader", end: func(o *operator) error { return o.stop(ctx) }},
	}
	for i := range endings {
		for range p.sizes.trials {
			if leader, err = p.failOver(ctx, leader, &endings[i]); err != nil {
				return err
			}
		}
		endings[i].report(p)
	}
	return p.retire(ctx, leader)
}

// ending is a way for a leader to end.
type ending struct {
	name, how string
	end       func(*operator) error
	lease     time.Duration // that the successor must wait for
	took      []time.Duration
}

// failOver ends the leader, and returns its successor.
func (p *population) failOver(ctx context.Context, leader *operator, by *ending) (*operator, error) {
	if err := p.suspend(ctx, true); err != nil {
		return nil, err
	}
	standby, err := p.startOperator(ctx, p.sizes.lease.arguments()...)
	if err != nil {
		return nil, err
	}
	if err := p.herd.add(ctx, p.sizes.added); err != nil {
		return nil, err
	}
	if err := pause(ctx, settleTime); err != nil {
		return nil, err
	}
	began := time.Now()
	ended := make(chan error, 1)
	go func() { ended <- by.end(leader) }()
	if err := p.suspend(ctx, false); err != nil {
		return nil, err
	}
	first, err := p.awaitSyncCall(ctx, began)
	if err != nil {
		return nil, err
	}
	took := first.Sub(began)
	p.tell("B5: %s, next sync call after %s", by.how, report.Seconds(took))
	by.took = append(by.took, took)
	_, err = awaitTally(ctx, standby, ofNamespace(populationNamespace), p.herd.count)
	return standby, errors.Join(err, <-ended)
}

// suspend sets or removes the suspension of the project.
func (p *population) suspend(ctx context.Context, suspended bool) error {
	return p.changeProject(ctx, map[string]any{"suspend": suspended})
}

// report says how long the takeover took beyond the lease that had to expire.
func (e *ending) report(p *population) {
	took := report.Median(e.took)
	beyond := (took - e.lease).Seconds()
	text := fmt.Sprintf("next sync call %s after %s", report.Seconds(took), e.how)
	if e.lease > 0 {
		text += fmt.Sprintf(": lease of %s %+.2f s", e.lease, beyond)
	}
	p.results.Add(report.Figure{Measure: "B5", Name: e.name, Work: "the same, a warm standby", Value: beyond, Text: text})
}
