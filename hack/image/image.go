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

package main

import (
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// newImage makes the image of one platform.
func newImage(operator, commands []byte, platform v1.Platform, from source) (v1.Image, error) {
	layer, err := newLayer(imageEntries(operator, commands), from.created)
	if err != nil {
		return nil, err
	}
	created := v1.Time{Time: from.created}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.ConfigFile(base, &v1.ConfigFile{
		OS: platform.OS, Architecture: platform.Architecture, Created: created,
		RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{User: user, Entrypoint: []string{"/manager"}, WorkingDir: "/", Labels: from.annotations()},
	})
	if err != nil {
		return nil, fmt.Errorf("set the configuration: %w", err)
	}
	image, err = mutate.Append(image, mutate.Addendum{Layer: layer, History: v1.History{Created: created, CreatedBy: "make image"}})
	if err != nil {
		return nil, fmt.Errorf("add the layer: %w", err)
	}
	return mutate.Annotations(image, from.annotations()).(v1.Image), nil
}

// newIndex makes one image of those of all platforms.
func newIndex(parts []part, from source) v1.ImageIndex {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, each := range parts {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: each.image, Descriptor: v1.Descriptor{Platform: &each.platform}})
	}
	return mutate.Annotations(index, from.annotations()).(v1.ImageIndex)
}
