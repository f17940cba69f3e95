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

package cbrtest

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

const tokenHeader = "X-Auth-Token"

// reply is an answer before it is sent.
type reply struct {
	status      int
	code        string
	contentType string
	headers     map[string]string
	body        []byte
}

func jsonReply(body any) reply {
	encoded, err := json.Marshal(body)
	if err != nil {
		panic(err) // bodies are structs of this package
	}
	return reply{status: http.StatusOK, contentType: "application/json", body: encoded}
}

// deliver sends an answer, or what the fault leaves of it.
func (x *exchange) deliver(answer reply) {
	switch {
	case x.fault.CloseAfter:
		x.reset()
	case x.fault.Truncate:
		x.finish(answer.status, answer.code)
		x.write(answer, len(answer.body)/2)
		_ = http.NewResponseController(x.writer).Flush()
		panic(http.ErrAbortHandler)
	default:
		x.finish(answer.status, answer.code)
		x.write(answer, len(answer.body))
	}
}

func (x *exchange) write(answer reply, length int) {
	header := x.writer.Header()
	if answer.contentType != "" {
		header.Set("Content-Type", answer.contentType)
	}
	header.Set("X-Request-Id", x.requestID)
	header.Set("Date", x.options.gatewayTime().UTC().Format(http.TimeFormat))
	header.Set("Content-Length", strconv.Itoa(len(answer.body)))
	for name, value := range answer.headers {
		header.Set(name, value)
	}
	x.writer.WriteHeader(answer.status)
	_, _ = x.writer.Write(answer.body[:length])
}

// identifier makes an id that looks like CBR's, and whose order has nothing to do with time.
func identifier(kind string, number int) string {
	hex := fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%s %d", kind, number)))
	return fmt.Sprintf("%s-%s-4%s-a%s-%s", hex[0:8], hex[8:12], hex[13:16], hex[17:20], hex[20:32])
}

// timeFormats are those that CBR's answers are known to use.
var timeFormats = []string{"2006-01-02T15:04:05.000000", "2006-01-02T15:04:05.000+00:00", "2006-01-02T15:04:05Z"}

// told is a time as answers tell it, in one of CBR's formats; null if it is zero.
func (o Options) told(at time.Time, number int) *string {
	if at.IsZero() {
		return nil
	}
	text := at.Add(o.TimeOffset).UTC().Format(timeFormats[number%len(timeFormats)])
	return &text
}

// orNull is a text, null if it is empty.
func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
