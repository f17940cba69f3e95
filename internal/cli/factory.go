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

package cli

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
)

// FieldOwner owns what the commands write.
const FieldOwner = "kubectl-backupsync"

// Factory makes what the commands need of the outside world.
type Factory struct {
	genericiooptions.IOStreams
	// Version is that of the command line.
	Version string
	// Clock tells the time.
	Clock clock.WithTicker

	flags *genericclioptions.ConfigFlags
	// ahead is how far the clock of the API server is ahead of ours, in nanoseconds.
	ahead atomic.Int64
}

// NewFactory returns a factory for a cluster that the flags of kubectl choose.
func NewFactory(version string, streams genericiooptions.IOStreams) *Factory {
	flags := genericclioptions.NewConfigFlags(true)
	f := &Factory{IOStreams: streams, Version: version, Clock: clock.RealClock{}, flags: flags}
	flags.WrapConfigFn = func(config *rest.Config) *rest.Config {
		config.QPS = -1 // the API server's priority and fairness regulates, not the client
		config.UserAgent = FieldOwner + "/" + version
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { return timekeeper{next, f} })
		return config
	}
	return f
}

// AddFlags adds the flags of kubectl that choose a cluster.
func (f *Factory) AddFlags(flags *pflag.FlagSet) { f.flags.AddFlags(flags) }

// Scheme returns a scheme with the kinds of Kubernetes and ours.
func Scheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	return scheme
}

// RESTConfig returns how the cluster is reached. The error names what is missing.
func (f *Factory) RESTConfig() (*rest.Config, error) {
	config, err := f.flags.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("find the cluster: %w", err)
	}
	return config, nil
}

// Client returns a client that reads and writes the API server itself.
func (f *Factory) Client() (client.Client, error) {
	config, err := f.RESTConfig()
	if err != nil {
		return nil, err
	}
	made, err := client.New(config, client.Options{Scheme: Scheme()})
	if err != nil {
		return nil, fmt.Errorf("make a client of the cluster: %w", err)
	}
	return client.WithFieldOwner(made, FieldOwner), nil
}

// Namespace returns the namespace of the command: that of its flag, else that of the kubeconfig's context.
func (f *Factory) Namespace() (string, error) {
	namespace, _, err := f.flags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return "", fmt.Errorf("find the namespace: %w", err)
	}
	return namespace, nil
}

// Now returns the time of this machine.
func (f *Factory) Now() time.Time { return f.Clock.Now() }
