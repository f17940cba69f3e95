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
package namespaces

import (
	"context"
	"errors"
	"fmt"

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

// Client reads each namespace from a cache of its own, its own writes included, and writes to the API server.
type Client struct {
	clients map[string]client.Client // by namespace
	caches  []cache.Cache
}

// New makes the caches of the namespaces, which start and end with the manager, and a client for all of them.
func New(manager ctrl.Manager, namespaces []string, options Options) (*Client, error) {
	made := &Client{clients: make(map[string]client.Client, len(namespaces))}
	for _, namespace := range namespaces {
		if err := made.add(manager, namespace, options); err != nil {
			return nil, fmt.Errorf("make the cache of the namespace %s: %w", namespace, err)
		}
	}
	return made, nil
}

func (c *Client) add(manager ctrl.Manager, namespace string, options Options) error {
	options.Cache.HTTPClient, options.Cache.Scheme, options.Cache.Mapper = manager.GetHTTPClient(), manager.GetScheme(), manager.GetRESTMapper()
	options.Cache.DefaultNamespaces = map[string]cache.Config{namespace: {}}
	cached, err := cache.New(manager.GetConfig(), options.Cache)
	if err != nil {
		return err
	}
	readOwnWrites := true
	reading, err := client.New(manager.GetConfig(), client.Options{
		HTTPClient: manager.GetHTTPClient(), Scheme: manager.GetScheme(), Mapper: manager.GetRESTMapper(), FieldOwner: options.FieldOwner,
		Cache: &client.CacheOptions{Reader: cached, EnableReadYourWritesConsistency: &readOwnWrites},
	})
	if err != nil {
		return err
	}
	c.clients[namespace], c.caches = reading, append(c.caches, cached)
	return manager.Add(started{cached})
}

// started is a cache that the manager starts before its controllers, whether it leads or not.
type started struct{ cache.Cache }

// GetCache is how the manager tells a cache from what else it starts.
func (s started) GetCache() cache.Cache { return s.Cache }

// Caches returns the cache of each namespace. Those who watch a kind watch it in all of them.
func (c *Client) Caches() []cache.Cache { return c.caches }

func (c *Client) of(namespace string) (client.Client, error) {
	found, watched := c.clients[namespace]
	if !watched {
		return nil, fmt.Errorf("the namespace %q is not watched", namespace)
	}
	return found, nil
}

// Get reads an object from the cache of its namespace, and fails if that is not watched.
func (c *Client) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	reading, err := c.of(key.Namespace)
	if err != nil {
		return err
	}
	return reading.Get(ctx, key, object, options...)
}

// List reads the objects of a namespace, or of all that are watched, in no order. A list of a namespace waits for what was written there;
// one of all waits so in one after the other, and what is written elsewhere meanwhile may be missing. It knows no Limit.
func (c *Client) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	if namespace := (&client.ListOptions{}).ApplyOptions(options).Namespace; namespace != corev1.NamespaceAll {
		reading, err := c.of(namespace)
		if err != nil {
			return err
		}
		return reading.List(ctx, list, options...)
	}
	var all []runtime.Object
	for _, reading := range c.clients {
		part := list.DeepCopyObject().(client.ObjectList)
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
	writing, err := c.of(object.GetNamespace())
	if err != nil {
		return err
	}
	return writing.Patch(ctx, object, patch, options...)
}

// Status returns the writer of the status of objects of watched namespaces.
func (c *Client) Status() client.SubResourceWriter { return statusWriter{c} }

type statusWriter struct{ client *Client }

func (w statusWriter) writing(object client.Object) (client.SubResourceWriter, error) {
	found, err := w.client.of(object.GetNamespace())
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
