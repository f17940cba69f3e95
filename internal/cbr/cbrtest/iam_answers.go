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
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// loginRequest is the body of a request for a token.
type loginRequest struct {
	Auth struct {
		Identity struct {
			Methods  []string `json:"methods"`
			Password struct {
				User struct {
					Name     string `json:"name"`
					Password string `json:"password"`
					Domain   struct {
						Name string `json:"name"`
					} `json:"domain"`
				} `json:"user"`
			} `json:"password"`
		} `json:"identity"`
		Scope struct {
			Project struct {
				ID string `json:"id"`
			} `json:"project"`
		} `json:"scope"`
	} `json:"auth"`
}

// Errors of IAM. Their codes are shown in ShapeCBR alone.
var (
	errThrottledIAM = APIError{Status: http.StatusTooManyRequests, Code: "IAM.0012", Message: "The throttling threshold has been reached."}
	errLockedIAM    = APIError{Status: http.StatusUnauthorized, Code: "IAM.0061", Message: "The account is locked."}
	errWrongIAM     = APIError{Status: http.StatusUnauthorized, Code: "IAM.0062", Message: "The username or password is wrong."}
	errBodyIAM      = APIError{Status: http.StatusBadRequest, Code: "IAM.0011", Message: "Request body is invalid."}
	errProjectIAM   = APIError{Status: http.StatusNotFound, Code: "IAM.0004", Message: "Could not find project."}
	errPathIAM      = APIError{Status: http.StatusNotFound, Code: "APIGW.0101", Message: errNoSuchAPI.Message, Shape: ShapeCBR}
	errPodToken     = APIError{Status: http.StatusUnauthorized, Code: "PAS5.0001", Message: "The token of the service account is not valid."}
)

// answer does what a request asks for.
func (i *IAM) answer(options IAMOptions, request *http.Request, body []byte) reply {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	now := options.Clock.Now()
	switch {
	case request.Method != http.MethodPost:
		return options.refusal(errPathIAM)
	case request.URL.Path != TokensPath && request.URL.Path != PodIdentityPath:
		return options.refusal(errPathIAM)
	case options.RequestsPerMinute > 0 && i.recentRequests(now) > options.RequestsPerMinute:
		return options.refusal(errThrottledIAM)
	case request.URL.Path == PodIdentityPath:
		return i.issueKeys(options, request, now)
	default:
		return i.login(options, body, now)
	}
}

func (i *IAM) login(options IAMOptions, body []byte, now time.Time) reply {
	var asked loginRequest
	if json.Unmarshal(body, &asked) != nil || !slices.Equal(asked.Auth.Identity.Methods, []string{"password"}) {
		return options.refusal(errBodyIAM)
	}
	user := asked.Auth.Identity.Password.User
	if now.Before(i.lockedUntil) {
		return options.refusal(errLockedIAM)
	}
	if user.Domain.Name != options.DomainName || user.Name != options.Username || user.Password != options.Password {
		i.wrong++
		if options.LockAfter > 0 && i.wrong >= options.LockAfter {
			i.wrong, i.lockedUntil = 0, now.Add(options.LockFor)
		}
		return options.refusal(errWrongIAM)
	}
	i.wrong = 0
	if !slices.Contains(options.ProjectIDs, asked.Auth.Scope.Project.ID) {
		return options.refusal(errProjectIAM)
	}
	return i.issueToken(options, asked, now)
}

// iamTime is the format of IAM's times.
const iamTime = "2006-01-02T15:04:05.000000Z"

func (i *IAM) issueToken(options IAMOptions, asked loginRequest, now time.Time) reply {
	i.issued++
	token := "MII" + issuedText("token", i.issued, max(options.TokenBytes, 40)-3)
	expires := now.Add(options.TokenLife)
	i.tokens[token] = &grant{expires: expires}
	user := asked.Auth.Identity.Password.User
	domain := map[string]string{"name": user.Domain.Name, "id": identifier("domain", 0)}
	answer := jsonReply(map[string]any{"token": map[string]any{
		"methods": []string{"password"}, "issued_at": now.UTC().Format(iamTime), "expires_at": expires.UTC().Format(iamTime), "catalog": []any{},
		"project": map[string]any{"id": asked.Auth.Scope.Project.ID, "name": "cn-north-4", "domain": domain},
		"roles":   []map[string]string{{"id": "0", "name": "te_admin"}, {"id": "0", "name": "op_gated_cbr"}},
		"user":    map[string]any{"id": identifier("user", 0), "name": user.Name, "domain": domain, "password_expires_at": ""},
	}})
	answer.status, answer.headers = http.StatusCreated, map[string]string{"X-Subject-Token": token}
	return answer
}

func (i *IAM) issueKeys(options IAMOptions, request *http.Request, now time.Time) reply {
	if request.Header.Get("Authorization") != options.PodToken {
		return options.refusal(errPodToken)
	}
	i.issued++
	access := fmt.Sprintf("HSTA%06d%s", i.issued, issuedText("access", i.issued, 10))
	key := &grant{secret: issuedText("secret", i.issued, 40), securityToken: issuedText("security token", i.issued, options.TokenBytes),
		expires: now.Add(options.KeyLife)}
	i.keys[access] = key
	names := []string{"access", "secret", "securitytoken", "expires_at"}
	if options.LongNames {
		names = []string{"accessKeyId", "secretAccessKey", "securityToken", "expiration"}
	}
	return jsonReply(map[string]any{"credentials": map[string]string{
		names[0]: access, names[1]: key.secret, names[2]: key.securityToken, names[3]: key.expires.UTC().Format(iamTime)}})
}

// refusal is the answer that an error stands for.
func (o IAMOptions) refusal(refused APIError) reply {
	var answer reply
	shape := refused.Shape
	if shape == "" {
		shape = o.ErrorShape
	}
	switch shape {
	case ShapeHTML:
		answer = htmlPage(refused.Status)
	case ShapeEmpty:
	case ShapeCBR:
		answer = jsonReply(map[string]any{"error_code": refused.Code, "error_msg": refused.Message})
	default:
		answer = jsonReply(map[string]any{"error": map[string]any{
			"code": refused.Status, "message": refused.Message, "title": http.StatusText(refused.Status)}})
	}
	answer.status, answer.code, answer.headers = refused.Status, refused.Code, refused.Headers
	return answer
}
