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

package overview

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cli"
	"backupsync.dev/operator/internal/cli/backups"
	"backupsync.dev/operator/internal/cli/liveness"
)

// atOnce is how many queries are under way at the same time.
const atOnce = 4

// source reads the cluster.
type source struct {
	factory *cli.Factory
	cluster client.Client
	reader  *backups.Reader
	// leaseIn is the namespace of the operator's lease; "" if it is to be found.
	leaseIn string
}

func newSource(f *cli.Factory, leaseIn string) (*source, error) {
	cluster, err := f.Client()
	if err != nil {
		return nil, err
	}
	config, err := f.RESTConfig()
	if err != nil {
		return nil, err
	}
	reader, err := backups.NewReader(config)
	if err != nil {
		return nil, err
	}
	return &source{factory: f, cluster: cluster, reader: reader, leaseIn: leaseIn}, nil
}

// look reads the cluster, and works out an overview.
func (s *source) look(ctx context.Context, of scope) (*Overview, error) {
	found := &facts{scope: of, single: &tallies{}}
	var err error
	if found.projects, err = s.projects(ctx, of); err != nil {
		return nil, err
	}
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	group.Go(func() error {
		found.operator = liveness.Read(working, s.cluster, s.leaseIn, s.factory.ServerNow)
		return nil
	})
	for _, query := range plan(of, found.projects) {
		group.Go(func() error {
			more, err := s.reader.Each(working, query, found.single.add)
			if more {
				found.single.truncated(query)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	found.now = s.factory.Now()
	return compute(found), nil
}

// projects reads the CBRProjects.
func (s *source) projects(ctx context.Context, of scope) ([]v1alpha1.CBRProject, error) {
	if of.project != "" {
		one := v1alpha1.CBRProject{}
		err := s.cluster.Get(ctx, client.ObjectKey{Namespace: of.namespace, Name: of.project}, &one)
		if err != nil {
			return nil, backups.Describe(fmt.Sprintf("read the CBRProject %s of the namespace %s", of.project, of.namespace), err)
		}
		return []v1alpha1.CBRProject{one}, nil
	}
	list := v1alpha1.CBRProjectList{}
	if err := s.cluster.List(ctx, &list, client.InNamespace(of.namespace)); err != nil {
		return nil, backups.Describe("list CBRProjects", err)
	}
	return list.Items, nil
}
