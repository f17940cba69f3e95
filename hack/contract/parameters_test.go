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

package contract

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/def"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/sdkerr"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/cbr/v1/model"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// asking is a request of the SDK's with one parameter set, to a value that the parameter may have.
func asking(t *testing.T, operation cbr.Operation, parameter *def.FieldDef) any {
	t.Helper()
	var request any = &model.ListOpLogsRequest{}
	if operation == cbr.OperationListBackups {
		request = &model.ListBackupsRequest{}
	}
	field := reflect.ValueOf(request).Elem().FieldByName(parameter.Name)
	value := reflect.New(field.Type().Elem())
	field.Set(value)
	switch at := value.Interface().(type) {
	case *int32:
		*at = 1
	case *bool:
		*at = true
	case *string:
		*at = "2018-02-01T12:00:00Z"
		if parameter.JsonTag == "marker" {
			*at = cbrtest.Backup(0).ID
		}
	case interface{ UnmarshalJSON([]byte) error }:
		if err := at.UnmarshalJSON([]byte(`"something"`)); err != nil {
			t.Fatal(err)
		}
	default:
		t.Fatalf("%s is a %s", parameter.JsonTag, field.Type())
	}
	return request
}

// TestParametersAreHeededOrRefused asks with each parameter that the SDK has. What the CBR in memory does not heed it refuses:
// an answer that pays no attention to a parameter would make a test pass for nothing.
func TestParametersAreHeededOrRefused(t *testing.T) {
	refused := map[cbr.Operation][]string{
		cbr.OperationListTasks: {},
		cbr.OperationListBackups: {"dec", "incremental", "member_status", "own_type", "resource_az", "show_replication", "sort",
			"used_percent"},
	}
	for operation, want := range refused {
		s := newStage(t, cbrtest.Options{})
		s.AddBackups("", cbr.StoredBackup{ID: cbrtest.Backup(0).ID})
		var got []string
		for _, parameter := range definitions[operation]().RequestFields {
			_, err := s.sdk.HcClient.Sync(asking(t, operation, parameter), definitions[operation]())
			var failure *sdkerr.ServiceResponseError
			switch {
			case err == nil:
			case errors.As(err, &failure) && strings.HasPrefix(failure.ErrorMessage, parameter.JsonTag+": no such parameter"):
				got = append(got, parameter.JsonTag)
			default:
				t.Errorf("%s with %s: %v", operation, parameter.JsonTag, err)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s refuses %q, want %q", operation, got, want)
		}
	}
}

// valuesOf are those of an enumeration of the SDK's, sorted.
func valuesOf(enumeration any) (values []string) {
	members := reflect.ValueOf(enumeration)
	for i := range members.NumField() {
		values = append(values, members.Field(i).Interface().(interface{ Value() string }).Value())
	}
	slices.Sort(values)
	return values
}

func TestStatesAreTheSDKs(t *testing.T) {
	tasks := []string{string(cbr.TaskFailed), string(cbr.TaskRunning), string(cbr.TaskSkipped), string(cbr.TaskSuccess), string(cbr.TaskTimeout),
		string(cbr.TaskWaiting)}
	backups := []string{string(cbr.BackupAvailable), string(cbr.BackupDeleting), string(cbr.BackupError), string(cbr.BackupProtecting),
		string(cbr.BackupRestoring), string(cbr.BackupWaitingDelete), string(cbr.BackupWaitingProtect), string(cbr.BackupWaitingRestore)}
	for name, states := range map[string]struct {
		ours        []string
		enumeration any
	}{
		"a task":                     {tasks, model.GetOperationLogStatusEnum()},
		"a task, in the parameter":   {tasks, model.GetListOpLogsRequestStatusEnum()},
		"a backup":                   {backups, model.GetBackupRespStatusEnum()},
		"a backup, in the parameter": {backups, model.GetListBackupsRequestStatusEnum()},
	} {
		if theirs := valuesOf(states.enumeration); !slices.Equal(states.ours, theirs) {
			t.Errorf("states of %s: we know %q, the SDK %q", name, states.ours, theirs)
		}
	}
	if !slices.Contains(valuesOf(model.GetOperationLogOperationTypeEnum()), cbr.OperationSync) {
		t.Errorf("the SDK knows no operation type %q", cbr.OperationSync)
	}
}

// TestMoreItemsThanACallTakes: nothing but the number of items is wrong.
func TestMoreItemsThanACallTakes(t *testing.T) {
	s := newStage(t, cbrtest.Options{})
	_, err := importing(cbrtest.Backups(cbr.MaxImportItems)...).sdk(s.sdk)
	if err != nil || len(s.Accepted()) != cbr.MaxImportItems {
		t.Errorf("%d items: %d accepted, %v", cbr.MaxImportItems, len(s.Accepted()), err)
	}
	var failure *sdkerr.ServiceResponseError
	_, err = importing(cbrtest.Backups(cbr.MaxImportItems + 1)...).sdk(s.sdk)
	if !errors.As(err, &failure) || failure.ErrorCode != "BackupService.9900" || len(s.Accepted()) != cbr.MaxImportItems {
		t.Errorf("%d items: %d accepted, %v", cbr.MaxImportItems+1, len(s.Accepted()), err)
	}
}
