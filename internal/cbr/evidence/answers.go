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

package evidence

import (
	"sync/atomic"

	"backupsync.dev/operator/internal/cbr"
)

// answers are those to single questions, of which several are asked at the same time.
type answers struct {
	failures atomic.Int32          // in a row
	answered atomic.Int32          // in all
	failure  atomic.Pointer[error] // that concerns all, if no other was answered or by what it says
}

func (a *answers) note(err error) {
	switch {
	case err == nil:
		a.answered.Add(1)
		a.failures.Store(0)
	case cbr.ClassOf(err) == cbr.Rejected: // it is for this id that CBR refuses it
		a.answered.Add(1)
	case ofAll(err):
		a.failures.Store(maxFailures)
		a.failure.Store(&err)
	case a.failures.Add(1) >= maxFailures:
		a.failure.CompareAndSwap(nil, &err)
	}
}

// enough reports whether the others need not be asked.
func (a *answers) enough() bool { return a.failures.Load() >= maxFailures }

// ofAll returns the failure that concerns all, nil if there is none.
func (a *answers) ofAll() error {
	if err := a.failure.Load(); err != nil && (ofAll(*err) || a.answered.Load() == 0) {
		return *err
	}
	return nil
}

// unclear reports whether too few questions have failed, and none was answered, to tell whether it is for what they ask.
func (a *answers) unclear() bool { return a.failures.Load() > 0 && a.answered.Load() == 0 }
