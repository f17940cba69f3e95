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
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/connection"
)

// accessKey is one of a form that is taken.
var accessKey = map[string]string{"accessKey": "ABCDEFGHIJKLMNOPQRST", "secretKey": "secretsecretsecretsecretsecretsecretsecr"}

// refusalOf is what the journal of a project has if it was refused the access key.
func refusalOf(t *testing.T, project *v1alpha1.CBRProject) string {
	t.Helper()
	secret := &corev1.Secret{Data: map[string][]byte{}}
	for key, value := range accessKey {
		secret.Data[key] = []byte(value)
	}
	contents, err := connection.Read(&project.Spec.Credentials, secret)
	if err != nil {
		t.Fatal(err)
	}
	return contents.NewMark(connection.ScopeOf(&project.Spec))
}

// The journal says what was refused also while Ready says something else: the project is suspended, for one.
func TestWhatTheJournalSaysWasRefusedIsNotTriedAgain(t *testing.T) {
	namespace := cluster.Namespace(t)
	asked := 0
	cloud := cbrtest.NewServer(t, cbrtest.Options{ProjectIDs: []string{"project-" + namespace}, Authenticate: func(r *http.Request) *cbrtest.APIError {
		if r.Header.Get("Authorization") != "" {
			asked++
		}
		return nil
	}})
	createSecretWith(t, namespace, accessKey)
	treat(t, namespace, cloud.URL, func(p *v1alpha1.CBRProject) {
		p.Spec.Credentials.Type, p.Spec.Suspend = v1alpha1.CredentialsAccessKey, true
		p.Status.Conditions[0].Status, p.Status.Conditions[0].Reason = metav1.ConditionUnknown, v1alpha1.ReasonSuspended
		p.Status.Journal.RefusedSecret = refusalOf(t, p)
	})
	report, _ := examined(t, line(namespace), "--probe", "--allowed-endpoints=http://127.0.0.1:*", "--operator-namespace="+namespace)
	report.expect(t, "probe", Unknown, "refused")
	if asked > 0 {
		t.Errorf("they were sent again, %d times", asked)
	}
}

// A lock is the account's or the key's, whichever project it is used for.
func TestWhatAnotherProjectWasRefusedIsNotTried(t *testing.T) {
	namespace, other := cluster.Namespace(t), cluster.Namespace(t)
	asked := 0
	cloud := cbrtest.NewServer(t, cbrtest.Options{ProjectIDs: []string{"project-" + namespace}, Authenticate: func(r *http.Request) *cbrtest.APIError {
		if r.Header.Get("Authorization") != "" {
			asked++
		}
		return nil
	}})
	createSecretWith(t, namespace, accessKey)
	unseen := func(p *v1alpha1.CBRProject) {
		p.Spec.Credentials.Type = v1alpha1.CredentialsAccessKey
		p.Status.Conditions[0].Status, p.Status.Conditions[0].Reason = metav1.ConditionUnknown, v1alpha1.ReasonSuspended
	}
	treat(t, namespace, cloud.URL, unseen)
	treat(t, other, cloud.URL, unseen, func(p *v1alpha1.CBRProject) { p.Status.Journal.RefusedSecret = refusalOf(t, p) })
	report, _ := examined(t, line(namespace), "--probe", "--allowed-endpoints=http://127.0.0.1:*", "--operator-namespace="+namespace)
	report.expect(t, "probe", Unknown, other+"/default was refused")
	if asked > 0 {
		t.Errorf("they were sent, %d times", asked)
	}
}

// Nor does one run try for each of its projects what the first of them was refused.
func TestOneRunTriesARefusedKeyOnce(t *testing.T) {
	namespace := cluster.Namespace(t)
	asked := 0
	cloud := cbrtest.NewServer(t, cbrtest.Options{ProjectIDs: []string{"project-one", "project-two", "project-three"}, Authenticate: func(r *http.Request) *cbrtest.APIError {
		if r.Header.Get("Authorization") == "" {
			return nil
		}
		asked++
		return &cbrtest.APIError{Status: http.StatusUnauthorized, Code: "APIGW.0301", Message: "Incorrect IAM authentication information"}
	}})
	createSecretWith(t, namespace, accessKey)
	for _, name := range []string{"one", "two", "three"} {
		treat(t, namespace, cloud.URL, func(p *v1alpha1.CBRProject) {
			p.Name, p.Spec.ProjectID, p.Spec.Credentials.Type = name, "project-"+name, v1alpha1.CredentialsAccessKey
		})
	}
	report, _ := examined(t, line(namespace), "--probe", "--allowed-endpoints=http://127.0.0.1:*", "--operator-namespace="+namespace)
	probes := report.of("probe")
	if asked != 1 || len(probes) != 3 {
		t.Errorf("it was sent %d times: %+v", asked, probes)
	}
	for _, each := range probes {
		if each.Level != Fix || !strings.HasPrefix(each.Message, v1alpha1.ReasonCredentialsRejected) {
			t.Errorf("%+v", each)
		}
	}
}
