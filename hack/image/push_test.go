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
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// What is pushed is what was built, and each platform's SBOM can be found from its image.
func TestPush(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	reference := strings.TrimPrefix(server.URL, "http://") + "/team/backupsync:v1"
	if err := push(t.Context(), built(t), reference); err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(reference)
	if err != nil {
		t.Fatal(err)
	}
	pushed, err := remote.Index(tag)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := pushed.Digest()
	if want := strings.TrimSpace(read(t, built(t), digestName)); err != nil || digest.String() != want {
		t.Errorf("the registry has %s (%v), want %s", digest, err, want)
	}
	manifest, err := pushed.IndexManifest()
	if err != nil || len(manifest.Manifests) != len(platforms) {
		t.Fatalf("the index has %v (%v)", manifest, err)
	}
	for _, image := range manifest.Manifests {
		attached := attachedTo(t, tag.Context().Digest(image.Digest.String()))
		if attached != read(t, built(t), sbomName(*image.Platform)) {
			t.Errorf("%s: what is attached is not its SBOM", image.Platform)
		}
	}
}

// attachedTo returns the only thing that is attached to an image.
func attachedTo(t *testing.T, image name.Digest) string {
	t.Helper()
	referrers, err := remote.Referrers(image)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := referrers.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 || manifest.Manifests[0].ArtifactType != sbomType {
		t.Fatalf("%s is referred to by %v (%v)", image, manifest, err)
	}
	artifact, err := remote.Image(image.Context().Digest(manifest.Manifests[0].Digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	layers, err := artifact.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("it has the layers %v (%v)", layers, err)
	}
	content, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	text, err := io.ReadAll(content)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Without an image to push the message says how to make one.
func TestPushWithoutAnImage(t *testing.T) {
	if err := push(t.Context(), t.TempDir(), testName); err == nil || !strings.Contains(err.Error(), "make image writes it") {
		t.Errorf("it says %v", err)
	}
}
