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
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/def"
	sdk "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/cbr/v1"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/cbr/v1/model"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
)

// rounds is the number of generated requests of each kind.
const rounds = 200

// definitions are the calls as the SDK defines them.
var definitions = map[cbr.Operation]func() *def.HttpRequestDef{
	cbr.OperationImport:      sdk.GenReqDefForImportBackup,
	cbr.OperationListTasks:   sdk.GenReqDefForListOpLogs,
	cbr.OperationGetTask:     sdk.GenReqDefForShowOpLog,
	cbr.OperationListBackups: sdk.GenReqDefForListBackups,
	cbr.OperationGetBackup:   sdk.GenReqDefForShowBackup,
}

// read reads a request of ours as the SDK defines it into its model, which must take all of it and miss nothing.
func read[Request any](t *testing.T, request sent, definition *def.HttpRequestDef) *Request {
	t.Helper()
	members := pathMembers(t, request, definition)
	for name, values := range request.url.Query() {
		if len(values) != 1 {
			t.Fatalf("%s: %d values", name, len(values))
		}
		members[name] = queryValue[Request](t, definition, name, values[0])
	}
	if len(request.body) > 0 {
		members["body"] = request.body
	}
	written, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	known := new(Request)
	if err := json.Unmarshal(written, known); err != nil {
		t.Fatalf("the SDK cannot read %s: %v", written, err)
	}
	if lost := differences("", decode(t, written), reflect.ValueOf(known)); len(lost) > 0 {
		t.Errorf("%s\nof %s", strings.Join(lost, "\n"), written)
	}
	return known
}

// pathMembers returns what stands in the path in the places of the SDK's parameters.
func pathMembers(t *testing.T, request sent, definition *def.HttpRequestDef) map[string]json.RawMessage {
	t.Helper()
	template, got := strings.Split(definition.Path, "/"), strings.Split(request.url.EscapedPath(), "/")
	if request.method != definition.Method || len(template) != len(got) {
		t.Fatalf("%s %s is not %s %s", request.method, request.url.Path, definition.Method, definition.Path)
	}
	members := map[string]json.RawMessage{}
	for i, segment := range template {
		parameter, isParameter := strings.CutPrefix(strings.TrimSuffix(segment, "}"), "{")
		switch {
		case !isParameter && got[i] == segment, parameter == "project_id" && got[i] == cbrtest.ProjectID:
		case !isParameter || parameter == "project_id":
			t.Errorf("%s is not %s", request.url.Path, definition.Path)
		default:
			members[parameter] = fmt.Appendf(nil, "%q", got[i])
		}
	}
	return members
}

// queryValue is the value of a parameter as JSON: as it stands for numbers and truths, else as a text.
func queryValue[Request any](t *testing.T, definition *def.HttpRequestDef, name, value string) json.RawMessage {
	t.Helper()
	at := slices.IndexFunc(definition.RequestFields, func(field *def.FieldDef) bool {
		return field.JsonTag == name && field.LocationType == def.Query
	})
	if at < 0 {
		t.Fatalf("the SDK knows no parameter %s", name)
	}
	field, _ := reflect.TypeFor[Request]().FieldByName(definition.RequestFields[at].Name)
	switch field.Type.Elem().Kind() {
	case reflect.Int32, reflect.Bool:
		return json.RawMessage(value)
	default:
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
}

// exchanged lets our client ask a CBR in memory, which must understand it, and returns the request.
func (s *stage) exchanged(t *testing.T, call func(*cbr.Client) error) sent {
	t.Helper()
	ours := &recorder{next: s.recorder.next}
	err := call(s.ours(t, ours))
	if err != nil && !cbr.IsNotFound(err) {
		t.Fatalf("our client got %v", err)
	}
	request, _ := ours.last()
	return request
}

// sameAsTheSDK lets the SDK ask the same, and fails unless its request is the same as ours, but for what authorizes it.
func (s *stage) sameAsTheSDK(t *testing.T, ours sent, operation cbr.Operation, request any) {
	t.Helper()
	_, _ = s.sdk.HcClient.Sync(request, definitions[operation]())
	theirs, answered := s.recorder.last()
	if answered.status != http.StatusOK && answered.status != http.StatusNotFound {
		t.Errorf("the SDK's %s was answered %d %s", theirs.url, answered.status, answered.body)
	}
	if ours.method != theirs.method || ours.url.EscapedPath() != theirs.url.EscapedPath() || ours.url.Host != theirs.url.Host ||
		!reflect.DeepEqual(ours.url.Query(), theirs.url.Query()) {
		t.Errorf("we sent %s %s, the SDK %s %s", ours.method, ours.url, theirs.method, theirs.url)
	}
	if got, want := mediaType(t, ours.header), mediaType(t, theirs.header); got != want {
		t.Errorf("we sent %s, the SDK %s", got, want)
	}
	if len(ours.body)+len(theirs.body) > 0 && !reflect.DeepEqual(decode(t, ours.body), decode(t, theirs.body)) {
		t.Errorf("we sent %s\nthe SDK %s", ours.body, theirs.body)
	}
}

func mediaType(t *testing.T, header http.Header) string {
	t.Helper()
	found, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		t.Fatalf("Content-Type %q: %v", header.Get("Content-Type"), err)
	}
	return found
}

// generator makes what requests ask for, the same each time.
type generator struct{ *rand.Rand }

func newGenerator() generator { return generator{rand.New(rand.NewPCG(16, 207))} }

// text is made of characters that something on the way could take for something else.
func (g generator) text(least, most int) string {
	characters := []rune("aZ09 _-./:;,+&=%?#\"'\\<>{}[]|\t\n\u0001\u007f\u0085\u2028é备份虚💾")
	text := make([]rune, least+g.IntN(most-least+1))
	for i := range text {
		text[i] = characters[g.IntN(len(characters))]
	}
	return string(text)
}

// of is a text of some characters.
func (g generator) of(characters string, least, most int) string {
	runes := []rune(characters)
	text := make([]rune, least+g.IntN(most-least+1))
	for i := range text {
		text[i] = runes[g.IntN(len(runes))]
	}
	return string(text)
}

func (g generator) id() string { return g.of("0123456789abcdefABCDEF-._~", 5, 36) + "x" }

func (g generator) backups() []cbr.Backup {
	backups := cbrtest.Backups(1 + g.IntN(5))
	for i := range backups {
		backups[i] = cbr.Backup{ID: fmt.Sprint(i, g.text(0, 40)), Name: g.of("aZ09_-备份龥豈", 1, 64), BucketName: g.text(1, 255),
			ImagePath: g.text(1, 300), ResourceID: g.text(1, 40), ResourceName: g.text(0, 64), ResourceType: g.text(1, 64),
			CreatedAt: 1 + int64(g.Int32N(1<<31-1))}
	}
	return backups
}

func (g generator) tasksQuery() cbr.OperationLogsQuery {
	query := cbr.OperationLogsQuery{Limit: 1 + g.IntN(cbr.MaxPageSize), Offset: g.IntN(1 << 20), OperationType: cbr.OperationSync}
	if g.IntN(2) == 0 {
		query.Status = cbr.TaskRunning
	}
	if g.IntN(2) == 0 {
		query.ResourceID = g.text(1, 40)
	}
	if g.IntN(2) == 0 {
		query.StartTime = time.Unix(int64(g.Int32()), int64(g.IntN(1e9)))
	}
	return query
}

func TestOurImportsAreTheSDKs(t *testing.T) {
	s, g := newStage(t, cbrtest.Options{}), newGenerator()
	for range rounds {
		backups := g.backups()
		request := s.exchanged(t, func(client *cbr.Client) error {
			_, err := client.ImportBackups(t.Context(), backups)
			return err
		})
		got := read[model.ImportBackupRequest](t, request, sdk.GenReqDefForImportBackup())
		if want := itemsOf(backups); !reflect.DeepEqual(got.Body.Sync, want) {
			t.Errorf("the SDK read %v, want %v", got.Body.Sync, want)
		}
		s.sameAsTheSDK(t, request, cbr.OperationImport, got)
	}
	if got := s.SyncCalls(); got != 2*rounds {
		t.Errorf("%d imports arrived, want %d", got, 2*rounds)
	}
}

func TestOurListsOfTasksAreTheSDKs(t *testing.T) {
	s, g := newStage(t, cbrtest.Options{}), newGenerator()
	for range rounds {
		query := g.tasksQuery()
		request := s.exchanged(t, func(client *cbr.Client) error {
			_, err := client.ListOperationLogs(t.Context(), query)
			return err
		})
		got := read[model.ListOpLogsRequest](t, request, sdk.GenReqDefForListOpLogs())
		want := &model.ListOpLogsRequest{Limit: pointer(int32(query.Limit)), Offset: pointer(int32(query.Offset)),
			OperationType: pointer(model.GetListOpLogsRequestOperationTypeEnum().SYNC), EnterpriseProjectId: pointer(cbr.AllEnterpriseProjects)}
		if query.Status != "" {
			want.Status = pointer(model.GetListOpLogsRequestStatusEnum().RUNNING)
		}
		if query.ResourceID != "" {
			want.ResourceId = &query.ResourceID
		}
		if !query.StartTime.IsZero() {
			want.StartTime = pointer(query.StartTime.UTC().Format("2006-01-02T15:04:05Z"))
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("the SDK read %s, want %s", got, want)
		}
		s.sameAsTheSDK(t, request, cbr.OperationListTasks, got)
	}
}

func TestOurListsOfBackupsAreTheSDKs(t *testing.T) {
	s, g := newStage(t, cbrtest.Options{}), newGenerator()
	marker := cbrtest.Backup(0).ID
	s.AddBackups("", cbr.StoredBackup{ID: marker})
	for range rounds {
		query := cbr.BackupsQuery{Limit: 1 + g.IntN(cbr.MaxPageSize)}
		want := &model.ListBackupsRequest{Limit: pointer(int32(query.Limit)), EnterpriseProjectId: pointer(cbr.AllEnterpriseProjects)}
		switch g.IntN(3) {
		case 0:
			query.Marker, want.Marker = marker, &marker
		case 1:
			query.Offset = 1 + g.IntN(1<<20)
			want.Offset = pointer(int32(query.Offset))
		}
		request := s.exchanged(t, func(client *cbr.Client) error {
			_, err := client.ListBackups(t.Context(), query)
			return err
		})
		got := read[model.ListBackupsRequest](t, request, sdk.GenReqDefForListBackups())
		if !reflect.DeepEqual(got, want) {
			t.Errorf("the SDK read %s, want %s", got, want)
		}
		s.sameAsTheSDK(t, request, cbr.OperationListBackups, got)
	}
}

func TestOurReadsByIDAreTheSDKs(t *testing.T) {
	s, g := newStage(t, cbrtest.Options{}), newGenerator()
	for range rounds {
		id := g.id()
		request := s.exchanged(t, func(client *cbr.Client) error {
			_, err := client.GetOperationLog(t.Context(), id)
			return err
		})
		task := read[model.ShowOpLogRequest](t, request, sdk.GenReqDefForShowOpLog())
		s.sameAsTheSDK(t, request, cbr.OperationGetTask, task)
		request = s.exchanged(t, func(client *cbr.Client) error {
			_, err := client.GetBackup(t.Context(), id)
			return err
		})
		backup := read[model.ShowBackupRequest](t, request, sdk.GenReqDefForShowBackup())
		s.sameAsTheSDK(t, request, cbr.OperationGetBackup, backup)
		if task.OperationLogId != id || backup.BackupId != id {
			t.Errorf("the SDK read task %q and backup %q, want %q", task.OperationLogId, backup.BackupId, id)
		}
	}
}
