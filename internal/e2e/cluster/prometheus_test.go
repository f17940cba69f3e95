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
	"net/http"
	"net/http/httptest"
	"testing"

	. "github.com/onsi/gomega"
)

// answering is a Prometheus that answers everything with a text.
func answering(t *testing.T, status int, text string) *Prometheus {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		if query := request.URL.Query(); query.Has("query") && query.Get("query") != `a{b="c"} + d` {
			t.Errorf("the query arrives as %q", query.Get("query"))
		}
		writer.WriteHeader(status)
		_, _ = writer.Write([]byte(text))
	}))
	t.Cleanup(server.Close)
	return &Prometheus{Process: &Process{Name: "prometheus"}, URL: server.URL}
}

func TestAQueryIsAnswered(t *testing.T) {
	g := NewWithT(t)
	prometheus := answering(t, http.StatusOK, `{"status":"success","data":{"resultType":"vector","result":[
		{"metric":{"project":"erp"},"value":[1700000000.5,"3.5"]}, {"metric":{},"value":[1700000000.5,"NaN"]}]}}`)
	samples, err := prometheus.Query(t.Context(), `a{b="c"} + d`)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(samples).To(HaveLen(2))
	g.Expect(samples[0]).To(Equal(Sample{Labels: map[string]string{"project": "erp"}, Value: 3.5}))
	g.Expect(samples[0].Number()).To(BeTrue())
	g.Expect(samples[1].Number()).To(BeFalse(), "a quantile of nothing")
}

func TestAQueryThatFailsIsAnError(t *testing.T) {
	g := NewWithT(t)
	for text, want := range map[string]string{
		`{"status":"error","errorType":"bad_data","error":"unexpected end of input"}`: "unexpected end of input",
		`<html>`: "400 Bad Request",
	} {
		_, err := answering(t, http.StatusBadRequest, text).Query(t.Context(), `a{b="c"} + d`)
		g.Expect(err).To(MatchError(ContainSubstring(want)))
	}
}

func TestAlertsAreRead(t *testing.T) {
	g := NewWithT(t)
	alerts, err := answering(t, http.StatusOK, `{"status":"success","data":{"alerts":[
		{"labels":{"alertname":"A"},"annotations":{"summary":"B"},"state":"firing","value":"1e+00"},
		{"labels":{"alertname":"C"},"annotations":{},"state":"pending"}]}}`).Alerts(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(alerts).To(HaveLen(2))
	g.Expect(alerts[0]).To(Equal(Alert{Labels: map[string]string{"alertname": "A"}, Annotations: map[string]string{"summary": "B"}, State: "firing"}))
	g.Expect(alerts[0].Firing()).To(BeTrue())
	g.Expect(alerts[1].Firing()).To(BeFalse())
}
