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
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// The example of a repository for Flux and Argo CD. What is in it of the operator's own kinds is held against the API server elsewhere:
// here it is what Flux and Argo CD are told. Their kinds are written down as far as the example uses them, and no field more.

var example = filepath.Join("config", "samples", "gitops")

// fluxKustomization is kustomize.toolkit.fluxcd.io/v1.
type fluxKustomization struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		DependsOn       []named         `json:"dependsOn"`
		Interval        metav1.Duration `json:"interval"`
		RetryInterval   metav1.Duration `json:"retryInterval"`
		Timeout         metav1.Duration `json:"timeout"`
		SourceRef       named           `json:"sourceRef"`
		Path            string          `json:"path"`
		TargetNamespace string          `json:"targetNamespace"`
		Prune           bool            `json:"prune"`
		Wait            bool            `json:"wait"`
		Force           bool            `json:"force"`
		DeletionPolicy  string          `json:"deletionPolicy"`
		Images          []struct {
			Name    string `json:"name"`
			NewName string `json:"newName"`
			NewTag  string `json:"newTag"`
		} `json:"images"`
		Decryption *struct {
			Provider  string `json:"provider"`
			SecretRef named  `json:"secretRef"`
		} `json:"decryption"`
	} `json:"spec"`
}

type named struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}

// gitRepository is source.toolkit.fluxcd.io/v1.
type gitRepository struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Interval metav1.Duration `json:"interval"`
		URL      string          `json:"url"`
		Ref      struct {
			Branch string `json:"branch"`
			Tag    string `json:"tag"`
		} `json:"ref"`
	} `json:"spec"`
}

// argoApplication is argoproj.io/v1alpha1.
type argoApplication struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              argoSpec `json:"spec"`
}

type argoSpec struct {
	Project string `json:"project"`
	Source  struct {
		RepoURL        string `json:"repoURL"`
		TargetRevision string `json:"targetRevision"`
		Path           string `json:"path"`
		Kustomize      *struct {
			Images []string `json:"images"`
		} `json:"kustomize"`
	} `json:"source"`
	Destination struct {
		Server    string `json:"server"`
		Namespace string `json:"namespace"`
	} `json:"destination"`
	SyncPolicy struct {
		Automated struct {
			Prune    bool `json:"prune"`
			SelfHeal bool `json:"selfHeal"`
		} `json:"automated"`
		Retry *struct {
			Limit   int64 `json:"limit"`
			Backoff struct {
				Duration    string `json:"duration"`
				Factor      int64  `json:"factor"`
				MaxDuration string `json:"maxDuration"`
			} `json:"backoff"`
		} `json:"retry"`
		SyncOptions []string `json:"syncOptions"`
	} `json:"syncPolicy"`
}

// argoApplicationSet is argoproj.io/v1alpha1.
type argoApplicationSet struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		GoTemplate        bool     `json:"goTemplate"`
		GoTemplateOptions []string `json:"goTemplateOptions"`
		Generators        []struct {
			Git struct {
				RepoURL     string `json:"repoURL"`
				Revision    string `json:"revision"`
				Directories []struct {
					Path    string `json:"path"`
					Exclude bool   `json:"exclude"`
				} `json:"directories"`
			} `json:"git"`
		} `json:"generators"`
		Template struct {
			metav1.ObjectMeta `json:"metadata"`
			Spec              argoSpec `json:"spec"`
		} `json:"template"`
		SyncPolicy struct {
			PreserveResourcesOnDeletion bool `json:"preserveResourcesOnDeletion"`
		} `json:"syncPolicy"`
	} `json:"spec"`
}

// manifests returns the documents of the YAML files in a folder, and below it, by kind.
func manifests(t *testing.T, folder string) map[string][]string {
	t.Helper()
	byKind := map[string][]string{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".yaml" || strings.HasPrefix(entry.Name(), ".") {
			return err
		}
		for document := range bytes.SplitSeq([]byte(read(t, path)), []byte("\n---\n")) {
			var of metav1.TypeMeta
			if err := yaml.Unmarshal(document, &of); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			kind := of.APIVersion + " " + of.Kind
			byKind[kind] = append(byKind[kind], string(document))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return byKind
}

// decoded decodes manifests, which must have no other fields than the type.
func decoded[T any](t *testing.T, texts []string) []T {
	t.Helper()
	objects := make([]T, len(texts))
	for i, text := range texts {
		if err := yaml.UnmarshalStrict([]byte(text), &objects[i]); err != nil {
			t.Errorf("%v:\n%s", err, text)
		}
	}
	if len(objects) == 0 {
		t.Fatal("there is none")
	}
	return objects
}

// isThere reports whether a path of the example, or of the operator's own repository, is a folder.
func isThere(source, path string) bool {
	root := example
	if source == "backupsync-operator" {
		root = "."
	}
	info, err := os.Stat(filepath.Join(root, filepath.FromSlash(path)))
	return err == nil && info.IsDir()
}

// dependencies are what the Kustomizations of the example wait for: the CRDs, then the project, then the backups.
var dependencies = map[string][]named{
	"crm-project": {{Name: "backupsync-operator"}},
	"erp-project": {{Name: "backupsync-operator"}},
	"crm-backups": {{Name: "crm-project"}},
	"erp-backups": {{Name: "erp-project"}},
}

func TestTheExampleForFlux(t *testing.T) {
	found := manifests(t, filepath.Join(example, "clusters", "beijing", "flux"))
	var sources, names []string
	for _, repository := range decoded[gitRepository](t, found["source.toolkit.fluxcd.io/v1 GitRepository"]) {
		sources = append(sources, repository.Name)
		if repository.Spec.Interval.Duration <= 0 || (repository.Spec.Ref.Branch == "") == (repository.Spec.Ref.Tag == "") {
			t.Errorf("%s has no interval, or not one ref", repository.Name)
		}
	}
	kustomizations := decoded[fluxKustomization](t, found["kustomize.toolkit.fluxcd.io/v1 Kustomization"])
	for _, kustomization := range kustomizations {
		names = append(names, kustomization.Name)
	}
	if slices.Sort(names); !slices.Equal(names, []string{"backupsync-operator", "crm-backups", "crm-project", "erp-backups", "erp-project"}) {
		t.Errorf("the Kustomizations are %v", names)
	}
	for _, kustomization := range kustomizations {
		spec := kustomization.Spec
		if !slices.Contains(sources, spec.SourceRef.Name) || !isThere(spec.SourceRef.Name, spec.Path) {
			t.Errorf("%s is of %s in %s, which is not there", kustomization.Name, spec.Path, spec.SourceRef.Name)
		}
		if needed := dependencies[kustomization.Name]; !slices.Equal(spec.DependsOn, needed) {
			t.Errorf("%s depends on %v, and not on %v", kustomization.Name, spec.DependsOn, needed)
		}
		if spec.Force || !spec.Prune || min(spec.Interval.Duration, spec.RetryInterval.Duration, spec.Timeout.Duration) < time.Minute {
			t.Errorf("%s forces, does not prune, or has no times", kustomization.Name)
		}
		if backups := strings.HasSuffix(kustomization.Name, "-backups"); spec.Wait == backups {
			t.Errorf("%s waits: %t", kustomization.Name, spec.Wait)
		}
	}
}

func TestTheExampleForArgoCD(t *testing.T) {
	found := manifests(t, filepath.Join(example, "clusters", "beijing", "argocd"))
	for _, application := range decoded[argoApplication](t, found["argoproj.io/v1alpha1 Application"]) {
		if !isThere(application.Name, application.Spec.Source.Path) {
			t.Errorf("%s is of %s, which is not there", application.Name, application.Spec.Source.Path)
		}
		checkArgo(t, application.Name, application.Spec)
		if len(application.Finalizers) > 0 {
			t.Errorf("%s deletes the CRDs when it is deleted", application.Name)
		}
	}
	for _, set := range decoded[argoApplicationSet](t, found["argoproj.io/v1alpha1 ApplicationSet"]) {
		checkArgo(t, set.Name, set.Spec.Template.Spec)
		if !set.Spec.SyncPolicy.PreserveResourcesOnDeletion {
			t.Errorf("%s deletes BackupSyncs when a folder is gone", set.Name)
		}
		for _, directory := range set.Spec.Generators[0].Git.Directories {
			folders, err := filepath.Glob(filepath.Join(example, filepath.FromSlash(directory.Path)))
			if err != nil || len(folders) < 2 {
				t.Errorf("%s is of %s, which is not there", set.Name, directory.Path)
			}
		}
	}
}

// checkArgo checks what all Applications have in common.
func checkArgo(t *testing.T, name string, spec argoSpec) {
	t.Helper()
	if !spec.SyncPolicy.Automated.Prune || !slices.Contains(spec.SyncPolicy.SyncOptions, "ServerSideApply=true") ||
		slices.Contains(spec.SyncPolicy.SyncOptions, "Replace=true") || slices.Contains(spec.SyncPolicy.SyncOptions, "Force=true") {
		t.Errorf("%s has other sync options than the documentation says", name)
	}
	if spec.Project == "" || spec.Destination.Server == "" || spec.Destination.Namespace == "" || spec.Source.TargetRevision == "" {
		t.Errorf("%s lacks a project, a destination or a revision", name)
	}
}

// Each folder of a team has what its name says, and nothing of the example is of a kind that no test looks at.
func TestTheKindsOfTheExample(t *testing.T) {
	known := []string{"cbr.backupsync.dev/v1alpha1 BackupSync", "cbr.backupsync.dev/v1alpha1 CBRProject", "external-secrets.io/v1 ExternalSecret",
		"kustomize.config.k8s.io/v1beta1 Kustomization", "v1 Namespace", "v1 Secret"}
	teams := manifests(t, filepath.Join(example, "teams"))
	for kind := range teams {
		if !slices.Contains(known, kind) {
			t.Errorf("there is a %s", kind)
		}
	}
	for _, namespace := range decoded[corev1.Namespace](t, teams["v1 Namespace"]) {
		if namespace.Annotations["kustomize.toolkit.fluxcd.io/prune"] != "disabled" || namespace.Annotations["argocd.argoproj.io/sync-options"] != "Prune=false" {
			t.Errorf("the namespace %s is pruned, with all that is in it", namespace.Name)
		}
		backups := manifests(t, filepath.Join(example, "teams", namespace.Name, "backups"))
		if len(backups) != 1 || len(backups[known[0]]) == 0 {
			t.Errorf("the folder of the backups of %s has %d kinds", namespace.Name, len(backups))
		}
	}
}
