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

// Command kubeapilinter checks the API types against the API conventions of Kubernetes, with the linters of
// sigs.k8s.io/kube-api-linter. `make api-lint` builds and runs it; `bin/kube-api-linter help` lists the linters.
// Read what -fix has done: it makes pointers where a marker was meant, and leaves defaults without quotes.
//
// kube-api-linter is meant as a plugin of golangci-lint, which is then to be built anew with it. This is the same
// linters without golangci-lint.
package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"log"
	"maps"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/multichecker"
	"sigs.k8s.io/kube-api-linter/pkg/analysis/arrayofstruct"
	"sigs.k8s.io/kube-api-linter/pkg/analysis/commentstart"
	"sigs.k8s.io/kube-api-linter/pkg/analysis/conditions"
	"sigs.k8s.io/kube-api-linter/pkg/analysis/conflictingmarkers"
	"sigs.k8s.io/kube-api-linter/pkg/analysis/defaultorrequired"
	"sigs.k8s.io/kube-api-linter/pkg/analysis/defaults"
	"sigs.k8s.io/kube-api-linter/pkg/analysis/dependenttags"
	"sigs.k8s.io/kube-api-linter/pkg/analysis/duplicatemarkers"
	"sigs.k8s.io/kube-api-linter/pkg/analysis/forbiddenmarkers"
	"sigs.k8s.io/kube-api-linter/pkg/analysis/initializer"
	"sigs.k8s.io/kube-api-linter/pkg/analysis/integers"
	"sigs.k8s.io/kube-api-linter/pkg/analysis/jsontags"
	"sigs.k8s.io/kube-api-linter/pkg/analysis/maxlength"
	"sigs.k8s.io/kube-api-linter/pkg/analysis/minlength"
	"sigs.k8s.io/kube-api-linter/pkg/analysis/namingconventions"
	"sigs.k8s.io/kube-api-linter/pkg/analysis/nobools"
	"sigs.k8s.io/kube-api-linter/pkg/analysis/nodurations"
	"sigs.k8s.io/kube-api-linter/pkg/analysis/nofloats"
	"sigs.k8s.io/kube-api-linter/pkg/analysis/nomaps"
	"sigs.k8s.io/kube-api-linter/pkg/analysis/nonullable"
	"sigs.k8s.io/kube-api-linter/pkg/analysis/nophase"
	"sigs.k8s.io/kube-api-linter/pkg/analysis/noreferences"
	"sigs.k8s.io/kube-api-linter/pkg/analysis/notimestamp"
	"sigs.k8s.io/kube-api-linter/pkg/analysis/optionalfields"
	"sigs.k8s.io/kube-api-linter/pkg/analysis/optionalorrequired"
	"sigs.k8s.io/kube-api-linter/pkg/analysis/preferredmarkers"
	"sigs.k8s.io/kube-api-linter/pkg/analysis/registry"
	"sigs.k8s.io/kube-api-linter/pkg/analysis/requiredfields"
	"sigs.k8s.io/kube-api-linter/pkg/analysis/ssatags"
	"sigs.k8s.io/kube-api-linter/pkg/analysis/statusoptional"
	"sigs.k8s.io/kube-api-linter/pkg/analysis/statussubresource"
	"sigs.k8s.io/kube-api-linter/pkg/analysis/uniquemarkers"
	"sigs.k8s.io/kube-api-linter/pkg/config"
)

// A check is a linter of kube-api-linter, with its settings where it needs some or its defaults are not what is wanted.
type check struct {
	linter   initializer.AnalyzerInitializer
	settings any
	except   []exception
}

// An exception is fields, named as version.Type.Field, that a linter does not hold for. One that is not needed (any
// more) is itself a finding.
type exception struct {
	reason string
	fields []string
}

// Exceptions of several linters.
var (
	suspend = exception{
		"on or off is all there ever is, and absent is off, as with suspend elsewhere (Flux; CronJob and Job, but for the pointer)",
		[]string{"v1alpha1.BackupSyncSpec.Suspend", "v1alpha1.CBRProjectSpec.Suspend"},
	}
	defaulted = exception{
		"the default {}, filled with the defaults of its fields, takes the place of an absent one: there is nothing to tell apart (and with minProperties the API server would refuse that default)",
		[]string{"v1alpha1.CBRProjectSpec.Batch", "v1alpha1.CBRProjectSpec.Limits", "v1alpha1.CBRProjectSpec.Poll", "v1alpha1.CBRProjectSpec.Retry",
			"v1alpha1.CBRProjectSpec.Audit"},
	}
	status = exception{
		"{} and absent mean the same, and a write of {} must not fail",
		[]string{"v1alpha1.BackupSync.Status", "v1alpha1.CBRProject.Status", "v1alpha1.CBRProjectStatus.Journal"},
	}
)

// The checks: all that kube-api-linter has but nonpointerstructs, which is not for CRDs.
var checks = []check{
	{linter: arrayofstruct.Initializer()},
	{linter: commentstart.Initializer()},
	{
		linter: conditions.Initializer(),
		settings: conditions.ConditionsConfig{
			// Protobuf and strategic merge are for types that are compiled into the API server.
			UseProtobuf:      conditions.ConditionsUseProtobufForbid,
			UsePatchStrategy: conditions.ConditionsUsePatchStrategyForbid,
		},
	},
	{
		linter: conflictingmarkers.Initializer(),
		settings: conflictingmarkers.ConflictingMarkersConfig{Conflicts: []conflictingmarkers.ConflictSet{
			{
				Name: "enum_and_string",
				Sets: [][]string{
					{"kubebuilder:validation:Enum"},
					{"kubebuilder:validation:Pattern", "kubebuilder:validation:MinLength", "kubebuilder:validation:MaxLength"},
				},
				Description: "an enum already says which values there are",
			},
			{
				Name:        "discriminator_and_member",
				Sets:        [][]string{{"unionDiscriminator"}, {"unionMember"}},
				Description: "the discriminator of a union is not one of its members",
			},
		}},
	},
	{linter: defaultorrequired.Initializer()},
	{linter: defaults.Initializer()},
	{
		linter: dependenttags.Initializer(),
		settings: dependenttags.Config{Rules: []dependenttags.Rule{
			// Which member of a union is set must be said, and the other members must be allowed to be absent.
			{Identifier: "unionDiscriminator", Type: dependenttags.DependencyTypeAll, DependsOn: []string{"required"}},
			{Identifier: "unionMember", Type: dependenttags.DependencyTypeAll, DependsOn: []string{"optional"}},
			{Identifier: "listMapKey", Type: dependenttags.DependencyTypeAll, DependsOn: []string{"listType"}},
		}},
	},
	{linter: duplicatemarkers.Initializer()},
	{
		linter: forbiddenmarkers.Initializer(),
		settings: forbiddenmarkers.Config{Markers: []forbiddenmarkers.Marker{
			// The API server refuses a schema with it; listType=set is what there is instead.
			{Identifier: "kubebuilder:validation:UniqueItems"},
			// What the schema does not know is not to be stored.
			{Identifier: "kubebuilder:pruning:PreserveUnknownFields"},
		}},
	},
	{linter: integers.Initializer()},
	{
		linter:   jsontags.Initializer(),
		settings: jsontags.JSONTagsConfig{FieldNameMatch: jsontags.FieldNameMatchPolicyWarn}, // ignored by default
	},
	{linter: maxlength.Initializer()},
	{linter: minlength.Initializer(), except: []exception{defaulted, status, {
		"[] and absent mean the same, and a write that empties a list must not fail",
		[]string{
			"v1alpha1.BackupSyncStatus.Conditions", "v1alpha1.CBRProjectStatus.Conditions",
			"v1alpha1.Journal.Submissions", "v1alpha1.Journal.RecentCalls",
		},
	}}},
	{
		linter: namingconventions.Initializer(),
		settings: namingconventions.Config{Conventions: []namingconventions.Convention{{
			Name:             "acronyms",
			ViolationMatcher: `(Id|Url|Uri|Uuid|Http|Api|Ca|Obs|Cbr)s?([A-Z]|$)`,
			Operation:        namingconventions.OperationInform,
			Message:          "acronyms are all upper or all lower case, as in backupID and caBundle",
		}}},
	},
	{linter: nobools.Initializer(), except: []exception{suspend}},
	{linter: nodurations.Initializer(), except: []exception{{
		"people write and read them, from 100ms to 720h, and the schema says what is valid: no client needs Go's parser for that",
		[]string{"v1alpha1.Batch.Window", "v1alpha1.Batch.MaxWait", "v1alpha1.Poll.Interval", "v1alpha1.Poll.OverdueAfter",
			"v1alpha1.Audit.Interval"},
	}}},
	{linter: nofloats.Initializer()},
	{
		linter:   nomaps.Initializer(),
		settings: nomaps.NoMapsConfig{Policy: nomaps.NoMapsEnforce}, // by default map[string]string is allowed, for labels
	},
	{linter: nonullable.Initializer()},
	{linter: nophase.Initializer()},
	{linter: noreferences.Initializer()},
	{linter: notimestamp.Initializer()},
	{
		linter: optionalfields.Initializer(),
		settings: optionalfields.OptionalFieldsConfig{Pointers: optionalfields.OptionalFieldsPointers{
			// By default every optional field is to be a pointer, also where the zero value is not valid anyway.
			Preference: optionalfields.OptionalFieldsPointerPreferenceWhenRequired,
		}},
		except: []exception{suspend, defaulted, status, {
			"0 and absent mean the same",
			[]string{"v1alpha1.BackupSyncStatus.ObservedGeneration", "v1alpha1.CBRProjectStatus.ObservedGeneration", "v1alpha1.BackupSyncStatus.Attempts"},
		}},
	},
	{linter: optionalorrequired.Initializer()},
	{
		linter: preferredmarkers.Initializer(),
		// One spelling of each. Of the k8s: markers controller-gen knows some, and is silent about the others.
		settings: preferredmarkers.Config{Markers: []preferredmarkers.Marker{
			prefer("kubebuilder:validation:Enum", "k8s:enum"),
			prefer("kubebuilder:validation:Format", "k8s:format"),
			prefer("kubebuilder:validation:MaxItems", "k8s:maxItems"),
			prefer("kubebuilder:validation:MaxLength", "k8s:maxLength"),
			prefer("kubebuilder:validation:Maximum", "k8s:maximum"),
			prefer("kubebuilder:validation:MinItems", "k8s:minItems"),
			prefer("kubebuilder:validation:MinLength", "k8s:minLength"),
			prefer("kubebuilder:validation:Minimum", "k8s:minimum"),
			prefer("listMapKey", "k8s:listMapKey"),
			prefer("listType", "k8s:listType"),
			prefer("unionDiscriminator", "k8s:unionDiscriminator"),
			prefer("unionMember", "k8s:unionMember"),
		}},
	},
	{linter: requiredfields.Initializer(), except: []exception{
		{
			"0 is a count like any other, and written: kubectl shows some in columns",
			[]string{
				"v1alpha1.BackupCounts.Total", "v1alpha1.BackupCounts.Pending", "v1alpha1.BackupCounts.Running",
				"v1alpha1.BackupCounts.Imported", "v1alpha1.BackupCounts.Failed",
				"v1alpha1.AuditSummary.Checked", "v1alpha1.AuditSummary.Missing", "v1alpha1.AuditSummary.Unusable",
			},
		},
		{
			"the zero time is left out by omitzero, which then fails as required; the linter takes it to be written as {}",
			[]string{"v1alpha1.Submission.StartTime", "v1alpha1.CallCount.EndTime"},
		},
	}},
	{linter: ssatags.Initializer()},
	{linter: statusoptional.Initializer()},
	{linter: statussubresource.Initializer()},
	{
		linter: uniquemarkers.Initializer(),
		// Besides those that kube-api-linter knows of itself.
		settings: uniquemarkers.UniqueMarkersConfig{CustomMarkers: []uniquemarkers.UniqueMarker{
			{Identifier: "kubebuilder:printcolumn", Attributes: []string{"name"}},
			{Identifier: "kubebuilder:selectablefield", Attributes: []string{"JSONPath"}},
		}},
	},
}

func prefer(marker, equivalent string) preferredmarkers.Marker {
	return preferredmarkers.Marker{
		PreferredIdentifier:   marker,
		EquivalentIdentifiers: []preferredmarkers.EquivalentIdentifier{{Identifier: equivalent}},
	}
}

func main() {
	known, settings, exceptions := registry.NewRegistry(), config.LintersConfig{}, map[string][]exception{}
	for _, c := range checks {
		known.RegisterLinter(c.linter)
		if c.settings != nil {
			settings[c.linter.Name()] = c.settings
		}
		exceptions[c.linter.Name()] = c.except
	}
	analyzers, err := known.InitializeLinters(config.Linters{Enable: []string{config.Wildcard}}, settings)
	if err != nil {
		log.Fatal(err)
	}
	for _, a := range analyzers {
		except(a, exceptions[a.Name])
	}
	multichecker.Main(analyzers...)
}

// except keeps a linter from reporting on tests, which declare no API, and on the excepted fields.
func except(a *analysis.Analyzer, exceptions []exception) {
	run := a.Run
	a.Run = func(pass *analysis.Pass) (any, error) {
		fields, report := fieldsOf(pass), pass.Report
		unused := map[string]string{} // the reasons of exceptions by field
		for _, e := range exceptions {
			for _, name := range e.fields {
				if version, _, _ := strings.Cut(name, "."); version == pass.Pkg.Name() {
					unused[name] = e.reason
				}
			}
		}
		excepted := maps.Clone(unused)
		pass.Report = func(d analysis.Diagnostic) {
			if strings.HasSuffix(pass.Fset.File(d.Pos).Name(), "_test.go") {
				return
			}
			for name := range excepted {
				if fields[name].covers(d.Pos) {
					delete(unused, name)
					return
				}
			}
			d.Message = a.Name + ": " + d.Message
			report(d)
		}
		result, err := run(pass)
		for _, name := range slices.Sorted(maps.Keys(unused)) {
			report(analysis.Diagnostic{
				Pos:     cmp.Or(fields[name].start, pass.Files[0].Package),
				Message: fmt.Sprintf("%s: exception of %s that is not needed, to be removed from hack/tools/kubeapilinter/main.go: %s", a.Name, name, unused[name]),
			})
		}
		return result, err
	}
}

// A span is where in the sources something is.
type span struct{ start, end token.Pos }

func (s span) covers(p token.Pos) bool { return s.start <= p && p < s.end }

// fieldsOf gives the fields of the package's structs, with their comments, as version.Type.Field.
func fieldsOf(pass *analysis.Pass) map[string]span {
	fields := map[string]span{}
	for _, file := range pass.Files {
		for n := range ast.Preorder(file) {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				continue
			}
			if structure, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range structure.Fields.List {
					name := types.ExprString(f.Type) // of an embedded field
					if len(f.Names) > 0 {
						name = f.Names[0].Name
					}
					start := f.Pos()
					if f.Doc != nil {
						start = f.Doc.Pos()
					}
					fields[pass.Pkg.Name()+"."+spec.Name.Name+"."+name] = span{start, f.End()}
				}
			}
		}
	}
	return fields
}
