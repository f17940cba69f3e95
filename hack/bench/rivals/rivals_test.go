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

package rivals

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

func TestCompression(t *testing.T) {
	if got := Compression(30).Of(time.Minute); got != 2*time.Second {
		t.Errorf("a minute takes %s", got)
	}
	if got := Compression(30).Expand(2 * time.Second); got != time.Minute {
		t.Errorf("2 s stand for %s", got)
	}
}

func TestBackoff(t *testing.T) {
	for retry, want := range map[int]time.Duration{0: time.Minute, 1: 2 * time.Minute, 4: 16 * time.Minute, 5: 30 * time.Minute, 9: 30 * time.Minute} {
		if got := backoff(retry); got != want {
			t.Errorf("retry %d waits %s", retry, got)
		}
	}
}

func TestBucket(t *testing.T) {
	now, b := time.Now(), &bucket{interval: 100 * time.Millisecond, burst: 3}
	for i, want := range []time.Duration{0, 0, 0, 100 * time.Millisecond, 200 * time.Millisecond} {
		if got := b.reserve(now); got != want {
			t.Errorf("retry %d waits %s, not %s", i, got, want)
		}
	}
	if got := b.reserve(now.Add(500 * time.Millisecond)); got != 0 {
		t.Errorf("after a rest a retry waits %s", got)
	}
}

// apply runs Terraform against a CBR in memory on the clock of a bubble, and returns how long it took.
func apply(t *testing.T, options cbrtest.Options, count int) (*Terraform, time.Duration) {
	t.Helper()
	cloud := cbrtest.New(options)
	token, err := auth.NewToken([]byte(cbrtest.Token), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	api, err := cbr.NewClient(cbr.Config{Endpoint: "http://cbr", ProjectID: cbrtest.ProjectID, Credential: token, Transport: direct{cloud}})
	if err != nil {
		t.Fatal(err)
	}
	terraform, start := &Terraform{Client: api, Backups: cbrtest.Backups(count), Compression: 1}, time.Now()
	if err := terraform.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return terraform, time.Since(start)
}

func TestTerraform(t *testing.T) {
	for name, test := range map[string]struct {
		options cbrtest.Options
		count   int
		want    time.Duration
	}{
		"polls each task after 10 s":           {cbrtest.Options{}, 1, 10 * time.Second},
		"and every 10 s after that":            {cbrtest.Options{TaskDuration: 25 * time.Second}, 1, 30 * time.Second},
		"creates ten at a time":                {cbrtest.Options{}, 30, 30 * time.Second},
		"waits a minute when it was throttled": {cbrtest.Options{SyncCallsPerMinute: 2}, 3, 70 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				terraform, took := apply(t, test.options, test.count)
				if terraform.Imported() != test.count || took.Round(time.Second) != test.want {
					t.Errorf("imported %d in %s", terraform.Imported(), took)
				}
			})
		})
	}
}

func TestTerraformIsStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (&Terraform{Backups: cbrtest.Backups(1), Compression: 1}).Run(ctx); err != nil {
		t.Error(err)
	}
}
