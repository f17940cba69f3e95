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

package cluster

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// What config/default creates.
const (
	// Namespace is where the operator runs.
	Namespace = "backupsync-system"
	// ServiceAccount is what the manager runs as.
	ServiceAccount = "backupsync-controller-manager"
	// MetricsReader is the ClusterRole of those who may read the metrics.
	MetricsReader = "backupsync-metrics-reader"
	// Lease is the name of the lease that the leader holds.
	Lease = "cbr.backupsync.dev"
)

const (
	establishTimeout = "60s"
	tokenLifetime    = 7 * 24 * time.Hour
)

// Install is InstallFrom for config/default: the manager runs under exactly the roles of config/rbac.
func (c *Cluster) Install(ctx context.Context) error { return c.InstallFrom(ctx, "default") }

// InstallFrom applies a kustomization below config (CRDs, roles, the namespace, and a Deployment that no node will run), and writes a
// kubeconfig for the manager with a token of its ServiceAccount: it runs under exactly the roles that were applied.
func (c *Cluster) InstallFrom(ctx context.Context, folder string) error {
	if _, err := c.Kubectl(ctx, "apply", "-k", filepath.Join(c.Root, "config", folder)); err != nil {
		return err
	}
	if _, err := c.Kubectl(ctx, "wait", "--for=condition=Established", "--timeout="+establishTimeout,
		"customresourcedefinition/backupsyncs.cbr.backupsync.dev", "customresourcedefinition/cbrprojects.cbr.backupsync.dev"); err != nil {
		return err
	}
	config, err := c.ConfigOf(ctx, Namespace, ServiceAccount)
	if err != nil {
		return err
	}
	return writeKubeconfig(c.ManagerKubeconfig(), config)
}

// ManagerKubeconfig is the path of the kubeconfig that Install has written for the manager.
func (c *Cluster) ManagerKubeconfig() string { return filepath.Join(c.Dir, "manager.kubeconfig") }

// Token returns a new token of a ServiceAccount.
func (c *Cluster) Token(ctx context.Context, namespace, serviceAccount string) (string, error) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: serviceAccount}}
	seconds := int64(tokenLifetime / time.Second)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	if err := c.Client.SubResource("token").Create(ctx, account, request); err != nil {
		return "", fmt.Errorf("request a token of the ServiceAccount %s/%s: %w", namespace, serviceAccount, err)
	}
	return request.Status.Token, nil
}

// ConfigOf returns a configuration to act as a ServiceAccount.
func (c *Cluster) ConfigOf(ctx context.Context, namespace, serviceAccount string) (*rest.Config, error) {
	token, err := c.Token(ctx, namespace, serviceAccount)
	if err != nil {
		return nil, err
	}
	config := rest.AnonymousClientConfig(c.Config)
	config.BearerToken = token
	return config, nil
}

// ClientOf returns a client that acts as a ServiceAccount.
func (c *Cluster) ClientOf(ctx context.Context, namespace, serviceAccount string) (client.Client, error) {
	config, err := c.ConfigOf(ctx, namespace, serviceAccount)
	if err != nil {
		return nil, err
	}
	return newClient(config)
}

// writeKubeconfig writes what authenticates a configuration to a file that only its owner can read.
func writeKubeconfig(path string, config *rest.Config) error {
	const name = "backupsync"
	kubeconfig := clientcmdapi.NewConfig()
	kubeconfig.Clusters[name] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	kubeconfig.AuthInfos[name] = &clientcmdapi.AuthInfo{
		ClientCertificateData: config.CertData, ClientKeyData: config.KeyData, Token: config.BearerToken,
	}
	kubeconfig.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name, Namespace: metav1.NamespaceDefault}
	kubeconfig.CurrentContext = name
	if err := clientcmd.WriteToFile(*kubeconfig, path); err != nil {
		return fmt.Errorf("write a kubeconfig: %w", err)
	}
	return nil
}
