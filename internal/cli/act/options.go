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
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/labels"

	"backupsync.dev/operator/api/v1alpha1"
)

// verb is what is done to objects.
type verb uint8

const (
	retry verb = iota
	suspend
	resume
)

// words are how a verb is told.
type words struct{ name, done, will string }

var wordsOf = map[verb]words{
	retry:   {"retry", "asked to be tried again", "be tried again"},
	suspend: {"suspend", "suspended", "be suspended"},
	resume:  {"resume", "resumed", "be resumed"},
}

func (v verb) String() string { return wordsOf[v].name }

// Modes of --dry-run.
const (
	dryRunNone   = "none"
	dryRunClient = "client"
	dryRunServer = "server"
)

// Forms of output.
const (
	outputText = ""
	outputName = "name"
	outputJSON = "json"
)

// options are the flags of a command.
type options struct {
	verb verb
	// what is chosen
	allFailed, all    bool
	unavailable       bool
	reasons           []string
	selector, project string
	// how it is done
	yes     bool
	dryRun  string
	wait    bool
	timeout time.Duration
	output  string

	chosen labels.Selector
	set    func(flag string) bool // reports whether the command line has a flag
}

func (o *options) addFlags(flags *pflag.FlagSet) {
	switch o.verb {
	case retry:
		flags.BoolVar(&o.allFailed, "all-failed", false, "Choose all BackupSyncs that have failed (Stalled).")
		flags.StringSliceVar(&o.reasons, "reason", nil, "Choose the BackupSyncs whose condition Ready has one of these reasons, such as Rejected,OperationFailed.")
		flags.BoolVar(&o.unavailable, "unavailable", false,
			"Choose the imported BackupSyncs that CBR does not show usable any more (Available=False). They are sent again if they were deleted in CBR.")
	default:
		flags.BoolVar(&o.all, "all", false, "Choose all of the namespace.")
	}
	o.set = flags.Changed
	flags.StringVarP(&o.selector, "selector", "l", "", "Choose by labels, such as team=erp.")
	flags.StringVar(&o.project, "project", "", "Choose only BackupSyncs of this CBRProject.")
	flags.BoolVarP(&o.yes, "yes", "y", false, "Do not ask before more than one is changed.")
	flags.StringVar(&o.dryRun, "dry-run", dryRunNone, "none; client: tell what would be done, and write nothing; server: have the API server check each write, and keep none.")
	flags.Lookup("dry-run").NoOptDefVal = dryRunClient
	flags.BoolVar(&o.wait, "wait", false, "Wait until the operator has done what was asked for, and show how far it is.")
	flags.DurationVar(&o.timeout, "timeout", 0, "How long --wait waits at most; 0 for as long as it takes.")
	flags.StringVarP(&o.output, "output", "o", outputText, "name: only the names of what was changed; json: a report of what was done to each.")
}

// knownReasons are those that a BackupSync can have.
var knownReasons = []string{
	v1alpha1.ReasonQueued, v1alpha1.ReasonAwaitingTask, v1alpha1.ReasonProjectNotFound, v1alpha1.ReasonSuspended, v1alpha1.ReasonOperationRunning,
	v1alpha1.ReasonOperationOverdue, v1alpha1.ReasonImported, v1alpha1.ReasonAlreadyImported, v1alpha1.ReasonBackupUnusable, v1alpha1.ReasonRejected,
	v1alpha1.ReasonRetryScheduled, v1alpha1.ReasonOperationFailed, v1alpha1.ReasonDuplicate, v1alpha1.ReasonOutcomeUnknown, v1alpha1.ReasonUnknownOutcome,
}

// validate returns what is wrong with a command line.
func (o *options) validate(kind string, names []string) error {
	if err := o.validateHow(); err != nil {
		return err
	}
	for i, reason := range o.reasons {
		at := slices.IndexFunc(knownReasons, func(known string) bool { return strings.EqualFold(known, reason) })
		if at < 0 {
			return fmt.Errorf("--reason: no BackupSync has the reason %q: there are %s", reason, strings.Join(knownReasons, ", "))
		}
		o.reasons[i] = knownReasons[at]
	}
	var err error
	if o.chosen, err = labels.Parse(o.selector); err != nil {
		return fmt.Errorf("--selector: %w", err)
	}
	if err := o.validateEmpty(); err != nil {
		return err
	}
	return o.validateChoice(kind, names)
}

// validateEmpty refuses flags that narrow a choice, and are set to nothing: by a variable of a script that is empty. Everything would be chosen.
func (o *options) validateEmpty() error {
	empty := map[string]bool{"project": o.project == "", "reason": len(o.reasons) == 0, "selector": o.chosen.Empty()}
	for _, flag := range slices.Sorted(maps.Keys(empty)) {
		if empty[flag] && o.set != nil && o.set(flag) {
			return fmt.Errorf("--%s is set to nothing, which would choose everything: leave it out if that is meant", flag)
		}
	}
	return nil
}

func (o *options) validateHow() error {
	switch {
	case !slices.Contains([]string{dryRunNone, dryRunClient, dryRunServer}, o.dryRun):
		return fmt.Errorf("--dry-run is none, client or server, and not %q", o.dryRun)
	case !slices.Contains([]string{outputText, outputName, outputJSON}, o.output):
		return fmt.Errorf("--output is name or json, and not %q", o.output)
	case o.timeout < 0:
		return errors.New("--timeout must not be negative")
	case o.timeout > 0 && !o.wait:
		return errors.New("--timeout is for --wait")
	case o.wait && o.dryRun != dryRunNone:
		return errors.New("--wait does not go with --dry-run: nothing would happen")
	default:
		return nil
	}
}

func (o *options) validateChoice(kind string, names []string) error {
	ofBackups := o.allFailed || o.unavailable || len(o.reasons) > 0 || o.project != ""
	chooses := ofBackups || o.all || o.selector != ""
	switch {
	case kind == kindProject && ofBackups:
		return errors.New("--all-failed, --unavailable, --reason and --project choose BackupSyncs, not projects")
	case len(names) > 0 && chooses:
		return errors.New("choose by names or by flags, not by both")
	case len(names) > 0:
		return nil
	default:
		return o.validateFlags(kind, chooses)
	}
}

// validateFlags is validateChoice without names.
func (o *options) validateFlags(kind string, chooses bool) error {
	switch {
	case !chooses && kind == kindProject:
		return fmt.Errorf("name a CBRProject; if a BackupSync is meant that is called project: %s backup/project", o.verb)
	case !chooses, o.verb == retry && !o.enough(kind):
		return fmt.Errorf("name what is to %s, or choose it by %s", wordsOf[o.verb].will, o.choices())
	case o.allFailed && o.unavailable:
		return errors.New("--all-failed and --unavailable choose nothing in common")
	case o.all && (o.selector != "" || o.project != ""):
		return errors.New("--all does not go with --selector or --project")
	default:
		return nil
	}
}

// enough reports whether the flags of retry say which, and not only of which project.
func (o *options) enough(kind string) bool {
	return o.allFailed || o.unavailable || o.selector != "" || len(o.reasons) > 0 || kind == kindProject
}

func (o *options) choices() string {
	if o.verb == retry {
		return "--all-failed, --unavailable, --reason or --selector"
	}
	return "--all, --project or --selector"
}

// everyFailed reports whether all of a project are chosen that have failed, and nothing else.
func (o *options) everyFailed() bool { return o.allFailed && o.selector == "" && len(o.reasons) == 0 }
