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
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/controller"
)

const gigabyte = 1 << 30

var _ = Describe("An endpoint that does what no API should", func() {
	// lost is a call of which nobody knows what became of it, until it is looked up.
	lost := func(fault trouble) trouble {
		fault.project, fault.backups = v1alpha1.ReasonEndpointUnavailable, v1alpha1.ReasonOutcomeUnknown
		fault.tune = hasty
		return fault
	}
	// misread is a read that fails, after which nothing is sent before it has gone well.
	misread := func(fault trouble) trouble {
		fault.reads, fault.project, fault.calls = true, v1alpha1.ReasonEndpointUnavailable, 1
		return fault
	}
	endless := func(fault trouble) trouble {
		fault.tune = func(options *controller.Options) {
			patient(options)
			options.CallTimeout = 2 * time.Second
		}
		return fault
	}
	const unreadable = "an answer that cannot be read"

	DescribeTable("costs no backup and sends none twice", func(ctx context.Context, fault trouble) { fault.runs(ctx) },
		Entry("hangs at an import", lost(trouble{fault: &cbrtest.Fault{Hang: true}, says: "no answer in time"})),
		Entry("hangs at a read", endless(misread(trouble{hostile: hang, says: "no answer in time"}))),
		Entry("hangs at all reads until a person asks", endless(misread(trouble{hostile: hang, times: cbrtest.Always, says: "no answer in time", lift: byRequest}))),
		Entry("resets before it takes an import", lost(trouble{fault: &cbrtest.Fault{CloseBefore: true}, says: "connection reset"})),
		Entry("resets after it took an import", lost(trouble{fault: &cbrtest.Fault{CloseAfter: true}, says: "connection reset"})),
		Entry("trickles the answer to an import", lost(trouble{hostile: trickle, says: unreadable})),
		Entry("trickles the answer to a read", endless(misread(trouble{hostile: trickle, says: unreadable}))),
		Entry("sends no end of headers", lost(trouble{hostile: raw("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n"), says: "the connection failed"})),
		Entry("sends no end of interim answers", lost(trouble{hostile: raw(strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 50_000)), says: "the connection failed"})),
		Entry("does not speak HTTP", lost(trouble{hostile: raw("SSH-2.0-OpenSSH_9.6\r\n\r\n"), says: "the connection failed"})),
		Entry("switches protocols and falls silent", lost(trouble{hostile: switchProtocols, says: "HTTP 101", lift: byRequest})),

		Entry("answers HTML with 200", lost(trouble{fault: &cbrtest.Fault{Body: "<html>welcome</html>", ContentType: "text/html"}, says: unreadable})),
		Entry("answers a read with HTML and 200", misread(trouble{hostile: answer(200, "<html>welcome</html>"), says: unreadable})),
		Entry("answers an empty 200", lost(trouble{fault: &cbrtest.Fault{Empty200: true}, says: unreadable})),
		Entry("answers a read with an empty 200", misread(trouble{hostile: answer(200, ""), says: unreadable})),
		Entry("answers 202", lost(trouble{hostile: answer(202, `{"sync":[]}`), says: "HTTP 202"})),
		Entry("answers null for the list", lost(trouble{hostile: answer(200, `{"sync":null}`), says: unreadable})),
		Entry("answers an object for the list", lost(trouble{hostile: answer(200, `{"sync":{}}`), says: unreadable})),
		Entry("answers a list for the object", lost(trouble{hostile: answer(200, `[]`), says: unreadable})),
		Entry("answers a read with the wrong shape", misread(trouble{hostile: answer(200, `{"operation_logs":{},"backup":[]}`), says: unreadable})),
	)

	DescribeTable("is not believed when it names no task that can be followed",
		func(ctx context.Context, ids ...string) {
			imports := make([]string, 0, len(ids))
			for number, id := range ids {
				imports = append(imports, fmt.Sprintf(`{"backup_id":%q,"operation_log_id":%s}`, (&world{}).backup(number).Spec.BackupID, id))
			}
			trouble{hostile: answer(200, `{"sync":[`+strings.Join(imports, ",")+`]}`), backups: v1alpha1.ReasonOutcomeUnknown, tune: hasty}.runs(ctx)
		},
		Entry("null, a number, a path", `null`, `7`, `"../../backups/x"`),
		Entry("empty, a control character, too long", `""`, `"x\u0000"`, `"`+strings.Repeat("x", 1<<20)+`"`),
	)
})

// hang answers nothing until the client leaves.
func hang(_ http.ResponseWriter, request *http.Request) {
	<-request.Context().Done()
	panic(http.ErrAbortHandler)
}

// trickle sends an answer that would be good, so slowly that it never ends.
func trickle(writer http.ResponseWriter, request *http.Request) {
	for text := `{"sync":[`; request.Context().Err() == nil; text = " " {
		_, _ = io.WriteString(writer, text)
		_ = http.NewResponseController(writer).Flush()
		select {
		case <-request.Context().Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	panic(http.ErrAbortHandler)
}

// answer answers with a text.
func answer(status int, body string) http.HandlerFunc {
	return func(writer http.ResponseWriter, _ *http.Request) {
		writer.Header().Set("Content-Type", "application/json")
		writer.WriteHeader(status)
		_, _ = io.WriteString(writer, body)
	}
}

// raw sends what need not be HTTP, and ends the connection.
func raw(text string) http.HandlerFunc {
	return func(writer http.ResponseWriter, _ *http.Request) {
		connection := hijack(writer)
		defer connection.Close()
		_, _ = io.WriteString(connection, text)
	}
}

// switchProtocols makes the connection one that is not HTTP any more, and leaves it open.
func switchProtocols(writer http.ResponseWriter, request *http.Request) {
	connection := hijack(writer)
	defer connection.Close()
	_, _ = io.WriteString(connection, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	left := make(chan struct{})
	go func() {
		defer close(left)
		_, _ = io.Copy(io.Discard, connection)
	}()
	select {
	case <-left:
	case <-request.Context().Done():
	}
}

func hijack(writer http.ResponseWriter) net.Conn {
	connection, _, err := http.NewResponseController(writer).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return connection
}

var _ = Describe("An endpoint that points elsewhere", func() {
	DescribeTable("is not followed: no other host gets the token, nor anything else",
		func(ctx context.Context, status int, reads bool) {
			var elsewhere atomic.Int32
			other := httptest.NewUnstartedServer(http.NotFoundHandler())
			other.Config.ConnState = func(net.Conn, http.ConnState) { elsewhere.Add(1) }
			other.Start()
			DeferCleanup(other.Close)
			fault := trouble{reads: reads, times: cbrtest.Always, project: v1alpha1.ReasonEndpointUnavailable,
				says: fmt.Sprintf("HTTP %d", status), stalled: true, lift: byRequest, tune: hasty,
				hostile: func(writer http.ResponseWriter, request *http.Request) {
					http.Redirect(writer, request, other.URL+request.URL.Path, status)
				}}
			if !reads {
				fault.backups = v1alpha1.ReasonOutcomeUnknown
			}
			fault.runs(ctx)
			Expect(elsewhere.Load()).To(BeZero(), "connections to the other host")
		},
		Entry("import, 302", 302, false), Entry("import, 307", 307, false), Entry("import, 308", 308, false),
		Entry("read, 302", 302, true), Entry("read, 308", 308, true),
	)
})

var _ = Describe("An endpoint that cannot be reached", func() {
	unreached := func(fault trouble) trouble {
		fault.project, fault.calls = v1alpha1.ReasonEndpointUnavailable, 1
		return fault
	}
	toTheCloud := byEdit(func(s *scene, spec *v1alpha1.CBRProjectSpec) { spec.Endpoint = s.cloud.URL })

	It("for its certificate is not sent the token, until the project trusts it", func(ctx context.Context) {
		var requests atomic.Int32
		var cloud atomic.Pointer[cbrtest.Server]
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			requests.Add(1)
			cloud.Load().ServeHTTP(writer, request)
		}))
		server.Config.ErrorLog = log.New(GinkgoWriter, "", 0)
		server.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		server.StartTLS()
		DeferCleanup(server.Close)
		trusted := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
		mend := byEdit(func(_ *scene, spec *v1alpha1.CBRProjectSpec) { spec.CABundle = trusted })
		unreached(trouble{
			spec: func(spec *v1alpha1.CBRProjectSpec) { spec.Endpoint = server.URL },
			says: "the endpoint's TLS certificate is not trusted",
			lift: func(ctx context.Context, s *scene) {
				Expect(requests.Load()).To(BeZero())
				cloud.Store(s.cloud)
				mend(ctx, s)
			},
		}).runs(ctx)
	})

	It("for its name, until that is mended", func(ctx context.Context) {
		unreached(trouble{
			spec: func(spec *v1alpha1.CBRProjectSpec) { spec.Endpoint = "http://does-not-exist.invalid" },
			lift: toTheCloud,
		}).runs(ctx)
	})

	It("as nobody listens there, until somebody does", func(ctx context.Context) {
		address, listen := reserve()
		unreached(trouble{
			spec: func(spec *v1alpha1.CBRProjectSpec) { spec.Endpoint = "http://" + address },
			says: "connection refused",
			lift: func(_ context.Context, s *scene) {
				server := &httptest.Server{Listener: listen(), Config: &http.Server{Handler: s.cloud, ReadHeaderTimeout: time.Minute}}
				server.Start()
				s.ends = append(s.ends, server.Close)
			},
		}).runs(ctx)
	})
})

// reserve takes an address at which connections are refused until listen is called.
func reserve() (address string, listen func() net.Listener) {
	GinkgoHelper()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	Expect(err).NotTo(HaveOccurred())
	file := os.NewFile(uintptr(socket), "reserved address")
	DeferCleanup(file.Close)
	Expect(syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})).To(Succeed())
	bound, err := syscall.Getsockname(socket)
	Expect(err).NotTo(HaveOccurred())
	return fmt.Sprintf("127.0.0.1:%d", bound.(*syscall.SockaddrInet4).Port), func() net.Listener {
		Expect(syscall.Listen(socket, 16)).To(Succeed())
		listener, err := net.FileListener(file)
		Expect(err).NotTo(HaveOccurred())
		return listener
	}
}

var _ = Describe("An endpoint that answers without end", func() {
	DescribeTable("is broken off: its answer is not held in memory",
		func(ctx context.Context, status int, reads bool, zipped bool) {
			var sent atomic.Int64
			fault := trouble{reads: reads, project: v1alpha1.ReasonEndpointUnavailable, says: fmt.Sprintf("HTTP %d", status),
				tune: func(options *controller.Options) {
					patient(options) // it must not be the time that ends the answer
					options.SettleTime = 1500 * time.Millisecond
				},
				hostile: func(writer http.ResponseWriter, _ *http.Request) {
					if zipped {
						writer.Header().Set("Content-Encoding", "gzip")
					}
					writer.WriteHeader(status)
					sent.Store(pour(writer, zipped))
				}}
			if !reads {
				fault.backups = v1alpha1.ReasonOutcomeUnknown
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			fault.runs(ctx)
			runtime.ReadMemStats(&after)
			Expect(sent.Load()).To(BeNumerically("<", gigabyte/8), "bytes that the endpoint could send")
			grown := after.TotalAlloc - before.TotalAlloc // what was ever allocated, not only what was held at the end
			AddReportEntry("MiB allocated", grown>>20)
			Expect(grown).To(BeNumerically("<", gigabyte/4))
		},
		Entry("1 GiB to an import", 200, false, false),
		Entry("1 GiB to an import, with an error", 500, false, false),
		Entry("1 GiB to an import, in 1 MiB of gzip", 200, false, true),
		Entry("1 GiB to a read, in 1 MiB of gzip", 200, true, true),
	)
})

// pour sends 1 GiB of white space in which an answer could be hidden, until the client has had enough, and returns how
// many bytes went out.
func pour(writer io.Writer, zipped bool) int64 {
	megabyte := bytes.Repeat([]byte(" "), 1<<20)
	if zipped { // members of a gzip stream may follow each other
		var member bytes.Buffer
		compressed := gzip.NewWriter(&member)
		_, _ = compressed.Write(megabyte)
		_ = compressed.Close()
		megabyte = member.Bytes()
	}
	var sent int64
	for range gigabyte >> 20 {
		written, err := writer.Write(megabyte)
		sent += int64(written)
		if err != nil {
			break
		}
	}
	return sent
}

var _ = Describe("An endpoint whose texts are hostile", func() {
	const long = 1 << 20
	texts := []string{"a\x00b\x1b[31m\a\b\r\nb\u2028\u202e", "a\xff\xfe\xc0\x80b", strings.Repeat("备份", 10_000), strings.Repeat("long ", long/5), "\x00\x01"}

	It("makes sound conditions and events of rejections", func(ctx context.Context) {
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
	return answer(status, fmt.Sprintf(`{"error_code":"%[1]s","error_msg":"%[1]s","request_id":"%[1]s"}`, quoted.String()))
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
		Entry("when a redirect has it in its URL", with(lost, echo(func(sent string) http.HandlerFunc {
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

var _ = Describe("A project whose endpoint hangs", func() {
	DescribeTable("does not hold up another one", func(ctx context.Context, reads bool) {
		const count = 100
		w := newWorld(ctx, cbrtest.Options{})
		stuck := newFront(ctx, w.cloud, trouble{hostile: hang, times: cbrtest.Always, reads: reads})
		hanging := w.project(func(spec *v1alpha1.CBRProjectSpec) {
			spec.Endpoint = stuck.url
			if !reads {
				spec.Observe = v1alpha1.ObserveNever // so that its first call is an import
			}
		})
		hanging.Name = "hanging"
		held := w.backup(count)
		held.Spec.ProjectRef.Name = hanging.Name
		w.start() // with calls that may take a minute
		DeferCleanup(stuck.release)
		w.apply(ctx, w.secret(cbrtest.Token), hanging, held)
		Eventually(stuck.answered).Should(Equal(1))

		w.apply(ctx, w.project())
		w.applyBackups(ctx, count)
		Eventually(w.reasons(ctx)).Should(Equal(map[string]int{v1alpha1.ReasonImported: count, v1alpha1.ReasonQueued: 1}))
		Expect(stuck.holding.Load()).To(BeEquivalentTo(1), "the first call of the other project still hangs")
		Expect(stuck.answered()).To(Equal(1))
		Expect(w.cloud.AcceptedTwice()).To(BeEmpty())
		Expect(w.cloud.Accepted()).To(HaveLen(count))
	},
		Entry("at a read", true), Entry("at an import", false))
})
