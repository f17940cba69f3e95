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

package controller_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

var _ = Describe("An endpoint whose texts are hostile", func() {
	const long = 1 << 20
	texts := []string{"a\x00b\x1b[31m\a\b\r\nb\u2028\u202e", "a\xff\xfe\xc0\x80b", strings.Repeat("备份", 10_000), strings.Repeat("long ", long/5), "\x00\x01"}

	It("makes sound conditions and events of rejections", func(ctx context.Context) {
		texts := []string{texts[0], texts[1], strings.Repeat("备份", 1000), strings.Repeat("long ", 1000), texts[4]} // which are read as a whole
		var calls atomic.Int32
		s := trouble{times: cbrtest.Always, hostile: func(writer http.ResponseWriter, request *http.Request) {
			told(400, texts[int(calls.Add(1)-1)%len(texts)])(writer, request)
		}}.begin(ctx)
		Eventually(s.reasons(ctx), 60*time.Second).Should(Equal(map[string]int{v1alpha1.ReasonRejected: backupsOfATrouble}))
		Expect(int(calls.Load())).To(BeNumerically(">=", len(texts)), "all of them were told")
		s.expectSoundTexts(ctx)
		s.expectNoLeaks()
	})

	DescribeTable("makes sound conditions and events of a failure", func(ctx context.Context, text string) {
		trouble{hostile: told(429, text), project: v1alpha1.ReasonThrottled, lift: byRequest}.runs(ctx)
	},
		Entry("control characters", texts[0]), Entry("invalid UTF-8", texts[1]), Entry("Chinese", texts[2]), Entry("1 MiB", texts[3]),
		Entry("nothing but what cannot be printed", texts[4]))

	It("makes sound conditions and events of tasks", func(ctx context.Context) {
		said := map[string]string{"backup_0": texts[0], "backup_1": texts[2], "backup_2": texts[3]}
		s := trouble{options: cbrtest.Options{TaskOutcome: func(backup cbr.Backup) cbrtest.Outcome {
			return cbrtest.Outcome{Status: cbr.TaskSkipped, Code: said[backup.Name], Message: said[backup.Name]}
		}}}.begin(ctx)
		Eventually(s.reasons(ctx), 60*time.Second).Should(Equal(map[string]int{v1alpha1.ReasonOperationFailed: backupsOfATrouble}))
		s.expectSoundTexts(ctx)
		s.expectNoLeaks()
	})

	It("does not fill the log with them", func(ctx context.Context) {
		logged := captureLogs()
		trouble{hostile: told(429, texts[3]), project: v1alpha1.ReasonThrottled, lift: byRequest}.runs(ctx)
		Expect(logged.String()).To(ContainSubstring("Sync call failed"))
		longest := slices.MaxFunc(strings.Split(logged.String(), "\n"), func(a, b string) int { return len(a) - len(b) })
		Expect(len(longest)).To(BeNumerically("<", 64<<10), "bytes of the longest line")
	})
})

// told answers with an error all of whose texts are the same. What is not UTF-8 is sent as it is.
func told(status int, text string) http.HandlerFunc {
	var quoted strings.Builder
	for _, character := range []byte(text) {
		if character < ' ' || character == '"' || character == '\\' {
			fmt.Fprintf(&quoted, "\\u%04x", character)
		} else {
			quoted.WriteByte(character)
		}
	}
	return answer(status, fmt.Sprintf(`{"error_code":"%[2]s%[1]s","error_msg":"%[1]s","request_id":"%[1]s"}`, quoted.String(), codePrefix(status)))
}

// codePrefix begins a code of CBR's, or of the gateway's where that is to blame the credentials.
func codePrefix(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "BackupService."
	case http.StatusUnauthorized:
		return "APIGW."
	default:
		return ""
	}
}

// logs are what a process writes about its work.
type logs struct {
	mutex  sync.Mutex
	buffer bytes.Buffer
}

func (l *logs) Write(text []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.buffer.Write(text)
}

func (l *logs) String() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.buffer.String()
}

// captureLogs captures what is logged in the rest of the spec: by the controller, which logs to GinkgoWriter, and by
// libraries with the log package, as net/http does, through what the manager puts before it.
func captureLogs() *logs {
	captured := &logs{}
	GinkgoWriter.TeeTo(captured)
	DeferCleanup(GinkgoWriter.ClearTeeWriters)
	DeferCleanup(log.SetOutput, log.Writer())
	log.SetOutput(cbr.QuietLog(captured))
	return captured
}

var _ = Describe("A token", func() {
	token := recognisable(2048)
	// echo answers with what the request was authenticated with.
	echo := func(respond func(string) http.HandlerFunc) http.HandlerFunc {
		return func(writer http.ResponseWriter, request *http.Request) {
			respond(request.Header.Get("X-Auth-Token"))(writer, request)
		}
	}
	tells := func(status int) http.HandlerFunc {
		return echo(func(sent string) http.HandlerFunc { return told(status, "the token "+sent+" is what was sent") })
	}
	sends := func(before, after string) http.HandlerFunc {
		return echo(func(sent string) http.HandlerFunc { return raw(before + sent + after) })
	}
	lost := trouble{project: v1alpha1.ReasonEndpointUnavailable, backups: v1alpha1.ReasonOutcomeUnknown, tune: hasty, lift: byRequest}
	with := func(base trouble, hostile http.HandlerFunc) trouble {
		base.hostile = hostile
		return base
	}
	refused := trouble{project: v1alpha1.ReasonCredentialsRejected, lift: byRequest}

	DescribeTable("is not to be found, nor 8 characters of it, in any object, event, log or metric",
		func(ctx context.Context, fault trouble) {
			logged := captureLogs()
			fault.token, fault.options.Tokens = token+"\n", []string{token}
			s := fault.plays(ctx)
			Eventually(s.written).WithArguments(ctx).Should(ContainSubstring(`"note":`), "an event")
			s.expectNoTraceOf(ctx, token, logged)
			s.expectNoLeaks()
		},
		Entry("when all goes well", trouble{}),
		Entry("when a failure echoes it", with(lost, tells(500))),
		Entry("when a refusal of the call echoes it", trouble{hostile: tells(400), backups: v1alpha1.ReasonOutcomeUnknown}),
		Entry("when a 401 echoes it", with(refused, tells(401))),
		Entry("when a 401 echoes its beginning", with(refused, echo(func(sent string) http.HandlerFunc { return told(401, "token "+sent[:40]+"... expires") }))),
		Entry("when a redirect has it in its URL", with(notCBR(lost), echo(func(sent string) http.HandlerFunc {
			return http.RedirectHandler("/?token="+url.QueryEscape(sent), http.StatusFound).ServeHTTP
		}))),
		Entry("when it comes back as a status line", with(lost, sends("HTTP/1.1 ", "\r\n\r\n"))),
		Entry("when it comes back as a header", with(lost, sends("HTTP/1.1 200 OK\r\n", "\r\n\r\n"))),
		Entry("when it comes back after the answer", trouble{backups: v1alpha1.ReasonOutcomeUnknown, tune: hasty,
			hostile: sends("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"sync\":[]}", "")}),
		Entry("when the connection is reset", trouble{fault: &cbrtest.Fault{CloseBefore: true}, project: lost.project, backups: lost.backups, tune: hasty}),
	)

	It("is not in what becomes of a backup whose task echoes it", func(ctx context.Context) {
		logged := captureLogs()
		s := trouble{token: token, options: cbrtest.Options{Tokens: []string{token}, TaskOutcome: func(cbr.Backup) cbrtest.Outcome {
			return cbrtest.Outcome{Status: cbr.TaskSkipped, Code: "BackupService.1006", Message: "not permitted with " + token}
		}}}.begin(ctx)
		Eventually(s.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonOperationFailed: backupsOfATrouble}))
		s.expectNoTraceOf(ctx, token, logged)
	})

	It("that cannot be used is not repeated", func(ctx context.Context) {
		logged := captureLogs()
		s := trouble{token: token[:1000] + "\n" + token[1000:]}.begin(ctx)
		Eventually(s.seen.projects).Should(ContainElement(condition(v1alpha1.ConditionReady, v1alpha1.ReasonCredentialsMissing, "cannot be used")))
		Expect(fragments(token, s.written(ctx)+logged.String())).To(BeEmpty())
	})
})

// expectNoTraceOf expects that no part of a token is in anything that the controller has written.
func (s *scene) expectNoTraceOf(ctx context.Context, token string, logged *logs) {
	GinkgoHelper()
	text := s.written(ctx) + logged.String() + gathered()
	Expect(text).To(And(ContainSubstring("Submitted backups"), ContainSubstring("backupsync_api_requests_total")), "what is searched")
	Expect(fragments(token, token[100:108])).To(HaveLen(1), "a trace would be found")
	Expect(fragments(token, text)).To(BeEmpty())
}

// recognisable makes a token of which no part occurs by chance. It is the same each time.
func recognisable(length int) string {
	random := rand.NewChaCha8([32]byte([]byte("the token of the hostile specs..")))
	content := make([]byte, length)
	_, _ = random.Read(content)
	return base64.StdEncoding.EncodeToString(content)[:length]
}

// fragments returns the first places where a text has 8 characters of a secret, with what stands around them.
func fragments(secret, text string) []string {
	const size, around, enough = 8, 60, 3
	pieces := map[string]struct{}{}
	for at := 0; at+size <= len(secret); at++ {
		pieces[secret[at:at+size]] = struct{}{}
	}
	var found []string
	for at := 0; at+size <= len(text) && len(found) < enough; at++ {
		if _, hit := pieces[text[at:at+size]]; hit {
			end := min(at+size+around, len(text))
			found = append(found, text[max(at-around, 0):end])
			at = end // one of a place is enough
		}
	}
	return found
}

// written is everything that the controller has written to the API server, in one text.
func (w *world) written(ctx context.Context) string {
	GinkgoHelper()
	var text strings.Builder
	for _, list := range []client.ObjectList{&v1alpha1.BackupSyncList{}, &v1alpha1.CBRProjectList{}, &eventsv1.EventList{}} {
		Expect(apiserver.List(ctx, list, client.InNamespace(w.namespace))).To(Succeed())
		Expect(json.NewEncoder(&text).Encode(list)).To(Succeed())
	}
	return text.String()
}

// gathered is what the metrics endpoint shows.
func gathered() string {
	GinkgoHelper()
	families, err := metrics.Registry.Gather()
	Expect(err).NotTo(HaveOccurred())
	return fmt.Sprint(families)
}
