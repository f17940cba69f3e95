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

package controller

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
)

// connect makes the client of the project's calls, at most once a pass, and says whether calls may be made. The
// Secret is read live for it. Whatever is in the way goes into what is known of the project's access; only
// failures of the API server are errors.
func (p *pass) connect(ctx context.Context) (bool, error) {
	if p.connected {
		return p.cloud != nil, nil
	}
	p.connected = true
	if target := p.project.Spec.Endpoint + " " + p.project.Spec.ProjectID; p.memory.target != target {
		p.memory.target = target
		p.memory.forgetObserved()
	}
	known := &p.memory.access
	if known.inputs != p.inputs {
		*known = access{inputs: p.inputs}
	}
	if known.closed(p.now) {
		if p.now.Before(known.until) {
			p.wakeAt(known.until)
		}
		return false, nil
	}
	if !p.options.AllowedEndpoints.Allow(p.project.Spec.Endpoint) {
		known.unusable(v1alpha1.ReasonEndpointNotAllowed, fmt.Sprintf(
			"The operator does not allow the endpoint %s: its flag --allowed-endpoints names the hosts that tokens may be sent to.",
			shorten(p.project.Spec.Endpoint)))
		return false, nil
	}
	credential, err := p.credential(ctx)
	if err != nil || credential == nil {
		return false, err
	}
	return p.dial(credential), nil
}

// credential reads the Secret. Without an error and without a credential, the project's access says why.
func (p *pass) credential(ctx context.Context) (cbr.Credential, error) {
	key := types.NamespacedName{Namespace: p.key.Namespace, Name: p.project.Spec.Credentials.SecretRef.Name}
	missing := func(format string, arguments ...any) (cbr.Credential, error) {
		p.memory.access.unusable(v1alpha1.ReasonCredentialsMissing,
			fmt.Sprintf(format, arguments...)+" The backups go on by themselves when that is mended.")
		return nil, nil
	}
	var secret corev1.Secret
	if err := p.live.Get(ctx, key, &secret); apierrors.IsNotFound(err) {
		return missing("The Secret %s does not exist in this namespace. Create it with an IAM token in its key %q.", key.Name, v1alpha1.TokenKey)
	} else if err != nil {
		return nil, fmt.Errorf("get Secret %s: %w", key.Name, err)
	}
	content, found := secret.Data[v1alpha1.TokenKey]
	if !found {
		return missing("The Secret %s has no key %q. Put an IAM token there.", key.Name, v1alpha1.TokenKey)
	}
	token, err := cbr.NewToken(content)
	if err != nil {
		return missing("The key %q of Secret %s cannot be used: %v.", v1alpha1.TokenKey, key.Name, err)
	}
	return token, nil
}

// dial makes the client. Nothing is sent yet.
func (p *pass) dial(credential cbr.Credential) bool {
	known := &p.memory.access
	transport, err := p.options.Transports.For(p.project.Spec.CABundle)
	if errors.Is(err, cbr.ErrInvalidCABundle) {
		known.unusable(v1alpha1.ReasonEndpointUnavailable, "spec.caBundle holds no certificate in PEM that can be read. Mend or remove it.")
		return false
	}
	client, err := cbr.NewClient(cbr.Config{
		Endpoint:   p.project.Spec.Endpoint,
		ProjectID:  p.project.Spec.ProjectID,
		Credential: credential,
		Transport:  transport,
		Timeout:    p.options.CallTimeout,
		UserAgent:  p.options.UserAgent,
		Pace:       p.memory.pace.wait,
		Observe: func(call cbr.Call) {
			observeCall(call)
			p.memory.pace.heed(call)
		},
	})
	if err != nil { // the CRD lets no such value through
		known.unusable(v1alpha1.ReasonEndpointNotAllowed, err.Error())
		return false
	}
	p.cloud = client
	known.usable()
	return true
}
