# Everything a developer runs. `make help` lists it.

SHELL := /usr/bin/env bash -o pipefail
.SHELLFLAGS := -ec

BIN := $(CURDIR)/bin
K8S := $(BIN)/k8s
TOOL := go tool -modfile=hack/tools/go.mod
# Many API servers start at once on a machine that is busy with tests.
ASSETS := KUBEBUILDER_ASSETS=$(K8S) KUBEBUILDER_CONTROLPLANE_START_TIMEOUT=2m KUBEBUILDER_CONTROLPLANE_STOP_TIMEOUT=2m
# The tests with the race detector take memory rather than time for the garbage.
RACE = GOGC=400 $(ASSETS) go test -race -timeout 30m
# The flows wait much: several of them share an API server.
FLOW = GOGC=400 $(ASSETS) $(TOOL) ginkgo run --race --procs=6 --timeout=30m --randomize-all --trace=false ./internal/controller -- -test.run='^TestController$$'
# Tests that start an API server with CRDs of other versions, and those that wait more than they compute.
OTHER_CRDS := TestCRDsThat.*|TestFieldsOfALater.*|TestOutdatedCRDs.*|TestReleases.*
WAITING := TestTorture|TestRemovalInAnyOrder|TestNamespaced|TestUnreadable|$(OTHER_CRDS)
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
IMG ?= controller:latest
DOWNLOADS ?= https://backupsync.dev/releases/$(VERSION)
# What is released is built by exactly this Go: another one makes other bytes. The Dockerfile has the same.
RELEASE_GO := go1.26.8
IMAGE = cd hack/image && GOTOOLCHAIN=$(RELEASE_GO) go run . -root=$(CURDIR) -out=$(CURDIR)/dist -version=$(VERSION) -name=$(IMG)

.PHONY: help
help: ## Show this help.
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Try and test

.PHONY: demo
demo: controlplane binaries ## Import 123 backups, end to end, on a real API server. KEEP=1 leaves it running.
	go run ./hack/demo $(if $(KEEP),--keep)

.PHONY: test
test: controlplane binaries ## The tests: units, the real API server, black box, all with the race detector.
	$(MAKE) --no-print-directory race
	$(MAKE) --no-print-directory -j2 flow waiting

# They begin first: the short ones fill what is left.
LONGEST := ./internal/controller ./internal/e2e

.PHONY: race
race: controlplane binaries ## What computes more than it waits: all tests but the flows and the waiting ones.
	$(RACE) -skip '^($(WAITING)|TestController|TestTeethOf.*)$$' $(LONGEST) $$(go list ./... | grep -Ev '/(torture|wholetest)$$')

.PHONY: check
check: test check-more check-install image-test large ## Everything that gates a change.

.PHONY: check-more
check-more: verify-generated lint whole contract ## What gates a change besides make test: generated files, lint, whole tables, the contract, the fuzz targets.
	$(MAKE) --no-print-directory fuzz FUZZTIME=1000x

.PHONY: check-install
check-install: install-test verify-install alerts ## What gates a change of what is installed: chart, kustomizations, alerts and dashboard, each with its real tool.

.PHONY: whole
whole: controlplane ## Without the race detector: all rows of tables of which make test plays one of several, measures of memory, the teeth of the properties.
	$(ASSETS) go test -timeout 30m -skip '^(TestController|$(OTHER_CRDS))$$' ./internal/controller ./internal/cbr ./internal/cbr/evidence

.PHONY: large
large: controlplane ## The command line against 10,000 BackupSyncs in all states, two minutes of two cores.
	$(ASSETS) go test -timeout 30m ./internal/cli/verify ./internal/cli/wholetest

.PHONY: unit
unit: ## The tests that need no API server.
	go test -race ./internal/backupsync/... ./internal/batch/... ./internal/cbr/... ./internal/connection/... ./hack/...

.PHONY: contract
contract: ## The client, the CBR in memory and the signatures against the vendor's Go SDK: see hack/contract.
	cd hack/contract && go test -race ./...

.PHONY: flow
flow: controlplane ## The flows of the controller on a real API server.
	$(FLOW)

.PHONY: property
property: ## The property test of never-twice, with many scripts; CHECKS=100000 for more.
	go test -timeout 60m -run 'TestPropertyNeverTwice|TestPropertySeveralNamespaces|TestTeeth' ./internal/controller -rapid.checks=$(or $(CHECKS),5000)

FUZZ := ./internal/cbr:FuzzDecodeImport ./internal/cbr:FuzzDecodeOperationLogs ./internal/cbr:FuzzDecodeOperationLog \
	./internal/cbr:FuzzDecodeBackups ./internal/cbr:FuzzScanBackupIDs \
	./internal/cbr:FuzzClassify ./internal/cbr:FuzzHide ./internal/cbr/auth:FuzzNewToken ./internal/cbr/auth:FuzzNewAccessKey ./internal/backupsync:FuzzCleanMessage \
	./internal/cli/generate/inventory:FuzzRead ./internal/cli/generate/manifest:FuzzScalar

.PHONY: fuzz
fuzz: ## Each fuzz target for some seconds; FUZZTIME=10m for longer, 1000x for so many inputs.
	@for target in $(FUZZ); do \
		go test -run '^$$' -fuzz "^$${target#*:}$$" -fuzztime $(or $(FUZZTIME),5s) -fuzzminimizetime 10x "$${target%:*}" || exit 1; \
	done

.PHONY: e2e
e2e: controlplane binaries ## The black-box tests: the real binary under its real roles.
	$(ASSETS) go test -race ./internal/e2e/...

.PHONY: torture
torture: controlplane binaries ## Five minutes of killing, halting and doubling real managers; TORTURE=30m for longer, TORTURE_SEED=N for the cloud of another run.
	$(ASSETS) TORTURE=$(or $(TORTURE),5m) go test -count=1 -v -timeout 60m ./internal/e2e/torture

.PHONY: waiting
waiting: controlplane binaries ## What waits more than it computes: a minute of torture, removals in any order, namespaces that cannot be read, CRDs of other versions.
	$(RACE) -parallel 3 -run '^($(WAITING))$$' ./internal/e2e/torture ./internal/controller ./internal/e2e ./internal/namespaces

.PHONY: alert-rules
alert-rules: prometheus ## The alerts alone: each fires, and does not when it should not, by promtool.
	$(BIN)/promtool check rules --lint=all --lint-fatal config/monitoring/alerts.yaml
	$(BIN)/promtool test rules config/monitoring/alerts_test.yaml

.PHONY: alerts
alerts: alert-rules controlplane binaries ## Each alert fires at a real Prometheus that scrapes real managers, and the dashboard has data: two minutes.
	$(ASSETS) go test -count=1 -tags alerts -timeout 10m -v -run '^TestAlerts$$' ./internal/e2e/alerts

BENCH = mkdir -p bench && rm -f bench/*.pprof bench/*.csv && go test -run '^$$' -bench . -benchtime 1x -count 1 -timeout 2h ./hack/bench -args

.PHONY: bench
bench: controlplane binaries ## All measures of speed and size, half an hour on two cores; ONLY=B1,B4 for some of them, SCALE=10 for ten times the objects. Results go to bench/.
	$(BENCH) $(if $(ONLY),-only $(ONLY)) $(if $(SCALE),-scale $(SCALE)) 2>&1 | tee -i bench/output.txt

# Without B3, which has to wait until a minute has passed: a test on a fake clock holds the rate, too.
QUICK := B1,B2,B4,B5,B6,B7,B8

.PHONY: bench-quick
bench-quick: controlplane binaries ## The same with small numbers, against wide ranges: two to three minutes, to see a collapse.
	$(BENCH) -quick -only $(or $(ONLY),$(QUICK)) 2>&1 | tee -i bench/output.txt

##@ Build

BUILD = CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$(VERSION)"

.PHONY: build
build: ## Build bin/manager and bin/kubectl-backupsync, the command line.
	$(BUILD) -o $(BIN)/manager .
	$(BUILD) -o $(BIN)/kubectl-backupsync ./cmd/kubectl-backupsync

.PHONY: binaries
binaries: build ## Build bin/manager and bin/cbrsim, the CBR that lives in memory.
	CGO_ENABLED=0 go build -trimpath -o $(BIN)/cbrsim ./hack/cbrsim

.PHONY: docker-build
docker-build: ## Build the container image IMG with Docker.
	docker build --build-arg VERSION=$(VERSION) -t $(IMG) .

.PHONY: image
image: ## Build the container image IMG for amd64 and arm64 without Docker, reproducibly, and an SBOM of each, into dist/.
	mkdir -p dist
	$(IMAGE)

.PHONY: plugin
plugin: ## Build kubectl backupsync for Linux, macOS and Windows, and the manifest for krew, which downloads it from DOWNLOADS, into dist/.
	mkdir -p dist
	$(IMAGE) -plugin -downloads=$(DOWNLOADS) $(if $(MACHINES),-machines=$(MACHINES))

.PHONY: image-push
image-push: ## Push what make image has built as IMG, with the SBOMs.
	$(IMAGE) -push

.PHONY: image-test
image-test: controlplane ## The tests of the image and of the release: the image in a chroot, the same bytes twice.
	cd hack/image && $(ASSETS) GOTOOLCHAIN=$(RELEASE_GO) go test -timeout 30m ./...

INSTALLER = $(TOOL) kustomize build config/default | sed 's|image: controller:latest|image: $(IMG)|'

.PHONY: installer
installer: ## Write what make deploy applies, with the image IMG, to dist/install.yaml.
	mkdir -p dist
	$(INSTALLER) >dist/install.yaml

.PHONY: release
release: ## Write all of a release to dist/: VERSION=v1.2.3 IMG=registry.example.com/backupsync:v1.2.3. CHANGELOG.md must have the version.
	@hack/release/release.sh "$(VERSION)" "$(if $(filter controller:latest,$(IMG)),,$(IMG))"

.PHONY: controlplane
controlplane: ## Put etcd, kube-apiserver and kubectl into bin/k8s: found, downloaded or (some 8 minutes, once) built.
	@hack/controlplane/install.sh

.PHONY: prometheus
prometheus: ## Build bin/prometheus and bin/promtool from Go modules (some minutes, once).
	@hack/prometheus/install.sh

##@ Generate and check

.PHONY: generate
generate: ## Generate the deepcopy functions, the CRDs, the roles of the manager, docs/reference.md, the PrometheusRule, the chart's copies, the patch of Argo CD.
	$(TOOL) controller-gen object:headerFile=hack/boilerplate.go.txt crd paths=./api/... output:crd:dir=config/crd/bases
	$(TOOL) controller-gen rbac:roleName=manager-role paths=./internal/controller/... output:rbac:dir=config/rbac
	sed 's/^kind: ClusterRole$$/kind: Role/' config/rbac/role.yaml >config/components/namespaced/role/role.yaml
	hack/reference/generate.sh docs/reference.md
	hack/monitoring/generate.sh config/components/prometheus/prometheus_rule.yaml
	hack/chart/copy.sh config/chart/files
	hack/argocd/generate.sh config/argocd/argocd-cm.yaml

.PHONY: verify-generated
verify-generated: ## Fail if a generated file is not current.
	@hack/verify-generated.sh

.PHONY: fmt
fmt: ## Format the code.
	$(TOOL) golangci-lint fmt ./...

.PHONY: lint
lint: api-lint ## gofmt, go vet, golangci-lint and kube-api-linter.
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "not gofmt-ed: $$unformatted"; exit 1; }
	go vet ./...
	go vet -tags alerts ./internal/e2e/alerts
	$(TOOL) golangci-lint run ./...
	cd hack/contract && go vet ./... && go tool -modfile=../tools/go.mod golangci-lint run ./...
	cd hack/install && go vet ./... && go tool -modfile=../tools/go.mod golangci-lint run ./...
	cd hack/image && go vet ./... && go tool -modfile=../tools/go.mod golangci-lint run ./...

.PHONY: api-lint
api-lint: ## The API types against the conventions of Kubernetes, with kube-api-linter: see hack/tools/kubeapilinter.
	go build -C hack/tools -o $(BIN)/kube-api-linter ./kubeapilinter
	$(BIN)/kube-api-linter ./api/...

.PHONY: tidy
tidy: ## Tidy the modules.
	go mod tidy
	cd hack/tools && go mod tidy
	cd hack/controlplane && go mod tidy
	cd hack/contract && go mod tidy
	cd hack/install && go mod tidy
	cd hack/helm && go mod tidy
	cd hack/helm/v3 && go mod tidy
	cd hack/prometheus && go mod tidy
	cd hack/image && go mod tidy

##@ Deploy

.PHONY: install
install: ## Install the CRDs into the cluster of the current kubeconfig.
	kubectl apply -k config/crd

.PHONY: helm
helm: ## Build bin/helm and bin/helm3, which try the chart.
	go build -C hack/helm -o $(BIN)/helm helm.sh/helm/v4/cmd/helm
	go build -C hack/helm/v3 -o $(BIN)/helm3 helm.sh/helm/v3/cmd/helm

.PHONY: verify-install
verify-install: controlplane binaries helm prometheus image ## Install the chart, use it, upgrade, roll back, uninstall, as a newcomer does; each command is printed with its output.
	cd hack/install && $(ASSETS) go run ./verify

.PHONY: chart-package
chart-package: helm ## Write the chart of VERSION, which installs IMG, to dist/.
	hack/chart/package.sh $(VERSION) $(IMG) dist

.PHONY: install-test
install-test: controlplane helm ## The chart and the kustomizations, with Helm 3 and 4, against the schemas of all supported versions and a real API server.
	cd hack/install && $(ASSETS) go test ./...

.PHONY: deploy
deploy: ## Deploy CRDs, roles and the manager with the image IMG into the cluster of the current kubeconfig.
	$(INSTALLER) | kubectl apply -f -

.PHONY: undeploy
undeploy: ## Remove what deploy has created, the CRDs and with them all BackupSyncs and CBRProjects included.
	-kubectl delete --all-namespaces --all --timeout=6m cbrprojects.cbr.backupsync.dev # while the manager can still release them
	kubectl delete --ignore-not-found -k config/default

.PHONY: clean
clean: ## Remove what was built, but not bin/k8s.
	rm -f $(BIN)/manager $(BIN)/cbrsim $(BIN)/kubectl-backupsync $(BIN)/kube-api-linter $(BIN)/prometheus $(BIN)/promtool $(BIN)/helm $(BIN)/helm3
	rm -rf dist
