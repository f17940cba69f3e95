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
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
	"backupsync.dev/operator/internal/connection"
)

// callTimeout bounds each request to an endpoint.
const callTimeout = 15 * time.Second

type roundTripper = http.RoundTripper

// noTransport is the transport of credentials that are not to be used.
type noTransport struct{}

var errNoRequest = errors.New("no request is made")

// RoundTrip makes no request.
func (noTransport) RoundTrip(*http.Request) (*http.Response, error) { return nil, errNoRequest }

// transport returns what carries requests to the project's endpoints: what the operator has, with its guard, and the proxy of this machine.
func (p *patient) transport() (http.RoundTripper, error) {
	patterns, _, err := p.patterns()
	if err != nil {
		return nil, fmt.Errorf("--allowed-endpoints: %w", err)
	}
	guard, err := connection.NewGuard(patterns, nil)
	if err != nil {
		return nil, err
	}
	return (&cbr.Transports{Dial: guard.DialContext}).For(p.bundle)
}

// checkReach connects to the endpoints, without credentials.
func checkReach(ctx context.Context, p *patient) []Finding {
	if !p.bundleRead {
		return []Finding{unknown("", "the CA certificates of spec.caBundleRef could not be read")}
	}
	transport, err := p.transport()
	if err != nil {
		return []Finding{unknown("", "%v", err)}
	}
	spec := &p.project.Spec
	found := p.reach(ctx, transport, "CBR", connection.EndpointOf(spec))
	if spec.Credentials.Type == v1alpha1.CredentialsPassword {
		found = append(found, p.reach(ctx, transport, "IAM", connection.IAMEndpointOf(spec))...)
	}
	return found
}

// reach looks an endpoint's name up, connects to it, and asks for nothing.
func (p *patient) reach(ctx context.Context, transport http.RoundTripper, what, endpoint string) []Finding {
	address, err := url.Parse(endpoint)
	if err != nil || address.Host == "" {
		return []Finding{fix("correct the endpoint", "that of %s is no URL", what)}
	}
	by := route(address)
	resolved, err := net.DefaultResolver.LookupHost(ctx, address.Hostname())
	if err != nil && by == "" {
		return []Finding{fix("check the endpoint or the region, and DNS", "%s: %s cannot be resolved from this machine", what, address.Hostname())}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"/", nil)
	if err != nil {
		return []Finding{unknown("", "%s: %v", what, err)}
	}
	request.Header.Set("User-Agent", p.userAgent())
	response, err := transport.RoundTrip(request)
	if err != nil {
		return []Finding{judgeUnreached(what, endpoint, by, err)}
	}
	_ = response.Body.Close()
	where := strings.Join(resolved[:min(len(resolved), 3)], ", ")
	found := []Finding{ok("%s answers at %s (%s%s), from this machine. The operator's network may differ", what, endpoint, where, by)}
	found = append(found, judgeCertificate(what, response.TLS, p.now())...)
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		found = append(found, named("clock", []Finding{judgeClock("the clock of "+what, date.Sub(p.serverNow()), "that of the API server")})...)
	}
	return found
}

// route names the proxy of requests to a URL, "" for none.
func route(to *url.URL) string {
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: to})
	if err != nil || proxy == nil {
		return ""
	}
	return " through the proxy " + proxy.Host
}

// judgeUnreached says why an endpoint does not answer.
func judgeUnreached(what, endpoint, by string, err error) Finding {
	if connection.LeadsToRefused(err) {
		return look("if the operator says EndpointNotAllowed, add the address or its network to its --allowed-endpoints",
			"%s: %s, as seen from this machine, and the operator would send no credentials there", what, connection.Describe(&cbr.Error{Err: err}))
	}
	return fix("check the endpoint or the region, spec.caBundleRef, the network and proxies; the operator's network may differ from this machine's",
		"%s does not answer at %s%s: %s", what, endpoint, by, connection.Describe(&cbr.Error{Err: err}))
}

// soon is how long before its end a certificate is worth a look.
const soon = 14 * 24 * time.Hour

// judgeCertificate judges how long the certificate of an endpoint is valid.
func judgeCertificate(what string, state *tls.ConnectionState, now time.Time) []Finding {
	if state == nil {
		return []Finding{look("use https://", "%s is reached without TLS: anybody on the way can read the credentials", what)}
	}
	if len(state.PeerCertificates) == 0 {
		return nil
	}
	if end := state.PeerCertificates[0].NotAfter; end.Sub(now) < soon {
		return []Finding{look("have it renewed", "the certificate of %s ends on %s", what, end.UTC().Format(time.DateOnly))}
	}
	return nil
}

// probe asks CBR for one entry of a list, with the project's own credentials.
func probe(ctx context.Context, p *patient) []Finding {
	spec := &p.project.Spec
	if finding, must := p.noProbe(ctx); must {
		return []Finding{finding}
	}
	transport, err := p.transport()
	if err != nil {
		return []Finding{unknown("", "%v", err)}
	}
	changed := make(chan struct{}, 1)
	credential, err := connection.NewCredential(spec.Credentials.Type, p.contents, p.surroundings(transport, func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}, p.attempts))
	if err != nil {
		return []Finding{unknown("", "%s", p.hide(err.Error()))}
	}
	if finding, failed := p.fetch(ctx, credential, changed); failed {
		return []Finding{finding}
	}
	enterprise := cbr.AllEnterpriseProjects
	if spec.EnterpriseProjectID != nil {
		enterprise = *spec.EnterpriseProjectID
	}
	made, err := cbr.NewClient(cbr.Config{Endpoint: connection.EndpointOf(spec), ProjectID: spec.ProjectID, EnterpriseProjectID: enterprise,
		Credential: credential, Hidden: p.hidden, Transport: transport, Timeout: callTimeout, UserAgent: p.userAgent()})
	if err != nil {
		return []Finding{fix("correct the endpoint", "%v", err)}
	}
	if _, err := made.ListOperationLogs(ctx, cbr.OperationLogsQuery{Limit: 1}); err != nil {
		why := connection.ExplainLookUp(spec.Credentials.Type, err)
		return []Finding{fix("docs/cbrproject.md has this reason", "%s: %s", why.Reason, p.hide(why.Message))}
	}
	return []Finding{ok("CBR takes the credentials, and lists operation logs of project %s. That it lets them import is shown by an import alone", spec.ProjectID)}
}

// noProbe says why CBR is not asked.
func (p *patient) noProbe(ctx context.Context) (Finding, bool) {
	spec := &p.project.Spec
	patterns, source, err := p.patterns()
	iam := connection.IAMEndpointOf(spec)
	switch {
	case spec.Credentials.Type == v1alpha1.CredentialsPodIdentity:
		return unknown("", "the keys of PodIdentity are given to the operator's pod alone"), true
	case p.contents == nil:
		return unknown("", "the credentials could not be read"), true
	case !p.bundleRead:
		return unknown("", "the CA certificates of spec.caBundleRef could not be read"), true
	case err != nil, !patterns.Allow(connection.EndpointOf(spec)), spec.Credentials.Type == v1alpha1.CredentialsPassword && !patterns.AllowIAM(iam):
		return unknown(p.howToKnow(), "credentials may not be sent to this endpoint, by %s", source), true
	case rejected(p.project) || connection.HistoryOf(p.project, p.contents).Refused:
		return unknown("correct the Secret first", "the operator says that these credentials are refused. Trying them again could lock the account or the key"), true
	}
	if other := p.refusedElsewhere(ctx); other != "" {
		return unknown("correct the Secret first", "the operator says that CBRProject %s was refused what may be the same. Trying it again could lock the account or the key", other), true
	}
	return Finding{}, false
}

// howToKnow says what to do if the operator's list of endpoints is not known, "" if it is.
func (d *doctor) howToKnow() string {
	if d.flagsDoubtful() {
		return nameIt
	}
	return ""
}

// rejected reports whether the operator has found the credentials refused.
func rejected(project *v1alpha1.CBRProject) bool {
	for _, condition := range project.Status.Conditions {
		if condition.Type == v1alpha1.ConditionReady && condition.Reason == v1alpha1.ReasonCredentialsRejected {
			return true
		}
	}
	return false
}

// fetch waits for the token of a user. It reports whether there is none.
func (p *patient) fetch(ctx context.Context, credential connection.Credential, changed <-chan struct{}) (Finding, bool) {
	renewing, is := credential.(auth.Renewing)
	if !is {
		return Finding{}, false
	}
	for {
		state := renewing.State()
		if state.Ready {
			return Finding{}, false
		}
		if state.Err != nil {
			why := connection.ExplainFetch(p.project.Spec.Credentials.Type, state.Err)
			return fix("docs/cbrproject.md has this reason", "%s: %s", why.Reason, p.hide(why.Message)), true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return unknown("", "IAM did not answer in time"), true
		}
	}
}
