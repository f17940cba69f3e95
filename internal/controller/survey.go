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

package controller

import (
	"hash/maphash"
	"time"
)

// surveyLife is how long a look at all of CBR's backups counts for those that are declared after it. It is of the order of
// the time that the look takes: a thousand manifests that are applied one after the other need few of them.
const surveyLife = 30 * time.Second

// survey is what a list of all backups, and of the tasks under way, has shown: what is not in it was not in CBR.
type survey struct {
	began time.Time
	// seen holds hashes of ids. Two ids with the same hash cost a question, not a mistake.
	seen map[uint64]struct{}
	// whole says that the list was read to its end.
	whole bool
}

var surveySeed = maphash.MakeSeed()

func newSurvey(began time.Time) *survey { return &survey{began: began, seen: map[uint64]struct{}{}} }

// note notes a backup that is, or may be, in CBR.
func (s *survey) note(backupID string) {
	if s != nil {
		s.seen[maphash.String(surveySeed, fold(backupID))] = struct{}{}
	}
}

// over says whether a survey no longer counts.
func (s *survey) over(now time.Time) bool { return s == nil || now.Sub(s.began) >= surveyLife }

// excludes says whether a backup was certainly not in CBR.
func (s *survey) excludes(backupID string) bool {
	_, seen := s.seen[maphash.String(surveySeed, fold(backupID))]
	return !seen
}

// dropSurvey drops a survey that no longer counts, which takes some 20 bytes for each backup in CBR, now or when it is time.
func (p *pass) dropSurvey() {
	if p.memory.survey.over(p.now) {
		p.memory.survey = nil
		return
	}
	p.wakeAt(p.memory.survey.began.Add(surveyLife))
}
