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

package e2e_test

import (
	"context"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/e2e/cluster"
)

// cbrInBeijing is an endpoint that the operator may use. Here a proxy is in between, and pretends to be it.
const cbrInBeijing = "cbr.cn-north-4.myhuaweicloud.com"

// hostile are the servers of attackers and of the cloud, and what is to be expected of projects that are set up wrongly, by
// mistake or on purpose.
type hostile struct {
	bed     *bed
	secrets *secrets
	// cloud is good. It must see no credentials but those that are in order.
	cloud *cluster.Simulator
	// authority is the one of all traps, in PEM: projects may trust it.
	authority string
	// Traps by what they are. No project may send anything to plain, local, target and own; the proxy and untrusted see TLS
	// alone; the redirector is allowed, and is sent credentials.
	plain, local, target, untrusted, redirector, proxy *trap
	hostname                                           string // of this machine, if it has an address here
}

// newHostile starts the servers.
func newHostile(t *testing.T, b *bed, known *secrets) *hostile {
	t.Helper()
	g, h := NewWithT(t), &hostile{bed: b, secrets: known}
	identity, authority := newIdentity(g, []string{"localhost", cbrInBeijing, "*.myhuaweicloud.com"}, "127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5")
	h.authority = authority
	h.plain = newTrap(t, "127.0.0.2:0", identity, emptyAnswer)
	h.local = newTrap(t, "127.0.0.1:0", identity, emptyAnswer)
	h.target = newTrap(t, "127.0.0.4:0", identity, emptyAnswer)
	h.untrusted = newTrap(t, "127.0.0.5:0", identity, emptyAnswer)
	h.proxy = newTrap(t, "127.0.0.6:0", identity, emptyAnswer)
	h.redirector = newTrap(t, "127.0.0.3:0", identity, "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://"+h.target.host()+"/\r\nContent-Length: 0\r\n\r\n")
	_, h.cloud = b.prepare(t.Context(), t, []string{"--project-id=" + strings.Join(cloudProjects(), ",")})
	if name, err := os.Hostname(); err == nil && leadsHere(t.Context(), name) {
		h.hostname = name
	}
	return h
}

// leadsHere reports whether a name leads to addresses of this machine alone.
func leadsHere(ctx context.Context, name string) bool {
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name+".")
	for _, address := range found {
		if !address.Unmap().IsLoopback() && !address.Unmap().IsPrivate() {
			return false
		}
	}
	return err == nil && len(found) > 0 && !strings.EqualFold(name, "localhost")
}

// allowed are the entries of --allowed-endpoints that the cases need: names and hosts that are allowed as such.
func (h *hostile) allowed() []string {
	entries := []string{h.cloud.URL, "http://localhost:*", "https://localhost:*", "http://" + h.redirector.host(), "https://" + h.untrusted.host()}
	if h.hostname != "" {
		entries = append(entries, "http://"+h.hostname+":*")
	}
	return entries
}

// setProxy gives the manager a proxy for all names but that of this machine.
func (h *hostile) setProxy(t *testing.T) {
	t.Helper()
	for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY"} {
		t.Setenv(name, "http://"+h.proxy.host())
	}
	t.Setenv("NO_PROXY", h.hostname)
}

// secretLength is how long the secrets of the cases are, as secret keys are.
const secretLength = 40

// run plays all cases. Their projects are in namespaces of their own, and have a backup to import.
func (h *hostile) run(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), scenarioTimeout)
	defer cancel()
	g, projects := NewWithT(t), cloudProjects()
	h.expectRefused(ctx, g)
	cases := append(append(h.endpoints(), h.logins()...), h.contents()...)
	g.Expect(len(cases)).To(BeNumerically("<=", len(projects)), "there are no more project ids: raise maxTenants")
	namespaces := make([]string, len(cases))
	for i, each := range cases {
		namespaces[i] = h.declare(ctx, g, each, projects[i])
	}
	for i, each := range cases {
		t.Run(each.name, func(t *testing.T) { h.expectCondition(ctx, t, namespaces[i], each) })
	}
	h.expectRecords(ctx, t, cases)
}

// declare creates a project, what it refers to, and a backup that waits for it.
func (h *hostile) declare(ctx context.Context, g *GomegaWithT, c hostileCase, projectID string) string {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "hostile-"}}
	g.Expect(h.bed.kubernetes.Client.Create(ctx, namespace)).To(Succeed())
	secret := strings.NewReplacer("+", "a", "/", "b").Replace(longText(secretLength))
	h.secrets.add("the secret of "+c.name, secret)
	data := map[string][]byte{v1alpha1.TokenKey: []byte(secret)}
	if c.data != nil {
		data = c.data(secret)
	}
	project := h.project(projectID)
	if c.spec != nil {
		c.spec(&project.Spec)
	}
	backup := tenant{namespace: namespace.Name, projectID: projectID}.backup("default")
	for _, object := range []client.Object{
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "authority"}, Data: map[string]string{"ca.crt": h.authority}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "cbr"}, Data: data}, project, backup,
	} {
		object.SetNamespace(namespace.Name)
		g.Expect(h.bed.kubernetes.Client.Create(ctx, object)).To(Succeed(), c.name)
	}
	return namespace.Name
}

func (h *hostile) project(projectID string) *v1alpha1.CBRProject {
	return &v1alpha1.CBRProject{
		ObjectMeta: metav1.ObjectMeta{Name: "default"},
		Spec: v1alpha1.CBRProjectSpec{
			Endpoint: h.cloud.URL, ProjectID: projectID,
			Credentials: v1alpha1.Credentials{Type: v1alpha1.CredentialsToken, SecretRef: v1alpha1.SecretReference{Name: "cbr"}},
			Batch:       v1alpha1.Batch{Window: seconds(0.3), MaxWait: seconds(3)},
			Poll:        v1alpha1.Poll{Interval: seconds(0.5)},
		},
	}
}

// expectRefused checks that there can be no projects whose endpoint holds more than a host.
func (h *hostile) expectRefused(ctx context.Context, g *GomegaWithT) {
	for _, host := range []string{
		"https://user:word@" + cbrInBeijing, "https://" + cbrInBeijing + "@attacker.example", "https://" + cbrInBeijing + "/?@attacker.example",
		"https://" + cbrInBeijing + "\r\nX-Evil: 1", "https://" + cbrInBeijing + `\@attacker.example`, "https://" + cbrInBeijing + "#attacker.example",
		"file:///etc/passwd", "https://" + cbrInBeijing + ".", "https://[fe80::1%25eth0]",
	} {
		for _, change := range []func(*v1alpha1.CBRProjectSpec){at(host), loginAt(host)} {
			project := h.project(cloudProjects()[0])
			project.Namespace = "default"
			change(&project.Spec)
			g.Expect(h.bed.kubernetes.Client.Create(ctx, project)).To(MatchError(apierrors.IsInvalid, "is invalid"), host)
		}
	}
}

// expectCondition waits until a project says what it should, and its backup has been left alone.
func (h *hostile) expectCondition(ctx context.Context, t *testing.T, namespace string, c hostileCase) {
	project := &v1alpha1.CBRProject{}
	NewWithT(t).Eventually(func(g Gomega) {
		g.Expect(h.bed.kubernetes.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "default"}, project)).To(Succeed())
		ready := readyOf(project.Status.Conditions)
		g.Expect(ready.Reason).To(Equal(c.reason), ready.Message)
		g.Expect(ready.Status).To(Equal(metav1.ConditionFalse))
		g.Expect(ready.Message).To(ContainSubstring(c.says))
		g.Expect(project.Status.Backups).To(HaveValue(And(HaveField("Pending", int32(1)), HaveField("Total", int32(1)))))
		g.Expect(project.Status.Journal.Submissions).To(BeEmpty())
	}).WithContext(ctx).WithTimeout(20 * time.Second).WithPolling(200 * time.Millisecond).Should(Succeed())
}

// requestLine finds the requests among all that a trap has received.
var requestLine = regexp.MustCompile(`(CONNECT|GET|HEAD|POST|PUT) \S+ HTTP/1[.]1`)

// expectRecords looks at what the servers have received.
func (h *hostile) expectRecords(ctx context.Context, t *testing.T, cases []hostileCase) {
	g, pieces := NewWithT(t), h.secrets.pieces()
	traps := map[string]*trap{"the attacker's host": h.plain, "this machine": h.local, "the target of redirects": h.target,
		"the untrusted host": h.untrusted, "the proxy": h.proxy}
	for name, each := range traps {
		connections, received := each.seen()
		piece, whose := leak(pieces, received)
		g.Expect(whose).To(BeEmpty(), "%s was sent %s", name, piece)
		if each == h.untrusted || each == h.proxy {
			g.Expect(connections).To(BeNumerically(">", 0), "%s was not reached", name)
		} else {
			g.Expect(connections).To(BeZero(), "%s was sent %q", name, received)
		}
	}
	_, received := h.redirector.seen()
	_, whose := leak(pieces, received)
	g.Expect(whose).To(ContainSubstring("redirect"), "what is sent to a server that is allowed is seen, so that what is not sent is not seen")
	_, received = h.proxy.seen()
	for _, request := range requestLine.FindAllString(received, -1) {
		g.Expect(request).To(BeElementOf("CONNECT "+cbrInBeijing+":443 HTTP/1.1", "CONNECT iam.cn-north-4.myhuaweicloud.com:443 HTTP/1.1"))
	}
	h.expectAsked(ctx, g, cases)
}

// expectAsked checks that the cloud was asked by none but those whose credentials only it can judge.
func (h *hostile) expectAsked(ctx context.Context, g *GomegaWithT, cases []hostileCase) {
	calls, err := h.cloud.Calls(ctx, "")
	g.Expect(err).NotTo(HaveOccurred())
	asked := map[string]int{}
	for _, call := range calls {
		asked[call.ProjectID]++
	}
	for i, each := range cases {
		count := asked[cloudProjects()[i]]
		if each.reason == rejected && !strings.Contains(each.name, "password") {
			g.Expect(count).To(BeNumerically(">", 0), each.name)
		} else {
			g.Expect(count).To(BeZero(), each.name)
		}
	}
	iam, err := h.cloud.IAM(ctx)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(iam.Answers).To(Equal(map[string]int{cbrtest.TokensPath + " 401 IAM.0062": 1}), "a wrong password is sent once")
}
