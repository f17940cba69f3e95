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

package overview

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"backupsync.dev/operator/internal/cli/text"
)

// window is how far back the imports are looked at that make the rate.
const window = 5 * time.Minute

// progress remembers how many backups of each project were imported, and when, to tell how fast that goes.
type progress map[projectName][]sample

type sample struct {
	at       time.Time
	imported int
}

// observe takes an overview in, and fills in what its projects have done since earlier ones.
func (p progress) observe(in *Overview) {
	for i := range in.Projects {
		of := &in.Projects[i]
		name := projectName{of.Namespace, of.Name}
		counts := of.counts()
		p[name] = append(p[name], sample{in.Time.Time, int(counts.Imported)})
		for len(p[name]) > 2 && in.Time.Sub(p[name][1].at) >= window {
			p[name] = p[name][1:]
		}
		samples := p[name]
		first, last := samples[0], samples[len(samples)-1]
		if minutes := last.at.Sub(first.at).Minutes(); minutes > 0 {
			of.Pace.since(float64(last.imported-first.imported)/minutes, max(int(counts.Pending)-of.Pace.HeldBack, 0)+int(counts.Running))
		}
	}
}

// since notes a rate, and what follows for so many that are open.
func (p *Pace) since(perMinute float64, open int) {
	perMinute = max(perMinute, 0)
	p.ImportedPerMinute = &perMinute
	if perMinute > 0 && open > 0 {
		left := int(float64(open) / perMinute * 60)
		p.SecondsLeft = &left
	}
}

// screen shows one overview after the other.
type screen struct {
	*options
	terminal text.Terminal
	shown    map[projectName]string // the latest lines, without their times, where lines are appended
}

// show shows an overview: in place of the one before on a terminal, else by a line for each project that has changed.
func (s *screen) show(in *Overview) error {
	switch {
	case s.output == text.JSON:
		line, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("write as json: %w", err)
		}
		return text.Write(s.Out, string(line)+"\n")
	case s.output == text.YAML:
		if err := text.Write(s.Out, "---\n"); err != nil {
			return err
		}
		return text.WriteStructured(s.Out, text.YAML, in)
	case s.terminal.Interactive:
		return text.Write(s.Out, redrawn(render(s.terminal, in, s.output == wideOutput), s.terminal.Height))
	default:
		return text.WriteLines(s.Out, s.news(in))
	}
}

// news are the lines of the projects that have changed.
func (s *screen) news(in *Overview) []string {
	var lines []string
	for i := range in.Projects {
		of := &in.Projects[i]
		name := projectName{of.Namespace, of.Name}
		counts := of.counts()
		if state := inAWord(of) + countWords(counts); s.shown[name] != state {
			s.shown[name] = state
			lines = append(lines, summary(of, in.Time.Time))
		}
	}
	return lines
}

// The codes that draw in place.
const (
	home      = "\x1b[H"
	clearLine = "\x1b[K"
	clearRest = "\x1b[J"
)

// redrawn is what puts lines in place of those before, without flicker. What does not fit is left out, but said.
func redrawn(lines []string, height int) string {
	if height > 1 && len(lines) > height-1 {
		hidden := len(lines) - (height - 2)
		lines = append(lines[:height-2:height-2], fmt.Sprintf("… %s more: enlarge the window, or name a CBRProject", text.Count(hidden, "line")))
	}
	return home + strings.Join(lines, clearLine+"\n") + clearLine + "\n" + clearRest
}

// errNotDone says that --until-done was ended by --timeout.
var errNotDone = errors.New("not all is done")

// watch shows overviews until a person, or what was asked for, ends it. It returns the latest one.
func (o *options) watch(ctx context.Context, from *source) (*Overview, error) {
	ctx, cancel := o.bounded(ctx)
	defer cancel()
	shows, seen := &screen{options: o, terminal: o.terminal(), shown: map[projectName]string{}}, progress{}
	ticker := o.Clock.NewTicker(o.interval)
	defer ticker.Stop()
	var latest *Overview
	for {
		looked, err := from.look(ctx, o.scope)
		switch {
		case ctx.Err() != nil:
			return latest, o.interrupted(ctx)
		case err != nil && latest == nil:
			return nil, err
		case err != nil: // a server that restarts, for one
			_, _ = fmt.Fprintf(o.ErrOut, "Warning: %s: it is tried again in %s\n", text.Clean(err.Error()), o.interval)
		default:
			latest = looked
			seen.observe(latest)
			if err := shows.show(latest); err != nil {
				return latest, err
			}
			if o.untilDone && len(latest.Projects)+len(latest.Orphans) == 0 { // a slip of the namespace, for one
				return latest, fmt.Errorf("nothing to wait for: %s", o.none())
			}
			if o.untilDone && latest.Done {
				return latest, nil
			}
		}
		select {
		case <-ctx.Done():
			return latest, o.interrupted(ctx)
		case <-ticker.C():
		}
	}
}

func (o *options) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	if o.timeout > 0 {
		timer := o.Clock.NewTimer(o.timeout)
		go func() {
			defer timer.Stop()
			select {
			case <-timer.C():
				cancel(fmt.Errorf("%w after %s", errNotDone, o.timeout))
			case <-ctx.Done():
			}
		}()
	}
	return ctx, func() { cancel(nil) }
}

// interrupted is the error of a watch that has ended before what it waited for.
func (o *options) interrupted(ctx context.Context) error {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errNotDone):
		return cause
	case o.untilDone:
		return fmt.Errorf("interrupted: %w", errNotDone)
	default:
		return nil
	}
}
