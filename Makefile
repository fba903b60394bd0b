# Everything that people and CI run. `make` alone lists it.

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
ARCH     ?= $(shell go env GOARCH)
FUZZTIME ?= 10s

# What is built from source once and kept: Packer and two of its plugins (tools beside the project, never linked into it), and
# the linters.
TOOLS  := $(CURDIR)/.cache/tools
PACKER := $(TOOLS)/packer
LINT   := $(TOOLS)/golangci-lint
RELEASER := $(TOOLS)/goreleaser
# Packer looks for plugins here, so the project's plugin never meets the user's own.
PLUGINS := $(CURDIR)/.cache/plugins

export CGO_ENABLED = 0
# Builds and tests take the same flags, so that they share what is compiled.
export GOFLAGS := $(shell go env GOFLAGS) -trimpath
STATIC  := -ldflags '-s -w -X main.version=$(VERSION)'
AGENTS  := plugin/agent/bin
# The boot agent is carried into every image: it stays small enough for that.
AGENT_MAX_BYTES := 12582912
# The one for AWS has AWS's SDK in it.
AGENT_AWS_MAX_BYTES := 25165824

.DEFAULT_GOAL := help
.PHONY: help build cli agent plugin packer plugins test race lint fuzz integration e2e e2e-qemu amazon election upkeep durability instances bench bench-peers bench-bake demo demo-down lab lab-down drill live generate release-snapshot clean distclean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: cli agent plugin ## Build the command, the boot agent and the Packer plugin into bin/

cli: ## Build bin/cincbake
	go build $(STATIC) -o bin/cincbake ./cmd/cincbake

agent: ## Build the boot agent for every architecture, for AWS too, and check its size
	@for arch in amd64 arm64; do for platform in "" _aws; do \
		most=$(AGENT_MAX_BYTES); \
		if [ -n "$$platform" ]; then most=$(AGENT_AWS_MAX_BYTES); fi; \
		file=$(AGENTS)/cincbake-node$${platform}_linux_$$arch; \
		GOOS=linux GOARCH=$$arch go build -tags "$${platform#_}" $(STATIC) -o $$file ./cmd/cincbake-node || exit 1; \
		bytes=$$(wc -c < $$file); \
		echo "boot agent$${platform:+ for AWS}, $$arch: $$bytes bytes"; \
		if [ "$$bytes" -gt $$most ]; then echo "larger than $$most bytes: find what it imports" >&2; exit 1; fi; \
	done; done

plugin: agent ## Build the Packer plugin, which carries the boot agent
	cd plugin && go build $(STATIC) -o ../bin/packer-plugin-cincbake .

packer: $(PACKER) ## Build Packer and its amazon and qemu plugins from their Go modules (once)
$(PACKER): tools/packer/go.mod tools/packer/go.sum
	@echo "building Packer and two plugins from their Go modules; this takes minutes, once"
	mkdir -p $(TOOLS)
	cd tools/packer && go build -ldflags '-s -w' -o $(TOOLS)/ github.com/hashicorp/packer github.com/hashicorp/packer-plugin-amazon github.com/hashicorp/packer-plugin-qemu
	@touch $(PACKER)

plugins: packer plugin ## Install the plugin, amazon and qemu where the project's Packer finds them
	@PACKER=$(PACKER) PACKER_PLUGIN_PATH=$(PLUGINS) hack/plugins.sh bin/packer-plugin-cincbake github.com/cincbake/cincbake \
		$(TOOLS)/packer-plugin-amazon github.com/hashicorp/amazon $(TOOLS)/packer-plugin-qemu github.com/hashicorp/qemu

test: agent ## Run the unit tests: needs Go and nothing else
	go test ./...
	cd plugin && go test ./...
	cd test/workflows && go test -count=1 ./... # what it reads lies outside its module, so nothing may be cached

# Neither what runs the pages' commands nor what builds stand-ins does anything at once, and both take minutes under the detector.
race: agent ## Run the unit tests under the race detector: needs a C compiler
	CGO_ENABLED=1 go test -race -timeout 40m $$(go list ./... | grep -v -e /test/docs -e /test/standin/)
	cd plugin && CGO_ENABLED=1 go test -race -timeout 40m ./...

lint: $(LINT) agent ## Run the linters, which also hold the direction of imports
	$(LINT) run ./...
	cd plugin && $(LINT) run ./...
	hack/shellcheck.sh
$(LINT): tools/lint/go.mod tools/lint/go.sum
	@echo "building golangci-lint from its Go module; this takes minutes, once"
	cd tools/lint && go build -ldflags '-s -w' -o $(LINT) github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $(LINT)

fuzz: ## Fuzz every decoder for FUZZTIME each
	hack/fuzz.sh $(FUZZTIME)

integration: agent ## Run the tests that need root and Debian's tools
	hack/packages.sh install integration
	@mkdir -p .cache
	where=$$(hack/tree.sh) && env $$where hack/integration.sh .
	hack/integration.sh plugin
	hack/integration.sh test/browser

e2e: build plugins ## Bake every role, boot and break whole clusters: root on Debian, about half an hour
	hack/packages.sh install
	PACKER=$(PACKER) PACKER_PLUGIN_PATH=$(PLUGINS) go test -tags e2e -count=1 -v -timeout 120m -skip "TestQEMU|TestElection|TestUpkeep|TestDurability|TestInstances|TestAmazonRoles" ./test/e2e/...

e2e-qemu: build plugins ## Bake a role in a virtual machine and boot its disk, the processor emulated: about six minutes
	hack/packages.sh install
	PACKER=$(PACKER) PACKER_PLUGIN_PATH=$(PLUGINS) go test -tags e2e -count=1 -v -timeout 120m -run TestQEMU ./test/e2e/...

election: build plugins ## Let three API nodes start at once, over and over, and strike the one that makes the databases: half an hour
	hack/packages.sh install
	PACKER=$(PACKER) PACKER_PLUGIN_PATH=$(PLUGINS) go test -tags e2e -count=1 -v -timeout 90m -run TestElection ./test/e2e/...

upkeep: build plugins ## Replace every machine, renew every certificate and the CA, and restore a backup, while clients work: up to half an hour
	hack/packages.sh install
	PACKER=$(PACKER) PACKER_PLUGIN_PATH=$(PLUGINS) go test -tags e2e -count=1 -v -timeout 90m -run TestUpkeep ./test/e2e/...

durability: build plugins ## Kill a database cluster of virtual machines, whose page caches are lost, the processors emulated: fifteen minutes
	hack/packages.sh install
	PACKER=$(PACKER) PACKER_PLUGIN_PATH=$(PLUGINS) go test -tags e2e -count=1 -v -timeout 90m -run TestDurability ./test/e2e/...

amazon: build plugins ## Bake every role with Packer's amazon-ebs builder on instances of a fake EC2: three minutes
	hack/packages.sh install
	PACKER=$(PACKER) PACKER_PLUGIN_PATH=$(PLUGINS) go test -tags e2e -count=1 -v -timeout 60m -run TestAmazonRoles ./test/e2e/...

instances: build plugins ## Boot baked images as instances of a fake account, in three topologies: user data from IMDSv2, secrets, volumes, peers by tags, rollouts under load: half an hour
	hack/packages.sh install
	PACKER=$(PACKER) PACKER_PLUGIN_PATH=$(PLUGINS) go test -tags e2e -count=1 -v -timeout 90m -run TestInstances ./test/e2e/...

bench: ## Run the benchmarks
	go test -run '^$$' -bench . -benchmem ./...

bench-peers: ## Print how much faster seeds are made than by cloud-localds
	@hack/bench-peers.sh

bench-bake: build plugins ## Print how much faster cincbake-rootfs bakes a postgres image than Packer's qemu builder, emulated
	hack/packages.sh install
	CINCBAKE_QEMU_ROLE=postgres PACKER=$(PACKER) PACKER_PLUGIN_PATH=$(PLUGINS) go test -tags e2e -count=1 -v -timeout 60m -run TestQEMU ./test/e2e/

demo: ## Bake both images, boot a cluster here, power off its primary, and watch it heal
	@hack/demo.sh

demo-down: ## Take the demo's cluster away again
	@hack/demo.sh down

lab: ## Bake every role and boot a whole self-hosted cluster here (SMALL=1: fewer machines)
	@hack/lab.sh $(if $(SMALL),--small)

lab-down: ## Take the lab's cluster away again
	@hack/lab.sh down

drill: lab ## Strike the lab's cluster more than two hundred times under load: an hour and a half, report in .cache/drill
	cd .cache/lab/cluster && ../../../bin/cincbake lab drill --suite full --report ../../drill

live: ## Run the suite of images and launch in YOUR account of AWS: costs money, and nobody has run it yet (docs/aws-live.md)
	go test -tags live -count=1 -v -timeout 3h ./test/live

generate: ## Make the generated files again
	go generate ./...
	cd plugin && go generate ./...

release-snapshot: $(RELEASER) ## Build everything that a release consists of into dist/, for every platform
	hack/release.sh $(RELEASER)
$(RELEASER): tools/goreleaser/go.mod tools/goreleaser/go.sum
	@echo "building GoReleaser from its Go module; this takes minutes, once"
	cd tools/goreleaser && go build -ldflags '-s -w' -o $(RELEASER) github.com/goreleaser/goreleaser/v2
	@touch $(RELEASER)

clean: ## Remove what was built
	rm -rf bin dist $(AGENTS)/cincbake-node_*

distclean: clean ## Remove the built tools, base systems and images too
	rm -rf .cache
