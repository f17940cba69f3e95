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

package connection

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/auth"
)

// refusesProject reports whether a look-up was refused in the words of an API, if not of CBR's own: so are wrong project ids.
func refusesProject(err error) bool {
	var failure *cbr.Error
	return errors.As(err, &failure) && failure.Code != "" && (failure.StatusCode == http.StatusBadRequest || failure.StatusCode == http.StatusNotFound)
}

// Explanation is what a condition says of failures, around what was answered. It goes on with more if that fits.
type Explanation struct{ Reason, Format, more string }

// About is what a condition says around what was answered.
func (e Explanation) About(answer string) Status {
	return Status{Reason: e.Reason, Message: Fitting(fmt.Sprintf(e.Format, answer), e.more)}
}

// Fitting returns a message that goes on with more if that fits into a condition.
func Fitting(message, more string) string {
	if whole := message + more; utf8.RuneCountInString(whole) <= v1alpha1.MaxMessageLength {
		return whole
	}
	return message
}

// tryAtOnce says how to end a pause.
const tryAtOnce = " To try at once, set the annotation " + v1alpha1.RequestedAtAnnotation + "."

// soon is when calls go on at the latest, and askedFor when they do if an answer asks for a longer pause.
const (
	soon     = "within 15 minutes"
	askedFor = "within 75 minutes" // an hour is believed
)

// unavailable is that of classes that are not among the explanations.
var unavailable = Explanation{Reason: v1alpha1.ReasonEndpointUnavailable,
	Format: "CBR cannot be reached or fails (%s). Calls go on after a pause; if this lasts, check spec.endpoint or spec.region, spec.caBundleRef and the network."}

// notAllowed is that of endpoints whose names lead to addresses that are not allowed.
var notAllowed = Explanation{v1alpha1.ReasonEndpointNotAllowed,
	"No credentials are sent: %s. The name is looked up again every 5 minutes.", tryAtOnce}

// failsItself are those of failures in CBR's own words. Sync calls have events, look-ups have not.
var failsItself = map[RequestKind]Explanation{
	SyncRequest: {Reason: v1alpha1.ReasonEndpointUnavailable,
		Format: "CBR itself fails (%s). Calls resume automatically after a pause; if this lasts, ask Huawei Cloud: the events of this object have the request ids."},
	ReadRequest: {Reason: v1alpha1.ReasonEndpointUnavailable,
		Format: "CBR itself fails (%s). Calls resume automatically after a pause; if this lasts, ask Huawei Cloud: the operator's log has the request ids."},
}

// keyRests is that of calls that are not made, as their failure could lock an access key.
var keyRests = Explanation{v1alpha1.ReasonThrottled, "Calls rest for at most 5 minutes: %s. They resume automatically.", ""}

// keyBusy is that of calls that had no turn with an access key. It tells nothing of the endpoint: nothing was sent.
var keyBusy = Explanation{v1alpha1.ReasonThrottled, "Calls wait for their turn: %s. They are made by themselves; if this lasts, see whether other CBRProjects with this key are not Ready.", ""}

// lookUpsRefused is that of look-ups that are refused for what they are.
var lookUpsRefused = Explanation{v1alpha1.ReasonRequestsRefused,
	"Every look-up is refused (%s). Check spec.projectID, and spec.endpoint or spec.region. Nothing is sent before CBR can be asked what it has.", tryAtOnce}

var callsRefused = Explanation{v1alpha1.ReasonRequestsRefused,
	"Every sync call is refused, whatever is in it (%s). Check spec.projectID, spec.endpoint or spec.region, and the vault in CBR. It is tried again " + soon + ".", tryAtOnce}

// explanations are those of failures by their class, readExplanations those of look-ups where they differ.
var (
	explanations = map[cbr.Class]Explanation{
		cbr.Credentials: tokenRejected, // of other types see rejections
		cbr.Permission: {v1alpha1.ReasonPermissionDenied,
			"The user lacks a permission (%s). It needs cbr:backups:sync, :get, :list and cbr:tasks:get, :list. A grant takes 15 to 30 minutes; tried every 15.", tryAtOnce},
		cbr.Throttled: {v1alpha1.ReasonThrottled,
			"CBR refuses calls because there are too many (%s). They resume automatically, usually " + soon + ". If this comes back, lower spec.limits.syncCallsPerMinute.", ""},
		cbr.Quota: {v1alpha1.ReasonQuotaExceeded,
			"A vault or a quota of the cloud project is full (%s). Raise it, or make room: imports then resume automatically, " + soon + ".", tryAtOnce},
		cbr.Misdirected: {v1alpha1.ReasonNotCBR,
			"What answers at the endpoint does not offer the call ImportBackup (%s). Check spec.endpoint or spec.region: not every cloud offers it.", tryAtOnce},
		cbr.Foreign: {v1alpha1.ReasonEndpointUnavailable,
			"Something in between answers, not CBR (%s). Calls go on after a pause; if this lasts, check spec.endpoint or spec.region, and proxies and firewalls.", ""},
		cbr.Rejected: callsRefused,
		cbr.Refused:  callsRefused,
	}
	readExplanations = map[cbr.Class]Explanation{
		cbr.Misdirected: {v1alpha1.ReasonNotCBR,
			"What answers at the endpoint is not CBR (%s). Check spec.endpoint or spec.region, and spec.projectID.", tryAtOnce},
		cbr.Rejected: lookUpsRefused,
		cbr.Refused:  lookUpsRefused,
		cbr.NotFound: lookUpsRefused,
	}
)

// Explain says in a condition's words what a failure means and what to do about it.
func Explain(kind RequestKind, class cbr.Class, err error) Status {
	said, known := explanations[class]
	if !known {
		said = unavailable
		if failure, answered := errors.AsType[*cbr.Error](err); answered && failure.FromCBR() {
			said = failsItself[kind]
		}
	}
	if kind == ReadRequest {
		if ofReads, differs := readExplanations[class]; differs {
			said = ofReads
		} else if class == cbr.Foreign && refusesProject(err) {
			said = lookUpsRefused
		}
	}
	if LeadsToRefused(err) {
		said = notAllowed
	}
	if errors.Is(err, auth.ErrKeyRests) {
		return keyRests.About(auth.ErrKeyRests.Error())
	}
	if errors.Is(err, auth.ErrKeyBusy) {
		return keyBusy.About(auth.ErrKeyBusy.Error())
	}
	if askedWait(err) > refusedMaxWait {
		said.Format = strings.Replace(said.Format, soon, askedFor, 1)
	}
	return said.About(Describe(err))
}
