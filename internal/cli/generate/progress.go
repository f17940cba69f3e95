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

package generate

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/term"
	"k8s.io/utils/clock"
)

// progress draws how far a run is, on a terminal.
type progress struct {
	out   io.Writer
	clock clock.PassiveClock
	total int64        // bytes of all inventories, 0 if that is not known
	read  atomic.Int64 // bytes read
	start time.Time
	drawn time.Time
	shown bool
}

// newProgress returns nil if a stream is no terminal.
func newProgress(out io.Writer, made clock.PassiveClock) *progress {
	if file, isFile := out.(*os.File); !isFile || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	return &progress{out: out, clock: made, start: made.Now()}
}

// redraw is how often the line is drawn.
const redraw = 100 * time.Millisecond

// rows tells how many rows were taken. It draws now and then.
func (p *progress) rows(count int) {
	if p == nil || count%64 != 0 {
		return
	}
	now := p.clock.Now()
	if now.Sub(p.drawn) < redraw {
		return
	}
	p.drawn, p.shown = now, true
	_, _ = fmt.Fprint(p.out, "\r\x1b[K"+p.line(count, now))
}

const width = 30

func (p *progress) line(count int, now time.Time) string {
	rate := ""
	if spent := now.Sub(p.start); spent >= time.Second {
		rate = fmt.Sprintf(", %.0f a second", float64(count)/spent.Seconds())
	}
	if p.total == 0 {
		return fmt.Sprintf("%d rows%s", count, rate)
	}
	part := min(1, float64(p.read.Load())/float64(p.total))
	bar := make([]byte, width)
	for index := range bar {
		bar[index] = '.'
		if float64(index) < part*width {
			bar[index] = '#'
		}
	}
	return fmt.Sprintf("[%s] %3.0f%%, %d rows%s", bar, part*100, count, rate)
}

// clear takes the line away.
func (p *progress) clear() {
	if p == nil || !p.shown {
		return
	}
	p.shown = false
	_, _ = fmt.Fprint(p.out, "\r\x1b[K")
}

// counting counts what is read of an inventory.
func (p *progress) counting(in io.Reader) io.Reader {
	if p == nil {
		return in
	}
	return counted{in: in, read: &p.read}
}

type counted struct {
	in   io.Reader
	read *atomic.Int64
}

// Read implements io.Reader.
func (c counted) Read(buffer []byte) (int, error) {
	count, err := c.in.Read(buffer)
	c.read.Add(int64(count))
	return count, err
}
