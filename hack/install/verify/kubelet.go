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
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/match"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// accountFolder is where a pod finds the token of its ServiceAccount.
	accountFolder = "var/run/secrets/kubernetes.io/serviceaccount"
	// nonRoot is the user of the image.
	nonRoot = 65532
	// podGrace is how long a pod may take to end.
	podGrace = 30 * time.Second
)

// pod is the manager as the kubelet would run it.
type pod struct {
	command *exec.Cmd
	log     string
	done    chan error
}

// unpack extracts the image of this machine's platform into a folder.
func unpack(from, into string) error {
	index, err := layout.ImageIndexFromPath(from)
	if err != nil {
		return fmt.Errorf("read the image: %w", err)
	}
	image, err := imageOf(index, ggcr.Platform{OS: "linux", Architecture: runtime.GOARCH})
	if err != nil {
		return err
	}
	stream := mutate.Extract(image)
	defer func() { _ = stream.Close() }() // of what was only read
	return untar(stream, into)
}

// imageOf finds the image of a platform in an index, or in one that it holds.
func imageOf(index ggcr.ImageIndex, platform ggcr.Platform) (ggcr.Image, error) {
	images, err := partial.FindImages(index, match.Platforms(platform))
	if err == nil && len(images) > 0 {
		return images[0], nil
	}
	inner, innerErr := partial.FindIndexes(index, func(ggcr.Descriptor) bool { return true })
	for _, each := range inner {
		if image, imageErr := imageOf(each, platform); imageErr == nil {
			return image, nil
		}
	}
	return nil, errors.Join(fmt.Errorf("the image is not there for %s", platform.Architecture), err, innerErr)
}

func untar(stream io.Reader, into string) error {
	for reader := tar.NewReader(stream); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the image: %w", err)
		}
		if !filepath.IsLocal(header.Name) {
			return fmt.Errorf("the image has a file outside of itself: %q", header.Name)
		}
		if err := unpackOne(reader, header, filepath.Join(into, header.Name)); err != nil {
			return err
		}
	}
}

func unpackOne(reader io.Reader, header *tar.Header, path string) error {
	if header.Typeflag == tar.TypeDir {
		return os.MkdirAll(path, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, header.FileInfo().Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(file, reader)
	return errors.Join(err, file.Close())
}

// startPod starts what the Deployment says, in the root of the image and with nothing else.
func (v *verification) startPod(ctx context.Context) error {
	deployment := &appsv1.Deployment{}
	if err := v.cluster.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: deploymentName}, deployment); err != nil {
		return fmt.Errorf("read the Deployment: %w", err)
	}
	spec := deployment.Spec.Template.Spec
	if err := v.mountAccount(ctx, spec.ServiceAccountName); err != nil {
		return err
	}
	endpoint, err := url.Parse(v.cluster.Config.Host)
	if err != nil {
		return fmt.Errorf("the address of the API server: %w", err)
	}
	container := spec.Containers[0]
	environment := []string{"KUBERNETES_SERVICE_HOST=" + endpoint.Hostname(), "KUBERNETES_SERVICE_PORT=" + endpoint.Port()}
	for _, variable := range container.Env {
		environment = append(environment, variable.Name+"="+variable.Value)
	}
	v.printf("  (in the place of the kubelet: %s %s)\n", strings.Join(container.Command, " "), strings.Join(container.Args, " "))
	v.pods++
	v.pod, err = startIn(v.imageRoot, filepath.Join(v.cluster.Dir, fmt.Sprintf("pod-%d.log", v.pods)), append(container.Command, container.Args...), environment)
	return err
}

// mountAccount writes what the kubelet mounts into a pod.
func (v *verification) mountAccount(ctx context.Context, account string) error {
	token, err := v.cluster.Token(ctx, namespace, account)
	if err != nil {
		return err
	}
	folder := filepath.Join(v.imageRoot, accountFolder)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for name, content := range map[string][]byte{"token": []byte(token), "namespace": []byte(namespace), "ca.crt": v.cluster.Config.CAData} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// startIn starts a program in a root of its own, as the user of the image.
func startIn(root, log string, command, environment []string) (*pod, error) {
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // the process has its own descriptor
	p := &pod{log: log, done: make(chan error, 1), command: &exec.Cmd{
		Path: command[0], Args: command, Env: environment, Dir: "/", Stdout: file, Stderr: file,
		SysProcAttr: &syscall.SysProcAttr{Chroot: root, Setpgid: true, Credential: &syscall.Credential{Uid: nonRoot, Gid: nonRoot}},
	}}
	if os.Geteuid() != 0 {
		inNamespace(p.command.SysProcAttr)
	}
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("start %s in %s: %w", command[0], root, err)
	}
	go func() { p.done <- p.command.Wait() }()
	return p, nil
}

// inNamespace lets somebody who is not root change the root, in a namespace of users in which they are.
func inNamespace(attributes *syscall.SysProcAttr) {
	attributes.Cloneflags, attributes.Credential.NoSetGroups = syscall.CLONE_NEWUSER, true
	attributes.UidMappings = []syscall.SysProcIDMap{{ContainerID: nonRoot, HostID: os.Getuid(), Size: 1}}
	attributes.GidMappings = []syscall.SysProcIDMap{{ContainerID: nonRoot, HostID: os.Getgid(), Size: 1}}
}

// stopPod ends the manager as the kubelet does. One that does not end well is an error.
func (v *verification) stopPod() error {
	if v.pod == nil {
		return nil
	}
	stopped := v.pod
	v.pod = nil
	if err := stopped.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop the manager: %w", err)
	}
	select {
	case err := <-stopped.done:
		if err != nil {
			return fmt.Errorf("the manager has not ended well: %w", err)
		}
		return nil
	case <-time.After(podGrace):
		return errors.Join(errors.New("the manager has not ended in time"), stopped.command.Process.Kill())
	}
}
