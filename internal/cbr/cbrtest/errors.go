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
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// APIError is an error answer. Codes of the gateway (APIGW.*, APIG.*) come with a request_id, CBR's own do not.
type APIError struct {
	// Status is the HTTP status; 400 if 0.
	Status int `json:"status,omitempty"`
	// Code is the error_code. The ledger has it even if the Shape of the answer shows none.
	Code    string            `json:"code,omitempty"`
	Message string            `json:"message,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	// Shape is the shape of the body; Options.ErrorShape if empty.
	Shape ErrorShape `json:"shape,omitempty"`
}

// ErrorShape is the shape of an error's body. APIs of the same cloud, its sister clouds, and what stands between them and
// the client differ in it.
type ErrorShape string

// The shapes of errors.
const (
	// ShapeCBR is {"error_code": "BackupService.9900", "error_msg": "..."}, as CBR and the gateway document it.
	ShapeCBR ErrorShape = "cbr"
	// ShapeNumeric is the same with a number: {"error_code": 9900, "error_msg": "..."}.
	ShapeNumeric ErrorShape = "numeric"
	// ShapeStatus is {"code": 401, "message": "...", "title": "Unauthorized"}, as IAM answers: the code is the HTTP status.
	ShapeStatus ErrorShape = "status"
	// ShapeNested is {"error": {"code": "BackupService.9900", "message": "..."}}.
	ShapeNested ErrorShape = "nested"
	// ShapeOpenStack is {"badRequest": {"message": "...", "code": 400}}, {"itemNotFound": {...}} with a 404, and so on.
	ShapeOpenStack ErrorShape = "openstack"
	// ShapeHTML is a page, as a proxy, a web application firewall or nginx sends it.
	ShapeHTML ErrorShape = "html"
	// ShapeEmpty is no body at all.
	ShapeEmpty ErrorShape = "empty"
)

// UnmarshalText refuses shapes that do not exist.
func (s *ErrorShape) UnmarshalText(text []byte) error {
	return oneOf(s, text, ShapeCBR, ShapeNumeric, ShapeStatus, ShapeNested, ShapeOpenStack, ShapeHTML, ShapeEmpty)
}

// oneOf reads one of some texts, or none.
func oneOf[T ~string](value *T, text []byte, known ...T) error {
	for _, each := range append(known, "") {
		if string(each) == string(text) {
			*value = each
			return nil
		}
	}
	return fmt.Errorf("%q is none of %q", text, known)
}

// or fills in what an error leaves open, if there is one.
func (e *APIError) or(standard APIError) *APIError {
	if e == nil {
		return &standard
	}
	filled := *e
	filled.Status, filled.Code = cmp.Or(e.Status, standard.Status), cmp.Or(e.Code, standard.Code)
	filled.Message = cmp.Or(e.Message, standard.Message)
	return &filled
}

// refusal is the answer that an error stands for.
func (x *exchange) refusal(refused *APIError) reply {
	status := cmp.Or(refused.Status, http.StatusBadRequest)
	answer := x.errorBody(cmp.Or(refused.Shape, x.options.ErrorShape), status, refused)
	answer.status, answer.code, answer.headers = status, refused.Code, refused.Headers
	return answer
}

func (x *exchange) errorBody(shape ErrorShape, status int, refused *APIError) reply {
	switch shape {
	case ShapeEmpty:
		return reply{}
	case ShapeHTML:
		return htmlPage(status)
	case ShapeStatus:
		return jsonReply(map[string]any{"code": status, "message": refused.Message, "title": http.StatusText(status)})
	case ShapeNested:
		return jsonReply(map[string]any{"error": map[string]string{"code": refused.Code, "message": refused.Message}})
	case ShapeOpenStack:
		return jsonReply(map[string]any{openStackName(status): map[string]any{"message": refused.Message, "code": status}})
	}
	body := map[string]any{"error_code": refused.Code, "error_msg": refused.Message}
	if shape == ShapeNumeric {
		body["error_code"] = numericCode(refused.Code, status)
	}
	if strings.HasPrefix(refused.Code, "APIG") {
		body["request_id"] = x.requestID
	}
	return jsonReply(body)
}

// numericCode is the number at the end of a code, or the HTTP status.
func numericCode(code string, status int) int {
	number, err := strconv.Atoi(code[strings.LastIndex(code, ".")+1:])
	if err != nil {
		return status
	}
	return number
}

// openStackName is what OpenStack's services call a failure.
func openStackName(status int) string {
	names := map[int]string{
		http.StatusBadRequest: "badRequest", http.StatusUnauthorized: "unauthorized", http.StatusForbidden: "forbidden",
		http.StatusNotFound: "itemNotFound", http.StatusConflict: "conflictingRequest", http.StatusTooManyRequests: "overLimit",
	}
	return cmp.Or(names[status], "computeFault")
}

// htmlPage is a page of nginx or of a web application firewall.
func htmlPage(status int) reply {
	title := fmt.Sprintf("%d %s", status, http.StatusText(status))
	detail := "nginx"
	switch status {
	case http.StatusBadRequest:
		detail = "Request Header Or Cookie Too Large"
	case http.StatusForbidden:
		detail = "Your request has been blocked by the web application firewall."
	}
	body := fmt.Sprintf("<html>\r\n<head><title>%s</title></head>\r\n<body>\r\n<center><h1>%s</h1></center>\r\n<hr><center>%s</center>\r\n"+
		"</body>\r\n</html>\r\n", title, title, detail)
	return reply{contentType: "text/html", body: []byte(body)}
}

func invalid(format string, arguments ...any) *APIError {
	return &APIError{Status: http.StatusBadRequest, Code: "BackupService.9900", Message: fmt.Sprintf(format, arguments...)}
}
