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

package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cbr/cbrtest"
	"backupsync.dev/operator/internal/cli"
	"backupsync.dev/operator/internal/e2e/testbed"
	"backupsync.dev/operator/internal/racedetector"
)

// A real API server, one for all tests of the package.
var (
	environment *envtest.Environment
	apiserver   client.Client
)

func TestMain(m *testing.M) { os.Exit(withServer(m)) }

func withServer(m *testing.M) int {
	ctrl.SetLogger(logr.Discard())
	root := filepath.Join("..", "..", "..")
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		_ = os.Setenv("KUBEBUILDER_ASSETS", filepath.Join(root, "bin", "k8s"))
	}
	environment = &envtest.Environment{CRDDirectoryPaths: []string{filepath.Join(root, "config", "crd", "bases")}, ErrorIfCRDPathMissing: true}
	defer func() { _ = environment.Stop() }()
	config, err := environment.Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, "make controlplane puts etcd and kube-apiserver into bin/k8s:", err)
		return 1
	}
	config.QPS = -1
	if apiserver, err = client.New(config, client.Options{Scheme: cli.Scheme()}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// create creates objects.
func create(t *testing.T, created ...client.Object) {
	t.Helper()
	for _, each := range created {
		if err := apiserver.Create(t.Context(), each); err != nil {
			t.Fatal(err)
		}
	}
}

// newNamespace makes a namespace of a test.
func newNamespace(t *testing.T) string {
	t.Helper()
	made := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "verify-"}}
	create(t, made)
	return made.Name
}

// projectOf makes a project with a token in a Secret.
func projectOf(namespace, name, endpoint string) []client.Object {
	return []client.Object{
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, StringData: map[string]string{"token": cbrtest.Token}},
		&v1alpha1.CBRProject{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: v1alpha1.CBRProjectSpec{Endpoint: endpoint, ProjectID: cbrtest.ProjectID,
			Credentials: v1alpha1.Credentials{Type: v1alpha1.CredentialsToken, SecretRef: v1alpha1.SecretReference{Name: name}}}},
	}
}

// kubeconfig writes a kubeconfig to a file.
func kubeconfig(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// local allows the endpoints of tests.
const local = "--allowed-endpoints=http://127.0.0.1:*,127.0.0.1:*"

// execute runs the command, and returns the status it exits with, and what it has written.
func execute(t *testing.T, config []byte, arguments ...string) (status int, out, errOut string) {
	t.Helper()
	var said, complained bytes.Buffer
	f := cli.NewFactory("test", genericiooptions.IOStreams{In: strings.NewReader(""), Out: &said, ErrOut: &complained})
	f.Clock = eager{clocktesting.NewFakeClock(time.Now().Add(10 * time.Minute))} // what a test has just created has settled
	root := cli.NewCommand(f, NewCommand(f))
	root.SetContext(t.Context())
	root.SetArgs(append([]string{"verify", "--kubeconfig", kubeconfig(t, config), "--reads-per-second=0"}, arguments...))
	status = cli.Run(f, root)
	if strings.Contains(said.String()+complained.String(), cbrtest.Token) {
		t.Error("the token is told")
	}
	return status, said.String(), complained.String()
}

// caseOf is what a BackupSync says, what CBR holds, and what is to be told.
type caseOf struct {
	outcome v1alpha1.Outcome
	running bool
	later   bool // its import seems to end in an hour: it has not settled
	stored  string
	renamed bool
	want    Kind
}

var cases = []caseOf{
	{},
	{stored: "available", want: Present},
	{running: true},
	{running: true, stored: "available"},
	{outcome: v1alpha1.OutcomeImported, want: Missing},
	{outcome: v1alpha1.OutcomeAlreadyImported, want: Missing},
	{outcome: v1alpha1.OutcomeImported, stored: "error", want: Unusable},
	{outcome: v1alpha1.OutcomeImported, stored: "deleting", want: Unusable},
	{outcome: v1alpha1.OutcomeImported, stored: "protecting", want: Unknown},
	{outcome: v1alpha1.OutcomeImported, later: true, want: Unknown},
	{outcome: v1alpha1.OutcomeImported, stored: "available", renamed: true, want: Differs},
	{outcome: v1alpha1.OutcomeOperationFailed},
	{outcome: v1alpha1.OutcomeRejected, stored: "available", want: Present},
	{outcome: v1alpha1.OutcomeOperationFailed, stored: "error", want: Present},
	{outcome: v1alpha1.OutcomeBackupUnusable, stored: "error", want: Unusable},
	{outcome: v1alpha1.OutcomeBackupUnusable, want: Missing},
	{outcome: v1alpha1.OutcomeDuplicate, stored: "available"},
	{outcome: "Archived", stored: "available"},
	{outcome: "Archived", want: Unknown},
	{outcome: v1alpha1.OutcomeImported, stored: "restoring"},
	{outcome: v1alpha1.OutcomeImported, stored: "available"},
	{outcome: v1alpha1.OutcomeAlreadyImported, stored: "available"},
}

func (c caseOf) status(number int) v1alpha1.BackupSyncStatus {
	status := v1alpha1.BackupSyncStatus{Outcome: c.outcome}
	if c.running || c.outcome != "" {
		status.OperationLogID = fmt.Sprintf("154f0a9d-ba53-4e91-a3e2-%012d", number)
	}
	if c.outcome != "" {
		at := metav1.NewTime(time.Now().Add(-time.Hour))
		if c.later {
			at = metav1.NewTime(time.Now().Add(time.Hour))
		}
		status.FinishedTime = &at
	}
	return status
}

// Of 10,000 BackupSyncs in all states, and of what CBR holds besides, the command tells what is so, and nothing else.
func TestTenThousandBackupSyncs(t *testing.T) {
	count, undeclared := 10_000, 700
	if racedetector.Enabled { // make large plays them all
		count = 1_000
	}
	server := cbrtest.NewServer(t, cbrtest.Options{})
	namespace := newNamespace(t)
	create(t, projectOf(namespace, "vmware", server.URL)...)
	generator, err := testbed.NewServer(environment.Config)
	if err != nil {
		t.Fatal(err)
	}
	g := &testbed.Generator{Server: generator, Namespace: namespace, Projects: []string{"vmware"}, Machines: 50, InARow: 1}
	if err := g.Add(t.Context(), count); err != nil {
		t.Fatal(err)
	}
	if err := g.WriteStatuses(t.Context(), 32, func(number int) v1alpha1.BackupSyncStatus { return cases[number%len(cases)].status(number) }); err != nil {
		t.Fatal(err)
	}
	wanted, counts := map[string]Kind{}, map[Kind]int{}
	for number := range count {
		of, backup := cases[number%len(cases)], g.Manifest(number)
		if of.want != "" {
			wanted[backup.Name] = of.want
			counts[of.want]++
		}
		if of.stored != "" {
			stored := cbr.StoredBackup{ID: backup.Spec.BackupID, Name: backup.Spec.BackupName, ResourceID: backup.Spec.ResourceID, Status: of.stored}
			if of.renamed {
				stored.Name = "renamed"
			}
			server.AddBackups("", stored)
		}
	}
	strange := map[string]bool{}
	for number := count; number < count+undeclared; number++ {
		id := g.Manifest(number).Spec.BackupID
		server.AddBackups("", cbr.StoredBackup{ID: id, Name: "strange", ResourceID: "r"})
		strange[id] = true
	}

	status, out, errOut := execute(t, environment.KubeConfig, "-n", namespace, "vmware", "-o", "json", local)
	if status != cli.ExitFound || !strings.HasPrefix(errOut, "Error: found ") {
		t.Fatalf("%d: %s", status, errOut)
	}
	var told output
	if err := json.Unmarshal([]byte(out), &told); err != nil || len(told.Projects) != 1 {
		t.Fatalf("%v: %.200s", err, out)
	}
	report := told.Projects[0]
	for _, found := range report.Findings {
		if found.Kind == Undeclared {
			if !strange[found.BackupID] {
				t.Errorf("%+v", found)
			}
			delete(strange, found.BackupID)
			continue
		}
		if wanted[found.BackupSync] != found.Kind {
			t.Errorf("%+v is told, not %q", found, wanted[found.BackupSync])
		}
		delete(wanted, found.BackupSync)
	}
	if len(wanted)+len(strange) > 0 {
		t.Errorf("nothing is told of %d BackupSyncs and %d backups: %v", len(wanted), len(strange), wanted)
	}
	c := report.Counts
	if c.BackupSyncs != count || c.Missing != counts[Missing] || c.Unusable != counts[Unusable] || c.Unknown != counts[Unknown] || c.Undeclared != undeclared ||
		c.Present != counts[Present] || c.Differs != counts[Differs] || c.Imported != c.Confirmed+c.Missing+c.Unusable+c.Unknown {
		t.Errorf("%+v, not %v", c, counts)
	}
	if pages := server.Calls(cbr.OperationListBackups); pages > c.Listed/cbr.MaxPageSize+3 || server.SyncCalls() != 0 {
		t.Errorf("%d pages, %d sync calls", pages, server.SyncCalls())
	}
	t.Log(summary(report))
}

// A user who may not read the Secret is told so, and can bring credentials.
func TestRightsOfTheUser(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	namespace := newNamespace(t)
	create(t, projectOf(namespace, "vmware", server.URL)...)
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "reader"},
		Rules: []rbacv1.PolicyRule{{APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"cbrprojects", "backupsyncs"}, Verbs: []string{"get", "list"}}}}
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "reader"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "reader"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "reader"}}}
	create(t, role, binding)
	user, err := environment.AddUser(envtest.User{Name: "reader"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	config, err := user.KubeConfig()
	if err != nil {
		t.Fatal(err)
	}
	status, out, _ := execute(t, config, "-n", namespace, local)
	if status != cli.ExitFound || !strings.Contains(out, "You may not read the Secret vmware in namespace "+namespace) {
		t.Errorf("%d: %s", status, out)
	}
	file := filepath.Join(t.TempDir(), "own.yaml")
	if err := os.WriteFile(file, []byte("token: "+cbrtest.Token), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, out, errOut := execute(t, config, "-n", namespace, local, "--credentials-file", file); status != 0 || !strings.Contains(out, "0 BackupSyncs") {
		t.Errorf("%d: %s%s", status, out, errOut)
	}
	if status, _, errOut := execute(t, config, "-A", local); status != cli.ExitError || !strings.Contains(errOut, "you may not list CBRProjects in all namespaces") {
		t.Errorf("%d: %s", status, errOut)
	}
}

// Whatever keeps CBR from being asked is told, with what to do, and no credentials go to an endpoint that is not allowed.
func TestUnhappyPaths(t *testing.T) {
	server := cbrtest.NewServer(t, cbrtest.Options{})
	namespace := newNamespace(t)
	add := func(name string, change func(*v1alpha1.CBRProject), secret map[string]string) {
		made := projectOf(namespace, name, server.URL)
		if change != nil {
			change(made[1].(*v1alpha1.CBRProject))
		}
		if secret != nil {
			made[0].(*corev1.Secret).StringData = secret
		}
		create(t, made...)
	}
	add("good", nil, nil)
	add("wrong", nil, map[string]string{"token": "wrong-token"})
	add("empty", nil, map[string]string{"other": "x"})
	add("lacking", func(p *v1alpha1.CBRProject) { p.Spec.Credentials.SecretRef.Name = "nothing" }, nil)
	add("pod", func(p *v1alpha1.CBRProject) {
		p.Spec.Credentials = v1alpha1.Credentials{Type: v1alpha1.CredentialsPodIdentity}
	}, nil)
	add("authority", func(p *v1alpha1.CBRProject) {
		p.Spec.CABundleRef = v1alpha1.CABundleReference{Kind: v1alpha1.CABundleConfigMap, Name: "nothing", Key: "ca.crt"}
	}, nil)
	closed := cbrtest.NewServer(t, cbrtest.Options{})
	closed.Close()
	add("silent", func(p *v1alpha1.CBRProject) { p.Spec.Endpoint = closed.URL }, nil)
	for name, c := range map[string]struct {
		arguments []string
		status    int
		says      string
	}{
		"good":                 {[]string{"good", local}, 0, "0 BackupSyncs"},
		"not allowed":          {[]string{"good"}, cli.ExitFound, "may not send credentials to"},
		"not allowed, ignored": {[]string{"good", "--fail-on="}, cli.ExitError, "could not be asked"},
		"wrong token":          {[]string{"wrong", local}, cli.ExitFound, "CBR refuses the credentials"},
		"no key in the Secret": {[]string{"empty", local}, cli.ExitFound, `has no key "token"`},
		"no Secret":            {[]string{"lacking", local}, cli.ExitFound, "The Secret nothing does not exist"},
		"no pod":               {[]string{"pod", local}, cli.ExitFound, "kubectl -n backupsync-system exec deploy/backupsync-controller-manager"},
		"no CA bundle":         {[]string{"authority", local}, cli.ExitFound, "ConfigMap nothing that spec.caBundleRef names does not exist"},
		"nobody answers":       {[]string{"silent", local}, cli.ExitFound, "connection refused"},
		"several projects":     {[]string{local}, cli.ExitError, "name one of them"},
		"no such project":      {[]string{"nobody", local}, cli.ExitError, "there is no CBRProject nobody in namespace"},
		"no such BackupSync":   {[]string{"good", "nothing", local}, cli.ExitError, "there is no BackupSync nothing of CBRProject good"},
		"no credentials file":  {[]string{"good", local, "--credentials-file=/nowhere"}, cli.ExitError, "/nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, errOut := execute(t, environment.KubeConfig, append([]string{"-n", namespace}, c.arguments...)...)
			if status != c.status || !strings.Contains(out+errOut, c.says) {
				t.Errorf("%d: %s%s", status, out, errOut)
			}
		})
	}
	status, out, _ := execute(t, environment.KubeConfig, "-n", namespace, "-A", local)
	if status != cli.ExitFound || strings.Count(out, "CBRProject "+namespace+"/") != 7 {
		t.Errorf("%d: %s", status, out)
	}
	if server.SyncCalls() != 0 {
		t.Error("something was imported")
	}
}

// A password is exchanged for a token, once; one that IAM refuses is sent once, and one that it has refused the operator is not sent.
func TestPasswords(t *testing.T) {
	iam := cbrtest.NewIAM(cbrtest.IAMOptions{})
	server := cbrtest.NewServer(t, cbrtest.Options{IAM: iam})
	login := serve(t, iam)
	namespace := newNamespace(t)
	options := iam.Options()
	for name, password := range map[string]string{"right": options.Password, "wrong": "not-the-password"} {
		made := projectOf(namespace, name, server.URL)
		made[0].(*corev1.Secret).StringData = map[string]string{"username": options.Username, "password": password, "domainName": options.DomainName}
		spec := &made[1].(*v1alpha1.CBRProject).Spec
		spec.IAMEndpoint, spec.Credentials.Type = login, v1alpha1.CredentialsPassword
		create(t, made...)
	}
	if status, out, errOut := execute(t, environment.KubeConfig, "-n", namespace, "right", local); status != 0 || len(iam.Requests()) != 1 {
		t.Errorf("%d, %d requests: %s%s", status, len(iam.Requests()), out, errOut)
	}
	status, out, errOut := execute(t, environment.KubeConfig, "-n", namespace, "wrong", local)
	if status != cli.ExitFound || !strings.Contains(out, "IAM refuses the name or the password") || strings.Contains(out+errOut, "not-the-password") || len(iam.Requests()) != 2 {
		t.Errorf("%d, %d requests: %s%s", status, len(iam.Requests()), out, errOut)
	}
}

// serve serves IAM.
func serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	made := httptest.NewServer(handler)
	t.Cleanup(made.Close)
	return made.URL
}

// A cluster that cannot be reached, and one without the kinds, are told as such.
func TestNoCluster(t *testing.T) {
	config := `{"apiVersion": "v1", "kind": "Config", "current-context": "c", "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
		"contexts": [{"name": "c", "context": {"cluster": "c"}}]}`
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	if status, _, errOut := execute(t, []byte(config), "vmware"); status != cli.ExitError || !strings.Contains(errOut, "connection refused") || ctx.Err() != nil {
		t.Errorf("%d: %s", status, errOut)
	}
}
