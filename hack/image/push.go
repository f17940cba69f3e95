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
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// push pushes the image and attaches to each of its platforms the SBOM. Who may push is known from "docker login", or podman's.
func push(ctx context.Context, out, reference string) error {
	tag, err := name.NewTag(reference)
	if err != nil {
		return fmt.Errorf("read the name of the image: %w", err)
	}
	index, err := readIndex(out)
	if err != nil {
		return err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return fmt.Errorf("read the index: %w", err)
	}
	registry := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	if err := remote.WriteIndex(tag, index, registry...); err != nil {
		return fmt.Errorf("push the image: %w", err)
	}
	for _, subject := range manifest.Manifests {
		if err := attach(out, subject, tag.Context(), registry); err != nil {
			return fmt.Errorf("attach the SBOM of %s: %w", subject.Platform, err)
		}
	}
	return nil
}

// attach pushes the SBOM of a platform as an artifact that refers to its image.
func attach(out string, subject v1.Descriptor, repository name.Repository, registry []remote.Option) error {
	sbom, err := os.ReadFile(filepath.Join(out, sbomName(*subject.Platform)))
	if err != nil {
		return err
	}
	artifact, err := newArtifact(sbom, subject)
	if err != nil {
		return err
	}
	digest, err := artifact.Digest()
	if err != nil {
		return err
	}
	return remote.Write(repository.Digest(digest.String()), artifact, registry...)
}

// newArtifact wraps an SBOM. Registries take the media type of the configuration for the type of the artifact.
func newArtifact(sbom []byte, subject v1.Descriptor) (v1.Image, error) {
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), sbomType)
	artifact, err := mutate.AppendLayers(base, static.NewLayer(sbom, sbomType))
	if err != nil {
		return nil, err
	}
	subject.Platform = nil // it belongs to indexes
	return mutate.Subject(artifact, subject).(v1.Image), nil
}
