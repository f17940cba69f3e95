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
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Process is a child process in a process group of its own: a Ctrl-C at the terminal does not reach it. Its output
// goes to a file, so that it can outlive this process.
type Process struct {
	// Name is what messages call it.
	Name string
	// LogFile is where its output goes.
	LogFile string

	command *exec.Cmd
	done    chan struct{}
	err     error // valid once done is closed
}

// startProcess starts a process that Stop will end. Its log is called after it. It may be called from several goroutines.
func (c *Cluster) startProcess(ctx context.Context, name, path string, arguments ...string) (*Process, error) {
	p := &Process{Name: name, LogFile: filepath.Join(c.Dir, name+".log"), done: make(chan struct{})}
	log, err := os.Create(p.LogFile)
	if err != nil {
		return nil, fmt.Errorf("make the log of %s: %w", name, err)
	}
	defer func() { _ = log.Close() }() // the process has its own descriptor
	p.command = exec.CommandContext(context.WithoutCancel(ctx), path, arguments...)
	p.command.Stdout, p.command.Stderr = log, log
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	c.mutex.Lock()
	c.processes = append(c.processes, p)
	c.mutex.Unlock()
	go func() {
		p.err = p.command.Wait()
		close(p.done)
	}()
	return p, nil
}

// PID returns the process id, which is the id of its group too.
func (p *Process) PID() int { return p.command.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running reports whether the process has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Wait waits for the end of the process and returns how it ended: nil for exit code 0.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return fmt.Errorf("%s still runs: %w", p.Name, ctx.Err())
	}
}

// Stop ends the process by SIGTERM, and by SIGKILL when the context ends before it does. It returns an error if the
// process had to be killed or ended with another exit code than 0; a process that has ended before is no error.
func (p *Process) Stop(ctx context.Context) error {
	if !p.Running() {
		return nil
	}
	// A process that is paused sees SIGTERM only when it goes on.
	if err := errors.Join(p.signal(syscall.SIGTERM), p.signal(syscall.SIGCONT)); err != nil {
		return err
	}
	err := p.Wait(ctx)
	if !p.Running() {
		if err != nil {
			return fmt.Errorf("%s did not end well: %w", p.Name, err)
		}
		return nil
	}
	return errors.Join(fmt.Errorf("%s did not end on SIGTERM and was killed: %w", p.Name, ctx.Err()), p.Kill())
}

// Kill ends the process by SIGKILL and waits for its end.
func (p *Process) Kill() error {
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.done // the kernel sees to it
	return nil
}

// Pause stops the process where it is, as a frozen machine would.
func (p *Process) Pause() error { return p.signal(syscall.SIGSTOP) }

// Resume lets a paused process go on.
func (p *Process) Resume() error { return p.signal(syscall.SIGCONT) }

// signal sends a signal to the group, unless the process has ended.
func (p *Process) signal(signal syscall.Signal) error {
	if !p.Running() {
		return nil
	}
	if err := syscall.Kill(-p.PID(), signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("send %s to %s: %w", signal, p.Name, err)
	}
	return nil
}

// Log returns the output of the process so far.
func (p *Process) Log() (string, error) {
	text, err := os.ReadFile(p.LogFile)
	if err != nil {
		return "", fmt.Errorf("read the log of %s: %w", p.Name, err)
	}
	return string(text), nil
}

// tailWidth is enough for a log line without its stack trace.
const tailWidth = 500

// Tail returns the last lines of a file, cut to a readable width; nothing if it cannot be read.
func Tail(path string, count int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	lines = lines[max(0, len(lines)-count):]
	for i, line := range lines {
		if len(line) > tailWidth {
			lines[i] = strings.ToValidUTF8(line[:tailWidth], "") + "..."
		}
	}
	return strings.Join(lines, "\n")
}
