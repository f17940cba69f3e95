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
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
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
		Entry("switches protocols and falls silent", notCBR(lost(trouble{hostile: switchProtocols, says: "HTTP 101", lift: byRequest}))),

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
			fault := trouble{reads: reads, times: cbrtest.Always, project: v1alpha1.ReasonNotCBR,
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
		fix := byEdit(func(_ *scene, spec *v1alpha1.CBRProjectSpec) {
			spec.CABundleRef = v1alpha1.CABundleReference{Kind: v1alpha1.CABundleConfigMap, Name: "trusted", Key: "ca.crt"}
		})
		unreached(trouble{
			spec: func(spec *v1alpha1.CBRProjectSpec) { spec.Endpoint = server.URL },
			says: "the endpoint's TLS certificate is not trusted",
			lift: func(ctx context.Context, s *scene) {
				Expect(requests.Load()).To(BeZero())
				cloud.Store(s.cloud)
				s.apply(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "trusted"}, Data: map[string]string{"ca.crt": trusted}})
				fix(ctx, s)
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

var _ = Describe("A project whose endpoint hangs", func() {
	DescribeTable("does not hold up another one", func(ctx context.Context, reads bool) {
		const count = 100
		w := newWorld(ctx, cbrtest.Options{})
		stuck := newFront(ctx, w.cloud, trouble{hostile: hang, times: cbrtest.Always, reads: reads})
		hanging := w.project(func(spec *v1alpha1.CBRProjectSpec) {
			spec.Endpoint = stuck.url
			if !reads {
				spec.LookupPolicy = v1alpha1.LookupNever // so that its first call is an import
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
		w.expectMany(ctx, map[string]int{v1alpha1.ReasonImported: count, v1alpha1.ReasonQueued: 1})
		Expect(stuck.holding.Load()).To(BeEquivalentTo(1), "the first call of the other project still hangs")
		Expect(stuck.answered()).To(Equal(1))
		Expect(w.cloud.AcceptedTwice()).To(BeEmpty())
		Expect(w.cloud.Accepted()).To(HaveLen(count))
	},
		Entry("at a read", true), Entry("at an import", false))
})
