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
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
)

// passedOn is what a process knows that reads what others have left, at a time.
func passedOn(settling []v1alpha1.SettlingBackups, now time.Time) *knowledge {
	k := newKnowledge()
	k.inherit(&v1alpha1.Journal{Settling: settling}, now, time.Hour)
	return &k
}

// carriedAt is what a process knows whose calls settle at these seconds after noon, by the backups.
func carriedAt(settles map[string]int) *knowledge {
	k := newKnowledge()
	for id, at := range settles {
		k.settled[cbr.Fold(id)] = seconds(float64(at))
	}
	return &k
}

func declaring(id string) *v1alpha1.BackupSync {
	return &v1alpha1.BackupSync{Spec: v1alpha1.BackupSyncSpec{BackupID: id}}
}

func TestSettlingIsPassedOn(t *testing.T) {
	g := NewWithT(t)
	left := carriedAt(map[string]int{"A-1": 60, "b": 10, "over": -1}).settling(noon.Time)
	g.Expect(left).To(HaveLen(2))
	next := passedOn(left, seconds(100)) // by its own clock
	g.Expect(next.settlesAt("a-1")).To(BeTemporally("~", seconds(160), 2*time.Millisecond))
	g.Expect(next.settlesAt("B")).To(BeTemporally("~", seconds(110), 2*time.Millisecond))
	g.Expect(next.settlesAt("over")).To(BeZero())
	g.Expect(next.leftBehind(declaring("B"))).To(BeTrue(), "whether or not it has settled")
	g.Expect(next.leftBehind(declaring("other"))).To(BeFalse())
}

// Two processes that take turns do not make the time longer.
func TestSettlingEndsForProcessesThatTakeTurns(t *testing.T) {
	g := NewWithT(t)
	left := carriedAt(map[string]int{"a": 60}).settling(noon.Time)
	at := 0
	for ; len(left) > 0 && at < 200; at++ {
		next := passedOn(left, seconds(float64(at)))
		next.inherit(&v1alpha1.Journal{Settling: left}, seconds(float64(at+1)), time.Hour) // written anew, with something else
		left = next.settling(seconds(float64(at + 1)))
	}
	g.Expect(at).To(BeNumerically("~", 60, 1))
}

// What does not fit is told for more backups, and for longer, never for fewer.
func TestSettlingIsBounded(t *testing.T) {
	g := NewWithT(t)
	many := map[string]int{}
	for n := range 1000 {
		many[fmt.Sprint("b-", n)] = n + 1
	}
	left := carriedAt(many).settling(noon.Time)
	g.Expect(len(left)).To(BeNumerically("<=", maxSettling))
	next := passedOn(left, noon.Time)
	for id, at := range many {
		g.Expect(next.settlesAt(id)).To(BeTemporally(">=", seconds(float64(at))), id)
	}
	for n := range maxMarks + 1 {
		many[fmt.Sprint("b-", n)] = 5
	}
	many["b-0"] = 60
	left = carriedAt(many).settling(noon.Time)
	g.Expect(left).To(HaveLen(1))
	g.Expect(passedOn(left, noon.Time).settlesAt("anything")).To(BeTemporally(">=", seconds(60)))
}

// A damaged journal holds up all, and not for ever.
func TestSettlingThatCannotBeRead(t *testing.T) {
	g := NewWithT(t)
	next := passedOn([]v1alpha1.SettlingBackups{{InMilliseconds: 1 << 62, Backups: "no base64!"}}, noon.Time)
	g.Expect(next.settlesAt("a")).To(Equal(noon.Add(time.Hour)))
}
