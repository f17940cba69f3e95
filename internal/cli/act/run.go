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

package act

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/internal/cli"
)

// run is one run of a command.
type run struct {
	f         *cli.Factory
	options   *options
	terminal  func(io.Reader) bool
	client    client.WithWatch
	namespace string
	kind      string
	request   string
}

// begin makes the client.
func (r *run) begin() error {
	config, err := r.f.RESTConfig()
	if err != nil {
		return err
	}
	if r.namespace, err = r.f.Namespace(); err != nil {
		return err
	}
	config = rest.CopyConfig(config)
	config.WarningHandler = rest.NewWarningWriter(r.f.ErrOut, rest.WarningWriterOptions{Deduplicate: true})
	made, err := client.NewWithWatch(config, client.Options{Scheme: cli.Scheme()})
	if err != nil {
		return fmt.Errorf("make a client of the cluster: %w", err)
	}
	r.client = client.WithWatch(ownedBy{WithWatch: made})
	r.request = r.f.Now().UTC().Format(time.RFC3339Nano)
	return nil
}

// ownedBy writes as the command line.
type ownedBy struct{ client.WithWatch }

// Patch writes a patch.
func (o ownedBy) Patch(ctx context.Context, object client.Object, patch client.Patch, options ...client.PatchOption) error {
	return o.WithWatch.Patch(ctx, object, patch, append(options, client.FieldOwner(cli.FieldOwner))...)
}

// do does what the command line asks for.
func (r *run) do(ctx context.Context, arguments []string) error {
	kind, names, err := parseTargets(arguments)
	if err == nil {
		err = r.options.validate(kind, names)
	}
	if err != nil {
		return cli.Usage(fmt.Errorf("%w: see kubectl backupsync %s --help", err, r.options.verb))
	}
	r.kind = kind
	if err := r.begin(); err != nil {
		return err
	}
	told, taken, in, err := r.choose(ctx, names)
	if err != nil {
		return interruptedOr(ctx, err)
	}
	return r.carryOut(ctx, told, taken, in)
}

// interruptedOr returns an error that says so if the command was interrupted before it wrote anything.
func interruptedOr(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("interrupted: nothing was changed")
	}
	return err
}

// choose reads and judges what is chosen.
func (r *run) choose(ctx context.Context, names []string) (*account, []*target, homes, error) {
	read := &reader{client: r.client, namespace: r.namespace}
	told := &account{options: r.options, kind: r.kind, named: len(names) > 0}
	var targets []*target
	var in homes
	var err error
	if told.named {
		targets, told.missing, err = read.named(ctx, r.kind, names)
	} else {
		targets, err = read.chosen(ctx, r.kind, r.options)
	}
	if err == nil && r.kind == kindBackup && r.options.verb != suspend {
		in, err = read.homes(ctx)
	}
	if err != nil {
		return nil, nil, homes{}, err
	}
	r.options.judge(targets, in, told.named)
	var taken []*target
	for _, each := range targets {
		if each.verdict.decision == acted {
			taken = append(taken, each)
		} else {
			told.passed = append(told.passed, each)
		}
	}
	return told, taken, in, nil
}

// carryOut tells, asks, writes, waits, and accounts for it.
func (r *run) carryOut(ctx context.Context, told *account, taken []*target, in homes) error {
	told.tellPassed(r.f.ErrOut)
	if len(taken)+len(told.passed)+len(told.missing) == 0 {
		_, _ = fmt.Fprintf(r.f.ErrOut, "No %s of namespace %s is chosen.\n", r.kind, r.namespace)
	}
	writes := r.options.plan(slices.Concat(taken, told.passed), in)
	for _, text := range warnings(r.options.verb, taken) {
		_, _ = fmt.Fprintln(r.f.ErrOut, text)
	}
	if err := r.confirm(ctx, taken, len(writes)); err != nil {
		return err
	}
	told.results = r.write(ctx, writes)
	told.tellResults(r.f.Out, r.f.ErrOut)
	if text := told.summary(); text != "" {
		_, _ = fmt.Fprintln(r.f.ErrOut, text)
	}
	err := r.waitFor(ctx, told)
	if r.options.output == outputJSON {
		err = errors.Join(err, printJSON(r.f.Out, told.json(r.namespace, r.request)))
	}
	return errors.Join(told.verdict(ctx), err)
}

// write makes the writes, in the order of their names at last.
func (r *run) write(ctx context.Context, writes []write) []result {
	writer := &writer{client: r.client, options: r.options, request: r.request, progress: func(done, of int) {
		if done%pageSize == 0 && done < of {
			_, _ = fmt.Fprintf(r.f.ErrOut, "%d of %d written\n", done, of)
		}
	}}
	results := writer.all(ctx, writes)
	slices.SortStableFunc(results, func(a, b result) int { return strings.Compare(a.name(), b.name()) })
	return results
}

// verdict is the error that says what the command could not do, or has found.
func (a *account) verdict(ctx context.Context) error {
	switch {
	case a.count(notReached) > 0:
		return fmt.Errorf("interrupted with %d of %d left", a.count(notReached), len(a.results))
	case a.count(failed) > 0:
		return fmt.Errorf("%s could not be written", plural(a.count(failed), a.kind))
	case len(a.missing) > 0:
		return fmt.Errorf("%s not found: %s", plural(len(a.missing), a.kind), strings.Join(a.missing[:min(len(a.missing), maxListed)], ", "))
	case ctx.Err() != nil && !a.options.wait && len(a.results) > 0:
		return nil // all was done by then
	case a.helpless() > 0:
		return cli.WithStatus(cli.ExitFound, fmt.Errorf("something else must be done first for %s: see above", plural(a.helpless(), a.kind)))
	default:
		return nil
	}
}

// waitFor waits for what was written, if that is wanted.
func (r *run) waitFor(ctx context.Context, told *account) error {
	names, through := told.waited()
	if !r.options.wait || len(names) == 0 {
		return nil
	}
	waiter := &waiter{client: r.client, namespace: r.namespace, verb: r.options.verb, clock: r.f.Clock, tell: r.teller()}
	ctx, cancel := within(ctx, r.f.Clock, r.options.timeout)
	defer cancel()
	if len(through) > 0 { // till it is taken in, the backups look as they did
		if err := waiter.takenIn(ctx, through); err != nil {
			return r.waitError(err, "the operator has not acted on the request at the CBRProject: does it run? See kubectl backupsync doctor -n "+r.namespace)
		}
	}
	waiter.mind(ctx, told.homes())
	err := waiter.wait(ctx, r.kind, names)
	waiter.progress(true)
	told.ended = waiter.ended
	if err != nil {
		return r.waitError(err, fmt.Sprintf("%s not ended: %s", plural(len(waiter.open), r.kind), standOf(waiter.open, nil)))
	}
	return told.ending(r.f.ErrOut)
}

// waited returns whose end is waited for, and the CBRProjects at which that was asked for.
func (a *account) waited() (names, through []string) {
	for _, each := range a.results {
		if each.outcome != written {
			continue
		}
		names = append(names, each.name())
		if _, project, found := strings.Cut(each.through, "/"); found && !slices.Contains(through, project) {
			through = append(through, project)
		}
	}
	return names, through
}

// teller returns what prints lines of progress, from several goroutines.
func (r *run) teller() func(string) {
	var mutex sync.Mutex
	return func(text string) {
		mutex.Lock()
		defer mutex.Unlock()
		_, _ = fmt.Fprintln(r.f.ErrOut, text)
	}
}

// homes returns the CBRProjects of the BackupSyncs that are waited for, unless they are many.
func (a *account) homes() []string {
	if a.options.verb == suspend {
		return nil
	}
	names := sets.New[string]()
	for _, each := range a.results {
		if backup := each.backup(); backup != nil && each.outcome == written {
			names.Insert(backup.Spec.ProjectRef.Name)
		}
	}
	return sets.List(names)[:min(names.Len(), followSingly)]
}

func (r *run) waitError(err error, stands string) error {
	switch {
	case errors.Is(err, errTimeout):
		return fmt.Errorf("timed out after %s: %s", r.options.timeout, stands)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("interrupted while waiting: %s. What was asked for goes on without this command", stands)
	default:
		return err
	}
}

// ending tells what has not ended well, and returns an error if there is some.
func (a *account) ending(out io.Writer) error {
	bad := 0
	for _, each := range a.results {
		end := a.ended[each.name()]
		if end.how == endedWell || end.how == "" {
			continue
		}
		if bad++; bad <= maxListed {
			_, _ = fmt.Fprintf(out, "%s: %s%s\n", qualified(each.kind, each.name()), end.reason, noteOf(end.message))
		}
	}
	if bad == 0 {
		return nil
	}
	return cli.WithStatus(cli.ExitFound, fmt.Errorf("%d of %d have not ended well", bad, len(a.ended)))
}
