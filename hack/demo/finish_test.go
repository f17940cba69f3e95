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
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"backupsync.dev/operator/internal/e2e/cluster"
)

// follow starts a process that runs until it is stopped, with a folder in its arguments.
func follow(ctx context.Context, t *testing.T, dir string) (command *exec.Cmd, ended <-chan error) {
	t.Helper()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	command = exec.CommandContext(ctx, "tail", "-f", file)
	if err := command.Start(); err != nil {
		t.Skip("this machine has no tail: ", err)
	}
	waited := make(chan error, 1)
	go func() { waited <- command.Wait() }()
	return command, waited
}

func TestStopScript(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	dir := filepath.Join(t.TempDir(), "it's the demo's")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	ours, oursEnded := follow(ctx, t, dir)
	another, anotherEnded := follow(ctx, t, t.TempDir())
	script := filepath.Join(dir, "stop")
	text := stopScript(dir, []cluster.Child{{Name: "tail", PID: ours.Process.Pid}, {Name: "another", PID: another.Process.Pid}})
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.CommandContext(ctx, "sh", script).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	select {
	case <-oursEnded:
	case <-ctx.Done():
		t.Error("the demo's process still runs")
	}
	select {
	case <-anotherEnded:
		t.Error("a process that is not the demo's was stopped")
	default:
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is left behind: %v", err)
	}
}
