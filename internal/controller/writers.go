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
	"context"
	"slices"
	"sync"
	"time"
)

// slowWrite is how long a status write may take before it gives its place to others: on an API server that is well it takes some tens of
// milliseconds.
const slowWrite = 250 * time.Millisecond

// writePlaces bound the status writes of BackupSyncs that are under way. Where one namespace alone has something to write, it has all places; else
// one that is free goes to the namespace that has the fewest. A write that takes long, as an admission webhook has it wait, gives its place to
// others, and counts in its namespace alone, in which there are no more under way than there are places: it holds up no other namespace.
type writePlaces struct {
	count      int
	mutex      sync.Mutex // guards what follows
	free       int
	namespaces map[string]*namespaceWrites
	waiting    []*waitingWrite // in the order of their coming
}

// namespaceWrites are those of a namespace in which something is written, or waits to be.
type namespaceWrites struct {
	places   int // that they have
	underWay int
	users    int // those under way, and those that wait
}

// waitingWrite is a write that waits for a place.
type waitingWrite struct {
	of    *namespaceWrites
	begin chan struct{} // is closed when it has one
}

func newWritePlaces(count int) *writePlaces {
	return &writePlaces{count: count, free: count, namespaces: map[string]*namespaceWrites{}}
}

// during makes a write when there is a place for it. What waits between two tries of a write has none.
func (p *writePlaces) during(ctx context.Context, namespace string, write func() error) error {
	next := p.enter(namespace)
	defer p.leave(namespace, next)
	select {
	case <-next.begin:
	case <-ctx.Done():
		if p.withdraw(next) {
			return ctx.Err()
		}
	}
	var once sync.Once
	giveBack := func() { once.Do(func() { p.change(func() { p.free, next.of.places = p.free+1, next.of.places-1 }) }) }
	slow := time.AfterFunc(slowWrite, giveBack)
	defer p.change(func() { next.of.underWay-- })
	defer giveBack()
	defer slow.Stop()
	return write()
}

// enter has a write wait for a place.
func (p *writePlaces) enter(namespace string) *waitingWrite {
	next := &waitingWrite{begin: make(chan struct{})}
	p.change(func() {
		if next.of = p.namespaces[namespace]; next.of == nil {
			next.of = &namespaceWrites{}
			p.namespaces[namespace] = next.of
		}
		next.of.users++
		p.waiting = append(p.waiting, next)
	})
	return next
}

// withdraw has a write wait no more, and reports false if it has got a place meanwhile.
func (p *writePlaces) withdraw(write *waitingWrite) (withdrawn bool) {
	p.change(func() {
		if at := slices.Index(p.waiting, write); at >= 0 {
			p.waiting, withdrawn = slices.Delete(p.waiting, at, at+1), true
		}
	})
	return withdrawn
}

// leave forgets a namespace when nothing is written there.
func (p *writePlaces) leave(namespace string, write *waitingWrite) {
	p.change(func() {
		if write.of.users--; write.of.users == 0 {
			delete(p.namespaces, namespace)
		}
	})
}

// change makes a change, and gives the places that are free then to those that wait.
func (p *writePlaces) change(do func()) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	do()
	for p.free > 0 {
		at := p.first()
		if at < 0 {
			return
		}
		next := p.waiting[at]
		p.waiting = slices.Delete(p.waiting, at, at+1)
		p.free, next.of.places, next.of.underWay = p.free-1, next.of.places+1, next.of.underWay+1
		close(next.begin)
	}
}

// first returns which of the waiting writes is to have the next place, -1 for none; the mutex is held.
func (p *writePlaces) first() int {
	found := -1
	for i, each := range p.waiting {
		if each.of.underWay < p.count && (found < 0 || each.of.places < p.waiting[found].of.places) {
			found = i
		}
	}
	return found
}
