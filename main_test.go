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
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// A command line that would do other than it says is refused, and names the flag.
func TestTheCommandLine(t *testing.T) {
	for name, c := range map[string]struct {
		change    func(*flags)
		arguments []string
		says      string // "" if it is taken
	}{
		"as it is by default":             {},
		"with an argument":                {arguments: []string{"false", "--metrics-secure"}, says: `unexpected argument "false": write --flag=value`},
		"without time to settle":          {change: func(f *flags) { f.settleTime = 0 }, says: "--settle-time 0s must be more than 0"},
		"without time for a call":         {change: func(f *flags) { f.callTimeout = 0 }, says: "--call-timeout 0s must be more than 0"},
		"with a negative time for a call": {change: func(f *flags) { f.callTimeout = -time.Second }, says: "--call-timeout -1s must be more than 0"},
		"without time for a deletion":     {change: func(f *flags) { f.deletionGrace = 0 }, says: "--deletion-grace 0s must be more than 0"},
		"without projects":                {change: func(f *flags) { f.maxConcurrentProjects = 0 }, says: "--max-concurrent-projects 0 must be more than 0"},
		"without writers":                 {change: func(f *flags) { f.statusWriters = -1 }, says: "--status-writers -1 must be more than 0"},
		"with namespaces":                 {change: func(f *flags) { f.watchNamespaces = "team-a, team-b," }},
		"with a list of no namespaces":    {change: func(f *flags) { f.watchNamespaces = " ," }, says: `--watch-namespaces: " ," names no namespace`},
		"with namespaces by a pattern":    {change: func(f *flags) { f.watchNamespaces = "team-a,team-*" }, says: `--watch-namespaces: "team-*" is not the name of a namespace`},
		"with namespaces apart by spaces": {change: func(f *flags) { f.watchNamespaces = "team-a team-b" }, says: `--watch-namespaces: "team-a team-b"`},
		"with a namespace in capitals":    {change: func(f *flags) { f.watchNamespaces = "Team" }, says: `--watch-namespaces: "Team"`},
	} {
		t.Run(name, func(t *testing.T) {
			f := &flags{settleTime: time.Minute, callTimeout: time.Minute, deletionGrace: time.Minute, maxConcurrentProjects: 32, statusWriters: 16}
			if c.change != nil {
				c.change(f)
			}
			err := f.validate(c.arguments)
			switch {
			case c.says == "" && err != nil:
				t.Errorf("it is refused: %v", err)
			case c.says != "" && (err == nil || !strings.HasPrefix(err.Error(), c.says)):
				t.Errorf("it is answered with %v, want %s", err, c.says)
			}
		})
	}
}

// The proxy of the environment is asked for CBR alone: the API server is in the cluster, and its token for nobody else.
func TestTheAPIServerIsAskedDirectly(t *testing.T) {
	proxied := false
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied = true }))
	defer proxy.Close()
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY"} {
		if err := os.Setenv(name, proxy.URL); err != nil { // net/http reads it once
			t.Fatal(err)
		}
	}
	config := &rest.Config{Host: "http://api-server.invalid"}
	askDirectly(config)
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, config.Host, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(request)
	if err == nil {
		_ = answer.Body.Close()
	}
	if err == nil || proxied {
		t.Error("the API server was asked through the proxy of the environment")
	}

	own, _ := url.Parse("http://proxy.example.com")
	config = &rest.Config{Proxy: http.ProxyURL(own)}
	askDirectly(config)
	if chosen, err := config.Proxy(&http.Request{URL: own}); err != nil || chosen != own {
		t.Errorf("the proxy of the kubeconfig is not asked: %v, %v", chosen, err)
	}
}

// Each flag that the documentation names is one that the manager has.
func TestFlagsOfTheDocumentation(t *testing.T) {
	commandLine, arguments := flag.CommandLine, os.Args
	defer func() { flag.CommandLine, os.Args = commandLine, arguments }()
	flag.CommandLine, os.Args = flag.NewFlagSet("manager", flag.ContinueOnError), []string{"manager"}
	parseFlags()

	paths, err := filepath.Glob(filepath.Join("docs", "*.md"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("there is no documentation: %v", err)
	}
	paths = slices.DeleteFunc(paths, func(path string) bool { return filepath.Base(path) == "cli.md" }) // its flags are those of kubectl backupsync
	named := regexp.MustCompile("[`(]--([a-z][a-z-]*)")
	found := map[string]bool{}
	for _, path := range append(paths, "README.md") {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range named.FindAllStringSubmatch(string(content), -1) {
			found[match[1]] = true
			if flag.Lookup(match[1]) == nil && match[1] != "help" && match[1] != "flag" { // as in --flag=value
				t.Errorf("%s names --%s, which the manager does not have", path, match[1])
			}
		}
	}
	for _, name := range []string{"allowed-endpoints", "pod-identity-namespaces", "watch-namespaces"} {
		if !found[name] {
			t.Errorf("--%s is not documented", name)
		}
	}
}
