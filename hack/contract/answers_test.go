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

package contract

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/cbr/v1/model"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// judge lets the SDK ask. It fails unless the SDK loses nothing of the answer, and our client reads the same in it. It returns
// what the SDK read.
func (s *stage) judge(t *testing.T, asked question) any {
	t.Helper()
	read, err := asked.sdk(s.sdk)
	if err != nil {
		t.Fatalf("%s: the SDK got %v", asked.operation, err)
	}
	_, answered := s.recorder.last()
	if lost := differences("", decode(t, answered.body), reflect.ValueOf(read)); len(lost) > 0 {
		t.Errorf("%s: %s\nof %s", asked.operation, strings.Join(lost, "\n"), answered.body)
	}
	ours, err := asked.ours(t.Context(), s.ours(t, answered))
	if err != nil {
		t.Fatalf("%s: our client got %v\nof %s", asked.operation, err, answered.body)
	}
	if same := asked.same(read); !alike(ours, same) {
		t.Errorf("%s: our client read %+v, the SDK %+v\nof %s", asked.operation, ours, same, answered.body)
	}
	return read
}

// alike reports whether two values are the same, lists without elements and no lists among them.
func alike(a, b any) bool { return fmt.Sprintf("%#v", a) == fmt.Sprintf("%#v", b) }

// outcomes are the ends of the tasks of the first backups.
var outcomes = []cbrtest.Outcome{
	{},
	{Status: cbr.TaskFailed, Code: "BackupService.7301", Message: `The backup "a<b>" & 备份 do not exist`},
	{Status: cbr.TaskSkipped, Message: "a message alone"},
	{Status: cbr.TaskTimeout, Code: "BackupService.1006"},
	{Status: cbr.TaskSuccess, FailedBackups: 1},
	{Status: "paused"},
	{BackupStatus: "error"},
	{BackupStatus: "deleting"},
}

const taskDuration = time.Minute

// backupsWithOutcomes makes a backup for each of the outcomes, and what lets its task end so.
func backupsWithOutcomes() ([]cbr.Backup, func(cbr.Backup) cbrtest.Outcome) {
	backups, ends := cbrtest.Backups(len(outcomes)), map[string]cbrtest.Outcome{}
	for i := range backups {
		backups[i].ID = strings.ToUpper(backups[i].ID)
		ends[backups[i].ID] = outcomes[i]
	}
	backups[0].Name, backups[0].ResourceName = "备份-1", `"<vm> & 虚拟机"\`
	backups[1].ResourceName = ""
	return backups, func(backup cbr.Backup) cbrtest.Outcome { return ends[backup.ID] }
}

// variants are clouds in which the SDK must find its way.
var variants = map[string]cbrtest.Options{
	"as documented":               {},
	"over TLS":                    {TLS: true},
	"one task for a call":         {SharedTaskIDs: true},
	"that names the first":        {SharedTaskIDs: true, NameFirst: true},
	"tasks name no backup":        {HideTaskBackup: true},
	"tasks name no resource":      {HideTaskResource: true},
	"tasks name nothing":          {HideTaskBackup: true, HideTaskResource: true},
	"ids in lower case":           {FoldCase: true},
	"ids must be UUIDs":           {RequireUUIDs: true},
	"start_time is the start":     {StartTimeIsStart: true},
	"failures leave something":    {FailedInError: true},
	"lists of a project":          {NarrowLists: true},
	"lists of the default alone":  {GrantDefaultOnly: true},
	"lists whose order moves":     {ListShift: 3},
	"short pages":                 {MaxPage: 2},
	"no count":                    {Count: cbrtest.CountMissing},
	"the count of a page":         {Count: cbrtest.CountPage},
	"a count that is too small":   {Count: cbrtest.CountLess},
	"a count that is too large":   {Count: cbrtest.CountMore},
	"a count of zero":             {Count: cbrtest.CountZero},
	"errors in another shape":     {ErrorShape: cbrtest.ShapeNested},
	"backups are seen some later": {VisibleAfter: taskDuration / 2},
}

func TestTheSDKLosesNothingAndReadsWhatOurClientReads(t *testing.T) {
	for name, options := range variants {
		t.Run(name, func(t *testing.T) {
			backups, ends := backupsWithOutcomes()
			options.TaskDuration, options.TaskOutcome = taskDuration, ends
			s := newStage(t, options)
			s.AddBackups("", cbr.StoredBackup{ID: cbrtest.Backup(100).ID, Status: "waiting_restore"})
			imported := s.judge(t, importing(backups...)).(*model.ImportBackupResponse)
			if len(s.Accepted()) != len(backups) || len(s.AcceptedTwice()) > 0 {
				t.Fatalf("accepted: %v, want each of %d once", s.Accepted(), len(backups))
			}
			for _, wait := range []time.Duration{options.VisibleAfter, taskDuration / 2, taskDuration} { // waiting, running, ended
				s.later(wait)
				s.judgeReads(t, *imported.Sync)
			}
			for _, id := range append(s.StoredBackups(""), backups[0].ID) {
				s.judge(t, gettingBackup(id))
			}
		})
	}
}

// judgeReads judges what is to be seen after an import, but for single backups, which may not be there.
func (s *stage) judgeReads(t *testing.T, imported []model.BackupSyncRespBody) {
	t.Helper()
	for _, each := range imported {
		s.judge(t, gettingTask(each.OperationLogId))
	}
	for _, page := range [][2]int{{1000, 0}, {3, 0}, {3, 3}, {1, 1000}} {
		s.judge(t, listingTasks(page[0], page[1]))
		s.judge(t, listingBackups(page[0], page[1]))
	}
}
