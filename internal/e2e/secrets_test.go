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
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	// pieceLength is how long a piece of a secret is that is looked for: its bytes are hardly there by chance.
	pieceLength = 16
	// pieceStep is how far the pieces are apart, so that whatever is 8 characters longer than a piece holds one.
	pieceStep = 8
)

// secrets are the texts that nothing may show. It is safe for concurrent use.
type secrets struct {
	mutex sync.Mutex
	known map[string]string // what each is
}

// add notes secrets, and what they are.
func (s *secrets) add(what string, texts ...string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.known == nil {
		s.known = map[string]string{}
	}
	for _, text := range texts {
		s.known[text] = what
	}
}

// pieces returns the pieces of all secrets in all forms, and whose each is.
func (s *secrets) pieces() map[string]string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	pieces := map[string]string{}
	for secret, what := range s.known {
		for form, text := range formsOf(secret) {
			for from := 0; from+pieceLength <= len(text); from += pieceStep {
				pieces[text[from:from+pieceLength]] = what + ", " + form
			}
			if len(text) >= pieceLength {
				pieces[text[len(text)-pieceLength:]] = what + ", " + form
			}
		}
	}
	return pieces
}

// formsOf returns how a secret looks in what programs write.
func formsOf(secret string) map[string]string {
	quoted, err := json.Marshal(secret)
	if err != nil {
		panic(err) // a text
	}
	escaped := url.QueryEscape(secret)
	forms := map[string]string{
		"as it is": secret, "in JSON": strings.Trim(string(quoted), `"`), "in a query": escaped, "in a query, in lower case": lowerEscapes(escaped),
		"in a path": url.PathEscape(secret), "in hex": hex.EncodeToString([]byte(secret)), "in HEX": strings.ToUpper(hex.EncodeToString([]byte(secret))),
		"in Go": strings.Trim(fmt.Sprintf("%q", secret), `"`),
	}
	for name, encoding := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64 for URLs": base64.RawURLEncoding} {
		for before := range 3 { // whatever stands before it in the text that was encoded
			encoded := encoding.EncodeToString([]byte(strings.Repeat(" ", before) + secret))
			forms[fmt.Sprintf("in %s after %d", name, before)] = encoded[4*min(before, 1) : len(encoded)-1]
		}
	}
	return forms
}

// lowerEscapes spells %2F as %2f.
func lowerEscapes(text string) string {
	parts := strings.Split(text, "%")
	for i := 1; i < len(parts); i++ {
		parts[i] = strings.ToLower(parts[i][:2]) + parts[i][2:]
	}
	return strings.Join(parts, "%")
}

// leak returns the first piece that a text holds, and whose it is.
func leak(pieces map[string]string, text string) (piece, whose string) {
	for from := 0; from+pieceLength <= len(text); from++ {
		if whose, found := pieces[text[from:from+pieceLength]]; found {
			return text[from : from+pieceLength], whose
		}
	}
	return "", ""
}

func TestLeaksAreFound(t *testing.T) {
	const secret = `Xk7+q2Vd/94mz&Hw3r"<tail-of-it>`
	known := &secrets{}
	known.add("the password", secret)
	pieces := known.pieces()
	for _, shown := range []string{
		secret, "cut off: " + secret[:24], "cut off: " + secret[len(secret)-16:], url.QueryEscape("a=" + secret), lowerEscapes(url.QueryEscape(secret)),
		url.PathEscape(secret), fmt.Sprintf("%q", secret), fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), string(must(json.Marshal(secret))),
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.URLEncoding.EncodeToString([]byte("x" + secret + "yz")),
		base64.StdEncoding.EncodeToString([]byte("user:" + secret)),
	} {
		if _, whose := leak(pieces, "before "+shown+" behind"); whose == "" {
			t.Errorf("%s: not found", shown)
		}
	}
	if piece, whose := leak(pieces, "the password is not shown, nor Xk7+q2Vd alone"); whose != "" {
		t.Errorf("found %s (%s)", piece, whose)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// expectNoLeak looks for secrets in all that the manager has ever shown, and ends the manager to see what it shows then.
func (b *bed) expectNoLeak(ctx context.Context, t *testing.T, known *secrets, runs []*credentialRun) {
	t.Helper()
	g := NewWithT(t)
	config, err := clientcmd.BuildConfigFromFlags("", b.kubernetes.ManagerKubeconfig())
	g.Expect(err).NotTo(HaveOccurred())
	known.add("the token of the manager's ServiceAccount", config.BearerToken)
	shown := b.everythingShown(ctx, g)
	shown["log with a dump"] = b.dump(ctx, g)
	for _, each := range runs {
		shown["all that was ever said of "+each.run.scenario.name] = each.recorder.everything(g)
	}
	pieces := known.pieces()
	for _, where := range slices.Sorted(maps.Keys(shown)) {
		text := shown[where]
		t.Logf("%s: %d bytes", where, len(text))
		g.Expect(text).NotTo(BeEmpty(), where)
		if _, whose := leak(pieces, text); whose != "" {
			t.Errorf("%s holds %s", where, whose)
		}
	}
	t.Logf("none of %d secrets, in %d pieces", len(known.known), len(pieces))
}

// everythingShown returns all that the manager shows to others, by its place.
func (b *bed) everythingShown(ctx context.Context, g *GomegaWithT) map[string]string {
	shown := map[string]string{}
	for _, kinds := range []string{"backupsync,cbrproject", "events", "events.events.k8s.io", "leases,configmaps,namespaces"} {
		text, err := b.kubernetes.Kubectl(ctx, "get", kinds, "--all-namespaces", "--output=yaml", "--show-managed-fields")
		g.Expect(err).NotTo(HaveOccurred())
		shown[kinds] = text
	}
	metrics := get(ctx, g, strings.Replace(b.manager.MetricsURL, "https:", "http:", 1))
	g.Expect(metrics).To(ContainSubstring("backupsync_api_requests_total{"))
	shown["metrics"] = metrics
	return shown
}

// everything returns all versions of all objects as JSON.
func (r *recorder) everything(g *GomegaWithT) string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	var text strings.Builder
	for _, each := range r.projects {
		g.Expect(json.NewEncoder(&text).Encode(each.object)).To(Succeed())
	}
	for _, each := range r.backups {
		g.Expect(json.NewEncoder(&text).Encode(each.object)).To(Succeed())
	}
	return text.String()
}

func get(ctx context.Context, g *GomegaWithT, address string) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	g.Expect(err).NotTo(HaveOccurred())
	response, err := http.DefaultClient.Do(request)
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	g.Expect(err).NotTo(HaveOccurred())
	return string(text)
}

// dump ends the manager by SIGQUIT, and returns its log, at whose end all of its goroutines are.
func (b *bed) dump(ctx context.Context, g *GomegaWithT) string {
	g.Expect(b.manager.Running()).To(BeTrue(), "it has never ended by itself")
	g.Expect(syscall.Kill(b.manager.PID(), syscall.SIGQUIT)).To(Succeed())
	g.Expect(b.manager.Wait(ctx)).To(MatchError(ContainSubstring("exit status 2")))
	log, err := b.manager.Log()
	g.Expect(err).NotTo(HaveOccurred())
	b.manager = nil
	g.Expect(log).NotTo(ContainSubstring("is forbidden"))
	log, dumped, found := strings.Cut(log, "SIGQUIT: quit")
	g.Expect(found).To(BeTrue(), "there is a dump")
	g.Expect(strings.Count(dumped, "\ngoroutine ")).To(BeNumerically(">", 50), "of all goroutines")
	g.Expect(log).NotTo(ContainSubstring("panic"))
	return log + dumped
}
