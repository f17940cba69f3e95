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

package auth

import (
	"context"
	"time"
)

// turns are the attempts of a user, or with an access key, that are under way, and those that wait: only a few may be at a time, as all of
// them may fail.
type turns struct{ underWay, waiting tally }

// place is where, and for what there, something is tried: a cloud project at an endpoint.
type place struct{ endpoint, scope string }

// tally counts attempts by their places. Places without any are not in it.
type tally map[place]int

func newTurns() turns { return turns{tally{}, tally{}} }

func (t tally) drop(at place) {
	if t[at]--; t[at] <= 0 {
		delete(t, at)
	}
}

func (t *turns) allUnderWay() (all int) {
	for _, count := range t.underWay {
		all += count
	}
	return all
}

func (t *turns) underWayAt(endpoint string) (all int) {
	for at, count := range t.underWay {
		if at.endpoint == endpoint {
			all += count
		}
	}
	return all
}

// crowdsOut reports whether another attempt of a place would keep out one of a place that has none under way, and waits: requests that hang
// follow each other without end.
func (t *turns) crowdsOut(at place) bool {
	if t.underWay[at] == 0 {
		return false
	}
	for other := range t.waiting {
		if t.underWay[other] == 0 {
			return true
		}
	}
	return false
}

func (u *user) place() place { return place{u.endpoint, u.scope} }

// begin waits until there may be an attempt, of which end is told then. It returns a pause if there may be none for long, and an
// error if the context ends before.
func (u *user) begin(ctx context.Context) (*pause, error) {
	for waits := false; ; waits = true {
		ended, why := u.turn(waits)
		if ended == nil {
			return why, nil
		}
		select {
		case <-ended:
		case <-ctx.Done():
			u.leave()
			return nil, ctx.Err()
		}
	}
}

// turn begins an attempt if there may be one now, or returns a pause; else it is noted that one waits, and what is closed when there may be
// a turn.
func (u *user) turn(waits bool) (ended <-chan struct{}, why *pause) {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	began, why := u.try(u.clock.Now())
	switch over := began || why != nil; {
	case over && waits:
		u.waitsNoMore()
	case !over && !waits:
		u.rows[u.name].waiting[u.place()]++
	}
	if began || why != nil {
		return nil, why
	}
	return u.ended, nil
}

func (u *user) leave() {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	u.waitsNoMore()
}

// waitsNoMore lets those go on that have made way; the mutex is held.
func (u *user) waitsNoMore() {
	u.rows[u.name].waiting.drop(u.place())
	u.wake()
}

// wake has all look again that wait; the mutex is held.
func (a *Attempts) wake() {
	close(a.ended)
	a.ended = make(chan struct{})
}

// try begins an attempt if there may be one now; the mutex is held. With neither true nor a pause others are to end before.
func (u *user) try(now time.Time) (began bool, why *pause) {
	secret, scope, row := u.records(now)
	if why := u.pause(secret, scope, row, now); why != nil {
		return false, why
	}
	if row.crowdsOut(u.place()) || u.free(secret, scope, row) <= 0 {
		return false, nil
	}
	secret.underWay++
	row.underWay[u.place()]++
	return true, nil
}

// free is how many attempts may begin now, as far as it is told by those that are under way; the mutex is held.
func (u *user) free(secret *secretRecord, scope *verdict, row *row) int {
	all := row.allUnderWay()
	free := min(u.rules.parallel-all, u.rules.most-len(row.failures)-all)
	switch {
	case !u.proven(secret, scope):
		free = min(free, 1-secret.underWay, u.rules.unproven-len(row.failures)-all)
	case row.underWayAt(u.endpoint) == 0: // an endpoint that hangs takes no turns of another
		free = 1
		if !u.rules.standing {
			free = min(free, u.rules.most-len(row.failures)-all)
		}
	}
	return free
}
