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

package auth

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A fetch ends within its timeout, or when it is given up, whatever the token file is: a pipe that nobody writes to blocks those who open it.
func TestAFetchEndsThoughItsTokenFileIsAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{}, 1)
	identity, err := NewPodIdentity(PodIdentityConfig{URL: "http://127.0.0.1:1", TokenFile: path, Timeout: 20 * time.Millisecond,
		Changed: func() { ended <- struct{}{} }})
	if err != nil {
		t.Fatal(err)
	}
	identity.State()
	identity.Close()
	select {
	case <-ended:
	case <-time.After(2 * time.Second):
		t.Error("the fetch and its goroutine are still there")
		if pipe, err := os.OpenFile(path, os.O_RDWR, 0); err == nil { // lets it go
			_ = pipe.Close()
		}
	}
}
