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

package namespaces

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
)

const (
	// refusalPatience is how long the API server refuses a namespace before it is taken for one that cannot be read: a RoleBinding that was
	// just created takes a moment.
	refusalPatience = 5 * time.Second
	// lookEvery is the time between two looks at whether that has changed.
	lookEvery = time.Second
)

// UnreadableError is that of reads of a namespace that cannot be read.
type UnreadableError struct {
	// Namespace is its name.
	Namespace string
	// Refusal is what the API server has said, "" if the namespace was not read yet.
	Refusal string
}

// Error names the namespace, and says what the API server has said.
func (e *UnreadableError) Error() string {
	if e.Refusal == "" {
		return fmt.Sprintf("the namespace %s cannot be read yet", e.Namespace)
	}
	return fmt.Sprintf("the namespace %s cannot be read: %s", e.Namespace, e.Refusal)
}

// Cache is the cache of one namespace. A namespace is readable once its cache is filled, and for as long as the API server does not refuse
// to have it read. Whoever starts a Cache does not wait for that.
type Cache struct {
	cache.Cache
	namespace string
	log       logr.Logger
	synced    chan struct{} // closed when it is filled
	refused   chan struct{} // closed when the API server has refused it for the first time, and not only for a moment

	mutex      sync.Mutex
	refusals   map[request]time.Time // since when requests are refused
	said       string                // what the API server has said of the latest one
	told       bool                  // whether it was logged that it cannot be read
	onReadable []func()
}

// request is a kind of request of a cache.
type request struct {
	path  string
	watch bool
}

func newCache(namespace string, log logr.Logger) *Cache {
	return &Cache{namespace: namespace, log: log.WithValues("namespace", namespace), synced: make(chan struct{}), refused: make(chan struct{}),
		refusals: map[request]time.Time{}}
}

// Start fills the cache and keeps it filled until the context ends.
func (c *Cache) Start(ctx context.Context) error {
	var following sync.WaitGroup
	defer following.Wait()
	following.Go(func() {
		if c.Cache.WaitForCacheSync(ctx) {
			close(c.synced)
		}
	})
	following.Go(func() { c.follow(ctx) })
	return c.Cache.Start(ctx)
}

// WaitForCacheSync waits until the cache is filled, and reports whether it is.
func (c *Cache) WaitForCacheSync(ctx context.Context) bool {
	select {
	case <-c.synced:
		return true
	case <-ctx.Done():
		return false
	}
}

// GetCache is how the manager tells a cache from what else it starts: before its controllers, whether it leads or not, and ends after them.
func (c *Cache) GetCache() cache.Cache { return started{c.Cache} }

// started is a cache that the manager does not wait for, neither as it starts nor as it ends.
type started struct{ cache.Cache }

// WaitForCacheSync does not wait.
func (started) WaitForCacheSync(context.Context) bool { return true }

// Unreadable returns why the namespace cannot be read, nil if it can.
func (c *Cache) Unreadable() *UnreadableError {
	if unreadable := c.unreadable(); unreadable.Refusal != "" || !isClosed(c.synced) {
		return unreadable
	}
	return nil
}

// unreadable returns why the namespace cannot be read, if it cannot.
func (c *Cache) unreadable() *UnreadableError {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	why := &UnreadableError{Namespace: c.namespace}
	if c.isRefused(time.Now()) {
		why.Refusal = cmp.Or(c.said, "forbidden")
	}
	return why
}

// isRefused reports whether requests have been refused for more than a moment; the mutex is held.
func (c *Cache) isRefused(now time.Time) bool {
	for _, since := range c.refusals {
		if now.Sub(since) >= refusalPatience {
			return true
		}
	}
	return false
}

func isClosed(channel <-chan struct{}) bool {
	select {
	case <-channel:
		return true
	default:
		return false
	}
}

// OnReadable has a function called each time that the namespace can be read again, after it was logged that it cannot.
func (c *Cache) OnReadable(call func()) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.onReadable = append(c.onReadable, call)
}

// follow tells when the namespace can be read no more, and when it can again, until the context ends.
func (c *Cache) follow(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			for _, call := range c.tell() {
				call()
			}
		}
	}
}

// tell logs what has changed, once, and returns what is to be called.
func (c *Cache) tell() []func() {
	unreadable := c.Unreadable()
	c.mutex.Lock()
	defer c.mutex.Unlock()
	switch {
	case unreadable != nil && unreadable.Refusal != "" && !c.told:
		c.told = true
		c.log.Info("The namespace cannot be read: nothing is imported there. Restore the operator's Role and RoleBinding in it, or take it out of "+
			"--watch-namespaces", "cause", unreadable.Refusal)
		if !isClosed(c.refused) {
			close(c.refused)
		}
	case unreadable == nil && c.told:
		c.told = false
		c.log.Info("The namespace can be read again")
		return c.onReadable
	}
	return nil
}

// transport returns a way to the API server on which the answers to the cache are looked at.
func (c *Cache) transport(next http.RoundTripper) http.RoundTripper {
	return &observed{next: next, cache: c}
}

// observed is the way of a cache to the API server. An informer tells of its failures, but not of the success that ends them.
type observed struct {
	next  http.RoundTripper
	cache *Cache
}

// RoundTrip notes whether the request is refused.
func (o *observed) RoundTrip(asked *http.Request) (*http.Response, error) {
	answer, err := o.next.RoundTrip(asked)
	if err == nil {
		o.cache.note(request{path: asked.URL.Path, watch: asked.URL.Query().Has("watch")}, answer.StatusCode)
	}
	return answer, err
}

// note notes what was answered to a request. Only a refusal says something of the namespace: other failures pass, or concern all.
// A watch that begins shows everything, so that nobody lists any more what was refused before.
func (c *Cache) note(asked request, status int) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	switch _, known := c.refusals[asked]; {
	case status == http.StatusForbidden && !known:
		c.refusals[asked] = time.Now()
	case status == http.StatusOK:
		delete(c.refusals, asked)
		if asked.watch {
			delete(c.refusals, request{path: asked.path})
		}
	}
}

// watchFailed keeps refusals out of the log: they come again and again, and the log has them once.
func (c *Cache) watchFailed(ctx context.Context, of *toolscache.Reflector, err error) {
	if !apierrors.IsForbidden(err) {
		toolscache.DefaultWatchErrorHandler(ctx, of, err)
		return
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.said = err.Error()
}
