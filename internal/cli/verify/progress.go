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

package verify

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
	"k8s.io/utils/clock"
)

// progress shows a person at a terminal how far a command is, on a line of its own that it takes away in the end. It is safe for
// concurrent use.
type progress struct {
	out     io.Writer // nil to show nothing
	clock   clock.PassiveClock
	mutex   sync.Mutex
	shownAt time.Time
	counted int
}

// newProgress shows progress if what it writes to is a terminal.
func newProgress(out io.Writer, passive clock.PassiveClock) *progress {
	shown := &progress{clock: passive}
	if file, is := out.(*os.File); is && term.IsTerminal(int(file.Fd())) {
		shown.out = out
	}
	return shown
}

const (
	redrawAfter = 200 * time.Millisecond
	clearLine   = "\r\x1b[K"
)

// show shows a text in place of the one before, not too often.
func (p *progress) show(format string, arguments ...any) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.draw(format, arguments...)
}

// count shows a text with how often it was called.
func (p *progress) count(format string) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.counted++
	p.draw(format, p.counted)
}

func (p *progress) draw(format string, arguments ...any) {
	if now := p.clock.Now(); p.out != nil && now.Sub(p.shownAt) >= redrawAfter {
		p.shownAt = now
		_, _ = fmt.Fprintf(p.out, clearLine+format, arguments...)
	}
}

// end takes the line away.
func (p *progress) end() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.out != nil && !p.shownAt.IsZero() {
		_, _ = fmt.Fprint(p.out, clearLine)
	}
	p.shownAt, p.counted = time.Time{}, 0
}
