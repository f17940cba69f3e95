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

package cbr

import (
	"net/http"
	"strings"
)

// codePrefix begins the codes that only CBR itself sends.
const codePrefix = "BackupService."

func fromCBR(code string) bool { return strings.HasPrefix(code, codePrefix) }

// gatewayCode returns the number of a code of API Gateway ("APIGW.0301", "APIG.0301"), and whether it is one.
func gatewayCode(code string) (number string, gateway bool) {
	for _, prefix := range []string{"APIGW.", "APIG."} {
		if number, found := strings.CutPrefix(code, prefix); found {
			return number, true
		}
	}
	return "", false
}

// Codes that have the same class whatever the HTTP status and the operation: "authentication failed" (9998) comes with a
// 500, "being synchronized" (7302) with a 400. Source: the error codes of the CBR API reference and of API Gateway.
var (
	classByCBRCode = map[string]Class{
		"BackupService.8600": Credentials, // account not verified
		"BackupService.9998": Credentials, // authentication failed
		"BackupService.6114": Quota,
		"BackupService.6142": Quota,
		"BackupService.7303": Quota,
		"BackupService.7302": Transient, // the vault is being synchronized
		"BackupService.6203": Transient, // in progress, as the next three
		"BackupService.6125": Transient,
		"BackupService.6130": Transient,
		"BackupService.6110": Transient,
		"BackupService.0002": Transient,
	}
	classByGatewayCode = map[string]Class{
		"0301": Credentials,
		"0303": Credentials, // clock off by more than 15 minutes
		"0305": Credentials,
		"0306": Credentials,
		"0307": Credentials, // token must be renewed
		"0310": Credentials,
		"0302": Permission, // not authorised
		"0802": Permission, // region not allowed
		"0308": Throttled,
		"0101": Misdirected, // no such API
		"0613": Transient,
	}
)

// notFoundCodes say that a task (65..) or a backup does not exist. Which of them comes differs from cloud to cloud.
var notFoundCodes = map[string]bool{
	CodeTaskNotFound: true, CodeBackupNotFound: true,
	"BackupService.6201": true, "BackupService.6217": true, "BackupService.6501": true,
}

// classify says what kind of failure an answer is. First comes who answered: only CBR itself blames an item, only CBR and
// the gateway the credentials. Then comes the code, and the HTTP status last.
func classify(operation Operation, status int, said refusal) Class {
	number, gateway := gatewayCode(said.Code)
	switch {
	case status/100 == 2: // a success, but not the one that is documented
		return failedBehind(operation)
	case status < 400: // a redirect, which is not followed, or an upgrade that nobody asked for
		return Misdirected
	case fromCBR(said.Code):
		return classifyCBR(operation, status, said.Code)
	case gateway:
		return classifyGateway(operation, status, number)
	default:
		return classifyForeign(operation, status, said)
	}
}

func classifyCBR(operation Operation, status int, code string) Class {
	if status == http.StatusNotFound && operation.byID() && notFoundCodes[code] {
		return NotFound
	}
	if class, found := classByCBRCode[code]; found {
		return class
	}
	switch {
	case status == http.StatusUnauthorized:
		return Credentials
	case status == http.StatusForbidden:
		return Permission
	case code == "BackupService.6105", code == "BackupService.6302": // no such vault or resource, whatever the status
		return Rejected
	default:
		return classifyStatus(operation, status, Rejected)
	}
}

func classifyGateway(operation Operation, status int, number string) Class {
	if class, found := classByGatewayCode[number]; found {
		return class
	}
	switch {
	case status == http.StatusUnauthorized:
		return Credentials
	case status == http.StatusForbidden:
		return Permission
	case status == http.StatusBadGateway && number == "0201":
		return Transient // the gateway did not reach CBR; with 504 it did
	default:
		return classifyStatus(operation, status, Refused)
	}
}

// classifyForeign is the class of an answer without a code of CBR's or the gateway's. An unknown id is answered so by sister
// clouds, also with the number of the code alone. A denial of the policy engine, which CBR passes on in the words of OpenStack, is the only thing believed without a code.
func classifyForeign(operation Operation, status int, said refusal) Class {
	switch {
	case status == http.StatusNotFound && operation.byID() && (said.empty || said.itemNotFound || notFoundCodes[codePrefix+said.Code]):
		return NotFound
	case status == http.StatusForbidden && said.deniedByPolicy:
		return Permission
	default:
		return classifyStatus(operation, status, Foreign)
	}
}

// classifyStatus is the class of the statuses that mean the same whoever sends them; any other 4xx is of the given class.
func classifyStatus(operation Operation, status int, other Class) Class {
	switch {
	case status == http.StatusTooManyRequests:
		return Throttled
	case status == http.StatusRequestEntityTooLarge, status == http.StatusRequestURITooLong:
		return Rejected // for its size
	case status >= 500, status == http.StatusRequestTimeout:
		return failedBehind(operation)
	default:
		return other
	}
}

// failedBehind is the class of a failure of which nobody knows how far the request got.
func failedBehind(operation Operation) Class {
	if operation == OperationImport {
		return Unknown
	}
	return Transient
}

// untouched reports whether an answer proves that nothing of an import was taken: the gateway itself turned it away with 401,
// 403 or "no such API", or it is a 429 that is not CBR's own. Nothing documents the same of any other answer, and without the
// gateway's code a proxy may have made it of what it got from CBR.
func untouched(class Class, status int, code string) bool {
	number, gateway := gatewayCode(code)
	switch {
	case status == http.StatusTooManyRequests:
		return class == Throttled && !fromCBR(code)
	case !gateway:
		return false
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return class == Credentials || class == Permission
	case http.StatusNotFound:
		return number == "0101"
	default:
		return false
	}
}
