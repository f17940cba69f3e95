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

package backups

import (
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"backupsync.dev/operator/api/v1alpha1"
)

func TestFields(t *testing.T) {
	for _, test := range []struct {
		query Query
		older bool
		want  string
	}{
		{Query{}, false, ""},
		{Query{Project: "p", Ended: Open}, false, "spec.projectRef.name=p,status.outcome="},
		{Query{Project: "p", Ended: Open}, true, "spec.projectRef.name=p"},
		{Query{Ended: Failed}, false, "status.outcome!=,status.outcome!=Imported,status.outcome!=AlreadyImported"},
		{Query{NotProjects: []string{"a", "b"}, Ended: NotImported}, false,
			"spec.projectRef.name!=a,spec.projectRef.name!=b,status.outcome!=Imported,status.outcome!=AlreadyImported"},
		{Query{NotNamespaces: []string{"n"}, BackupID: "1"}, false, "spec.backupID=1,metadata.namespace!=n"},
	} {
		if got := test.query.fields(!test.older); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestTakes(t *testing.T) {
	for outcome, want := range map[v1alpha1.Outcome][4]bool{
		"":                              {true, true, false, true},
		v1alpha1.OutcomeImported:        {true, false, false, false},
		v1alpha1.OutcomeAlreadyImported: {true, false, false, false},
		v1alpha1.OutcomeRejected:        {true, false, true, true},
		"OfALaterVersion":               {true, false, true, true},
	} {
		for i, ended := range []Ended{Any, Open, Failed, NotImported} {
			if got := ended.takes(outcome); got != want[i] {
				t.Errorf("%d of %q: %t", ended, outcome, got)
			}
		}
	}
}

func TestDescribe(t *testing.T) {
	kind := schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: resource}
	noKind := &apierrors.StatusError{ErrStatus: metav1.Status{Reason: metav1.StatusReasonNotFound, Code: 404, Message: "the server could not find the requested resource"}}
	for _, test := range []struct {
		err  error
		says string
	}{
		{noKind, "does not know the operator's kinds"},
		{&meta.NoKindMatchError{}, "does not know the operator's kinds"},
		{apierrors.NewNotFound(kind, "a"), `"a" not found`},
		{apierrors.NewForbidden(kind, "", errors.New("no")), "ask for the role view"},
		{apierrors.NewUnauthorized("no"), "log in again"},
		{errors.New("connection refused"), "list: connection refused"},
	} {
		got := Describe("list", test.err)
		if !strings.Contains(got.Error(), test.says) || !errors.Is(got, test.err) {
			t.Errorf("got %v", got)
		}
	}
	if got := Describe("list", apierrors.NewNotFound(kind, "a")); strings.Contains(got.Error(), "kinds") {
		t.Errorf("of an object that is not there: %v", got)
	}
	if Describe("list", nil) != nil {
		t.Error("an error of none")
	}
}

func TestDecodeRefusesWhatIsNoList(t *testing.T) {
	for _, body := range []string{"", `{"items":[{"metadata":`, `{"items":[{"spec":{"createdAt":"x"}}]}`} {
		reading := &reading{Reader: &Reader{}, do: func(Backup) {}}
		if err := reading.decode(strings.NewReader(body)); err == nil {
			t.Errorf("%q is taken for a list", body)
		}
	}
	reading := &reading{Reader: &Reader{}, do: func(Backup) { t.Error("there is none") }}
	if err := reading.decode(strings.NewReader(`{"kind":"BackupSyncList","items":null,"metadata":{"continue":"next"}}`)); err != nil || reading.next != "next" {
		t.Errorf("an empty list: %v, %q", err, reading.next)
	}
}
