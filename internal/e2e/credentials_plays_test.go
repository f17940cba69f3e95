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

package e2e_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"time"

	. "github.com/onsi/gomega"

	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// longText makes a secret that nobody has seen.
func longText(length int) string {
	noise := make([]byte, length)
	_, _ = rand.Read(noise) // it never fails
	return base64.StdEncoding.EncodeToString(noise)[:length]
}

func playToken(ctx context.Context, r *credentialRun) {
	first, second, third := "MIIF"+longText(3000), "MIIF"+longText(3000), "MIIF"+longText(3000)
	r.steer(ctx, "tokens", []string{first})
	r.begin(ctx, map[string]string{"value": first + "\n", "ends.at": r.endsAt(keptLife)})
	r.nextIsTaken(ctx)
	r.warned(ctx)
	r.nextIsTaken(ctx)
	r.steer(ctx, "tokens", []string{second})
	r.refusedUntil(ctx, func() { r.replace(ctx, map[string]string{"value": second, "ends.at": r.endsAt(time.Hour)}) })
	r.notWarned(ctx, true)
	// Somebody replaces a token in time.
	r.steer(ctx, "tokens", []string{second, third})
	r.replace(ctx, map[string]string{"value": third})
	r.nextIsTaken(ctx)
	r.steer(ctx, "tokens", []string{third})
	r.nextIsTaken(ctx)
	r.notWarned(ctx, false)
}

func (r *credentialRun) newKey(temporary time.Duration) cbrtest.Key {
	key := cbrtest.Key{Access: "HPUA" + strings.ToUpper(fmt.Sprintf("%x", longText(8))), Secret: strings.NewReplacer("+", "a", "/", "b").Replace(longText(40))}
	if temporary > 0 {
		key.SecurityToken, key.Expires = "hQpjbi1ub3J0aC00"+longText(1500), time.Now().Add(temporary)
	}
	return key
}

func playAccessKey(ctx context.Context, r *credentialRun) {
	first, second, third := r.newKey(0), r.newKey(0), r.newKey(0)
	data := func(key cbrtest.Key) map[string]string {
		return map[string]string{"accessKey": key.Access, "secretKey": key.Secret}
	}
	r.steer(ctx, "keys", []cbrtest.Key{first})
	r.begin(ctx, data(first))
	r.nextIsTaken(ctx)
	r.steer(ctx, "keys", []cbrtest.Key{second})
	r.refusedUntil(ctx, func() { r.replace(ctx, data(second)) })
	refused := r.answersWith(ctx, " 401 ")
	r.check(refused <= cbrtest.KeyFailures, "%d calls were refused: that locks a key", refused)
	r.nextIsTaken(ctx)
	r.steer(ctx, "keys", []cbrtest.Key{second, third})
	r.replace(ctx, data(third))
	r.nextIsTaken(ctx)
	r.steer(ctx, "keys", []cbrtest.Key{third})
	r.nextIsTaken(ctx)
}

func playTemporaryKey(ctx context.Context, r *credentialRun) {
	first, second, third := r.newKey(keptLife), r.newKey(time.Hour), r.newKey(time.Hour)
	data := func(key cbrtest.Key, end string) map[string]string {
		return map[string]string{"HW_ACCESS_KEY": key.Access, "HW_SECRET_KEY": key.Secret, "HW_SECURITY_TOKEN": key.SecurityToken, "HW_EXPIRES_AT": end}
	}
	r.steer(ctx, "keys", []cbrtest.Key{first, second})
	r.begin(ctx, data(first, r.endsAt(keptLife)))
	r.nextIsTaken(ctx)
	r.nextIsTaken(ctx)
	r.warned(ctx)
	r.pause(ctx, time.Until(first.Expires))
	r.refusedUntil(ctx, func() { r.replace(ctx, data(second, r.endsAt(time.Hour))) })
	r.notWarned(ctx, true)
	r.steer(ctx, "keys", []cbrtest.Key{second, third})
	r.replace(ctx, data(third, r.endsAt(time.Hour)))
	r.nextIsTaken(ctx)
	r.steer(ctx, "keys", []cbrtest.Key{third})
	r.nextIsTaken(ctx)
	r.notWarned(ctx, true)
}

func playPassword(ctx context.Context, r *credentialRun) {
	data := func(password string) map[string]string {
		return map[string]string{"username": cbrtest.Username, "password": password, "account": cbrtest.DomainName}
	}
	changed := `another "pass/word" & more+` + longText(12)
	r.begin(ctx, data(cbrtest.Password))
	r.nextIsTaken(ctx)
	r.steer(ctx, "iam", map[string]any{"password": changed, "revoke": true})
	r.refusedUntil(ctx, func() { r.replace(ctx, data(changed)) })
	wrong := r.issues(ctx)[cbrtest.TokensPath+" 401 IAM.0062"]
	r.check(wrong == 1, "the old password was sent %d times after it was changed: that locks an account", wrong)
	r.steer(ctx, "iam", map[string]any{"revoke": true}) // no wrong password is sent for that, and nobody is asked
	r.nextIsTaken(ctx)
	r.expectRenewal(ctx, cbrtest.TokensPath+" 201")
}

func playPodIdentity(ctx context.Context, r *credentialRun) {
	r.begin(ctx, nil)
	r.nextIsTaken(ctx)
	r.steer(ctx, "iam", map[string]any{"revoke": true})
	r.nextIsTaken(ctx)
	rotated := "eyJhbGciOiJSUzI1NiJ9." + longText(60)
	r.steer(ctx, "iam", map[string]any{"podToken": rotated})
	r.writePodToken(r.GomegaWithT, rotated)
	r.secrets.add("a token of the pod", podToken, rotated)
	r.expectRenewal(ctx, cbrtest.PodIdentityPath+" 200")
	// Two in a row come close after each other: there is a pause, but nobody is needed.
	r.steer(ctx, "iam", map[string]any{"expire": true})
	r.nextIsTaken(ctx)
}

// expectRenewal applies two parts of the backups, with a renewal between them that is due by time. Nothing is refused meanwhile.
func (r *credentialRun) expectRenewal(ctx context.Context, issue string) {
	r.Helper()
	refused, before := r.answersWith(ctx, " 401 "), r.issues(ctx)[issue]
	r.nextIsTaken(ctx)
	r.await(ctx, "a renewal", func(g Gomega) { g.Expect(r.issues(ctx)[issue]).To(BeNumerically(">", before)) })
	r.pause(ctx, shortLife/3) // what was there before has ended
	r.nextIsTaken(ctx)
	again := r.answersWith(ctx, " 401 ")
	r.check(again == refused, "%d calls were refused, %d before: the renewal came too late", again, refused)
	asked, err := r.cloud.IAM(ctx)
	r.Expect(err).NotTo(HaveOccurred())
	r.check(asked.MaxConcurrent == 1, "%d requests to IAM at once", asked.MaxConcurrent)
}

func (r *credentialRun) issues(ctx context.Context) map[string]int {
	r.Helper()
	asked, err := r.cloud.IAM(ctx)
	r.Expect(err).NotTo(HaveOccurred())
	return asked.Answers
}

// answersWith counts the answers of the cloud, by a part of their description.
func (r *credentialRun) answersWith(ctx context.Context, text string) int {
	count := 0
	for answer, times := range r.ledger(ctx, r.run).Answers {
		if strings.Contains(answer+" ", text) {
			count += times
		}
	}
	return count
}

// writePodToken replaces the file at once, as the platform does.
func (r *credentialRun) writePodToken(g *GomegaWithT, token string) {
	g.Expect(os.WriteFile(r.tokenFile+".new", []byte(token), 0o600)).To(Succeed())
	g.Expect(os.Rename(r.tokenFile+".new", r.tokenFile)).To(Succeed())
}
