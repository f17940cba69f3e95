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

package controller

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	. "github.com/onsi/gomega"
	lua "github.com/yuin/gopher-lua"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/backupsync/backupsynctest"
	"backupsync.dev/operator/internal/connection"
)

// health is what a script of Argo CD returns.
type health struct{ status, message string }

// The statuses of Argo CD that the scripts use.
const (
	healthy       = "Healthy"
	progressing   = "Progressing"
	degraded      = "Degraded"
	argoSuspended = "Suspended"
)

// healthScript returns the script of a kind, as the ConfigMap of Argo CD has it after the patch.
func healthScript(t *testing.T, kind string) string {
	t.Helper()
	var patch corev1.ConfigMap
	if err := yaml.UnmarshalStrict([]byte(document(t, "config", "argocd", "argocd-cm.yaml")), &patch); err != nil {
		t.Fatal(err)
	}
	script, found := patch.Data["resource.customizations.health."+v1alpha1.GroupVersion.Group+"_"+kind]
	if !found {
		t.Fatalf("there is no script for %s", kind)
	}
	return script
}

// argoHealth is what Argo CD makes of an object: the script has the object, a second, and the libraries that Argo CD opens where
// nobody allows more (useOpenLibs), which are the basic one and that of tables.
func argoHealth(t *testing.T, kind string, object any) health {
	t.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		t.Fatal(err)
	}
	vm := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer vm.Close()
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable} {
		vm.Push(vm.NewFunction(open))
		vm.Push(lua.LString(name))
		vm.Call(1, 0)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	vm.SetContext(ctx)
	vm.SetGlobal("obj", luaValue(vm, content))
	if err := vm.DoString(healthScript(t, kind)); err != nil {
		t.Fatal(err)
	}
	returned, is := vm.Get(-1).(*lua.LTable)
	if !is {
		t.Fatalf("the script returned a %s and no table", vm.Get(-1).Type())
	}
	return health{lua.LVAsString(returned.RawGetString("status")), lua.LVAsString(returned.RawGetString("message"))}
}

// luaValue hands a value to a script as Argo CD does: a list begins at 1, and null is nil.
func luaValue(vm *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case bool:
		return lua.LBool(value)
	case string:
		return lua.LString(value)
	case int64:
		return lua.LNumber(value)
	case float64:
		return lua.LNumber(value)
	case []any:
		list := vm.NewTable()
		for _, item := range value {
			list.Append(luaValue(vm, item))
		}
		return list
	case map[string]any:
		table := vm.NewTable()
		for key, item := range value {
			table.RawSetString(key, luaValue(vm, item))
		}
		return table
	default:
		return lua.LNil
	}
}

// healthOf are the healths that agree with what Flux makes of an object.
var healthOf = map[status.Status][]string{
	status.CurrentStatus:    {healthy},
	status.FailedStatus:     {degraded},
	status.InProgressStatus: {progressing, argoSuspended},
}

// backupHealth is the health of a BackupSync by the reason of Ready.
var backupHealth = map[string]string{
	v1alpha1.ReasonQueued:           progressing,
	v1alpha1.ReasonAwaitingTask:     progressing,
	v1alpha1.ReasonProjectNotFound:  progressing,
	v1alpha1.ReasonSuspended:        argoSuspended,
	v1alpha1.ReasonOperationRunning: progressing,
	v1alpha1.ReasonOperationOverdue: progressing,
	v1alpha1.ReasonImported:         healthy,
	v1alpha1.ReasonAlreadyImported:  healthy,
	v1alpha1.ReasonBackupUnusable:   degraded,
	v1alpha1.ReasonRejected:         degraded,
	v1alpha1.ReasonRetryScheduled:   progressing,
	v1alpha1.ReasonOperationFailed:  degraded,
	v1alpha1.ReasonDuplicate:        degraded,
	v1alpha1.ReasonOutcomeUnknown:   progressing,
	v1alpha1.ReasonUnknownOutcome:   degraded,
}

// projectHealth is the health of a CBRProject by the reason of Ready.
var projectHealth = map[string]string{
	v1alpha1.ReasonUsable:              healthy,
	v1alpha1.ReasonSuspended:           argoSuspended,
	v1alpha1.ReasonCredentialsMissing:  degraded,
	v1alpha1.ReasonCredentialsRejected: degraded,
	v1alpha1.ReasonPermissionDenied:    degraded,
	v1alpha1.ReasonEndpointNotAllowed:  degraded,
	v1alpha1.ReasonEndpointUnavailable: progressing,
	v1alpha1.ReasonNotCBR:              degraded,
	v1alpha1.ReasonRequestsRefused:     degraded,
	v1alpha1.ReasonQuotaExceeded:       degraded,
	v1alpha1.ReasonProjectInUse:        degraded,
	v1alpha1.ReasonNamespaceUnreadable: degraded,
	v1alpha1.ReasonThrottled:           progressing,
	v1alpha1.ReasonCRDsOutdated:        degraded,
}

// backupWith is a BackupSync with the conditions of a reason.
func backupWith(reason string, set backupsync.ConditionSet) *v1alpha1.BackupSync {
	backup := backupsynctest.New()
	backup.Status.ObservedGeneration = backup.Generation
	backup.Status.Conditions = set.Apply(&backup.ObjectMeta, backup.Status.Conditions, reason, "It is so.", noon)
	return backup
}

// projectWith is a CBRProject with the conditions of a reason.
func projectWith(reason string, set backupsync.ConditionSet) *v1alpha1.CBRProject {
	return newProject(func(project *v1alpha1.CBRProject) {
		project.Status.Conditions = set.Apply(&project.ObjectMeta, nil, reason, "It is so.", noon)
	})
}

func TestArgoHealthOfABackupSync(t *testing.T) {
	for _, reason := range backupsync.Reasons() {
		t.Run(reason, func(t *testing.T) {
			g := NewWithT(t)
			set, _ := backupsync.Conditions(reason)
			backup := backupWith(reason, set)
			g.Expect(argoHealth(t, kindBackup, backup)).To(Equal(health{backupHealth[reason], "It is so."}))
			g.Expect(healthOf[kstatusOf(t, backup)]).To(ContainElement(backupHealth[reason]), "what Flux makes of it")

			drifted := backup.DeepCopy()
			meta.SetStatusCondition(&drifted.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionDrifted, Status: metav1.ConditionTrue,
				Reason: v1alpha1.ReasonEditedAfterImport, Message: "It was edited."})
			g.Expect(argoHealth(t, kindBackup, drifted)).To(Equal(health{backupHealth[reason], "It is so. Drifted: It was edited."}))

			missing := backup.DeepCopy()
			meta.SetStatusCondition(&missing.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionAvailable, Status: metav1.ConditionFalse,
				Reason: v1alpha1.ReasonMissing, Message: "It is gone."})
			g.Expect(argoHealth(t, kindBackup, missing)).To(Equal(health{backupHealth[reason], "It is so. Not available: It is gone."}))
			g.Expect(healthOf[kstatusOf(t, missing)]).To(ContainElement(backupHealth[reason]), "what Flux makes of it")
			meta.SetStatusCondition(&missing.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionAvailable, Status: metav1.ConditionTrue,
				Reason: v1alpha1.ReasonUsableAgain, Message: "It is back."})
			g.Expect(argoHealth(t, kindBackup, missing)).To(Equal(health{backupHealth[reason], "It is so."}))

			drifted.Generation++
			g.Expect(argoHealth(t, kindBackup, drifted)).To(Equal(health{progressing, "It is so."}), "after an edit")
		})
	}
	NewWithT(t).Expect(slices.Sorted(maps.Keys(backupHealth))).To(Equal(backupsync.Reasons()))
}

func TestArgoHealthOfACBRProject(t *testing.T) {
	for reason, set := range projectSets {
		t.Run(reason, func(t *testing.T) {
			g := NewWithT(t)
			project := projectWith(reason, set)
			g.Expect(argoHealth(t, kindProject, project)).To(Equal(health{projectHealth[reason], "It is so."}))
			g.Expect(healthOf[kstatusOf(t, project)]).To(ContainElement(projectHealth[reason]), "what Flux makes of it")

			expiring := project.DeepCopy()
			meta.SetStatusCondition(&expiring.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionCredentialsExpiring, Status: metav1.ConditionTrue,
				Reason: v1alpha1.ReasonExpiresSoon, Message: "They end soon."})
			g.Expect(argoHealth(t, kindProject, expiring)).To(Equal(health{projectHealth[reason], "It is so. They end soon."}))

			expiring.Generation++
			g.Expect(argoHealth(t, kindProject, expiring)).To(Equal(health{progressing, "It is so."}), "after an edit")
		})
	}
	NewWithT(t).Expect(slices.Sorted(maps.Keys(projectHealth))).To(Equal(slices.Sorted(maps.Keys(projectSets))))
}

// The same reason may wait for a person, or for something that passes by itself: the conditions tell, and not the reason.
func TestArgoHealthOfReasonsWithTwoRows(t *testing.T) {
	g := NewWithT(t)
	for stalled, want := range map[bool]string{true: degraded, false: progressing} {
		known := connection.Health{Obstacle: connection.Status{Reason: v1alpha1.ReasonEndpointUnavailable, Message: "It is so.", Stalled: stalled}}
		project := newProject()
		reason, message, set := reporterAt(&known, project).projectVerdict()
		project.Status.Conditions = set.Apply(&project.ObjectMeta, nil, reason, message, noon)
		g.Expect(argoHealth(t, kindProject, project).status).To(Equal(want))

		set = backupsync.ConditionSet{Ready: metav1.ConditionFalse, Stalled: stalled, Reconciling: !stalled}
		g.Expect(argoHealth(t, kindProject, projectWith(v1alpha1.ReasonProjectInUse, set)).status).To(Equal(want))
	}
	waits := backupsync.ConditionSet{Ready: metav1.ConditionUnknown, Stalled: true} // no row is so, but Stalled alone says enough
	g.Expect(argoHealth(t, kindProject, projectWith("Odd", waits))).To(Equal(health{degraded, "It is so."}))
	g.Expect(argoHealth(t, kindBackup, backupWith("Odd", waits))).To(Equal(health{degraded, "It is so."}))
	neither := backupsync.ConditionSet{Ready: metav1.ConditionFalse}
	g.Expect(argoHealth(t, kindProject, projectWith("Odd", neither))).To(Equal(health{degraded, "It is so."}))
	g.Expect(argoHealth(t, kindBackup, backupWith("Odd", neither))).To(Equal(health{degraded, "It is so."}))
}

// An imported backup whose manifest was edited is in CBR: it is healthy, and says what the operator says of the edit.
func TestArgoHealthOfADriftedBackup(t *testing.T) {
	g := NewWithT(t)
	imported := backupsynctest.New(func(backup *v1alpha1.BackupSync) {
		backup.Status.Outcome, backup.Status.OperationLogID = v1alpha1.OutcomeImported, "operation"
		backup.Status.SentHash, backup.Status.FinishedTime = backupsync.Hash(&backup.Spec), &backupsynctest.Noon
	})
	drifted := backupsync.Present(backupsynctest.Edited(imported), backupsync.Circumstances{}, noon)
	found := argoHealth(t, kindBackup, drifted)
	g.Expect(found.status).To(Equal(healthy))
	g.Expect(found.message).To(HavePrefix("CBR imported the backup"))
	g.Expect(found.message).To(ContainSubstring("Drifted: The manifest was edited after its backup was sent"))
}

// What no operator has seen yet is waited for, and no script fails for something that is not there.
func TestArgoHealthWithoutAnOperator(t *testing.T) {
	g := NewWithT(t)
	g.Expect(argoHealth(t, kindBackup, backupsynctest.New())).To(Equal(health{progressing, v1alpha1.QueuedMessage}), "the CRD's default status")
	for _, kind := range []string{kindBackup, kindProject} {
		of := map[string]any{"generation": int64(1)}
		unready := map[string]any{"type": "Reconciling", "status": "True", "reason": "Odd", "message": "It is so."}
		ready := map[string]any{"type": "Ready", "status": "True", "reason": "Odd", "message": "It is so."}
		for name, object := range map[string]map[string]any{
			"no status":             {"metadata": of},
			"no conditions":         {"metadata": of, "status": map[string]any{}},
			"no Ready":              {"metadata": of, "status": map[string]any{"conditions": []any{unready}, "observedGeneration": int64(1)}},
			"no observedGeneration": {"metadata": of, "status": map[string]any{"conditions": []any{ready}}},
			"not seen":              {"metadata": of, "status": map[string]any{"conditions": []any{ready}, "observedGeneration": int64(-1)}},
		} {
			g.Expect(argoHealth(t, kind, &unstructured.Unstructured{Object: object}).status).To(Equal(progressing), "%s with %s", kind, name)
		}
	}
}

// The file beside the patch, which is easier to read and to copy, says the same.
func TestArgoScriptsAreThoseOfThePatch(t *testing.T) {
	for kind, file := range map[string]string{kindBackup: "health.lua", kindProject: "health.lua"} {
		if script := document(t, "config", "argocd", file); script != healthScript(t, kind) {
			t.Errorf("config/argocd/%s is not the script in argocd-cm.yaml: run make generate", file)
		}
		for _, word := range []string{"require", "string.", ":find", "os.", "io."} { // Argo CD has none of it here
			if strings.Contains(document(t, "config", "argocd", file), word) {
				t.Errorf("config/argocd/%s uses %s", file, word)
			}
		}
	}
}
