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
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cli/liveness"
	"backupsync.dev/operator/internal/cli/text"
)

// page writes an overview for a person.
type page struct {
	text.Terminal
	now   time.Time
	wide  bool
	lines []string
}

// render returns the lines of an overview.
func render(terminal text.Terminal, in *Overview, wide bool) []string {
	p := &page{Terminal: terminal, now: in.Time.Time, wide: wide}
	p.operator(&in.Operator)
	for i := range in.Projects {
		p.project(&in.Projects[i])
	}
	for _, each := range in.Orphans {
		p.line("")
		p.line("%s  %s", p.Paint(text.Strong, each.Namespace+"/"+each.Project), p.Paint(text.Bad, "does not exist"))
		p.wrapped("  ", "%s%s not in CBR name it (%s). Create the CBRProject, or declare the backups by other BackupSyncs.",
			atLeast(each.Truncated), text.Count(each.Count, "BackupSync"), someOf(each.Names, each.Count))
	}
	return p.lines
}

// atLeast begins a number of which not all was read.
func atLeast(truncated bool) string {
	if truncated {
		return "At least "
	}
	return ""
}

func (p *page) line(format string, arguments ...any) {
	p.lines = append(p.lines, fmt.Sprintf(format, arguments...))
}

// wrapped writes text that may take several lines.
func (p *page) wrapped(indent, format string, arguments ...any) {
	p.lines = append(p.lines, text.Wrap(fmt.Sprintf(format, arguments...), p.Width, indent)...)
}

// labelled writes text with a label in front.
func (p *page) labelled(label string, colour text.Colour, format string, arguments ...any) {
	const indent = "           "
	lines := text.Wrap(fmt.Sprintf(format, arguments...), p.Width, indent)
	if len(lines) > 0 {
		lines[0] = "  " + p.Paint(colour, label) + strings.Repeat(" ", max(len(indent)-2-len(label), 1)) + strings.TrimPrefix(lines[0], indent)
	}
	p.lines = append(p.lines, lines...)
}

var livenessColours = map[liveness.State]text.Colour{liveness.Alive: text.Good, liveness.Silent: text.Bad, liveness.Unknown: text.Waiting}

func (p *page) operator(of *liveness.Operator) {
	lines := text.Wrap(fmt.Sprintf("Operator: %s. %s", strings.ToLower(string(of.State)), of.Message), p.Width, "")
	state := strings.ToLower(string(of.State))
	lines[0] = strings.Replace(lines[0], state, p.Paint(livenessColours[of.State], state), 1)
	p.lines = append(p.lines, lines...)
}

func (p *page) project(of *Project) {
	p.line("")
	colour := text.Waiting
	switch {
	case of.DeletionTime != nil:
		colour = text.Bad
	case of.Ready == metav1.ConditionTrue:
		colour = text.Good
	case of.Stalled || of.Ready == metav1.ConditionFalse:
		colour = text.Bad
	}
	p.line("%s  %s", p.Paint(text.Strong, of.Namespace+"/"+of.Name), p.Paint(colour, readyWords(of)))
	if of.Ready != metav1.ConditionTrue || p.wide {
		p.wrapped("  ", "%s", of.Message)
	}
	if of.DeletionTime != nil {
		p.wrapped("  ", "Its deletion was asked for %s ago, and %s. Nothing of it is sent any more; CBR keeps what it has.",
			text.Age(p.now.Sub(of.DeletionTime.Time)), heldUpBy(of.Finalizers))
	}
	p.progress(of)
	p.stale(of)
	p.pace(of)
	p.waiting(of)
	p.calls(of)
	p.failures(of)
	p.drifted(of)
	if of.CredentialsExpiring != "" {
		p.labelled("Expiring", text.Bad, "%s", of.CredentialsExpiring)
	}
	p.audit(of)
}

// heldUpBy says what holds a deletion up.
func heldUpBy(finalizers []string) string {
	if len(finalizers) == 0 {
		return "is under way"
	}
	return "the finalizers " + backupsync.Quote(strings.Join(finalizers, ", ")) + " hold it up"
}

func readyWords(of *Project) string {
	switch {
	case of.DeletionTime != nil:
		return "being deleted"
	case of.Ready == metav1.ConditionTrue:
		return "Ready, " + of.Reason
	case of.Stalled:
		return "not Ready, Stalled, " + of.Reason
	default:
		return "not Ready, " + of.Reason
	}
}

// widest is how long a bar is at most.
const widest = 60

func (p *page) progress(of *Project) {
	counts := of.counts()
	ended := ""
	if counts.Total > 0 {
		ended = fmt.Sprintf(" %3d%%", int64(counts.Imported)*100/int64(counts.Total))
	}
	p.line("  %s%s", p.Bar(min(p.Width-8, widest), []text.Part{
		{Count: int(counts.Imported), Glyph: '#', Colour: text.Good}, {Count: int(counts.Running), Glyph: '=', Colour: text.Busy},
		{Count: int(counts.Pending), Glyph: '.', Colour: text.Waiting}, {Count: int(counts.Failed), Glyph: '!', Colour: text.Bad},
	}), ended)
	words := fmt.Sprintf("%s: %s # imported, %s = running, %s . pending, %s ! failed", text.Count(int(counts.Total), "backup"),
		text.Grouped(int(counts.Imported)), text.Grouped(int(counts.Running)), text.Grouped(int(counts.Pending)), text.Grouped(int(counts.Failed)))
	if of.Counts == nil {
		words += " (of those that were read)"
	}
	p.wrapped("  ", "%s", words)
}

func (p *page) stale(of *Project) {
	if len(of.Stale) > 0 {
		p.labelled("Stale?", text.Bad, "This may be older than the truth: %s.", strings.Join(of.Stale, "; "))
	}
}

// pace tells how fast it goes, and how long that takes.
func (p *page) pace(of *Project) {
	pace, counts := &of.Pace, of.counts()
	if pace.ImportedPerMinute != nil {
		left := "nothing is left"
		switch {
		case pace.SecondsLeft != nil:
			left = "about " + text.Age(time.Duration(*pace.SecondsLeft)*time.Second) + " left at that rate"
		case counts.Pending+counts.Running > 0:
			left = "so it cannot be told how long the rest takes"
		}
		p.labelled("Rate", "", "%.1f imports a minute were seen, %s.", *pace.ImportedPerMinute, left)
	}
	if counts.Pending == 0 && !p.wide {
		return
	}
	p.labelled("Limit", "", "%s a minute with %s each: at most %s a minute; %s in the last minute.", text.Count(pace.CallsPerMinute, "call"),
		text.Count(pace.BackupsPerCall, "backup"), text.Count(pace.BackupsPerMinute, "import"), text.Count(pace.CallsInLastMinute, "call"))
	switch {
	case counts.Pending == 0:
	case of.DeletionTime != nil:
		p.labelled("Left", text.Waiting, "Nothing is sent any more, as the CBRProject is being deleted.")
	case of.Suspended:
		p.labelled("Left", text.Waiting, "Nothing is sent while spec.suspend is set.")
	case of.Ready == metav1.ConditionTrue && pace.LeastMinutes == nil:
		p.labelled("Left", text.Waiting, "Nothing is sent of what is pending: all of it is suspended, or being deleted.")
	case pace.LeastMinutes == nil:
		p.labelled("Left", text.Waiting, "Nothing is sent before the CBRProject is Ready.")
	case *pace.LeastMinutes == 0:
		p.labelled("Left", "", "The calls for %s fit into a minute; then CBR imports.", pace.sendable())
	default:
		p.labelled("Left", "", "At least %s until the last call for %s; then CBR imports.", text.Age(time.Duration(*pace.LeastMinutes)*time.Minute), pace.sendable())
	}
}

// sendable says what the calls are for that are left.
func (p *Pace) sendable() string {
	if p.HeldBack == 0 {
		return "what is pending"
	}
	return fmt.Sprintf("what is pending (but for %s suspended or being deleted)", text.Grouped(p.HeldBack))
}

// waiting tells what is open, by reason, and the oldest that is pending.
func (p *page) waiting(of *Project) {
	var counts []string
	for _, each := range of.Reasons {
		if each.State != backupsync.Failed.String() {
			counts = append(counts, text.Grouped(each.Count)+" "+each.Reason)
		}
	}
	total := of.counts()
	switch {
	case len(counts) > 0:
		p.labelled("Open", "", "%s%s", strings.Join(counts, ", "), p.ofTheFirst(of.Read.OpenTruncated, of.Read.Pending+of.Read.Running))
	case of.Read.OpenTruncated && total.Pending+total.Running > 0:
		p.labelled("Open", "", "none of them is among those that were read; --limit reads more")
	}
	if oldest := of.OldestPending; oldest != nil {
		first := ""
		if of.Read.OpenTruncated {
			first = fmt.Sprintf(" (of the first %s)", text.Grouped(of.Read.Pending+of.Read.Running))
		}
		p.labelled("Oldest", "", "%s was created %s ago: %s%s", oldest.Name, text.Age(p.now.Sub(oldest.CreationTime.Time)), cmp.Or(oldest.Reason, "Unknown"), first)
	}
	if p.wide {
		p.reasons(of, func(state string) bool { return state != backupsync.Failed.String() })
	}
}

// ofTheFirst says that there is more than was read.
func (p *page) ofTheFirst(truncated bool, read int) string {
	if !truncated {
		return ""
	}
	return fmt.Sprintf(" (of the first %s; --limit reads more)", text.Grouped(read))
}

func (p *page) calls(of *Project) {
	if calls := of.UnknownCalls; calls != nil {
		p.labelled("Unknown", text.Bad, "%s with %s, since %s: it is not known whether CBR took them. CBR is asked before anything of them is sent again. "+
			"If this lasts, the message of the CBRProject says why.",
			text.Count(calls.Calls, "call"), text.Count(calls.Backups, "backup"), text.Age(p.now.Sub(calls.Since.Time)))
	}
	if calls := of.CallsUnderWay; calls != nil {
		p.labelled("Calls", "", "%s with %s under way, since %s.", text.Count(calls.Calls, "call"), text.Count(calls.Backups, "backup"),
			text.Age(p.now.Sub(calls.Since.Time)))
	}
}

func (p *page) failures(of *Project) {
	isFailure := func(state string) bool { return state == backupsync.Failed.String() }
	switch {
	case slices.ContainsFunc(of.Reasons, func(each ReasonCount) bool { return isFailure(each.State) }):
		p.labelled("Failed", text.Bad, "kubectl backupsync failed %s -n %s lists them%s", of.Name, of.Namespace, p.ofTheFirst(of.Read.FailedTruncated, of.Read.Failed))
		p.reasons(of, isFailure)
	case of.Read.FailedTruncated && of.counts().Failed > 0:
		p.labelled("Failed", text.Bad, "kubectl backupsync failed %s -n %s lists them; none is among those that were read, --limit reads more", of.Name, of.Namespace)
	}
}

// reasons tells reasons with examples.
func (p *page) reasons(of *Project, ofState func(string) bool) {
	for _, each := range of.Reasons {
		if !ofState(each.State) {
			continue
		}
		names := make([]string, 0, len(each.Examples))
		for _, example := range each.Examples {
			names = append(names, example.Name)
		}
		p.wrapped("    ", "%s %s: %s", text.Grouped(each.Count), each.Reason, someOf(names, each.Count))
		message := each.Examples[0].Message
		if p.wide {
			p.wrapped("      ", "%s", message)
		} else {
			p.line("      %s", text.Shorten(message, p.Width-6))
		}
	}
}

// someOf names some of so many.
func someOf(names []string, of int) string {
	named := strings.Join(names, ", ")
	if of > len(names) {
		named += ", …"
	}
	return named
}

func (p *page) drifted(of *Project) {
	drift := &of.Drifted
	counted := "imported ones are not counted, but with --all"
	switch {
	case drift.Complete && of.Read.OpenTruncated:
		counted = fmt.Sprintf("of the open ones, the first %s were looked at", text.Grouped(of.Read.Pending+of.Read.Running))
	case drift.Complete:
		counted = "all were looked at"
	}
	edited := text.Count(drift.Count, "manifest") + " edited after CBR had accepted their backups"
	switch {
	case drift.Count > 0 && len(drift.Names) == 0: // the operator has counted them among those that were not read
		p.labelled("Drifted", text.Waiting, "%s (%s); --all names some of them", edited, counted)
	case drift.Count > 0:
		p.labelled("Drifted", text.Waiting, "%s: %s (%s)", edited, someOf(drift.Names, drift.Count), counted)
	case p.wide:
		p.labelled("Drifted", "", "none (%s)", counted)
	}
}

// audit shows what the operator's audits have found.
func (p *page) audit(of *Project) {
	found := of.Audit
	if found == nil {
		return
	}
	colour, when := text.Colour(""), "none is complete yet"
	if found.FinishedTime != nil {
		when = fmt.Sprintf("the latest looked at %s, %s ago", text.Grouped(int(found.Checked)), text.Age(p.now.Sub(found.FinishedTime.Time)))
	}
	if found.Missing+found.Unusable > 0 {
		colour = text.Bad
	}
	if found.FinishedTime != nil && found.Missing+found.Unusable == 0 {
		p.labelled("Audit", colour, "no imported one was found missing in CBR, or in error (%s)", when)
		return
	}
	p.labelled("Audit", colour, "CBR does not have %d imported ones any more, and shows %d in error (%s)", found.Missing, found.Unusable, when)
}

// summary is a project in one line, for outputs that are no terminals.
func summary(of *Project, at time.Time) string {
	counts := of.counts()
	line := fmt.Sprintf("%s %s/%s %s: %s", at.UTC().Format(time.TimeOnly), of.Namespace, of.Name, inAWord(of), countWords(counts))
	if of.Pace.ImportedPerMinute != nil {
		line += fmt.Sprintf(", %.1f a minute", *of.Pace.ImportedPerMinute)
	}
	if of.Pace.SecondsLeft != nil {
		line += ", about " + text.Age(time.Duration(*of.Pace.SecondsLeft)*time.Second) + " left"
	}
	return line
}

// inAWord says how a project is.
func inAWord(of *Project) string {
	if of.DeletionTime != nil {
		return readyWords(of)
	}
	return of.Reason
}

func countWords(counts v1alpha1.BackupCounts) string {
	return fmt.Sprintf("%d of %d imported, %d running, %d pending, %d failed", counts.Imported, counts.Total, counts.Running, counts.Pending, counts.Failed)
}
