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

package main

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"backupsync.dev/operator/internal/connection"
	"backupsync.dev/operator/internal/controller"
)

// writesGrace is how much longer than a sync call a shutdown waits, for the writes that follow it. The pod's
// terminationGracePeriodSeconds must be longer than both together.
const writesGrace = 40 * time.Second

// flags are the command line.
type flags struct {
	leaderElect, secureMetrics    bool
	watchNamespaces               string
	podIdentityNamespaces         string
	leaderElectionNamespace       string
	allowedEndpoints              string
	maxConcurrentProjects         int
	statusWriters                 int
	metricsAddress, probeAddress  string
	leaseDuration, renew, retry   time.Duration
	metricsCertPath, pprofAddress string
	callTimeout, settleTime       time.Duration
	deletionGrace                 time.Duration
	version                       bool
	zap                           zap.Options
}

func parseFlags() *flags {
	f := &flags{}
	flag.BoolVar(&f.leaderElect, "leader-elect", false, "Only one of several replicas works at a time; the others stand by, warm.")
	flag.StringVar(&f.leaderElectionNamespace, "leader-election-namespace", "", "Namespace of the lease; the pod's own by default.")
	flag.DurationVar(&f.leaseDuration, "leader-elect-lease-duration", 15*time.Second, "How long a standby waits for a leader that has gone silent.")
	flag.DurationVar(&f.renew, "leader-elect-renew-deadline", 10*time.Second, "How long a leader tries to renew its lease before it gives up.")
	flag.DurationVar(&f.retry, "leader-elect-retry-period", 250*time.Millisecond,
		"Time between a standby's looks at the lease. The leader writes it every 2 s, or more often if the lease is short.")
	flag.StringVar(&f.watchNamespaces, "watch-namespaces", "", "Comma-separated namespaces to work in; all if it is not set. The roles of config/components/namespaced are enough then.")
	flag.StringVar(&f.podIdentityNamespaces, "pod-identity-namespaces", controller.AnyNamespace,
		"Comma-separated namespaces whose CBRProjects may use credentials of the type PodIdentity, the operator's own; * for all, empty for none.")
	flag.StringVar(&f.allowedEndpoints, "allowed-endpoints", connection.DefaultAllowedEndpoints,
		"Comma-separated hosts that credentials may be sent to. * stands for one label of a name or a part of one. It is by https on port 443, "+
			"unless an entry begins with http:// or names a port (:* for any). Names must lead to public addresses, unless the list has the "+
			"address or its network too: 10.20.0.0/16, for a private cloud.")
	flag.IntVar(&f.maxConcurrentProjects, "max-concurrent-projects", 32, "CBRProjects that are worked on at the same time. One whose endpoint hangs takes a place for a call timeout.")
	flag.IntVar(&f.statusWriters, "status-writers", 16, "Status writes of BackupSyncs that are under way at the same time. Those that take long count in their namespace alone.")
	flag.StringVar(&f.metricsAddress, "metrics-bind-address", ":8443", "Address of the metrics endpoint; 0 turns it off.")
	flag.BoolVar(&f.secureMetrics, "metrics-secure", true, "Serve metrics by HTTPS, to authenticated and authorized clients only.")
	flag.StringVar(&f.metricsCertPath, "metrics-cert-path", "", "Folder with tls.crt and tls.key of the metrics endpoint; self-signed if empty.")
	flag.StringVar(&f.probeAddress, "health-probe-bind-address", ":8081", "Address of /healthz and /readyz; 0 turns them off.")
	flag.StringVar(&f.pprofAddress, "pprof-bind-address", "0", "Address of the profiler; 0 turns it off.")
	flag.DurationVar(&f.callTimeout, "call-timeout", 60*time.Second,
		"Longest time of a call to CBR. A shutdown waits for it: the pod's termination grace must be 45 s longer.")
	flag.DurationVar(&f.settleTime, "settle-time", controller.DefaultSettleTime,
		"How long after the end of a sync call CBR may take to show what it has taken. The end is the answer of CBR, or a refusal by the gateway; "+
			"without either it is 15 s and --call-timeout after the record of the call. Then CBR is asked for what is not known.")
	flag.DurationVar(&f.deletionGrace, "deletion-grace", controller.DefaultDeletionGrace,
		"How long a CBRProject that is being deleted waits for the outcome of its calls at most.")
	flag.BoolVar(&f.version, "version", false, "Print the version and exit.")
	f.zap.BindFlags(flag.CommandLine)
	flag.Parse()
	return f
}

// validate returns what is wrong with the command line, and with which flag, nil if nothing is. Arguments are those behind the flags:
// "--leader-elect false" leaves one, and means true.
func (f *flags) validate(arguments []string) error {
	if len(arguments) > 0 {
		return fmt.Errorf("unexpected argument %q: write --flag=value", arguments[0])
	}
	if f.settleTime <= 0 {
		return fmt.Errorf("--settle-time %s must be more than 0: CBR may show what it has taken a little later", f.settleTime)
	}
	if f.callTimeout <= 0 {
		return fmt.Errorf("--call-timeout %s must be more than 0", f.callTimeout)
	}
	if f.deletionGrace <= 0 {
		return fmt.Errorf("--deletion-grace %s must be more than 0", f.deletionGrace)
	}
	if f.maxConcurrentProjects <= 0 {
		return fmt.Errorf("--max-concurrent-projects %d must be more than 0", f.maxConcurrentProjects)
	}
	if f.statusWriters <= 0 {
		return fmt.Errorf("--status-writers %d must be more than 0", f.statusWriters)
	}
	watched := namespacesIn(f.watchNamespaces)
	if len(watched) == 0 && f.watchNamespaces != "" {
		return fmt.Errorf("--watch-namespaces: %q names no namespace; leave it out to work in all", f.watchNamespaces)
	}
	for _, name := range watched {
		if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
			return fmt.Errorf("--watch-namespaces: %q is not the name of a namespace: %s", name, problems[0])
		}
	}
	return nil
}

// grace is how long a shutdown waits for what was begun.
func (f *flags) grace() time.Duration { return f.callTimeout + writesGrace }

// controllerOptions are those of the controller, as far as flags tell.
func (f *flags) controllerOptions() (controller.Options, error) {
	endpoints, err := connection.ParseEndpointPatterns(f.allowedEndpoints)
	if err != nil {
		return controller.Options{}, fmt.Errorf("--allowed-endpoints: %w", err)
	}
	return controller.Options{
		AllowedEndpoints:      endpoints,
		MaxConcurrentProjects: f.maxConcurrentProjects,
		StatusWriters:         f.statusWriters,
		CallTimeout:           f.callTimeout,
		SettleTime:            f.settleTime,
		DeletionGrace:         f.deletionGrace,
		Namespaces:            namespacesIn(f.watchNamespaces),
		PodIdentityNamespaces: sets.New(namespacesIn(f.podIdentityNamespaces)...),
		UserAgent:             "backupsync-operator/" + version,
	}, nil
}

// namespacesIn returns the namespaces of a list, each once.
func namespacesIn(list string) []string {
	var names []string
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
