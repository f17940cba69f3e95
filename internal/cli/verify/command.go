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
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cli"
	"backupsync.dev/operator/internal/connection"
)

// importedProvider is the provider of backups that were imported from VMware.
const importedProvider = "a13639de-00be-4e94-af30-26912d75e4a2"

// defaultReads is how often CBR is read in a second. Third parties have measured a limit of 20, which the operator needs, too.
const defaultReads = 10

// command is one run of the command.
type command struct {
	factory  *cli.Factory
	progress *progress

	allProjects, ignoreUndeclared, importedOnly bool
	output, failOn, sinceText, allowedEndpoints string
	credentialsFile, credentialsType            string
	limitTo                                     int
	readsPerSecond                              float64

	namespace, project string // "" for all
	names              []string
	since              time.Time
	allowed            connection.EndpointPatterns
	fails              []Kind
}

// NewCommand returns kubectl backupsync verify.
func NewCommand(f *cli.Factory) *cobra.Command {
	c := &command{factory: f}
	made := &cobra.Command{
		Use:     "verify [PROJECT [BACKUPSYNC...]]",
		Short:   "Compare the BackupSyncs of a project with what CBR holds now",
		Long:    long,
		Example: examples,
		Args:    cli.Arguments(cobra.ArbitraryArgs),
		RunE: func(made *cobra.Command, arguments []string) error {
			named := made.Flags().Lookup("namespace")
			if err := c.complete(arguments, named != nil && named.Changed); err != nil {
				return err
			}
			return c.run(made.Context())
		},
	}
	flags := made.Flags()
	flags.BoolVarP(&c.allProjects, "all-projects", "A", false, "Verify all CBRProjects of all namespaces; with --namespace, of that one.")
	flags.StringVarP(&c.output, "output", "o", "", "Format: wide, json or yaml; a table by default.")
	flags.StringVar(&c.failOn, "fail-on", "missing,unusable,unknown", "Comma-separated findings that make the command exit with 3: missing, unusable, unknown, undeclared, present, differs; empty for none.")
	flags.BoolVar(&c.ignoreUndeclared, "ignore-undeclared", false, "Tell nothing of backups in CBR that no manifest declares.")
	flags.BoolVar(&c.importedOnly, "imported-only", false, "Of backups that no manifest declares, tell only of those with the provider of imported VMware backups.")
	flags.StringVar(&c.sinceText, "since", "", "Tell only of BackupSyncs that ended, and of backups that CBR created, since then: 24h ago, or 2026-01-04T09:05:22Z.")
	flags.IntVar(&c.limitTo, "limit", 0, "Most findings of each kind that a table shows; 0 for all. The summary counts all.")
	flags.StringVar(&c.credentialsFile, "credentials-file", "", "File with the credentials, in place of the project's Secret: the manifest of a Secret, or YAML of its keys.")
	flags.StringVar(&c.credentialsType, "credentials-type", "", "Type of the credentials in --credentials-file, if it is not the project's: Token, AccessKey or Password.")
	flags.StringVar(&c.allowedEndpoints, "allowed-endpoints", connection.DefaultAllowedEndpoints, "Comma-separated hosts that credentials may be sent to, as the operator's flag of that name.")
	flags.Float64Var(&c.readsPerSecond, "reads-per-second", defaultReads, "Most reads of CBR in a second; 0 for no bound. It goes slower when CBR asks for it.")
	return made
}

// complete reads the command line.
func (c *command) complete(arguments []string, namespaceGiven bool) (err error) {
	if len(arguments) > 0 {
		c.project, c.names = arguments[0], arguments[1:]
	}
	if err := errors.Join(c.parse(), c.check()); err != nil {
		return cli.Usage(err)
	}
	if c.allProjects && !namespaceGiven {
		return nil
	}
	c.namespace, err = c.factory.Namespace()
	return err
}

// parse reads the flags that are texts.
func (c *command) parse() (err error) {
	if c.fails, err = parseKinds(c.failOn); err != nil {
		return fmt.Errorf("--fail-on: %w", err)
	}
	if c.since, err = parseSince(c.sinceText, c.factory.Now()); err != nil {
		return fmt.Errorf("--since: %w", err)
	}
	if c.allowed, err = connection.ParseEndpointPatterns(c.allowedEndpoints); err != nil {
		return fmt.Errorf("--allowed-endpoints: %w", err)
	}
	return nil
}

// check returns what of the command line contradicts itself.
func (c *command) check() error {
	switch {
	case c.allProjects && c.project != "":
		return errors.New("name a CBRProject, or choose all with -A, not both")
	case !slices.Contains(formats, c.output):
		return fmt.Errorf("--output %q: it is wide, json or yaml", c.output)
	case c.limitTo < 0, c.readsPerSecond < 0:
		return errors.New("--limit and --reads-per-second must not be less than 0")
	case c.credentialsType != "" && (c.credentialsFile == "" || !connection.NeedsSecret(v1alpha1.CredentialsType(c.credentialsType))):
		return fmt.Errorf("--credentials-type %q: it is Token, AccessKey or Password, and says what --credentials-file holds", c.credentialsType)
	case c.ignoreUndeclared && slices.Contains(c.fails, Undeclared):
		return errors.New("--fail-on=undeclared and --ignore-undeclared contradict each other")
	default:
		return nil
	}
}

// parseKinds reads a list of findings.
func parseKinds(list string) ([]Kind, error) {
	var found []Kind
	for text := range strings.SplitSeq(list, ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		at := slices.IndexFunc(kinds, func(kind Kind) bool { return strings.EqualFold(string(kind), text) })
		if at < 0 {
			return nil, fmt.Errorf("%q is no finding: they are missing, unusable, unknown, undeclared, present and differs", text)
		}
		found = append(found, kinds[at])
	}
	return found, nil
}

// parseSince reads a time, or how long ago it was; the zero time for "".
func parseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago > 0 {
		return now.Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is neither how long ago, such as 24h, nor a time such as 2026-01-04T09:05:22Z", text)
	}
	return at, nil
}

// run verifies the projects, prints what was found, and returns it as an error if it is to be one.
func (c *command) run(ctx context.Context) error {
	c.progress = newProgress(c.factory.ErrOut, c.factory.Clock)
	reader, err := c.factory.Client()
	if err != nil {
		return err
	}
	projects, err := c.chosen(ctx, reader)
	if err != nil {
		return err
	}
	reports := make([]*Report, 0, len(projects))
	for i := range projects {
		report, err := c.verify(ctx, reader, &projects[i])
		switch {
		case err != nil && (len(projects) == 1 || ctx.Err() != nil):
			return err
		case err != nil: // the others are told all the same
			report = unreadProject(&projects[i], err)
		}
		reports = append(reports, report)
	}
	if err := write(c.factory.Out, c.output, reports, c.limitTo); err != nil {
		return fmt.Errorf("print what was found: %w", err)
	}
	return c.verdict(reports)
}

// unreadProject is the report on a project of which the cluster could not be asked.
func unreadProject(project *v1alpha1.CBRProject, err error) *Report {
	return &Report{Namespace: project.Namespace, Project: project.Name, Endpoint: connection.EndpointOf(&project.Spec), ProjectID: project.Spec.ProjectID,
		Problem: fmt.Sprintf("The cluster could not be asked (%v).", err), Findings: []Finding{}}
}

// verdict returns the error that the findings stand for, nil if they are none.
func (c *command) verdict(reports []*Report) error {
	var texts []string
	unread := 0
	for _, kind := range kinds {
		count, found := 0, false
		for _, report := range reports {
			count, found = count+*report.count(kind), found || report.found(kind)
		}
		if found && slices.Contains(c.fails, kind) {
			texts = append(texts, fmt.Sprintf("%d %s", count, strings.ToLower(string(kind))))
		}
	}
	for _, report := range reports {
		if report.Problem != "" {
			unread++
		}
	}
	switch {
	case len(texts) > 0 && unread > 0:
		return cli.WithStatus(cli.ExitFound, fmt.Errorf("found %s; CBR could not be asked, or not to the end, for %s", strings.Join(texts, ", "), several(unread, "project")))
	case len(texts) > 0:
		return cli.WithStatus(cli.ExitFound, fmt.Errorf("found %s", strings.Join(texts, ", ")))
	case unread > 0: // whatever the flags: it was not verified
		return fmt.Errorf("CBR could not be asked, or not to the end, for %s", several(unread, "project"))
	default:
		return nil
	}
}
