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

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"backupsync.dev/operator/internal/e2e/cluster"
)

const (
	namespace      = "backupsync-system"
	deploymentName = "backupsync-controller-manager"
	// patience is how long anything may take on a busy machine that takes seconds elsewhere.
	patience = time.Minute
	// projectIDs are those of the example.
	projectIDs = "f841e01fd2b14e7fa41b6ae7aa6b0594,0b8d6c2f4e7a4915a3c8d1e6f7b20a59"
)

// keys are the access key of the example's Secret, and another one.
var (
	keys      = []map[string]string{{"access": "AKEXAMPLE", "secret": "SKEXAMPLE"}}
	otherKeys = []map[string]string{{"access": "AKOTHER", "secret": "SKOTHER"}}
)

// verification is one run.
type verification struct {
	root  string // of the repository
	out   io.Writer
	began time.Time

	cluster   *cluster.Cluster
	simulator *cluster.Simulator
	imageRoot string // of the unpacked image
	pod       *pod
	pods      int // that were started

	metricsPort, probePort string
}

func (v *verification) run(ctx context.Context) error {
	for _, step := range []struct {
		title string
		do    func(context.Context) error
	}{
		{"A Kubernetes without nodes, and a CBR in memory", v.start},
		{"Unpack the image of make image", v.unpackImage},
		{"Install the chart", v.install},
		{"Apply the GitOps example, with the CBR in memory in place of the region", v.applyExample},
		{"See it imported", v.seeImported},
		{"Read the metrics as a ServiceAccount that may", v.readMetrics},
		{"See an alert fire, and what to do about it", v.seeAlert},
		{"Upgrade", v.upgrade},
		{"Roll back", v.rollBack},
		{"Uninstall: what is declared stays", v.uninstall},
		{"Remove the rest", v.removeRest},
	} {
		v.printf("\n[%s] %s\n\n", time.Since(v.began).Round(time.Second), step.title)
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", strings.ToLower(step.title[:1])+step.title[1:], err)
		}
	}
	v.printf("\nInstalled, used, upgraded, rolled back and removed in %s.\n", time.Since(v.began).Round(time.Second))
	return nil
}

func (v *verification) start(ctx context.Context) error {
	var err error
	if v.cluster, err = cluster.Start(ctx, v.root); err != nil {
		return err
	}
	binary, err := cluster.Binary(ctx, v.root, v.cluster.Dir, "cbrsim", "./hack/cbrsim")
	if err != nil {
		return err
	}
	if v.simulator, err = v.cluster.StartSimulator(ctx, "cbrsim", binary, "--task-duration=1s", "--project-id="+projectIDs); err != nil {
		return err
	}
	addresses, err := cluster.FreeAddresses(ctx, 2)
	if err != nil {
		return err
	}
	_, v.metricsPort, _ = net.SplitHostPort(addresses[0])
	_, v.probePort, _ = net.SplitHostPort(addresses[1])
	v.printf("  API server at %s, CBR at %s\n", v.cluster.Config.Host, v.simulator.URL)
	return v.simulator.Steer(ctx, "keys", keys)
}

func (v *verification) unpackImage(context.Context) error {
	v.imageRoot = filepath.Join(v.cluster.Dir, "image")
	if err := os.Mkdir(v.imageRoot, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(v.cluster.Dir, 0o755); err != nil { // the user of the image must get in
		return err
	}
	if err := unpack(filepath.Join(v.root, "dist", "image"), v.imageRoot); err != nil {
		return err
	}
	entries, err := os.ReadDir(v.imageRoot)
	for _, entry := range entries {
		v.printf("  /%s\n", entry.Name())
	}
	return err
}

// settings are those of this cluster, which has no pods' network.
func (v *verification) settings() string {
	return fmt.Sprintf("--set allowedEndpoints={http://127.0.0.1:*} --set metrics.port=%s --set extraArgs={--health-probe-bind-address=127.0.0.1:%s}",
		v.metricsPort, v.probePort)
}

func (v *verification) install(ctx context.Context) error {
	if _, err := v.shell(ctx, "helm install backupsync config/chart --namespace backupsync-system --create-namespace "+v.settings()); err != nil {
		return err
	}
	return v.restartPod(ctx)
}

// restartPod does what a rollout does.
func (v *verification) restartPod(ctx context.Context) error {
	if err := v.stopPod(); err != nil {
		return err
	}
	if err := v.startPod(ctx); err != nil {
		return err
	}
	return eventually(ctx, patience, func() error {
		_, err := v.quietly(ctx, "curl --silent --fail http://127.0.0.1:"+v.probePort+"/readyz")
		return err
	})
}

func (v *verification) applyExample(ctx context.Context) error {
	teams := []string{"crm", "erp"}
	for _, team := range teams {
		if err := v.writeOverlay(team); err != nil {
			return err
		}
		if _, err := v.shell(ctx, "kubectl apply --server-side -k "+filepath.Join(v.cluster.Dir, team)); err != nil {
			return err
		}
		if team == "erp" { // whose Secret External Secrets writes, which is not here
			if _, err := v.shell(ctx, "kubectl -n erp create secret generic cbr --from-literal=accessKey=AKEXAMPLE --from-literal=secretKey=SKEXAMPLE"); err != nil {
				return err
			}
		}
		if _, err := v.shell(ctx, "kubectl -n "+team+" apply --server-side -f config/samples/gitops/teams/"+team+"/backups"); err != nil {
			return err
		}
	}
	return nil
}

// writeOverlay puts the simulator in the place of a project's region, and leaves out what this cluster has no kind for.
func (v *verification) writeOverlay(team string) error {
	folder := filepath.Join(v.cluster.Dir, team)
	relative, err := filepath.Rel(folder, filepath.Join(v.root, "config", "samples", "gitops", "teams", team, "project"))
	if err != nil {
		return err
	}
	text := fmt.Sprintf(`apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [%s]
patches:
- target: {kind: CBRProject}
  patch: |
    - {op: remove, path: /spec/region}
    - {op: add, path: /spec/endpoint, value: "%s"}
    - {op: add, path: /spec/poll, value: {interval: 1s}}
`, relative, v.simulator.URL)
	if team == "erp" {
		text += "- target: {kind: ExternalSecret}\n  patch: |\n    {$patch: delete, apiVersion: external-secrets.io/v1, kind: ExternalSecret, metadata: {name: cbr}}\n"
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(text), 0o644)
}

func (v *verification) seeImported(ctx context.Context) error {
	if _, err := v.shell(ctx, "kubectl -n erp wait --for=condition=Ready backupsync --all --timeout=60s"); err != nil {
		return err
	}
	if _, err := v.shell(ctx, "kubectl -n crm wait --for=condition=Ready backupsync --all --timeout=60s"); err != nil {
		return err
	}
	if err := v.matching(ctx, "kubectl get bsync -A", "(?m)(^.* True +Imported .*$\n?){4}"); err != nil {
		return err
	}
	if err := v.matching(ctx, "kubectl get cbrp -A", "(?m)(^.* True +Usable .*$\n?){2}"); err != nil {
		return err
	}
	return v.onceEach(ctx)
}

// onceEach holds what CBR was sent against what is declared.
func (v *verification) onceEach(ctx context.Context) error {
	ledger, err := v.simulator.Ledger(ctx)
	if err != nil {
		return err
	}
	if len(ledger.Backups) != 4 || len(ledger.AcceptedTwice) > 0 {
		return fmt.Errorf("CBR has accepted %d backups, %v twice", len(ledger.Backups), ledger.AcceptedTwice)
	}
	v.printf("  CBR has accepted each of the 4 backups once, in %d calls.\n", ledger.SyncCalls)
	return nil
}

func (v *verification) readMetrics(ctx context.Context) error {
	url := "https://127.0.0.1:" + v.metricsPort + "/metrics"
	if err := v.matching(ctx, "curl --silent --insecure --output /dev/null --write-out '%{http_code}\\n' "+url, "^401"); err != nil {
		return err
	}
	for _, line := range []string{
		"kubectl create serviceaccount scraper",
		"kubectl create clusterrolebinding scraper --clusterrole=backupsync-metrics-reader --serviceaccount=default:scraper",
	} {
		if _, err := v.shell(ctx, line); err != nil {
			return err
		}
	}
	return v.matching(ctx, `curl --silent --insecure --header "Authorization: Bearer $(kubectl create token scraper)" `+url+" | grep '^backupsync_backups{.*imported'",
		`(?m)^\s*backupsync_backups\{namespace="erp".*state="imported"\} 3$`)
}

func (v *verification) upgrade(ctx context.Context) error {
	if _, err := v.shell(ctx, "helm upgrade backupsync config/chart --namespace backupsync-system --reuse-values --set replicas=3 --set logLevel=debug"); err != nil {
		return err
	}
	return v.goesOn(ctx, "3", "upgraded")
}

func (v *verification) rollBack(ctx context.Context) error {
	if _, err := v.shell(ctx, "helm rollback backupsync 1 --namespace backupsync-system"); err != nil {
		return err
	}
	return v.goesOn(ctx, "2", "rolled-back")
}

// goesOn starts the manager as the Deployment has it now, and imports one more backup.
func (v *verification) goesOn(ctx context.Context, replicas, name string) error {
	if err := v.matching(ctx, "kubectl -n backupsync-system get deployment "+deploymentName+" -o jsonpath={.spec.replicas}", replicas); err != nil {
		return err
	}
	if err := v.restartPod(ctx); err != nil {
		return err
	}
	if err := v.declare(ctx, name); err != nil {
		return err
	}
	_, err := v.shell(ctx, "kubectl -n erp wait --for=condition=Ready backupsync --all --timeout=60s")
	return err
}

// declare creates one more backup of a team.
func (v *verification) declare(ctx context.Context, name string) error {
	_, err := v.shell(ctx, fmt.Sprintf("sed 's/name: erp-01-20260301/name: erp-01-%s/; s/backupID: .*/backupID: id-%s/' "+
		"config/samples/gitops/teams/erp/backups/erp-01-20260301.yaml | kubectl -n erp create -f -", name, name))
	return err
}

func (v *verification) uninstall(ctx context.Context) error {
	if _, err := v.shell(ctx, "helm uninstall backupsync --namespace backupsync-system"); err != nil {
		return err
	}
	if err := v.stopPod(); err != nil {
		return err
	}
	if err := v.matching(ctx, "kubectl get bsync -A --no-headers | wc -l", "7"); err != nil {
		return err
	}
	return v.matching(ctx, "kubectl get clusterroles,clusterrolebindings,validatingadmissionpolicies -o name | grep backupsync || echo none", "^none")
}

func (v *verification) removeRest(ctx context.Context) error {
	for _, line := range []string{
		"kubectl delete bsync,cbrp -A --all --timeout=60s",
		"kubectl delete crd backupsyncs.cbr.backupsync.dev cbrprojects.cbr.backupsync.dev --timeout=60s",
		"kubectl delete namespace erp crm backupsync-system --wait=false", // nobody finalizes namespaces here
	} {
		if _, err := v.shell(ctx, line); err != nil {
			return err
		}
	}
	return nil
}

// stop ends everything. After a failure it shows the end of the manager's log.
func (v *verification) stop(ctx context.Context, failed bool) error {
	if failed && v.pod != nil {
		v.printf("\nThe end of the manager's log:\n%s\n", cluster.Tail(v.pod.log, 10))
	}
	err := v.stopPod()
	if v.cluster != nil {
		err = errors.Join(err, v.cluster.Stop(ctx))
	}
	return err
}
