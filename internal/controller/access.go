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

package controller

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
	"backupsync.dev/operator/internal/cbr"
)

// Back-off of a project after failures that concern all of its calls.
const (
	throttledWait    = time.Minute
	throttledMaxWait = 15 * time.Minute
	failureWait      = time.Second
	failureMaxWait   = 5 * time.Minute
	misdirectedWait  = 15 * time.Second
	credentialsWait  = time.Hour        // until refused credentials are tried again as they are
	contentWait      = 10 * time.Second // until a Secret that is missing or refused is read again
	backoffJitter    = 0.2
)

const usableMessage = "Endpoint and credentials are set, and CBR has not refused them."

// access is what is known of a project's endpoint and credentials, and with that whether calls may be made.
type access struct {
	// inputs identifies the project's spec, content what its Secret and CA bundle hold, that the rest speaks of. When they
	// change, the rest is forgotten: whatever was wrong may be right now. The content is "" while it cannot be used.
	inputs, content string
	// reason and message are those of the project's Ready; "" if nothing is known yet.
	reason, message string
	// stalled marks a failure that a person must mend although its reason may also name a passing one.
	stalled bool
	// recheck is when the Secret and the CA bundle are read again, zero if they are fine as far as is known.
	recheck time.Time
	// proven says that CBR has answered a call well.
	proven bool
	// failures counts the failed calls since the last good one, until is when the next may be made.
	failures int
	until    time.Time
}

// closed says whether no call may be made now.
func (a *access) closed(now time.Time) bool { return now.Before(a.until) }

// retryAt returns when there may be something new to learn: with what is refused, when the Secret is read again.
func (a *access) retryAt() time.Time {
	if !a.recheck.IsZero() && (a.until.IsZero() || a.recheck.Before(a.until)) {
		return a.recheck
	}
	return a.until
}

// usable notes that endpoint and credentials are complete and may be tried.
func (a *access) usable() {
	if a.failures == 0 {
		a.reason, a.message, a.stalled = v1alpha1.ReasonUsable, usableMessage, false
	}
}

// unusable notes that no call can be made with what is configured.
func (a *access) unusable(reason, message string) {
	a.reason, a.message, a.stalled, a.proven = reason, message, true, false
}

// unread notes that the Secret or the CA bundle cannot be used as it is. It is read again in a while.
func (a *access) unread(reason, message string, now time.Time) {
	a.unusable(reason, message)
	a.content, a.recheck, a.until = "", now.Add(contentWait), time.Time{}
}

// succeeded notes a call that CBR has answered well.
func (a *access) succeeded() {
	a.proven, a.failures, a.until, a.recheck = true, 0, time.Time{}, time.Time{}
	a.usable()
}

// failed notes the failure of a call, and says whether it concerns all calls of the project. Rejections and
// look-ups that find nothing speak of single backups: by them the endpoint and the credentials are fine.
func (a *access) failed(err error, now time.Time) bool {
	class := cbr.ClassOf(err)
	if class == cbr.Rejected || class == cbr.NotFound {
		a.succeeded()
		return false
	}
	a.proven = false
	a.failures++
	a.stalled = class == cbr.Misdirected || class == cbr.Credentials
	a.until = now.Add(backoff(class, err, a.failures))
	a.reason, a.message = explain(class, err)
	if class == cbr.Credentials {
		a.recheck = now.Add(contentWait)
	}
	return true
}

// backoff is how long a project waits after a failure. Refused credentials wait for other content of the Secret; as they are,
// they are tried again rarely: CBR may have been wrong.
func backoff(class cbr.Class, err error, failures int) time.Duration {
	var wait time.Duration
	switch class {
	case cbr.Credentials:
		return credentialsWait
	case cbr.Throttled:
		wait = backupsync.Backoff(throttledWait, throttledMaxWait, failures)
	case cbr.Misdirected:
		wait = backupsync.Backoff(misdirectedWait, failureMaxWait, failures)
	default:
		wait = backupsync.Backoff(failureWait, failureMaxWait, failures)
	}
	var failure *cbr.Error
	if errors.As(err, &failure) && failure.RetryAfter > 0 {
		wait = failure.RetryAfter
	}
	return wait + time.Duration(backoffJitter*rand.Float64()*float64(wait))
}

// explain says in a condition's words what a failure means and what to do about it.
func explain(class cbr.Class, err error) (reason, message string) {
	said := describe(err)
	switch class {
	case cbr.Credentials:
		return v1alpha1.ReasonCredentialsRejected,
			fmt.Sprintf("CBR refuses the credentials (%s). Put valid ones, with the permissions of the README, into the Secret: imports then resume automatically.", said)
	case cbr.Throttled:
		return v1alpha1.ReasonThrottled,
			fmt.Sprintf("CBR refuses calls for their rate (%s). They go on after a pause; spec.limits.syncCallsPerMinute sets the pace.", said)
	case cbr.Misdirected:
		return v1alpha1.ReasonNotCBR,
			fmt.Sprintf("What answers at the endpoint is not CBR (%s). Check spec.endpoint or spec.region, and spec.projectID.", said)
	default:
		return v1alpha1.ReasonEndpointUnavailable,
			fmt.Sprintf("CBR cannot be reached or fails (%s). Calls go on after a pause; if this lasts, check spec.endpoint or spec.region, spec.caBundleRef and the network.", said)
	}
}

// describe tells a failure without anything that changes from call to call: no request id, no time, no port.
func describe(err error) string {
	var failure *cbr.Error
	if !errors.As(err, &failure) {
		return "the call could not be made"
	}
	text := failure.Message
	if failure.RequestID != "" {
		text = strings.ReplaceAll(text, failure.RequestID, "...")
	}
	code, message := backupsync.Quote(failure.Code), backupsync.Quote(text)
	switch {
	case code != "" && message != "":
		return fmt.Sprintf("%s: %s", code, message)
	case code != "":
		return code
	case failure.StatusCode != 0 && failure.Err != nil:
		return fmt.Sprintf("HTTP %d with an answer that cannot be read", failure.StatusCode)
	case failure.StatusCode != 0 && message != "":
		return fmt.Sprintf("HTTP %d: %s", failure.StatusCode, message)
	case failure.StatusCode != 0:
		return fmt.Sprintf("HTTP %d without an error code", failure.StatusCode)
	default:
		return cause(failure.Err)
	}
}
