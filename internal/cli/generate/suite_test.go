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

package generate_test

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"backupsync.dev/operator/internal/cli"
	"backupsync.dev/operator/internal/cli/generate"
	"backupsync.dev/operator/internal/e2e/cluster"
)

var update = flag.Bool("update", false, "write the golden files anew")

// shared is the API server of all tests that ask one. It starts with the first.
var shared struct {
	once    sync.Once
	cluster *cluster.Cluster
	err     error
}

// source is the folder of this package.
var source, _ = os.Getwd()

func TestMain(m *testing.M) {
	flag.Parse()
	status := m.Run()
	if shared.cluster != nil {
		if err := shared.cluster.Stop(context.Background()); err != nil && status == 0 {
			status = 1
		}
	}
	os.Exit(status)
}

// apiServer returns an API server that knows the operator's kinds. Without the binaries the test is skipped, but not in CI.
func apiServer(t *testing.T) *cluster.Cluster {
	t.Helper()
	root, err := cluster.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.Assets(root); err != nil && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	shared.once.Do(func() {
		if shared.cluster, shared.err = cluster.Start(context.Background(), root); shared.err == nil {
			_, shared.err = shared.cluster.Kubectl(context.Background(), "apply", "-f", filepath.Join(root, "config", "crd", "bases"))
		}
		if shared.err == nil {
			_, shared.err = shared.cluster.Kubectl(context.Background(), "wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
		}
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.cluster
}

// result is what a run of the command has printed, and its exit status.
type result struct {
	out, err string
	status   int
}

// command runs the command line.
func command(t *testing.T, stdin string, arguments ...string) result {
	t.Helper()
	var out, errOut bytes.Buffer
	f := cli.NewFactory("test", genericiooptions.IOStreams{In: strings.NewReader(stdin), Out: &out, ErrOut: &errOut})
	root := cli.NewCommand(f, generate.NewCommand(f))
	root.SetContext(t.Context())
	root.SetArgs(append([]string{"generate"}, arguments...))
	status := cli.Run(f, root)
	return result{out: out.String(), err: errOut.String(), status: status}
}

// file writes a file of a test, and returns its path.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// golden compares a text with a file of testdata.
func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(source, "testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if want := content(t, path); text != want {
		t.Errorf("it is\n%s\nnot, as in %s,\n%s", text, path, want)
	}
}
