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
	"strconv"
	"strings"
	"time"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/hack/bench/report"
	"backupsync.dev/operator/hack/bench/rivals"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/e2e/cluster"
)

// The account of B3. What cbr-api.md knows of limits was measured on a sister service: 10 calls in a minute, refused
// ones counted.
const (
	accountCalls   = 10
	accountWindow  = time.Minute
	accountLatency = 50 * time.Millisecond
	accountTask    = 5 * time.Second
)

// measureRivals makes B3: the same backups and the same account for the operator and for its rivals. The operator runs
// on real time, as its minute cannot be compressed; the rivals would take hours, and run on compressed time.
func measureRivals(ctx context.Context, s *stand) error {
	count := s.sizes.rationed
	s.tell("B3: importing %d backups with %d calls a minute, on real time", count, accountCalls)
	took, err := s.importRationed(ctx, count)
	if err != nil {
		return err
	}
	patience := time.Duration(float64(took) * s.sizes.patience)
	s.tell("B3: took %s; Terraform and a plain operator have %s for it, %g times compressed", report.Seconds(took),
		report.Seconds(patience), s.sizes.compression)
	terraform, plain, err := s.raceRivals(ctx, count, patience)
	if err != nil || ctx.Err() != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	for _, each := range []race{terraform, plain} {
		each.report(s, took)
	}
	return nil
}

// account returns the simulator's flags for an account on compressed time.
func account(compression rivals.Compression) []string {
	return []string{
		"--sync-calls-per-minute=" + strconv.Itoa(accountCalls), "--rate-window=" + compression.Of(accountWindow).String(),
		"--latency=" + compression.Of(accountLatency).String(), "--task-duration=" + compression.Of(accountTask).String(),
	}
}

// importRationed returns how long the operator takes, from the first manifest to the last import.
func (s *stand) importRationed(ctx context.Context, count int) (time.Duration, error) {
	const namespace = "rationed"
	simulator, err := s.startSimulator(ctx, account(1)...)
	if err != nil {
		return 0, err
	}
	if err := s.createNamespace(ctx, namespace); err != nil {
		return 0, err
	}
	asDefault := func(*v1alpha1.CBRProjectSpec) {}
	if err := s.createProject(ctx, namespace, projectName, simulator.URL, cbrtest.ProjectID, asDefault); err != nil {
		return 0, err
	}
	running, err := s.startOperator(ctx)
	if err != nil {
		return 0, err
	}
	done, err := s.whenImported(ctx, namespace, count)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := s.newHerd(namespace, projectName).add(ctx, count); err != nil {
		return 0, err
	}
	end := <-done
	if end.err != nil {
		return 0, end.err
	}
	if err := s.checkRationed(ctx, simulator, namespace, count); err != nil {
		return 0, err
	}
	return end.at.Sub(began), running.stop(ctx)
}

func (s *stand) checkRationed(ctx context.Context, simulator *cluster.Simulator, namespace string, count int) error {
	ledger, err := simulator.Ledger(ctx)
	if err != nil {
		return err
	}
	refused := refusedForRate(ledger.Answers)
	s.results.Add(report.Figure{Measure: "B3", Name: "refused", Work: rationedWork(count), Value: float64(refused),
		Text: fmt.Sprintf("%d of %d sync calls refused for their rate", refused, ledger.SyncCalls)})
	return s.checkImported(ctx, simulator, namespace, count)
}

func rationedWork(count int) string {
	return fmt.Sprintf("%s backups, %d calls a minute", grouped(count), accountCalls)
}

// refusedForRate counts the sync calls that were answered with 429, from answers by "operation status code".
func refusedForRate(answers map[string]int) int {
	refused := 0
	for answer, count := range answers {
		if strings.HasPrefix(answer, string(cbr.OperationImport)+" 429") {
			refused += count
		}
	}
	return refused
}

// race is what became of a rival.
type race struct {
	key, name string
	took      time.Duration // of reality
	imported  int
	count     int
}

// raceRivals lets the rivals run side by side, each with an account of its own. They mostly wait.
func (s *stand) raceRivals(ctx context.Context, count int, patience time.Duration) (terraform, plain race, err error) {
	compression := rivals.Compression(s.sizes.compression)
	ofTerraform, err := s.newTerraform(ctx, count, compression)
	if err != nil {
		return terraform, plain, err
	}
	ofPlain, err := s.newPlain(ctx, count, compression)
	if err != nil {
		return terraform, plain, err
	}
	ctx, cancel := context.WithTimeout(ctx, compression.Of(patience))
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		var err error
		plain, err = compete(ctx, "plain operator", ofPlain, compression, count)
		ended <- err
	}()
	terraform, err = compete(ctx, "Terraform", ofTerraform, compression, count)
	err = errors.Join(err, <-ended)
	terraform.key, plain.key = "faster-than-terraform", "faster-than-plain"
	return terraform, plain, err
}

// compete lets a rival import, until all is imported or its time is over.
func compete(ctx context.Context, name string, rival rivals.Rival, compression rivals.Compression, count int) (race, error) {
	began := time.Now()
	if err := rival.Run(ctx); err != nil {
		return race{}, fmt.Errorf("run the %s: %w", name, err)
	}
	return race{name: name, took: compression.Expand(time.Since(began)), imported: rival.Imported(), count: count}, nil
}

func (s *stand) newTerraform(ctx context.Context, count int, compression rivals.Compression) (rivals.Rival, error) {
	api, err := s.newAccount(ctx, compression)
	if err != nil {
		return nil, err
	}
	backups := make([]cbr.Backup, 0, count)
	for number := range count {
		backups = append(backups, backupItem(number))
	}
	return &rivals.Terraform{Client: api, Backups: backups, Compression: compression}, nil
}

func (s *stand) newPlain(ctx context.Context, count int, compression rivals.Compression) (rivals.Rival, error) {
	const namespace = "plain"
	api, err := s.newAccount(ctx, compression)
	if err != nil {
		return nil, err
	}
	if err := s.createNamespace(ctx, namespace); err != nil {
		return nil, err
	}
	if err := s.newHerd(namespace, projectName).add(ctx, count); err != nil {
		return nil, err
	}
	return &rivals.Plain{Config: s.cluster.Config, Namespace: namespace, Count: count, CBR: api, Compression: compression}, nil
}

// newAccount starts a CBR for a rival, and returns a client of it.
func (s *stand) newAccount(ctx context.Context, compression rivals.Compression) (*cbr.Client, error) {
	simulator, err := s.startSimulator(ctx, account(compression)...)
	if err != nil {
		return nil, err
	}
	token, err := auth.NewToken([]byte(cbrtest.Token), time.Time{})
	if err != nil {
		return nil, fmt.Errorf("make a rival's token: %w", err)
	}
	transport, err := (&cbr.Transports{}).For("")
	if err != nil {
		return nil, fmt.Errorf("make a rival's transport: %w", err)
	}
	return cbr.NewClient(cbr.Config{Endpoint: simulator.URL, ProjectID: cbrtest.ProjectID, Credential: token, Transport: transport})
}

// report compares a rival with the operator. One that was given up took at least as long as it was let run.
func (r race) report(s *stand, operator time.Duration) {
	ratio := report.Ratio(r.took, operator)
	text := fmt.Sprintf("%.0f x faster than %s: %s against %s", ratio, r.name, report.Seconds(operator), report.Seconds(r.took))
	if r.imported < r.count {
		text = fmt.Sprintf("more than %.0f x faster than %s: %s against %s, by when it had %s of %s", ratio, r.name,
			report.Seconds(operator), report.Seconds(r.took), grouped(r.imported), grouped(r.count))
	}
	s.results.Add(report.Figure{Measure: "B3", Name: r.key, Work: rationedWork(r.count), Value: ratio, Text: text})
}
