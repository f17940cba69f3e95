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

// Package namespaces reads several namespaces through a cache for each of them.
//
// A client of controller-runtime reads its own writes: before it reads a cache it waits until that has shown what the client wrote.
// It knows that by the newest resource version which the informers of the kind have shown. In a cache of several namespaces there is an
// informer for each: what one of them has shown says nothing of what the others have, and reads come back without the write. In a cache
// of one namespace there is one informer, which shows versions in their order.
//
// Each namespace is read by itself: one that is deleted, or in which the roles are missing, holds up no other.
package namespaces

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Options are what the caches and clients of all namespaces have in common.
type Options struct {
	// Cache are the options of each cache but for what it watches, and for what the manager knows.
	Cache cache.Options
	// FieldOwner owns the fields that are written.
	FieldOwner string
}

// Client reads each namespace from a cache of its own, its own writes included, and writes to the API server. A namespace that cannot be read
// holds up no other: reads of it fail at once with an UnreadableError, and reads of all leave it out.
type Client struct {
	names   []string // in order
	clients map[string]client.Client
	caches  map[string]*Cache
}

// New makes the caches of the namespaces, which start and end with the manager, and a client for all of them.
func New(manager ctrl.Manager, namespaces []string, options Options) (*Client, error) {
	made := &Client{clients: make(map[string]client.Client, len(namespaces)), caches: make(map[string]*Cache, len(namespaces))}
	for _, namespace := range slices.Sorted(slices.Values(namespaces)) {
		if err := made.add(manager, namespace, options); err != nil {
			return nil, fmt.Errorf("make the cache of the namespace %s: %w", namespace, err)
		}
	}
	return made, nil
}

func (c *Client) add(manager ctrl.Manager, namespace string, options Options) error {
	added := newCache(namespace, manager.GetLogger().WithName("namespaces"))
	observed := *manager.GetHTTPClient()
	observed.Transport = added.transport(cmp.Or(observed.Transport, http.DefaultTransport))
	options.Cache.HTTPClient, options.Cache.Scheme, options.Cache.Mapper = &observed, manager.GetScheme(), manager.GetRESTMapper()
	options.Cache.DefaultNamespaces = map[string]cache.Config{namespace: {}}
	options.Cache.DefaultWatchErrorHandler = added.watchFailed
	cached, err := cache.New(manager.GetConfig(), options.Cache)
	if err != nil {
		return err
	}
	added.Cache = cached
	readOwnWrites := true
	reading, err := client.New(manager.GetConfig(), client.Options{
		HTTPClient: manager.GetHTTPClient(), Scheme: manager.GetScheme(), Mapper: manager.GetRESTMapper(), FieldOwner: options.FieldOwner,
		Cache: &client.CacheOptions{Reader: cached, EnableReadYourWritesConsistency: &readOwnWrites},
	})
	if err != nil {
		return err
	}
	c.names = append(c.names, namespace)
	c.clients[namespace], c.caches[namespace] = reading, added
	return manager.Add(added)
}

// Caches returns the cache of each namespace, a *Cache. Those who watch a kind watch it in all of them, by Source.
func (c *Client) Caches() []cache.Cache {
	caches := make([]cache.Cache, 0, len(c.names))
	for _, name := range c.names {
		caches = append(caches, c.caches[name])
	}
	return caches
}

// Unreadable returns the namespaces that cannot be read now, in order.
func (c *Client) Unreadable() []string {
	var names []string
	for _, name := range c.names {
		if c.caches[name].Unreadable() != nil {
			names = append(names, name)
		}
	}
	return names
}

// Ready returns nil when all that is known of the namespaces is what they are going to show: each can be read or is refused, and some can
// be read.
func (c *Client) Ready() error {
	var refused []error
	for _, name := range c.names {
		unreadable := c.caches[name].Unreadable()
		if unreadable == nil {
			continue
		}
		if unreadable.Refusal == "" {
			return unreadable
		}
		refused = append(refused, unreadable)
	}
	if len(refused) == len(c.names) {
		return errors.Join(refused...)
	}
	return nil
}

// reading returns the client of a namespace that can be read.
func (c *Client) reading(namespace string) (client.Client, error) {
	found, watched := c.clients[namespace]
	if !watched {
		return nil, notWatched(namespace)
	}
	if unreadable := c.caches[namespace].Unreadable(); unreadable != nil {
		return nil, unreadable
	}
	return found, nil
}

// writing returns the client of a namespace whose cache is filled, as a write waits for that. Whether it may write there is for the API
// server to say: what follows a call is worth a try.
func (c *Client) writing(namespace string) (client.Client, error) {
	found, watched := c.clients[namespace]
	if !watched {
		return nil, notWatched(namespace)
	}
	if cached := c.caches[namespace]; !isClosed(cached.synced) {
		return nil, cached.unreadable()
	}
	return found, nil
}

func notWatched(namespace string) error {
	return fmt.Errorf("the namespace %q is not watched", namespace)
}

// Get reads an object from the cache of its namespace, and fails if that is not watched.
func (c *Client) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	reading, err := c.reading(key.Namespace)
	if err != nil {
		return err
	}
	return reading.Get(ctx, key, object, options...)
}

// List reads the objects of a namespace, or of all that can be read, in no order. A list of a namespace waits for what was written there;
// one of all waits so in one after the other, and what is written elsewhere meanwhile may be missing. It knows no Limit.
func (c *Client) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	if namespace := (&client.ListOptions{}).ApplyOptions(options).Namespace; namespace != corev1.NamespaceAll {
		reading, err := c.reading(namespace)
		if err != nil {
			return err
		}
		return reading.List(ctx, list, options...)
	}
	var all []runtime.Object
	for _, name := range c.names {
		if c.caches[name].Unreadable() != nil {
			continue
		}
		reading, part := c.clients[name], list.DeepCopyObject().(client.ObjectList)
		if err := reading.List(ctx, part, options...); err != nil {
			return err
		}
		items, err := meta.ExtractList(part)
		if err != nil {
			return err
		}
		all = append(all, items...)
	}
	return meta.SetList(list, all)
}

// Patch patches an object of a watched namespace.
func (c *Client) Patch(ctx context.Context, object client.Object, patch client.Patch, options ...client.PatchOption) error {
	writing, err := c.writing(object.GetNamespace())
	if err != nil {
		return err
	}
	return writing.Patch(ctx, object, patch, options...)
}

// Status returns the writer of the status of objects of watched namespaces.
func (c *Client) Status() client.SubResourceWriter { return statusWriter{c} }

type statusWriter struct{ client *Client }

func (w statusWriter) writing(object client.Object) (client.SubResourceWriter, error) {
	found, err := w.client.writing(object.GetNamespace())
	if err != nil {
		return nil, err
	}
	return found.Status(), nil
}

// Patch patches the status of an object.
func (w statusWriter) Patch(ctx context.Context, object client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
	writing, err := w.writing(object)
	if err != nil {
		return err
	}
	return writing.Patch(ctx, object, patch, options...)
}

// Update updates the status of an object.
func (w statusWriter) Update(ctx context.Context, object client.Object, options ...client.SubResourceUpdateOption) error {
	writing, err := w.writing(object)
	if err != nil {
		return err
	}
	return writing.Update(ctx, object, options...)
}

// Create fails: a status is never created.
func (statusWriter) Create(context.Context, client.Object, client.Object, ...client.SubResourceCreateOption) error {
	return errors.ErrUnsupported
}

// Apply fails: the configurations to apply do not tell their namespace.
func (statusWriter) Apply(context.Context, runtime.ApplyConfiguration, ...client.SubResourceApplyOption) error {
	return errors.ErrUnsupported
}
