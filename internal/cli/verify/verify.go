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
	"context"
	"errors"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/evidence"
	"backupsync.dev/operator/internal/connection"
)

// verification is that of one project.
type verification struct {
	*command
	reader  client.Reader
	project *v1alpha1.CBRProject
	report  *Report

	manifests  *manifests
	undeclared map[string]cbr.BackupDetails // that the list shows, by folded id
	differing  map[string]string            // in what, by folded id
	clean      func(string) string
}

// verify compares the BackupSyncs of a project with what CBR holds. An error is one of the API server, or of the context; whatever keeps
// CBR from being asked stands in the report.
func (c *command) verify(ctx context.Context, reader client.Reader, project *v1alpha1.CBRProject) (*Report, error) {
	v := &verification{command: c, reader: reader, project: project, clean: func(text string) string { return text },
		undeclared: map[string]cbr.BackupDetails{}, differing: map[string]string{},
		report: &Report{Namespace: project.Namespace, Project: project.Name, Endpoint: connection.EndpointOf(&project.Spec), ProjectID: project.Spec.ProjectID,
			Began: c.factory.Now().UTC().Truncate(time.Second), Findings: []Finding{}}}
	defer c.progress.end()
	if err := v.readManifests(ctx); err != nil {
		return nil, err
	}
	made, err := c.connect(ctx, reader, project)
	var why problem
	switch {
	case errors.As(err, &why):
		v.unread(nil, why.Error())
	case err != nil:
		return nil, err
	default:
		defer made.Close()
		if err := v.compare(ctx, made.Client, made.renews); err != nil {
			return nil, err
		}
	}
	v.report.complete()
	return v.report, nil
}

// readManifests reads the BackupSyncs of the project, and leaves out those that are not asked for.
func (v *verification) readManifests(ctx context.Context) error {
	begin := func() { v.manifests = newManifests() }
	here := connection.CloudProjectOf(&v.project.Spec)
	err := eachBackupSync(ctx, v.reader, client.ObjectKeyFromObject(v.project), begin, func(backup *v1alpha1.BackupSync) {
		next := declaredOf(backup)
		next.elsewhere = !backupsync.LiesIn(backup, here)
		next.left = next.elsewhere
		v.manifests.add(next)
		v.progress.show("Reading BackupSyncs: %d", len(v.manifests.all))
	})
	if err != nil {
		return err
	}
	return v.limit()
}

// limit leaves out the BackupSyncs that are not asked for, and counts the others.
func (v *verification) limit() error {
	wanted, err := v.wanted()
	if err != nil {
		return err
	}
	var elsewhere []string
	for i := range v.manifests.all {
		each := &v.manifests.all[i]
		switch {
		case len(v.names) > 0 && !wanted[each.name] || each.at < v.since.Unix():
			each.left = true
		case each.elsewhere:
			elsewhere = append(elsewhere, each.name)
		}
		if !each.left {
			v.report.Counts.BackupSyncs++
			if each.claim.holds() {
				v.report.Counts.Imported++
			}
		}
	}
	v.noteElsewhere(elsewhere)
	return nil
}

// noteElsewhere tells of BackupSyncs whose backups are in another cloud project: what CBR shows of this one tells nothing of them.
func (v *verification) noteElsewhere(names []string) {
	if len(names) > 0 {
		v.report.Notes = append(v.report.Notes, fmt.Sprintf("Backups that are in another cloud project, as the CBRProject was edited after their import, and are not verified: %d, %s for one. "+
			"status.cloudProject of each tells where.", len(names), names[0]))
	}
}

// wanted returns the BackupSyncs that are named. Where another owns the backup of one, that one is told of in its place, and a note says so.
func (v *verification) wanted() (map[string]bool, error) {
	wanted := map[string]bool{}
	for _, name := range v.names {
		wanted[name] = true
	}
	there := map[string]bool{}
	for i := range v.manifests.all {
		each := &v.manifests.all[i]
		there[each.name] = true
		owner := v.manifests.of(each.backupID)
		if !wanted[each.name] || owner == each {
			continue
		}
		wanted[owner.name] = true
		v.report.Notes = append(v.report.Notes, fmt.Sprintf("BackupSync %s declares the same backup as %s, which owns it: that one is verified in its place.", each.name, owner.name))
	}
	for _, name := range v.names {
		if !there[name] {
			return nil, fmt.Errorf("there is no BackupSync %s of CBRProject %s in namespace %s", name, v.project.Name, v.project.Namespace)
		}
	}
	return wanted, nil
}

// wantsUndeclared reports whether it is told what no manifest declares.
func (v *verification) wantsUndeclared() bool { return !v.ignoreUndeclared && len(v.names) == 0 }

// compare asks CBR, and reports what does not agree with it.
func (v *verification) compare(ctx context.Context, reads source, renews bool) error {
	v.clean = reads.Clean
	asked := &cloud{source: reads, renews: renews, clock: v.factory.Clock, progress: v.progress, see: v.see, begin: func() {
		clear(v.undeclared)
		clear(v.differing)
	}}
	all, singly := v.manifests.ids()
	known := v.known()
	look, err := evidence.Audit(ctx, asked, evidence.AuditQuery{Known: known, BackupIDs: all, Singly: singly, Few: len(v.names) > 0})
	if ctx.Err() != nil {
		return fmt.Errorf("ask CBR: %w", context.Cause(ctx))
	}
	v.report.Counts.Listed = asked.listed
	counted := look.Reads()
	v.report.Counts.Pages, v.report.Counts.Singles = counted.Lists, counted.Singles
	if err != nil {
		v.unread(look, explainRead(err))
	} else {
		v.judgeList(look)
	}
	v.judgeAll(look, evidence.NewJudge(look, known))
	v.tellList()
	return v.confirm(ctx)
}

// defaultOverdue is that of spec.poll.overdueAfter.
const defaultOverdue = 30 * time.Minute

// known returns what is known besides what CBR shows.
func (v *verification) known() evidence.Known {
	overdue := defaultOverdue
	if after := v.project.Spec.Poll.OverdueAfter; after != nil {
		overdue = after.Duration
	}
	return evidence.Known{Now: v.factory.Now(), Scope: evidence.TaskScope(v.project.Status.Journal.TaskScope), Owners: v.manifests.owners(),
		OverdueAfter: overdue, SettleTime: settleTime}
}

// see takes in a backup of the list.
func (v *verification) see(shown *cbr.BackupDetails) {
	switch of := v.manifests.of(shown.ID); {
	case of == nil && v.wantsUndeclared() && (!v.importedOnly || shown.ProviderID == importedProvider) &&
		(shown.CreatedAt.IsZero() || !shown.CreatedAt.Before(v.since)):
		v.undeclared[cbr.Fold(shown.ID)] = *shown
	case of != nil && !of.left && of.claim.holds():
		if text := differences(of, shown, v.clean); text != "" {
			v.differing[cbr.Fold(shown.ID)] = text
		}
	}
}

// unread notes why CBR could not be asked, or not to the end. What it was not asked for is counted, not listed: it is for the same reason.
func (v *verification) unread(look *evidence.Look, why string) {
	v.report.Problem = why
	if look == nil {
		v.report.Counts.Unknown = v.report.Counts.Imported
	}
}

// judgeList tells whether the list of backups was read as a whole.
func (v *verification) judgeList(look *evidence.Look) {
	if len(v.names) > 0 {
		return
	}
	switch {
	case look.Backups.Narrowed:
		v.report.ListUnknown = "CBR's list hides backups that it holds: enterprise projects, or permissions, narrow it. Backups that no manifest declares may be hidden, too. " +
			"Check spec.enterpriseProjectID and the permissions of the credentials."
	case !look.Backups.Complete:
		v.report.ListUnknown = "CBR's list of backups did not hold still, or counts more than it shows: backups that no manifest declares may be missing below. Run it again when fewer imports are under way."
	case !look.Tasks.Complete && v.report.Counts.Imported > 0:
		v.report.Notes = append(v.report.Notes, "CBR's list of tasks did not hold still, so that what CBR lacks may be under way. Run it again when fewer imports are under way.")
	}
	if v.report.ListUnknown != "" && !v.wantsUndeclared() { // what matters was asked for singly
		v.report.Notes, v.report.ListUnknown = append(v.report.Notes, v.report.ListUnknown), ""
	}
}

// judgeAll judges each BackupSync.
func (v *verification) judgeAll(look *evidence.Look, judge *evidence.Judge) {
	for i := range v.manifests.all {
		of := &v.manifests.all[i]
		if of.left {
			continue
		}
		question := of.question()
		verdict := judge.Verdict(question)
		if v.report.Problem != "" && of.claim.holds() && !look.Knows(of.backupID) {
			v.report.Counts.Unknown++
			continue
		}
		seen := sight{verdict: verdict, lacks: look.Lacks(of.backupID) && look.Tasks.Complete && !look.Began.Before(question.SettledAt)}
		if task, shown := look.Tasks.Task(verdict.Task); shown {
			seen.ended = task.Status.Final()
		}
		found, is := tell(v.project.Namespace, of, seen)
		if is {
			v.report.Findings = append(v.report.Findings, found)
		} else if of.claim.holds() {
			v.report.Counts.Confirmed++
		}
	}
}

// tellList tells what the list has shown besides.
func (v *verification) tellList() {
	for id, text := range v.differing {
		of := v.manifests.of(id)
		v.report.Findings = append(v.report.Findings, Finding{Kind: Differs, BackupSync: of.name, Says: of.claim.String(), BackupID: of.backupID,
			Detail: text + ". CBR cannot change a backup that it holds."})
	}
	for _, shown := range v.undeclared {
		found := Finding{Kind: Undeclared, BackupID: v.text(shown.ID), BackupName: v.text(shown.Name), Resource: v.text(shown.ResourceName),
			ResourceID: v.text(shown.ResourceID), Provider: v.text(shown.ProviderID), Status: v.text(string(shown.Status)), Detail: "No BackupSync declares it."}
		if !shown.CreatedAt.IsZero() {
			created := shown.CreatedAt.UTC().Truncate(time.Second)
			found.Created = &created
		}
		v.report.Findings = append(v.report.Findings, found)
	}
	clear(v.undeclared)
}

// text makes a text of CBR's fit to be shown.
func (v *verification) text(text string) string { return backupsync.Quote(v.clean(text)) }
