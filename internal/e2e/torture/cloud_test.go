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

package torture_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"time"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/e2e/cluster"
	"backupsync.dev/operator/internal/e2e/testbed"
)

// Latencies of the cloud. Imports take long, so that much falls into them; reads do not, as lists may have many pages.
const (
	readLatency   = 30 * time.Millisecond
	importLatency = 400 * time.Millisecond
)

// cloud is how the simulated CBR of a run behaves, drawn at random.
type cloud struct {
	flags []string
	// capitals says that manifests spell ids in capitals.
	capitals bool
	policy   v1alpha1.LookupPolicy
	// refused are the backups that are not taken, failing those whose tasks fail, by their ids as they are sent.
	refused map[string]cbrtest.APIError
	failing map[string]bool
}

// draw draws a cloud for so many backups.
func draw(random *rand.Rand, total int) cloud {
	c := cloud{flags: []string{"--latency=" + readLatency.String(), "--task-duration=2s"}, policy: v1alpha1.LookupNever,
		refused: map[string]cbrtest.APIError{}, failing: map[string]bool{}}
	c.drawTasks(random)
	c.drawLists(random)
	c.drawErrors(random)
	if one(random, 2) {
		c.flag("--fold-case")
		c.capitals = true
	}
	if one(random, 3) { // seldom: it hides what the other rules are for
		c.policy = v1alpha1.LookupBeforeFirstSubmission
	}
	for range total / 200 {
		c.refused[c.id(random.IntN(total))] = pick(random, []cbrtest.APIError{
			{Code: "BackupService.7300", Message: "The vault cannot be synchronized", Shape: cbrtest.ShapeCBR},
			{Code: "BackupService.9900", Message: "Parameter error", Shape: cbrtest.ShapeNested},
			{Status: 404, Code: "BackupService.6302", Message: "No such resource", Shape: cbrtest.ShapeCBR},
		})
	}
	for range total / 100 {
		if id := c.id(random.IntN(total)); c.refused[id].Code == "" {
			c.failing[id] = true
		}
	}
	return c
}

func one(random *rand.Rand, in int) bool { return random.IntN(in) == 0 }

func pick[T any](random *rand.Rand, from []T) T { return from[random.IntN(len(from))] }

func (c *cloud) flag(flags ...string) { c.flags = append(c.flags, flags...) }

// drawTasks draws what tasks tell and when.
func (c *cloud) drawTasks(random *rand.Rand) {
	if one(random, 2) {
		c.flag("--hide-task-backup")
	}
	if one(random, 2) {
		c.flag("--hide-task-resource")
	}
	if one(random, 3) {
		c.flag("--shared-tasks")
	}
	if one(random, 2) {
		c.flag("--name-first")
	}
	if one(random, 2) {
		c.flag(fmt.Sprintf("--visible-after=%dms", random.IntN(3000)))
	}
	if one(random, 2) {
		c.flag("--failed-in-error")
	}
	if one(random, 2) {
		c.flag("--start-time-is-start")
	}
}

// drawLists draws what is wrong with lists, not all of it: short pages of a list that moves can never be read as a whole, nor can one that moves and has
// no count.
func (c *cloud) drawLists(random *rand.Rand) {
	count := pick(random, []string{"all", "all", "text"})
	switch random.IntN(3) {
	case 0:
		c.flag(fmt.Sprintf("--max-page=%d", 50+random.IntN(200)))
	case 1:
		c.flag(fmt.Sprintf("--list-shift=%d", 1+random.IntN(3)))
		count = "all"
	}
	c.flag("--count=" + count)
}

// drawErrors draws how the cloud says that something is not there or not in order.
func (c *cloud) drawErrors(random *rand.Rand) {
	c.flag("--error-shape=" + pick(random, []string{"cbr", "nested", "numeric", "openstack"}))
	for _, each := range []struct {
		flag  string
		codes []string
	}{{"--task-not-found", []string{"6500", "6501"}}, {"--backup-not-found", []string{"6200", "6201", "6217"}}} {
		answer := pick(random, []string{`{"shape":"openstack"}`, `{"shape":"empty"}`, `{"code":"BackupService.%s"}`, `{"code":"BackupService.%s"}`})
		if strings.Contains(answer, "%s") {
			answer = fmt.Sprintf(answer, pick(random, each.codes))
		}
		c.flag(each.flag + "=" + answer)
	}
}

// id returns the id of a backup as manifests spell it.
func (c *cloud) id(number int) string {
	return c.spelt(fmt.Sprintf("1f9e6b47-7655-4a19-b563-%012d", number))
}

// spelt returns an id in lower case as manifests spell it.
func (c *cloud) spelt(id string) string {
	if c.capitals {
		return strings.ToUpper(id)
	}
	return id
}

// String tells what was drawn.
func (c *cloud) String() string {
	return fmt.Sprintf("%s; lookupPolicy %s, capitals %t, %d backups refused, %d fail",
		strings.Join(c.flags, " "), c.policy, c.capitals, len(c.refused), len(c.failing))
}

// setUp tells a simulator what cannot be told by flags.
func (c *cloud) setUp(ctx context.Context, simulator *cluster.Simulator) error {
	outcomes := map[string]any{}
	for id := range c.failing {
		outcomes[id] = map[string]string{"status": "failed", "code": "BackupService.1006", "message": "The import failed"}
	}
	for what, body := range map[string]any{"rejects": c.refused, "outcomes": outcomes, "faults": slowImports(nil)} {
		if err := simulator.Steer(ctx, what, body); err != nil {
			return err
		}
	}
	return nil
}

// slowImports are the faults that let all imports take long, the first of them with something besides.
func slowImports(first map[string]any) []map[string]any {
	faults := []map[string]any{{"operation": cbr.OperationImport, "times": -1, "delay": importLatency.String()}}
	if first == nil {
		return faults
	}
	first["operation"] = cbr.OperationImport
	if first["delay"] == nil {
		first["delay"] = importLatency.String()
	}
	return append([]map[string]any{first}, faults...)
}

// spoiled are the faults of a single import. One is carried out after its sender has given up.
var spoiled = []map[string]any{
	{"closeAfter": true}, {"truncate": true}, {"missingIDs": 2}, {"foreignIDs": 2}, {"delay": "3500ms"}, {"closeBefore": true},
	{"status": 500, "code": "BackupService.1006", "acceptItems": 2}, {"status": 504, "shape": "html", "acceptItems": -1}, {"empty200": true, "acceptItems": -1},
}

// refusals are what calls may be answered with for a few seconds.
var refusals = []map[string]any{
	{"calls": "reads", "status": 500, "code": "BackupService.9910", "message": "Internal error"},
	{"calls": "reads", "status": 400, "shape": "openstack", "message": "Invalid project"},
	{"calls": "reads", "status": 502, "shape": "html"},
	{"calls": "ImportBackup", "status": 503, "code": "APIGW.0613", "message": "The backend is not available"},
	{"calls": "ImportBackup", "status": 400, "code": "BackupService.7302", "message": "The vault is being synchronized"},
	{"calls": "ImportBackup", "status": 403, "shape": "html"},
	{"status": 502, "shape": "html"},
	{"status": 403, "shape": "html"},
}

// disturb lets something go wrong in the cloud, again and again, until the context ends; then all is well. It returns how often
// it did.
func disturb(ctx context.Context, random *rand.Rand, simulator *cluster.Simulator) (counts map[string]int, err error) {
	counts = map[string]int{}
	for err == nil && wait(ctx, time.Duration(2+random.IntN(8))*time.Second) {
		if one(random, 3) {
			counts["outages"]++
			err = refuse(ctx, simulator, pick(random, refusals), time.Duration(500+random.IntN(3500))*time.Millisecond)
		} else {
			counts["spoiled calls"]++
			err = spoil(ctx, simulator, pick(random, spoiled))
		}
	}
	if ctx.Err() != nil { // a call that was broken off by it is no failure
		err = nil
	}
	if err != nil {
		return counts, err
	}
	calm := context.WithoutCancel(ctx)
	return counts, simulator.Steer(calm, "options", map[string]any{"refusals": []any{}})
}

func refuse(ctx context.Context, simulator *cluster.Simulator, what map[string]any, length time.Duration) error {
	refusal := maps.Clone(what)
	refusal["for"] = length.String()
	return simulator.Steer(ctx, "options", map[string]any{"refusals": []any{refusal}})
}

// spoil lets the next import go wrong.
func spoil(ctx context.Context, simulator *cluster.Simulator, what map[string]any) error {
	first := maps.Clone(what)
	if err := simulator.ClearFaults(ctx); err != nil {
		return err
	}
	return simulator.Steer(ctx, "faults", slowImports(first))
}

// wait lets a time go by, and reports whether the context has not ended.
func wait(ctx context.Context, length time.Duration) bool { return testbed.Pause(ctx, length) == nil }
