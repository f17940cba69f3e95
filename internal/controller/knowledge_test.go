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
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/cbr/evidence"
)

// Whatever else is asked about: nothing is asked about later than half as long again as its own wait.
func TestWhenCBRIsAskedAgain(t *testing.T) {
	now := time.Unix(1000, 0)
	in := func(seconds float64) time.Time { return now.Add(time.Duration(seconds * float64(time.Second))) }
	for name, c := range map[string]struct{ others, own, want time.Time }{
		"nothing else is":                        {time.Time{}, in(1), in(1)},
		"others were, a moment ago":              {in(-0.01), in(1), in(1)},
		"others are, soon":                       {in(0.4), in(1), in(0.4)},
		"others are, a little later":             {in(1.5), in(1), in(1.5)},
		"others are, too late":                   {in(1.51), in(1), in(1)},
		"others are, a little after a long wait": {in(80), in(60), in(80)},
	} {
		t.Run(name, func(t *testing.T) {
			g, learnt := NewWithT(t), knowledge{askedAt: c.others}
			g.Expect(learnt.together(now, c.own)).To(Equal(c.want))
			g.Expect(learnt.askedAt).To(Equal(c.want), "for those after it")
		})
	}
}

// What looks that ask for each backup may take follows from how long they took: an answer that is not believed any more when it is over is
// none.
func TestHowMuchOneLookAsksFor(t *testing.T) {
	g, learnt := NewWithT(t), newKnowledge()
	began, beside := time.Unix(1000, 0), time.Duration(0)
	took := func(asked int, took time.Duration) {
		look := &evidence.Look{Began: began, Tasks: &evidence.TaskList{}, Backups: evidence.NewInventory(0)}
		look.Backups.Asked, look.Backups.Asking = asked, took
		learnt.timed(look, began.Add(took+beside))
	}
	g.Expect(learnt.questionsInTime()).To(Equal(400), "40 s at the slowest pace of our own")
	took(400, 20*time.Second)
	g.Expect(learnt.questionsInTime()).To(Equal(400), "no more, however fast it was")
	took(400, 120*time.Second)
	g.Expect(learnt.questionsInTime()).To(Equal(101), "one more is tried")
	took(3, time.Second)
	g.Expect(learnt.questionsInTime()).To(Equal(101), "few tell nothing")
	took(50, 500*time.Second)
	g.Expect(learnt.questionsInTime()).To(Equal(4))
	took(4, 80*time.Second)
	g.Expect(learnt.questionsInTime()).To(Equal(2), "few tell where no more may be asked")
	took(2, 45*time.Second)
	took(2, 20*time.Second)
	g.Expect(learnt.questionsInTime()).To(Equal(4), "it goes faster again")
	beside = 40 * time.Second
	took(20, 2*time.Second)
	g.Expect(learnt.questionsInTime()).To(Equal(51), "in what lists leave of the time")
	beside = time.Minute
	took(20, 2*time.Second)
	g.Expect(learnt.questionsInTime()).To(Equal(1), "they leave nothing")
	beside = 0
	took(1, 300*time.Millisecond)
	g.Expect(learnt.questionsInTime()).To(Equal(101), "one more is tried")
}

// A look is of as many calls as may be asked about in time, or of a part of one.
func TestHowManyLostCallsOneLookIsAbout(t *testing.T) {
	g := NewWithT(t)
	submission := func(id string) v1alpha1.Submission {
		call := v1alpha1.Submission{ID: id}
		for number := range 50 {
			call.Items = append(call.Items, v1alpha1.SubmittedItem{BackupID: fmt.Sprintf("%s-%d", id, number)})
		}
		return call
	}
	settled := []v1alpha1.Submission{submission("a"), submission("b"), submission("C")}
	r := newPassOf(step{nil, &scope{now: time.Unix(1000, 0)}, &nextPass{}}, &memory{}).resolver()
	r.evidence.perQuestion = 300 * time.Millisecond
	now, more := r.limitLook(settled)
	g.Expect(now).To(HaveLen(3), "one list serves them all")
	g.Expect(more).To(BeFalse())
	r.evidence.narrowed = true
	now, more = r.limitLook(settled)
	g.Expect(now).To(HaveLen(2))
	g.Expect(more).To(BeTrue())
	now, more = r.limitLook(settled[2:])
	g.Expect(now).To(HaveLen(1))
	g.Expect(more).To(BeFalse())

	r.evidence.perQuestion = 3 * time.Second
	now, more = r.limitLook(settled)
	g.Expect(now).To(HaveLen(1))
	g.Expect(more).To(BeTrue())
	g.Expect(r.limitItems(make([]openItem, 50))).To(And(HaveLen(50), WithTransform(countLater, Equal(39))), "about eleven")
	r.evidence.narrowed = false
	g.Expect(r.limitItems(make([]openItem, 50))).To(And(HaveLen(50), WithTransform(countLater, BeZero())), "the list tells")
}

// countLater counts the items about which CBR is not asked.
func countLater(items []openItem) (later int) {
	for _, item := range items {
		if item.later {
			later++
		}
	}
	return later
}

// Whoever takes over learns from the journal how CBR's clocks differ, and waits for no backups of tasks that have long ended.
func TestASuccessorDoesNotWaitForWhatHasEnded(t *testing.T) {
	scripted(t, v1alpha1.LookupBeforeFirstSubmission, 3, func(t *testing.T, w *world) {
		w.configure(func(o *cbrtest.Options) { o.SharedTaskIDs = true }) // any task may be that of any backup
		if !w.liveUntil(w.actors[0], 10*time.Minute, w.allImported) {
			t.Fatalf("they are %v", w.reasons())
		}
		w.live(w.actors[0], 5*propertySettle)
		before := len(w.posts())
		if lag := w.project().Status.Journal.TaskDateLagMilliseconds; lag == nil || *lag < 1000 || *lag > 30_000 {
			t.Fatalf("the journal says %v", lag)
		}
		w.kill(w.actors[0])
		w.restart(0)
		w.declare("new", itemOf(20).ID, itemOf(0).ResourceID)
		const within = propertySettle / 2
		if !w.liveUntil(w.actors[0], within, func() bool { return len(w.posts()) > before }) {
			t.Errorf("%s later it is %s", within, w.reason("new"))
		}
	})
}

func TestHowFarCBRsDatesAreBehind(t *testing.T) {
	g, learnt := NewWithT(t), newKnowledge()
	milliseconds := func(count int64) *int64 { return &count }
	g.Expect(learnt.dateLagWith(nil)).To(BeZero())
	g.Expect(learnt.dateLagWith(milliseconds(4000))).To(Equal(4 * time.Second))
	g.Expect(usableLag(learnt.dateLagWith(milliseconds(1<<60)))).To(BeNil(), "a damaged status")
	learnt.learnDateLag(time.Hour) // of what ended long before it was looked at
	g.Expect(usableLag(learnt.dateLagWith(nil))).To(BeNil())
	learnt.learnDateLag(7 * time.Second)
	learnt.learnDateLag(2 * time.Second)
	g.Expect(*usableLag(learnt.dateLagWith(milliseconds(4000)))).To(Equal(8*time.Second), "a Date has whole seconds")

	learnt.doubtDates(12*time.Second, 4*time.Second, time.Second)
	g.Expect(learnt.dateLag).To(Equal(8*time.Second), "it may have ended as it was seen under way")
	learnt.doubtDates(23*time.Second, 5*time.Second, 2*time.Second)
	g.Expect(learnt.dateLag).To(Equal(26*time.Second), "of another clock")
	learnt.doubtDates(time.Minute, 5*time.Second, 0)
	g.Expect(usableLag(learnt.dateLag)).To(BeNil(), "dates tell nothing")
}

// A project that turns to another cloud project while it is suspended leaves behind what it has learnt of the first.
func TestTheLagOfOneCloudIsNotThatOfAnother(t *testing.T) {
	scripted(t, v1alpha1.LookupBeforeFirstSubmission, 3, func(t *testing.T, w *world) {
		a := w.actors[0]
		w.configure(func(o *cbrtest.Options) {
			o.HideTaskBackup, o.HideTaskResource = true, true
			o.ProjectIDs = []string{cbrtest.ProjectID, "another"}
		})
		w.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Poll.OverdueAfter.Duration = 6 * time.Hour })
		if !w.liveUntil(a, 10*time.Minute, w.allImported) {
			t.Fatalf("they are %v", w.reasons())
		}
		w.live(a, 10*time.Minute)
		w.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.ProjectID, spec.Suspend = "another", true })
		w.live(a, time.Minute)
		w.declare("new", itemOf(20).ID, itemOf(20).ResourceID)
		w.live(a, time.Minute)
		if journal := w.project().Status.Journal; journal.TaskDateLagMilliseconds != nil {
			t.Errorf("of %s, of which no task was ever seen, the journal says %d ms", journal.CloudProject, *journal.TaskDateLagMilliseconds)
		}
		w.configure(func(o *cbrtest.Options) { o.TimeOffset, o.TaskDuration = -50*time.Second, 20*time.Second }) // less than ten settling times
		w.endsAs(func(cbr.Backup) cbrtest.Outcome { return cbrtest.Outcome{BackupAfter: propertySettle - time.Second} })
		w.editProject(func(spec *v1alpha1.CBRProjectSpec) { spec.Suspend = false })
		w.loseTheNext(answerLost)
		if !w.liveUntil(a, 30*time.Minute, w.allImported) {
			t.Errorf("it is %s", w.reason("new"))
		}
		w.wantTries(t, 1, itemOf(20).ID)
	})
}

// That dates are further behind than the journal says is written at once: another process would believe them.
func TestDatesThatAreFurtherBehindThanTheJournalSays(t *testing.T) {
	scripted(t, v1alpha1.LookupBeforeFirstSubmission, 3, func(t *testing.T, w *world) {
		if !w.liveUntil(w.actors[0], 10*time.Minute, w.allImported) {
			t.Fatalf("they are %v", w.reasons())
		}
		w.live(w.actors[0], 10*time.Minute)
		lag := func() time.Duration {
			if known := w.project().Status.Journal.TaskDateLagMilliseconds; known != nil {
				return time.Duration(*known) * time.Millisecond
			}
			return 0
		}
		if lag() <= 0 || lag() > 10*time.Second {
			t.Fatalf("the journal says %s", lag())
		}
		w.configure(func(o *cbrtest.Options) { o.TimeOffset, o.TaskDuration = -25*time.Second, time.Minute })
		w.declare("new", itemOf(20).ID, itemOf(20).ResourceID)
		w.declare("newer", itemOf(21).ID, itemOf(21).ResourceID) // of one alone CBR tells no Date
		if !w.liveUntil(w.actors[0], 10*time.Minute, w.allImported) {
			t.Fatalf("it is %s", w.reason("new"))
		}
		w.live(w.actors[0], 100*time.Millisecond)
		if lag() < 25*time.Second {
			t.Errorf("when it is imported, the journal says %s", lag())
		}
	})
}
