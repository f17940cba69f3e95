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
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestDropSurvey(t *testing.T) {
	g := NewWithT(t)
	after := func(age time.Duration) *pass {
		p := &pass{now: noon.Add(age), memory: &memory{survey: newSurvey(noon.Time)}}
		p.dropSurvey()
		return p
	}

	counts := after(surveyLife - time.Millisecond)
	g.Expect(counts.memory.survey).NotTo(BeNil())
	g.Expect(counts.wake).To(Equal(noon.Add(surveyLife)), "a pass that drops it")

	over := after(surveyLife)
	g.Expect(over.memory.survey).To(BeNil())
	g.Expect(over.wake).To(BeZero())
	over.dropSurvey()
	g.Expect(over.wake).To(BeZero(), "none")
}
