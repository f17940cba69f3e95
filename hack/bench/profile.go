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
	"os"
	"path/filepath"
	"time"

	"backupsync.dev/operator/hack/bench/record"
)

// collectGarbage has the operator collect its garbage, and returns a profile of what is alive. The first collection
// still finds what finalizers and pools hold.
func collectGarbage(ctx context.Context, running *operator) ([]byte, error) {
	var profile []byte
	for range 2 {
		var err error
		if profile, err = record.Get(ctx, running.profiles+"heap?gc=1"); err != nil {
			return nil, fmt.Errorf("collect the operator's garbage: %w", err)
		}
	}
	return profile, nil
}

// cpuProfile is how long a profile of the processor time is taken.
const cpuProfile = 10 * time.Second

// profileCPU takes a profile of the operator while it works, if that was asked for: it costs some per cent.
func (s *stand) profileCPU(ctx context.Context, running *operator, name string) <-chan error {
	done := make(chan error, 1)
	if !s.profile {
		done <- nil
		return done
	}
	go func() {
		profile, err := record.Get(ctx, fmt.Sprintf("%sprofile?seconds=%d", running.profiles, int(cpuProfile.Seconds())))
		done <- errors.Join(err, s.keepProfile(name, profile))
	}()
	return done
}

// profileAllocations keeps a profile of all that the operator has allocated since its start, if that was asked for.
func (s *stand) profileAllocations(ctx context.Context, running *operator, name string) error {
	if !s.profile {
		return nil
	}
	profile, err := collectGarbage(ctx, running) // else the latest allocations are not in it
	return errors.Join(err, s.keepProfile(name, profile))
}

// keepProfile writes a profile of the operator beside the results.
func (s *stand) keepProfile(name string, profile []byte) error {
	if err := os.WriteFile(filepath.Join(s.folder, name), profile, 0o644); err != nil {
		return fmt.Errorf("write the profile %s: %w", name, err)
	}
	return nil
}
