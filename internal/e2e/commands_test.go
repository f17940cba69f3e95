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
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"backupsync.dev/operator/internal/cbr"
	"backupsync.dev/operator/internal/cli"
)

// commands runs kubectl backupsync as the administrator of the cluster, and returns what it prints and its exit status.
func commands(ctx context.Context, t tenant, arguments ...string) (stdout, stderr string, status int) {
	GinkgoHelper()
	command := exec.CommandContext(ctx, commandsBinary, append(arguments, "--namespace="+t.namespace)...)
	command.Env = append(os.Environ(), "KUBECONFIG="+kubernetes.Kubeconfig, "KUBECACHEDIR="+filepath.Join(kubernetes.Dir, "kubectl-cache"))
	var out, said strings.Builder
	command.Stdout, command.Stderr = &out, &said
	err := command.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		Expect(err).NotTo(HaveOccurred())
	}
	GinkgoWriter.Printf("$ kubectl backupsync %s\n%s%s", strings.Join(arguments, " "), said.String(), out.String())
	return out.String(), said.String(), command.ProcessState.ExitCode()
}

// anyEndpoint allows the simulator, as the flag of the manager does.
const anyEndpoint = "--allowed-endpoints=http://127.0.0.1:*"

// inventory is a CSV of so many backups, as a spreadsheet writes it.
func inventory(count int) (text string, ids []string) {
	var rows strings.Builder
	rows.WriteString("\uFEFFBackup ID;Backup Name;Bucket;Image Path;Resource ID;VM Name;Created At\r\n")
	for number := range count {
		id := uuid.NewString()
		ids = append(ids, id)
		fmt.Fprintf(&rows, "%s;nightly;vmware-backups;chains/%d;96f7512d-239d-3f31-80cf-d1ce041df9a6;erp-%02d;2026-03-01T12:00:00Z\r\n",
			strings.ToUpper(id), number, number)
	}
	return rows.String(), ids
}

var _ = Describe("kubectl backupsync", func() {
	It("takes a newcomer from a CSV to imported backups, and finds what breaks afterwards", func(ctx SpecContext) {
		const count = 60
		t := newTenant(ctx, token)
		text, ids := inventory(count)
		folder := GinkgoT().TempDir()
		file, manifests := filepath.Join(folder, "inventory.csv"), filepath.Join(folder, "backups")
		Expect(os.WriteFile(file, []byte(text), 0o600)).To(Succeed())

		_, said, status := commands(ctx, t, "generate", file, "--project=default", "--output-dir="+manifests)
		Expect(status).To(BeZero(), said)
		kubectl(ctx, "apply", "--server-side", "--namespace="+t.namespace, "-k", manifests)
		out, said, status := commands(ctx, t, "status", "--watch", "--until-done", "--timeout=1m", "--interval=200ms", "--fail-on=failed,stalled")
		Expect(status).To(BeZero(), said)
		Expect(out).To(ContainSubstring(fmt.Sprintf("%d imported", count)))
		t.expectImported(ctx, count, 10*time.Second)
		out, said, status = commands(ctx, t, "verify", anyEndpoint)
		Expect(status).To(BeZero(), said+out)
		_, said, status = commands(ctx, t, "doctor", "default", "--probe", anyEndpoint)
		Expect(status).To(Or(BeZero(), Equal(cli.ExitFound)), said) // no Deployment runs here, which it may tell

		broken := cbr.StoredBackup{ID: strings.ToUpper(ids[0]), Name: "nightly", ResourceID: "96f7512d-239d-3f31-80cf-d1ce041df9a6", Status: "error"}
		Expect(simulator.Steer(ctx, "backups", map[string]any{"projectID": t.projectID, "backups": []cbr.StoredBackup{broken}})).To(Succeed())
		out, _, status = commands(ctx, t, "verify", anyEndpoint, "--output=json")
		Expect(status).To(Equal(cli.ExitFound))
		Expect(out).To(And(ContainSubstring("Unusable"), ContainSubstring(ids[0])))
		out, _, status = commands(ctx, t, "explain", ids[0])
		Expect(status).To(BeZero())
		Expect(out).To(ContainSubstring(broken.ID))
		_, said, status = commands(ctx, t, "failed")
		Expect(status).To(BeZero())
		Expect(said).To(ContainSubstring("No failed BackupSyncs"))
	}, SpecTimeout(3*time.Minute))
})
