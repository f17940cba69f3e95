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
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cli"
)

// onTerminal reports whether somebody is there who can be asked.
func onTerminal(in io.Reader) bool {
	file, is := in.(*os.File)
	return is && term.IsTerminal(int(file.Fd()))
}

// meanings are what the verbs do, in a sentence, by kind.
var meanings = map[string]map[verb]string{
	kindBackup: {
		retry:   "They are sent to CBR again, with all their retries, imported ones only if CBR does not have them any more. What was not corrected fails again.",
		suspend: "They are not sent before they are resumed. Tasks that run are followed to their end.",
		resume:  "They are sent to CBR, unless it has them already.",
	},
	kindProject: {
		retry:   "Their Secrets are read again, pauses end, and all backups that have failed are sent again, with all their retries.",
		suspend: "No backup of theirs is sent before they are resumed. Tasks that run are followed to their end.",
		resume:  "All backups that wait there are sent to CBR, unless it has them already.",
	},
}

// many returns how many objects something happens to.
func (o *options) many(kind string, taken []*target) int {
	count := len(taken)
	if kind == kindProject && o.verb == retry {
		for _, each := range taken {
			count = max(count, failedOf(each.project()))
		}
	}
	return count
}

// question says what is about to happen.
func (o *options) question(kind, namespace string, taken []*target, writes int) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s of namespace %s will %s: %s.\n", plural(len(taken), kind), namespace, wordsOf[o.verb].will, countReasons(taken))
	fmt.Fprintln(&text, meanings[kind][o.verb])
	for _, each := range taken {
		if kind == kindProject && each.verdict.note != "" {
			fmt.Fprintf(&text, "%s: %s\n", each.name(), sentence(each.verdict.note))
		}
	}
	if kind == kindBackup && o.verb == suspend && (o.all || o.project != "") {
		fmt.Fprintln(&text, "To stop all of a project by one change instead: kubectl backupsync suspend project NAME -n "+namespace)
	}
	if writes < len(taken) {
		fmt.Fprintf(&text, "It takes %s, at the CBRProject.\n", plural(writes, "write"))
	}
	return text.String()
}

// countReasons counts targets by the reason of Ready, the most frequent first.
func countReasons(targets []*target) string {
	counts := map[string]int{}
	for _, each := range targets {
		counts[cmp.Or(each.reason, "without a condition")]++
	}
	return listCounts(counts)
}

func listCounts(counts map[string]int) string {
	reasons := make([]string, 0, len(counts))
	for reason := range counts {
		reasons = append(reasons, reason)
	}
	slices.SortFunc(reasons, func(a, b string) int { return cmp.Or(counts[b]-counts[a], cmp.Compare(a, b)) })
	texts := make([]string, len(reasons))
	for i, reason := range reasons {
		texts[i] = fmt.Sprintf("%d %s", counts[reason], reason)
	}
	return strings.Join(texts, ", ")
}

var errNotConfirmed = errors.New("not confirmed: nothing was changed")

// confirm asks whether to go on. It returns an error if not.
func (r *run) confirm(ctx context.Context, taken []*target, writes int) error {
	count := r.options.many(r.kind, taken)
	if count <= 1 || r.options.yes || r.options.dryRun != dryRunNone {
		return nil
	}
	text := r.options.question(r.kind, r.namespace, taken, writes)
	if !r.terminal(r.f.In) {
		return cli.Usage(fmt.Errorf("%sNobody can be asked, as there is no terminal. Set --yes to go on, or --dry-run to see which: nothing was changed", text))
	}
	_, _ = fmt.Fprint(r.f.ErrOut, text, "Go on? [y/N] ")
	answer, err := readAnswer(ctx, r.f.In)
	if err != nil {
		_, _ = fmt.Fprintln(r.f.ErrOut)
		return err
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errNotConfirmed
	}
	return nil
}

// readAnswer reads a line, until the context ends.
func readAnswer(ctx context.Context, in io.Reader) (string, error) {
	lines := make(chan string, 1)
	go func() { // it may outlive the command, which ends the process
		line, _ := bufio.NewReader(in).ReadString('\n')
		lines <- line
	}()
	select {
	case line := <-lines:
		return line, nil
	case <-ctx.Done():
		return "", errors.New("interrupted: nothing was changed")
	}
}

// warnings are about tools that take changes of spec.suspend back, each once.
func warnings(v verb, taken []*target) []string {
	if v == retry { // the annotation has done its work before a tool could take it back
		return nil
	}
	subjects := map[keeper][]client.Object{}
	var order []keeper
	for _, each := range taken {
		if found, kept := keeperOf(each.object); kept {
			if subjects[found] == nil {
				order = append(order, found)
			}
			subjects[found] = append(subjects[found], each.object)
		}
	}
	var texts []string
	for _, each := range order {
		texts = append(texts, each.warning(subjectOf(subjects[each]), v == suspend))
	}
	return texts
}

func subjectOf(objects []client.Object) string {
	kind := kindBackup
	if _, is := objects[0].(*v1alpha1.CBRProject); is {
		kind = kindProject
	}
	if len(objects) == 1 {
		return kind + " " + objects[0].GetName()
	}
	return plural(len(objects), kind)
}
