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
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
)

func TestArgumentsNameObjectsAsKubectlDoes(t *testing.T) {
	for line, want := range map[string]struct {
		kind  string
		names []string
		fails string
	}{
		"":                                   {kind: kindBackup},
		"a b":                                {kind: kindBackup, names: []string{"a", "b"}},
		"backup a":                           {kind: kindBackup, names: []string{"a"}},
		"project a b":                        {kind: kindProject, names: []string{"a", "b"}},
		"cbrp a":                             {kind: kindProject, names: []string{"a"}},
		"project":                            {kind: kindProject},
		"backup/project":                     {kind: kindBackup, names: []string{"project"}},
		"backupsync.cbr.backupsync.dev/a":    {kind: kindBackup, names: []string{"a"}},
		"cbrproject.cbr.backupsync.dev/a":    {kind: kindProject, names: []string{"a"}},
		"bsync/a bsync/b":                    {kind: kindBackup, names: []string{"a", "b"}},
		"bsync/a cbrp/b":                     {fails: "another kind"},
		"backup project/a":                   {fails: "another kind"}, // a request at a project tries all of it again
		"project backup/a":                   {fails: "another kind"},
		"a project/b":                        {fails: "another kind"},
		"project project/a":                  {kind: kindProject, names: []string{"a"}},
		"secret/a":                           {fails: "no KIND/NAME"},
		"cbrp/":                              {fails: "no KIND/NAME"},
		"a a":                                {fails: "twice"},
		"backupsync.elsewhere.example.org/a": {fails: "no KIND/NAME"},
	} {
		kind, names, err := parseTargets(strings.Fields(line))
		if want.fails != "" {
			if err == nil || !strings.Contains(err.Error(), want.fails) {
				t.Errorf("%q: got %v, want an error with %q", line, err, want.fails)
			}
			continue
		}
		if err != nil || kind != want.kind || !slices.Equal(names, want.names) {
			t.Errorf("%q: got %s %v, %v", line, kind, names, err)
		}
	}
}

func TestFlagsThatDoNotGoTogetherAreRefused(t *testing.T) {
	for name, of := range map[string]struct {
		options options
		kind    string
		names   []string
		fails   string
	}{
		"nothing chosen":          {fails: "name what is to be tried again"},
		"nothing to suspend":      {options: options{verb: suspend}, fails: "name what is to be suspended"},
		"a project alone":         {options: options{project: "default"}, fails: "--all-failed"},
		"suspend of a project":    {options: options{verb: suspend, project: "default"}},
		"names and flags":         {options: options{allFailed: true}, names: []string{"a"}, fails: "not by both"},
		"a reason that is none":   {options: options{reasons: []string{"Refused"}}, fails: "Rejected"},
		"a reason in lower case":  {options: options{reasons: []string{"rejected"}}},
		"failed projects":         {options: options{allFailed: true}, kind: kindProject, fails: "not projects"},
		"failed and unavailable":  {options: options{allFailed: true, unavailable: true}, fails: "nothing in common"},
		"what CBR has lost":       {options: options{unavailable: true, project: "default"}},
		"a project without names": {kind: kindProject, fails: "backup/project"},
		"projects by label":       {options: options{selector: "team=erp"}, kind: kindProject},
		"a bad selector":          {options: options{selector: "=="}, fails: "--selector"},
		"all by label":            {options: options{verb: suspend, all: true, selector: "a=b"}, fails: "--all does not go"},
		"a timeout without wait":  {options: options{timeout: 1}, names: []string{"a"}, fails: "--wait"},
		"a wait for nothing":      {options: options{wait: true, dryRun: dryRunServer}, names: []string{"a"}, fails: "--dry-run"},
		"a dry run of no kind":    {options: options{dryRun: "maybe"}, names: []string{"a"}, fails: "maybe"},
		"an output of no kind":    {options: options{output: "yaml"}, names: []string{"a"}, fails: "yaml"},
	} {
		given := of.options
		if given.dryRun == "" {
			given.dryRun = dryRunNone
		}
		kind := kindBackup
		if of.kind != "" {
			kind = of.kind
		}
		err := given.validate(kind, of.names)
		if of.fails == "" && err != nil || of.fails != "" && (err == nil || !strings.Contains(err.Error(), of.fails)) {
			t.Errorf("%s: got %v, want %q", name, err, of.fails)
		}
	}
}

func TestToolsThatTakeChangesBackAreKnown(t *testing.T) {
	for name, of := range map[string]struct {
		meta metav1.ObjectMeta
		want []string
	}{
		"Flux": {metav1.ObjectMeta{Labels: map[string]string{"kustomize.toolkit.fluxcd.io/name": "erp", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}},
			[]string{"Kustomization flux-system/erp", "remove spec.suspend in Git", "flux suspend kustomization erp -n flux-system"}},
		"Flux's Helm":   {metav1.ObjectMeta{Labels: map[string]string{"helm.toolkit.fluxcd.io/name": "erp", "helm.toolkit.fluxcd.io/namespace": "a"}}, []string{"HelmRelease a/erp"}},
		"Argo CD":       {metav1.ObjectMeta{Annotations: map[string]string{argoTracking: "erp:cbr.backupsync.dev/BackupSync:a/b"}}, []string{"Application erp", "argocd app set erp"}},
		"its label":     {metav1.ObjectMeta{Labels: map[string]string{argoInstance: "erp"}}, []string{"Application erp"}},
		"Helm":          {metav1.ObjectMeta{Annotations: map[string]string{helmRelease: "erp"}}, []string{"release erp", "next upgrade"}},
		"a manager":     {metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kustomize-controller"}}}, []string{"Flux"}},
		"a hostile one": {metav1.ObjectMeta{Annotations: map[string]string{argoTracking: "x; reboot:cbr/BackupSync:a/b"}}, []string{"an Application"}},
	} {
		object := &v1alpha1.BackupSync{ObjectMeta: of.meta}
		object.Name = "one"
		texts := warnings(resume, []*target{newTarget(kindBackup, object)})
		if len(texts) != 1 {
			t.Errorf("%s: got %q", name, texts)
			continue
		}
		for _, want := range of.want {
			if !strings.Contains(texts[0], want) {
				t.Errorf("%s: %q does not say %q", name, texts[0], want)
			}
		}
		if strings.Contains(texts[0], "reboot") {
			t.Errorf("%s: %q has text of an annotation in a command", name, texts[0])
		}
	}
	if got := warnings(resume, []*target{newTarget(kindBackup, &v1alpha1.BackupSync{})}); got != nil {
		t.Errorf("of nobody's object: %q", got)
	}
	kept := &v1alpha1.BackupSync{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{argoInstance: "erp"}}}
	if got := warnings(retry, []*target{newTarget(kindBackup, kept)}); got != nil {
		t.Errorf("of a retry: %q", got)
	}
}

func TestAllThatHaveFailedAreOneRequestOnlyWhereThatDoesTheSame(t *testing.T) {
	project := projectWith(metav1.ConditionTrue, v1alpha1.ReasonUsable, false)
	rejected := func(name, reason string, of decision) *target {
		backup := &v1alpha1.BackupSync{ObjectMeta: metav1.ObjectMeta{Name: name}}
		backup.Spec.ProjectRef.Name = "default"
		if reason == v1alpha1.ReasonDuplicate {
			backup.Status.Outcome = v1alpha1.OutcomeDuplicate
		}
		return &target{kind: kindBackup, object: backup, reason: reason, verdict: verdict{decision: of}}
	}
	a, b := rejected("a", "Rejected", acted), rejected("b", "Rejected", acted)
	duplicate, suspended := rejected("c", v1alpha1.ReasonDuplicate, noHelp), rejected("d", "Rejected", noHelp)
	at := func(project *v1alpha1.CBRProject) homes {
		return homes{read: true, projects: map[string]*v1alpha1.CBRProject{"default": project}}
	}
	in := at(project)
	throttled := at(projectWith(metav1.ConditionUnknown, v1alpha1.ReasonThrottled, false))
	unreached := at(projectWith(metav1.ConditionUnknown, v1alpha1.ReasonEndpointUnavailable, false))
	for name, of := range map[string]struct {
		options options
		targets []*target
		in      homes
		want    []string
	}{
		"two":                         {options{allFailed: true}, []*target{a, b}, in, []string{"CBRProject/default"}},
		"with a duplicate":            {options{allFailed: true}, []*target{a, b, duplicate}, in, []string{"CBRProject/default"}},
		"one":                         {options{allFailed: true}, []*target{a}, in, []string{"BackupSync/a"}},
		"with a suspended one":        {options{allFailed: true}, []*target{a, b, suspended}, in, []string{"BackupSync/a", "BackupSync/b"}},
		"by a label":                  {options{allFailed: true, selector: "a=b"}, []*target{a, b}, in, []string{"BackupSync/a", "BackupSync/b"}},
		"of a project that pauses":    {options{allFailed: true}, []*target{a, b}, throttled, []string{"BackupSync/a", "BackupSync/b"}}, // a request there ends the pause
		"of one that is not reached":  {options{allFailed: true}, []*target{a, b}, unreached, []string{"BackupSync/a", "BackupSync/b"}},
		"by names":                    {options{}, []*target{a, b}, in, []string{"BackupSync/a", "BackupSync/b"}},
		"of a project nobody can see": {options{allFailed: true}, []*target{a, b}, homes{}, []string{"BackupSync/a", "BackupSync/b"}},
	} {
		var got []string
		for _, each := range of.options.plan(of.targets, of.in) {
			got = append(got, each.kind+"/"+each.object.GetName())
		}
		if !slices.Equal(got, of.want) {
			t.Errorf("%s: got %v, want %v", name, got, of.want)
		}
	}
}
