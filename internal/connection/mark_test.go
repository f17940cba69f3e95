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
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
)

func TestAMarkFitsItsContentsAlone(t *testing.T) {
	of := func(token, version string) *Contents {
		contents, err := Read(&v1alpha1.Credentials{Type: v1alpha1.CredentialsToken},
			&corev1.Secret{ObjectMeta: metav1.ObjectMeta{ResourceVersion: version}, Data: map[string][]byte{v1alpha1.TokenKey: []byte(token)}})
		if err != nil {
			t.Fatal(err)
		}
		return contents
	}
	mark := of("one", "1").NewMark("here")
	if !of("one", "2").Fits(mark, "here") {
		t.Error("a Secret that was written again with the same content is another one")
	}
	if !of("one\r\n", "2").Fits(mark, "here") {
		t.Error("a line end at the end makes it another one")
	}
	if of("one", "1").Fits(mark, "there") {
		t.Error("it fits another scope")
	}
	if of("one", "1").NewMark("here") == mark {
		t.Error("two marks can be compared")
	}
	fitting := 0
	for _, other := range []string{"two", "three", "four"} {
		if of(other, "1").Fits(mark, "here") {
			fitting++
		}
	}
	if fitting > 1 {
		t.Errorf("the mark fits %d other contents of 3", fitting)
	}
	key, err := Read(&v1alpha1.Credentials{Type: v1alpha1.CredentialsAccessKey, SecretRef: v1alpha1.SecretReference{Keys: v1alpha1.SecretKeys{SecretKey: v1alpha1.TokenKey}}},
		&corev1.Secret{Data: map[string][]byte{v1alpha1.AccessKeyKey: []byte("one"), v1alpha1.TokenKey: []byte("one")}})
	if err != nil || key.Concerns(mark) || !key.Concerns(key.NewMark("here")) || !of("one", "1").Concerns(mark) || of("one", "1").Concerns("") {
		t.Errorf("a mark tells not of which type of credentials it is: %v", err)
	}
	for _, text := range []string{"", "-", "x", "1234", "Token", "Token-", "Token--", mark + "0", mark[:len(mark)-1], "-" + mark} {
		if of("one", "1").Fits(text, "here") {
			t.Errorf("%q is taken for a mark", text)
		}
	}
}
