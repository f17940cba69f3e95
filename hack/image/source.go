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
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// source is what the image is made of.
type source struct {
	version string
	// revision is the commit, with "-dirty" behind it if files differ from it; "" outside a repository.
	revision string
	// created is SOURCE_DATE_EPOCH, or else the time of the commit: the time of the build would make each one another.
	created time.Time
}

func sourceOf(ctx context.Context, root, version string) (source, error) {
	from := source{version: version}
	revision, err := git(ctx, root, "rev-parse", "HEAD")
	if err == nil {
		from.revision = revision
		changed, statusErr := git(ctx, root, "status", "--porcelain")
		if statusErr == nil && changed != "" {
			from.revision += "-dirty"
		}
	}
	seconds := os.Getenv("SOURCE_DATE_EPOCH")
	if seconds == "" {
		if seconds, err = git(ctx, root, "log", "-1", "--format=%ct"); err != nil {
			return source{}, fmt.Errorf("find the time of the commit (SOURCE_DATE_EPOCH gives it outside a repository): %w", err)
		}
	}
	created, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return source{}, fmt.Errorf("SOURCE_DATE_EPOCH %q is not a number of seconds: %w", seconds, err)
	}
	from.created = time.Unix(created, 0).UTC()
	return from, nil
}

// git returns what a git command prints, without the line break at its end.
func git(ctx context.Context, root string, arguments ...string) (string, error) {
	output, err := exec.CommandContext(ctx, "git", append([]string{"-C", root}, arguments...)...).Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		err = fmt.Errorf("git %s: %w: %s", arguments[0], err, strings.TrimSpace(string(failed.Stderr)))
	}
	return strings.TrimSpace(string(output)), err
}

// annotations describe the image, by the keys that the OCI image specification has for it.
func (s source) annotations() map[string]string {
	annotations := map[string]string{
		"org.opencontainers.image.title":       "backupsync",
		"org.opencontainers.image.description": "Imports VMware backups into Huawei Cloud Backup and Recovery, declared in Kubernetes",
		"org.opencontainers.image.version":     s.version,
		"org.opencontainers.image.licenses":    "Apache-2.0",
		"org.opencontainers.image.created":     s.created.Format(time.RFC3339),
	}
	if s.revision != "" {
		annotations["org.opencontainers.image.revision"] = s.revision
	}
	return annotations
}
