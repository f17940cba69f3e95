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

package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/auth"
	"backupsync.dev/operator/internal/cli"
	"backupsync.dev/operator/internal/cli/text"
	"backupsync.dev/operator/internal/connection"
)

const long = `Look for what is wrong: with the cluster, the operator, and the CBRProjects of a namespace, or those that are named.

Of the cluster: the CRDs, its clock, and what you may do. Of the operator: who leads, its pods, its ServiceAccount's rights, and whether
it watches the namespace. Of each CBRProject: what its conditions say, deletions that hang, other CBRProjects of the same cloud project,
the form of its Secret and of its CA certificates, whether its endpoints are allowed, and, from this machine, whether they answer, with
which certificate and which time.

It changes nothing, and never shows what a Secret holds. Credentials are sent nowhere without --probe. With it, CBR is asked for one
entry of the list of its operation logs, with the project's credentials; of a user with a password, IAM is asked for a token before.
What the operator says was refused is not tried, as that can lock an account or a key. They are sent only to hosts of the operator's
--allowed-endpoints. These are read of its Deployment if --operator-namespace names where it runs, or if the only lease of its name is in
backupsync-system: elsewhere others could have made a lease and a Deployment. Else the default of the flag counts, or --allowed-endpoints.

Each check stands for itself: what you may not see is told as such, and the others go on. The network is seen from where this runs, with
its proxy (HTTPS_PROXY, NO_PROXY), and not from the operator's pod.

Exit status:
  0  nothing has to be fixed
  1  the cluster cannot be reached or does not know you, CBRProjects cannot be read, or one that is named does not exist
  2  the command line is not understood
  3  something has to be fixed`

const examples = `  # The operator, and all CBRProjects of the namespace
  kubectl backupsync doctor -n backups

  # One of them, and whether CBR takes its credentials
  kubectl backupsync doctor default -n backups --probe

  # What is wrong, for a program
  kubectl backupsync doctor -o json | jq '.findings[] | select(.level == "Fix")'`

// checkTimeout bounds each check.
const checkTimeout = 30 * time.Second

// doctor is one run of the command.
type doctor struct {
	f                 *cli.Factory
	operatorNamespace string
	allowedEndpoints  string
	probe             bool
	output            string

	config     *rest.Config
	client     client.Client
	namespace  string
	serverDate time.Time
	skew       time.Duration // of the API server's clock, ahead of ours
	installed  installation
	attempts   *auth.Attempts // of all projects: they may have the same credentials, of which a few failures lock an account or a key
}

// NewCommand returns the command that looks for what is wrong.
func NewCommand(f *cli.Factory) *cobra.Command {
	d := &doctor{f: f}
	command := &cobra.Command{Use: "doctor [PROJECT...]", Short: "Look for what is wrong with an installation or a CBRProject", Long: long, Example: examples,
		RunE: func(command *cobra.Command, names []string) error { return d.run(command.Context(), names) }}
	flags := command.Flags()
	flags.StringVar(&d.operatorNamespace, "operator-namespace", "", "The namespace that the operator runs in; looked for by its lease if it is not set.")
	flags.StringVar(&d.allowedEndpoints, "allowed-endpoints", "", "The operator's flag of that name, where its Deployment cannot be read or found for certain.")
	flags.BoolVar(&d.probe, "probe", false, "Ask CBR for one entry of a list, with the project's credentials.")
	flags.StringVarP(&d.output, "output", "o", "", "json for programs.")
	return command
}

// patient is a CBRProject, and what was read of it.
type patient struct {
	*doctor
	project    *v1alpha1.CBRProject
	contents   *connection.Contents // nil if they could not be read
	secrets    []string             // that must not be seen
	bundle     string
	bundleRead bool
}

func (d *doctor) now() time.Time       { return d.f.Now() }
func (d *doctor) serverNow() time.Time { return d.now().Add(d.skew) }
func (d *doctor) userAgent() string    { return cli.FieldOwner + "/" + d.f.Version }

func (d *doctor) run(ctx context.Context, names []string) error {
	if d.output != "" && d.output != "json" {
		return cli.Usage(fmt.Errorf("--output is json, and not %q", d.output))
	}
	if err := d.begin(ctx); err != nil {
		return err
	}
	findings := d.examineCluster(ctx)
	projects, about, unread := d.projects(ctx, names)
	if unread != nil && len(about) == 0 {
		return unread
	}
	findings = append(findings, about...)
	for _, project := range projects {
		findings = append(findings, d.examine(ctx, project)...)
	}
	if ctx.Err() != nil {
		return errors.New("interrupted: not all was looked at")
	}
	return errors.Join(unread, d.print(reportOf(findings)))
}

// begin reaches the cluster.
func (d *doctor) begin(ctx context.Context) error {
	d.attempts = auth.NewAttempts(d.f.Clock)
	var err error
	if d.config, err = d.f.RESTConfig(); err != nil {
		return err
	}
	if d.client, err = d.f.Client(); err != nil {
		return err
	}
	if d.namespace, err = d.f.Namespace(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if d.serverDate, err = serverTime(ctx, d.config); err != nil {
		return err
	}
	if !d.serverDate.IsZero() {
		d.skew = d.serverDate.Sub(d.now())
		if d.skew.Abs() < noticeable {
			d.skew = 0
		}
	}
	return nil
}

// examineCluster looks at the cluster and the operator.
func (d *doctor) examineCluster(ctx context.Context) []Finding {
	found := about("cluster", slices.Concat(
		d.check(ctx, "CRDs", d.checkCRDs), d.check(ctx, "clock", d.checkClock), d.check(ctx, "your rights", d.checkUser)))
	leader := d.check(ctx, "leader", d.findOperator)
	pods := d.check(ctx, "pods", d.checkDeployment)
	operator := slices.Concat(d.withoutElection(leader), pods, d.check(ctx, "rights", d.checkOperatorRights), d.check(ctx, "namespaces", d.checkWatched))
	return append(found, about("operator", operator)...)
}

// withoutElection takes back that a lease is missing, of an operator that needs none.
func (d *doctor) withoutElection(found []Finding) []Finding {
	if !d.installed.settings.known || !d.installed.settings.leaderElectionOff {
		return found
	}
	for i := range found {
		if found[i].Level == Fix {
			found[i] = look("run it with --leader-elect, or with one replica alone", "it runs without --leader-elect")
			found[i].Check = "leader"
		}
	}
	return found
}

// examine looks at a project.
func (d *doctor) examine(ctx context.Context, project *v1alpha1.CBRProject) []Finding {
	p := &patient{doctor: d, project: project}
	checks := []struct {
		name  string
		check func(context.Context, *patient) []Finding
	}{
		{"conditions", checkConditions}, {"deletion", checkDeletion}, {"cloud project", checkDuplicates}, {"endpoint", checkEndpoints},
		{"Secret", readSecret}, {"CA certificates", readBundle}, {"network", checkReach},
	}
	var found []Finding
	for _, each := range checks {
		found = append(found, d.check(ctx, each.name, func(ctx context.Context) []Finding { return each.check(ctx, p) })...)
	}
	if d.probe {
		found = append(found, d.check(ctx, "probe", func(ctx context.Context) []Finding { return probe(ctx, p) })...)
	}
	for i := range found { // whatever a check says, as it is and as it is shown
		found[i].Message = p.hide(text.Clean(p.hide(found[i].Message)))
	}
	return about("CBRProject "+project.Namespace+"/"+project.Name, found)
}

// check runs one check, in a time of its own. Whatever goes wrong in it is a finding.
func (d *doctor) check(ctx context.Context, name string, run func(context.Context) []Finding) (found []Finding) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	defer func() {
		if recover() != nil { // what it says may hold anything
			found = named(name, []Finding{unknown("report this as a bug", "the check itself has failed")})
		}
	}()
	return named(name, run(ctx))
}

// named gives findings the name of their check, unless they have one.
func named(name string, found []Finding) []Finding {
	for i := range found {
		if found[i].Check == "" {
			found[i].Check = name
		}
	}
	return found
}

// about says of findings what they are about.
func about(what string, found []Finding) []Finding {
	for i := range found {
		found[i].About = what
	}
	return found
}

// errUnread says that the report tells nothing of CBRProjects.
var errUnread = errors.New("no CBRProject was looked at: see above")

// projects reads the CBRProjects to look at. If they cannot be read, that is an error, and a finding says why.
func (d *doctor) projects(ctx context.Context, names []string) ([]*v1alpha1.CBRProject, []Finding, error) {
	var list v1alpha1.CBRProjectList
	err := d.client.List(ctx, &list, client.InNamespace(d.namespace))
	said := about("namespace "+d.namespace, []Finding{{Check: "CBRProjects"}})
	switch {
	case meta.IsNoMatchError(err), apierrors.IsNotFound(err):
		said[0].Level, said[0].Message = Unknown, "could not check: the kind CBRProject does not exist"
		if len(names) > 0 {
			return nil, said, errUnread
		}
		return nil, said, nil
	case err != nil:
		said[0].Level, said[0].Message = Unknown, fmt.Sprintf("could not check: list the CBRProjects: %v", err)
		return nil, said, errUnread
	case len(names) == 0 && len(list.Items) == 0:
		said[0].Level, said[0].Message, said[0].Do = Look, "there is no CBRProject in this namespace", "create one: docs/cbrproject.md; or name a namespace by -n"
		return nil, said, nil
	}
	var found []*v1alpha1.CBRProject
	for i := range list.Items {
		if len(names) == 0 || slices.Contains(names, list.Items[i].Name) {
			found = append(found, &list.Items[i])
		}
	}
	missing := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return slices.ContainsFunc(found, func(each *v1alpha1.CBRProject) bool { return each.Name == name })
	})
	if len(missing) > 0 {
		return nil, nil, fmt.Errorf("namespace %s has no CBRProject %s", d.namespace, strings.Join(missing, ", "))
	}
	return found, nil, nil
}

// print prints the report, and returns an error if there is something to fix.
func (d *doctor) print(report Report) error {
	write := report.text
	if d.output == "json" {
		write = report.json
	}
	if err := write(d.f.Out); err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	if report.Fix > 0 {
		return cli.WithStatus(cli.ExitFound, fmt.Errorf("%d to fix", report.Fix))
	}
	return nil
}
