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
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"backupsync.dev/operator/internal/cbr"
)

// FewBackups are asked for one by one without a look at the list, of which nobody knows the length before.
const FewBackups = 5

// Bounds of single questions for backups.
const (
	// maxFailures is how many questions in a row may fail: then CBR is not asked for the others. It is less than the number
	// of refusals at which an access key is locked.
	maxFailures = 3
	// maxProbes is how many backups are asked for to check a list.
	maxProbes = 3
)

// singleReaders is how many backups are asked for at the same time: so a thousand take less than the minute for which
// absence is believed. Less in a test.
var singleReaders = 4

const (
	listProbed      rule = "a list of backups is checked by asking for some that it lacks"
	failuresUnknown rule = "a backup that cannot be asked for is not absent"
)

// errNotAsked is the failure of backups that were not asked for as those before them could not be.
var errNotAsked = errors.New("not asked for, as CBR did not answer for others")

// Inventory is what CBR has shown of backups.
type Inventory struct {
	// Pages is how many pages the list of backups has, as far as is known.
	Pages int
	// Reads counts the calls that were made.
	Reads Reads
	// Narrowed says that the list hides some of the backups: enterprise projects, or permissions, narrow what it shows.
	Narrowed bool
	// Doubted says that the list may hide some: this look has found backups that it lacked, and cannot tell whether they came meanwhile.
	Doubted bool
	// Complete says that the list was read to its end: of Audit alone.
	Complete bool
	// Capitals says that CBR has shown ids with capitals: then it may keep any id so, whoever has spelled it how.
	Capitals bool

	// Asked is how many questions were asked one by one, beside each other, and Asking how long that took.
	Asked  int
	Asking time.Duration

	probes []string // by which the list is checked
	mutex  sync.Mutex
	shown  map[string]cbr.BackupStatus // asked about and there, by folded id
	absent map[string]struct{}         // asked for singly and not there
	failed map[string]error            // could not be asked for
	listed map[uint64]struct{}         // hashes of all ids of the list
	whole  bool                        // the list was complete, and stood the check
	few    int                         // so many are asked for without a look at the list

	readWhole bool     // the list was complete when it was last read
	checked   bool     // what it lacked was not there either, when it was asked for
	unlisted  []string // asked for since then, and there though the list lacked them
	off       rule
}

// NewInventory makes an empty Inventory. The number of pages of the list is that of an earlier one, or 0.
func NewInventory(pages int) *Inventory {
	return &Inventory{Pages: pages, few: FewBackups, shown: map[string]cbr.BackupStatus{}, absent: map[string]struct{}{}, failed: map[string]error{}}
}

// Whole reports whether the list of all backups was read, and believed: then the inventory knows of every id whether CBR has it,
// but for those that CBR has and that were not asked about.
func (v *Inventory) Whole() bool { return v.whole }

// Read finds out which of some backups CBR has: from the list of all, as long as that is likely to take fewer calls than
// asking for each. The API could select by the resource, but nothing documents that CBR keeps what an import says of it: only
// the id decides. An error is one of the list, or of the context.
func (v *Inventory) Read(ctx context.Context, source Source, backupIDs []string) error {
	wanted := unique(backupIDs)
	switch {
	case v.Narrowed:
		return v.askSingly(ctx, source, wanted)
	case v.asksFew(wanted):
		return v.readFew(ctx, source, wanted)
	}
	whole, err := v.readList(ctx, source, wanted, false)
	if err != nil {
		return err
	}
	if lacking := v.lacking(wanted); whole && len(lacking) > 0 {
		v.whole = v.probe(ctx, source, lacking)
		if err := v.recheck(ctx, source, wanted); err != nil {
			return err
		}
	}
	if v.whole {
		return ctx.Err()
	}
	err = v.askSingly(ctx, source, v.lacking(wanted))
	v.Doubted = v.Doubted || len(v.unlisted) > 0
	return err
}

// lacking returns those of some backups that CBR has not shown.
func (v *Inventory) lacking(wanted []string) []string {
	return slices.DeleteFunc(slices.Clone(wanted), func(id string) bool { _, shown := v.shown[cbr.Fold(id)]; return shown })
}

// asksFew reports whether the list is likely to take more calls than asking for each of some backups.
func (v *Inventory) asksFew(wanted []string) bool {
	if len(wanted) <= v.few {
		return true
	}
	questions := 0
	for _, id := range wanted {
		if questions += len(v.spellings(id)); questions > v.Pages {
			return false
		}
	}
	return true
}

// readFew asks for backups one by one. Where CBR takes an id in no question, as one that is no UUID, its list tells.
func (v *Inventory) readFew(ctx context.Context, source Source, wanted []string) error {
	if err := v.askSingly(ctx, source, wanted); err != nil {
		return err
	}
	refused := slices.DeleteFunc(slices.Clone(wanted), func(id string) bool { return !isRefused(v.failed[cbr.Fold(id)]) })
	if len(refused) == 0 {
		return nil
	}
	whole, err := v.readList(ctx, source, refused, true)
	if err != nil {
		return err
	}
	checked := len(v.absent) > 0 // what was asked for and not there is not listed either
	v.checked = whole && (checked || !slices.ContainsFunc(refused, isUUID))
	v.whole = v.checked
	for _, id := range wanted {
		if _, there := v.shown[cbr.Fold(id)]; there && whole && !v.lists(id) {
			v.whole, v.unlisted = false, append(v.unlisted, id)
		}
	}
	return v.recheck(ctx, source, wanted)
}

// lists reports whether the list has shown a backup when it was last read.
func (v *Inventory) lists(id string) bool {
	_, listed := v.listed[hashOf(id)]
	return listed
}

// isRefused reports whether CBR itself has refused a question for what it asked: that is an answer to it.
func isRefused(err error) bool { return err != nil && cbr.ClassOf(err) == cbr.Rejected }

func isUUID(id string) bool { return uuid.Validate(id) == nil }

// readList reads the list, and reports whether it was seen as a whole: if that is not needed, no longer than it may spare
// questions.
func (v *Inventory) readList(ctx context.Context, source Source, wanted []string, needed bool) (whole bool, err error) {
	left := make(map[string]struct{}, len(wanted))
	list := listing[cbr.ListedBackup]{
		off: v.off,
		id:  func(backup *cbr.ListedBackup) string { return backup.ID },
		begin: func() {
			for _, id := range wanted { // what an earlier reading showed may be gone
				left[v.fold(id)] = struct{}{}
				delete(v.shown, v.fold(id))
			}
		},
		fetch: func(ctx context.Context, offset int) (cbr.Page[cbr.ListedBackup], error) {
			page, err := source.ListBackups(ctx, cbr.BackupsQuery{Limit: cbr.MaxPageSize, Offset: offset})
			if err == nil {
				v.Pages = max(pagesOf(page.Count), pagesOf(offset+page.Size))
			}
			return page, err
		},
		see: func(backup *cbr.ListedBackup) {
			v.Capitals = v.Capitals || hasCapitals(backup.ID)
			id := v.fold(backup.ID)
			_, again := v.shown[id]
			if _, is := left[id]; is || again {
				delete(left, id)
				v.shown[id] = backup.Status
			}
		},
		enough: func(more int) bool { return !needed && (len(left) == 0 || pagesOf(more) > len(left)+1) },
	}
	how, err := list.read(ctx)
	v.Reads.Lists += list.pages
	v.listed, v.readWhole = list.seen, err == nil && how == complete
	return v.readWhole, err
}

func (v *Inventory) fold(id string) string {
	if v.off == foldedIDs {
		return id
	}
	return cbr.Fold(id)
}

const foldedIDs rule = "ids are compared folded"

func hasCapitals(id string) bool { return cbr.Fold(id) != id }

// pagesOf returns how many pages a number of elements takes.
func pagesOf(elements int) int { return (elements + cbr.MaxPageSize - 1) / cbr.MaxPageSize }

// ofAll reports whether a failed read concerns all others as well.
func ofAll(err error) bool {
	switch cbr.ClassOf(err) {
	case cbr.Credentials, cbr.Permission, cbr.Throttled, cbr.Misdirected, cbr.Refused:
		return true
	default:
		return false
	}
}

// askSingly asks for backups one by one, if that is still to be done. A failure concerns that backup alone; but where several
// fail in a row, the others are not asked for. An error is one that concerns all, or the last where none was answered.
func (v *Inventory) askSingly(ctx context.Context, source Source, ids []string) error {
	if len(ids) == 0 {
		return ctx.Err()
	}
	var group sync.WaitGroup
	var heard answers
	began, before := time.Now(), v.Reads.Singles
	slots := make(chan struct{}, singleReaders)
	first := firstOf(len(ids)) // not always the same: some that fail hold up those after them
	for i := range ids {
		id := ids[(first+i)%len(ids)]
		if sight := v.of(cbr.Fold(id)).sight; sight == there || sight == notThere {
			continue
		}
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			if heard.enough() || ctx.Err() != nil {
				v.note(id, func() { v.failed[cbr.Fold(id)] = errNotAsked })
				return
			}
			heard.note(v.ask(ctx, source, id))
		})
	}
	group.Wait()
	v.Asked, v.Asking = v.Asked+v.Reads.Singles-before, v.Asking+time.Since(began)
	switch err := heard.ofAll(); {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return err
	case heard.unclear():
		return v.askForNothing(ctx, source)
	default:
		return nil
	}
}

// askForNothing asks for a backup that does not exist, and returns why that is not answered: then it is for no id that others are not.
func (v *Inventory) askForNothing(ctx context.Context, source Source) error {
	v.Reads.Singles++
	_, err := source.GetBackup(ctx, uuid.NewString())
	if err == nil || cbr.IsNotFound(err) || isRefused(err) {
		return ctx.Err()
	}
	return fmt.Errorf("ask for a backup: %w", err)
}

// firstOf returns which of so many is asked for first.
var firstOf = rand.IntN

func (v *Inventory) note(id string, how func()) {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	delete(v.failed, cbr.Fold(id))
	delete(v.absent, cbr.Fold(id))
	how()
}

// spellings returns how CBR may spell an id.
func (v *Inventory) spellings(id string) []string { return spellings(id, v.fold(id), v.Capitals) }

func spellings(id, folded string, capitals bool) []string {
	all := []string{id}
	if folded != id {
		all = append(all, folded)
	}
	if upper := strings.ToUpper(id); capitals && upper != id {
		all = append(all, upper)
	}
	return all
}

// Questions returns how many questions it may take to ask for a backup, where CBR is known to show ids with capitals or not.
func Questions(backupID string, capitals bool) int {
	return len(spellings(backupID, cbr.Fold(backupID), capitals))
}

// ask asks for a backup as its id is spelled, and as CBR may spell it. It returns the failure, if it could not be asked for.
func (v *Inventory) ask(ctx context.Context, source Source, id string) error {
	for _, spelled := range v.spellings(id) {
		v.mutex.Lock()
		v.Reads.Singles++
		v.mutex.Unlock()
		backup, err := source.GetBackup(ctx, spelled)
		switch {
		case cbr.IsNotFound(err):
			continue
		case err != nil && v.off != failuresUnknown:
			v.note(id, func() { v.failed[cbr.Fold(id)] = fmt.Errorf("ask for the backup: %w", err) })
			return err
		case err == nil:
			v.note(id, func() {
				v.shown[cbr.Fold(id)] = cbr.BackupStatus(backup.Status)
				if v.readWhole && !v.lists(id) {
					v.whole, v.unlisted = false, append(v.unlisted, id)
				}
			})
			return nil
		}
	}
	v.note(id, func() { v.absent[cbr.Fold(id)] = struct{}{} })
	return nil
}

// sight says how CBR shows a backup.
type sight int

const (
	notAsked    sight = iota
	there             // with a status
	notThere          // asked for singly
	notListed         // the list lacks it, and is believed
	listedAlone       // the list shows it, and CBR did not when it was asked for it
	unreadable        // asking for it failed
)

// sighting is what an inventory says of a backup.
type sighting struct {
	sight  sight
	status cbr.BackupStatus
	err    error
	// refused says that CBR takes the id in no question, as it is no UUID: its list tells, if it is believed.
	refused bool
}

// of returns what is known of a backup by its folded id.
func (v *Inventory) of(id string) sighting {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if status, shown := v.shown[id]; shown {
		return sighting{sight: there, status: status}
	}
	if _, absent := v.absent[id]; absent && v.lists(id) { // it may have come since, or be spelled in another way
		return sighting{sight: listedAlone}
	} else if absent {
		return sighting{sight: notThere}
	}
	if v.whole && (!v.lists(id) || v.off == foldedIDs) {
		return sighting{sight: notListed, refused: isRefused(v.failed[id]) && !isUUID(id)}
	}
	if err, failed := v.failed[id]; failed {
		return sighting{sight: unreadable, err: err}
	}
	return sighting{sight: notAsked}
}

// unique returns ids without those that are others in other case, and without "".
func unique(ids []string) []string {
	seen := make(map[string]struct{}, len(ids))
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		_, again := seen[cbr.Fold(id)]
		seen[cbr.Fold(id)] = struct{}{}
		return again || id == ""
	})
}
