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
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// printf prints for whoever reads along.
func (v *verification) printf(format string, values ...any) {
	_, _ = fmt.Fprintf(v.out, format, values...)
}

// run runs a command as it would be typed: its first word is a program of bin, and it is printed with its output.
func (v *verification) shell(ctx context.Context, line string) (string, error) {
	v.printf("$ %s\n", line)
	output, err := v.quietly(ctx, line)
	for _, each := range strings.Split(strings.TrimRight(output, "\n"), "\n") {
		v.printf("  %s\n", each)
	}
	return output, err
}

// quietly is shell for what is not worth reading.
func (v *verification) quietly(ctx context.Context, line string) (string, error) {
	command := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-c", line)
	command.Dir = v.root
	path := strings.Join([]string{filepath.Join(v.root, "bin"), v.cluster.Assets, os.Getenv("PATH")}, string(os.PathListSeparator))
	command.Env = append(os.Environ(), "PATH="+path, "KUBECONFIG="+v.cluster.Kubeconfig, "KUBECACHEDIR="+filepath.Join(v.cluster.Dir, "cache"),
		"KUBERC=off", "HELM_CONFIG_HOME="+v.cluster.Dir, "HELM_CACHE_HOME="+v.cluster.Dir, "HELM_DATA_HOME="+v.cluster.Dir)
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Run(); err != nil {
		return output.String(), fmt.Errorf("%s: %w\n%s", line, err, output.String())
	}
	return output.String(), nil
}

// matching is shell for a command whose output must match.
func (v *verification) matching(ctx context.Context, line, pattern string) error {
	output, err := v.shell(ctx, line)
	if err != nil {
		return err
	}
	if !regexp.MustCompile(pattern).MatchString(output) {
		return fmt.Errorf("%s: its output does not match %q", line, pattern)
	}
	return nil
}

// eventually repeats what takes its time, and returns its last error when the time is up.
func eventually(ctx context.Context, timeout time.Duration, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("after %s: %w", timeout, err)
		case <-time.After(300 * time.Millisecond):
		}
	}
}
