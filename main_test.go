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
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"testing"

	"k8s.io/client-go/rest"
)

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
