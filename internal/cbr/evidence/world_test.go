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
	"fmt"
	"strings"
	"time"

	"backupsync.dev/operator/internal/cbr"
)

// dice makes choices from a script. When it has come to the end of the script, it chooses the simplest: 0.
type dice struct{ script []byte }

func (d *dice) roll(sides int) int {
	if len(d.script) == 0 {
		return 0
	}
	value := int(d.script[0]) % sides
	d.script = d.script[1:]
	return value
}

func (d *dice) is() bool { return d.roll(2) == 1 }

// pick returns one of some values.
func pick[T any](d *dice, values ...T) T { return values[d.roll(len(values))] }

// What all worlds have in common.
const (
	worldSettle  = time.Minute
	worldOverdue = time.Hour
	never        = 1000 * time.Hour
)

var worldBegan = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// worldTask is a task of a call.
type worldTask struct {
	id, names, resource string
	label               cbr.TaskStatus // until it has ended
	created             bool           // whether created_at is told
	accepted, visible   time.Time
	ended               time.Time
	status              cbr.TaskStatus // when it has ended
	untimed             bool           // it does not tell when
	failed              int            // err_sync_backup_num
	filler              bool
	ahead               time.Duration // of the clock by which it is dated
}

func (t *worldTask) view(now time.Time) cbr.OperationLog {
	log := cbr.OperationLog{ID: t.id, OperationType: cbr.OperationSync, Status: t.label}
	log.ExtraInfo.Backup.ID, log.ExtraInfo.Resource.ID = t.names, t.resource
	if t.created {
		log.CreatedAt.Time = t.accepted.Add(t.ahead)
	}
	if !now.Before(t.ended) {
		log.Status, log.ExtraInfo.Sync.FailedBackups = t.status, t.failed
		if !t.untimed {
			log.EndedAt.Time = t.ended.Add(t.ahead)
		}
	}
	return log
}

// worldBackup is a backup that is in CBR, or will be.
type worldBackup struct {
	id      string
	status  cbr.BackupStatus
	visible time.Time
	filler  bool
}

// acceptance is that of one backup in one call.
type acceptance struct {
	item    int // of the world's items
	call    *worldCall
	task    *worldTask
	succeed bool
}

type worldCall struct {
	lost     bool // recorded, its outcome is not known
	answered bool
	whole    bool // answered, and known with all its backups
	members  []int
	arrived  bool
	accepted time.Time
}

// world is a CBR, and what the operator knows of it.
type world struct {
	*dice
	now time.Time

	// How CBR behaves.
	perCall, named, showsResource bool
	longest                       int // page
	cuts                          bool
	count                         countMode
	inserts, deletes, swaps       bool
	storesAsSent, exactGet        bool
	narrowed                      bool // lists do not show the items' backups, all of which are there
	flaky                         bool
	ahead                         time.Duration // of the clock by which tasks are dated
	dates                         dating
	dateLag                       *time.Duration // how far that clock is behind CBR's Date at most, if tasks have told
	watched                       bool           // earlier looks have seen its tasks, whenever they have changed

	items    []Question // about which backups it is; those from asked on are nobody's question
	asked    int
	tasks    []*worldTask
	backups  []*worldBackup
	accepted []acceptance
	owners   map[string]Owner
	scope    TaskScope
	number   int
	late     bool // the judge is asked late, when others have imported meanwhile
}

// dating is what CBR tells as the date of an answer.
type dating int

const (
	byTasksClock dating = iota
	byOurClock
	undated
	datings
)

// date is when CBR answers, as it says.
func (w *world) date() time.Time {
	switch w.dates {
	case byTasksClock:
		return w.now.Add(w.ahead).Truncate(time.Second)
	case byOurClock:
		return w.now.Truncate(time.Second)
	default:
		return time.Time{}
	}
}

// misdated reports whether CBR dates tasks far earlier than its answers. As is assumed, all that have ended were seen under way then.
func (w *world) misdated() bool { return w.dates == byOurClock && w.ahead < -doubtfulFor*worldSettle }

// learntLag is a lag that tasks which were seen to have ended may have told: no less than it is, and nil where it is too long to be learnt.
func (w *world) learntLag() *time.Duration {
	lag := time.Second // a Date has no fractions
	if w.dates == byOurClock {
		lag += max(0, -w.ahead)
	}
	if w.dates == undated || lag > 30*time.Second || w.is() {
		return nil
	}
	lag = pick(w.dice, lag, 30*time.Second)
	return &lag
}

// countMode is what CBR tells as the count of a list.
type countMode int

const (
	honest countMode = iota
	noCount
	countOfPage
	countOfRest
	countTooHigh
	countTooLow
	countModes
)

func newWorld(d *dice) *world {
	w := &world{dice: d, now: worldBegan, owners: map[string]Owner{}}
	w.perCall, w.named, w.showsResource = d.is(), d.is(), d.is()
	w.count = countMode(d.roll(int(countModes)))
	w.longest = pick(d, cbr.MaxPageSize, 2, 3, 5)
	w.cuts = w.count == honest && d.is()
	w.inserts, w.deletes = d.is(), d.is()
	w.swaps = w.count == honest && !w.deletes && d.is()
	w.storesAsSent, w.exactGet = d.is(), d.is()
	w.narrowed, w.flaky = d.roll(4) == 1, d.roll(4) == 1
	w.late = d.roll(5) == 1
	w.ahead = pick(d, 0, -29*time.Second, -2*time.Minute, 2*time.Minute, -8*time.Hour, 8*time.Hour, 80*365*24*time.Hour)
	w.dates = dating(d.roll(int(datings)))
	w.dateLag = w.learntLag()
	w.watched = d.is() || w.misdated()
	if d.is() && w.perCall {
		w.scope = PerCall
	} else if d.is() && !w.perCall {
		w.scope = PerBackup
	}
	w.makeItems()
	for range d.roll(6) {
		w.add(&worldBackup{id: w.newID("filler"), status: "available", filler: true})
	}
	for range d.roll(6) {
		w.addTask(w.fillerTask())
	}
	for range d.roll(4) {
		w.makeCall()
	}
	return w
}

func (w *world) newID(kind string) string {
	w.number++
	return fmt.Sprintf("%s-%d", kind, w.number)
}

func (w *world) makeItems() {
	for range 1 + w.roll(4) {
		id := pick(w.dice, strings.ToLower, strings.ToUpper)(w.newID("b"))
		w.items = append(w.items, Question{BackupID: id, ResourceID: pick(w.dice, "r1", "r2")})
		if w.roll(4) == 1 || w.narrowed { // it was there before
			w.add(&worldBackup{id: w.stored(id), status: w.anyStatus()})
		}
	}
	w.asked = len(w.items)
	if w.roll(3) == 1 {
		w.asked = 1 + w.roll(len(w.items)) // the look serves the others, too
	}
}

func (w *world) anyStatus() cbr.BackupStatus {
	return pick(w.dice, cbr.BackupAvailable, cbr.BackupError, cbr.BackupDeleting, cbr.BackupRestoring, "odd", cbr.BackupWaitingRestore)
}

// stored is an id as CBR keeps it.
func (w *world) stored(id string) string {
	if w.storesAsSent {
		return id
	}
	return strings.ToLower(id)
}

// add adds a backup, at a place that depends on the order of the list.
func (w *world) add(backup *worldBackup) {
	at := w.roll(len(w.backups) + 1)
	w.backups = append(w.backups[:at:at], append([]*worldBackup{backup}, w.backups[at:]...)...)
}

func (w *world) addTask(task *worldTask) {
	task.ahead = w.ahead
	task.created = task.created && !w.misdated()
	at := w.roll(len(w.tasks) + 1)
	w.tasks = append(w.tasks[:at:at], append([]*worldTask{task}, w.tasks[at:]...)...)
}

// fillerTask is one that ended long ago.
func (w *world) fillerTask() *worldTask {
	return &worldTask{id: w.newID("t"), status: cbr.TaskSuccess, ended: worldBegan.Add(-5 * time.Hour), names: "else", filler: true}
}

// makeCall makes a call of ours or of somebody else.
func (w *world) makeCall() {
	call := &worldCall{arrived: true}
	switch w.roll(4) {
	case 0:
		call.lost, call.arrived = true, w.roll(4) != 1
	case 1:
		call.answered, call.whole = true, w.is()
	}
	for item := range w.items {
		if w.is() && (!call.lost || w.items[item].Call == nil) { // an open record keeps a backup from another call
			call.members = append(call.members, item)
		}
	}
	if len(call.members) == 0 {
		return
	}
	age := pick(w.dice, worldSettle, 2*time.Minute, 10*time.Minute, 2*worldOverdue)
	if call.lost || call.whole { // of others, and of those that were deleted, it is not known when they settle
		age = pick(w.dice, age, -5*time.Second, 0, 10*time.Second, 59*time.Second)
	}
	call.accepted = worldBegan.Add(-age)
	w.know(call)
	if call.arrived {
		w.accept(call)
	}
}

// know lets the operator know of a call what it does.
func (w *world) know(call *worldCall) {
	if !call.lost && !call.whole {
		return
	}
	var record []string
	for _, item := range call.members {
		record = append(record, pick(w.dice, w.items[item].BackupID, strings.ToLower(w.items[item].BackupID)))
	}
	for _, item := range call.members {
		question := &w.items[item]
		if at := call.accepted.Add(worldSettle); at.After(question.SettledAt) {
			question.SettledAt = at
		}
		if call.lost {
			question.Call = &Call{Items: record}
		}
	}
}

// accept starts the tasks of a call.
func (w *world) accept(call *worldCall) {
	lag := w.lag()
	if !w.perCall {
		for _, item := range call.members {
			w.start(call, lag, []int{item})
		}
		return
	}
	w.start(call, lag, call.members)
}

// lag is how much later than it is so CBR shows something.
func (w *world) lag() time.Duration { return pick(w.dice, 0, time.Second, 30*time.Second, worldSettle) }

func (w *world) start(call *worldCall, lag time.Duration, members []int) {
	first := w.items[members[0]]
	task := &worldTask{id: w.newID("t"), accepted: call.accepted, visible: call.accepted.Add(lag), created: w.is(),
		label: pick(w.dice, cbr.TaskRunning, cbr.TaskWaiting, cbr.TaskStatus("queued")), status: pick(w.dice, cbr.TaskSuccess, cbr.TaskFailed)}
	if w.named {
		task.names = pick(w.dice, strings.ToLower, strings.ToUpper)(first.BackupID)
	}
	if w.showsResource {
		task.resource = first.ResourceID
	}
	task.ended = worldBegan.Add(pick(w.dice, time.Second, 2*time.Second, 4*time.Second, 5*time.Minute, never, -time.Second, -35*time.Second, -50*time.Second, -2*time.Minute))
	if task.ended.Before(task.visible) {
		task.ended = task.visible
	}
	known := w.owner(call, task, members)
	overdue := worldBegan.Sub(call.accepted) >= worldOverdue
	if overdue && task.ended.After(worldBegan) && !known && (!call.lost || !w.named) {
		task.ended = worldBegan.Add(never) // as is assumed
	}
	shown := task.ended.Add(w.lag())
	task.untimed = w.roll(3) == 1
	for _, item := range members {
		succeed := task.status == cbr.TaskSuccess && w.roll(5) != 1
		w.accepted = append(w.accepted, acceptance{item, call, task, succeed})
		switch {
		case succeed:
			w.store(item, shown)
		case task.status == cbr.TaskFailed && w.roll(3) == 1: // it leaves one all the same
			w.store(item, task.ended)
		default:
			task.failed++
		}
	}
	w.addTask(task)
}

// store lets a backup of a call be there from a time on.
func (w *world) store(item int, from time.Time) {
	if backup := w.backup(item); backup == nil {
		w.add(&worldBackup{id: w.stored(w.items[item].BackupID), status: w.anyStatus(), visible: from})
	} else if from.Before(backup.visible) {
		backup.visible = from
	}
}

// backup is the backup of an item that is in CBR, or will be; nil without one.
func (w *world) backup(item int) *worldBackup {
	for _, backup := range w.backups {
		if strings.EqualFold(backup.id, w.items[item].BackupID) {
			return backup
		}
	}
	return nil
}

// owner lets the operator know whose a task is, and reports whether it knows all whose it is.
func (w *world) owner(call *worldCall, task *worldTask, members []int) bool {
	if !call.answered {
		return false
	}
	owner := Owner{Whole: call.whole}
	for _, item := range members {
		if !call.whole && w.is() {
			continue // its BackupSync was deleted, and applied again
		}
		owner.Backups = append(owner.Backups, w.items[item].BackupID)
		if w.is() {
			w.items[item].TaskID = task.id
		}
	}
	if len(owner.Backups) > 0 {
		w.owners[task.id] = owner
	}
	return len(owner.Backups) == len(members)
}
