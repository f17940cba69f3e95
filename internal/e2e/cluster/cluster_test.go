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

package cluster

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// shell starts a shell script as a process that has announced itself by the word "up".
func shell(t *testing.T, script string) *Process {
	t.Helper()
	c := &Cluster{Dir: t.TempDir()}
	process, err := c.startProcess(t.Context(), "shell", "/bin/sh", "-c", script+"; echo up; while :; do sleep 0.05; done")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = process.Kill() })
	err = process.await(t.Context(), defaultStartTimeout, func(context.Context) bool {
		log, err := process.Log()
		return err == nil && strings.Contains(log, "up\n")
	})
	if err != nil {
		t.Fatal(err)
	}
	return process
}

func TestStopProcess(t *testing.T) {
	for name, test := range map[string]struct {
		script string
		paused bool
		want   string // of the error
	}{
		"that ends well":       {script: "trap 'exit 0' TERM"},
		"that ends badly":      {script: "trap 'exit 7' TERM", want: "shell did not end well: exit status 7"},
		"that is paused":       {script: "trap 'exit 0' TERM", paused: true},
		"that does not listen": {script: "trap '' TERM", want: "killed"},
	} {
		t.Run(name, func(t *testing.T) {
			process := shell(t, test.script)
			if test.paused {
				if err := process.Pause(); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			err := process.Stop(ctx)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got the error %v, expected %q", err, test.want)
			}
			if process.Running() {
				t.Error("it still runs")
			}
			if err := process.Stop(ctx); err != nil {
				t.Errorf("stopped again: %v", err)
			}
		})
	}
}

func TestProcessThatDoesNotComeUp(t *testing.T) {
	c := &Cluster{Dir: t.TempDir()}
	process, err := c.startProcess(t.Context(), "shell", "/bin/sh", "-c", "echo no such flag; exit 2")
	if err != nil {
		t.Fatal(err)
	}
	err = process.await(t.Context(), defaultStartTimeout, func(context.Context) bool { return false })
	if err == nil || !strings.Contains(err.Error(), "shell did not come up: it has ended\nno such flag") {
		t.Errorf("got the error %v", err)
	}
}

func TestAssets(t *testing.T) {
	root := t.TempDir()
	t.Setenv("KUBEBUILDER_ASSETS", "")
	if _, err := Assets(root); !errors.Is(err, ErrNoControlPlane) {
		t.Errorf("without bin/k8s: %v", err)
	}
	assets := filepath.Join(root, "bin", "k8s")
	if err := os.MkdirAll(assets, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"etcd", "kube-apiserver", "kubectl"} {
		if _, err := Assets(root); !errors.Is(err, ErrNoControlPlane) {
			t.Errorf("without %s: %v", name, err)
		}
		if err := os.WriteFile(filepath.Join(assets, name), nil, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := Assets(root); err != nil || got != assets {
		t.Errorf("got %s, %v", got, err)
	}
	t.Setenv("KUBEBUILDER_ASSETS", filepath.Join(root, "elsewhere"))
	if _, err := Assets(root); err == nil {
		t.Error("a KUBEBUILDER_ASSETS that does not exist was passed over")
	}
}

func TestTail(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(file, []byte("one\ntwo\n"+strings.Repeat("ö", tailWidth)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, want := Tail(file, 2), "two\n"+strings.Repeat("ö", tailWidth/2)+"..."; got != want {
		t.Errorf("got %q", got)
	}
	if got := Tail(file+"x", 2); got != "" {
		t.Errorf("got %q of a file that does not exist", got)
	}
}
