# The commands for developers. `make help` lists them.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: image chart release-check ui-test help test test-node fmt clippy doc deny advisories tools build unit generate demo demo-down bench bench-peers keel-source soak fuzz ui ui-check docs docs-serve pictures

CACHE := $(shell echo "$${HEADWIND_TESTBED_CACHE:-$${XDG_CACHE_HOME:-$$HOME/.cache}/headwind-testbed}")
TARGET := $(shell echo "$${CARGO_TARGET_DIR:-$(CURDIR)/target}")
DENY := $(CACHE)/cargo/bin/cargo-deny
DENY_VERSION := 0.20.2
HEADWIND := $(TARGET)/debug/headwind
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
KEEL_VERSION = -X github.com/keel-hq/keel/version.Version=$$(awk '$$1 == "appVersion:" {print $$2}' chart/keel/Chart.yaml) \
  -X github.com/keel-hq/keel/version.Revision=$$(git rev-parse --short=12 HEAD)
E2E_FAILURES := $(TARGET)/tmp/e2e-failures.txt

# $(call step,WHAT,COMMAND): prints WHAT, runs COMMAND, prints how long it took.
step = @printf '\n==> %s\n' "$(1)"; SECONDS=0; $(2); printf -- '--- %s: %d s\n' "$(1)" "$$SECONDS"

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

test: fmt clippy doc deny ui-test tools build unit ## Run everything that CI checks; builds what is missing (needs Rust and Go 1.26)

fmt:
	$(call step,cargo fmt --check,cargo fmt --all -- --check)

clippy:
	$(call step,cargo clippy,cargo clippy --locked --workspace --all-targets -- -D warnings)

doc:
	$(call step,cargo doc,RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps)

deny: $(DENY)
	$(call step,cargo deny,"$(DENY)" --locked check bans licenses sources)

# Not a part of `test`, because it needs the advisory database and therefore the network.
advisories: $(DENY) ## Check the dependencies against the RustSec advisory database (needs the network)
	$(call step,cargo deny check advisories,"$(DENY)" --locked check advisories)

# Built in a temporary folder, not in the target folder of the checkout.
$(DENY):
	$(call step,installing cargo-deny (about 4 minutes),env -u CARGO_TARGET_DIR cargo install --locked --version $(DENY_VERSION) cargo-deny --root "$(CACHE)/cargo")

tools:
	$(call step,testbed/tools.sh (the first time up to 25 minutes),testbed/tools.sh --browser)

build:
	$(call step,cargo build,cargo build --locked -p headwind -p headwind-testbed -p kubectl-headwind)

unit:
	@rm -f "$(E2E_FAILURES)"
	$(call step,cargo test,cargo test --locked --workspace --no-fail-fast || { tail -c 6000 "$(E2E_FAILURES)" 2>/dev/null; exit 1; })

test-node: build ## Install the chart on a real kubelet with real containers (needs root; unpacks Debian packages, installs nothing)
	@if [ "$$(id -u)" != 0 ]; then echo "SKIPPED make test-node: a kubelet needs root" >&2; exit 0; fi; \
	code=0; testbed/tools.sh --node >/dev/null || code=$$?; \
	if [ $$code = 3 ]; then echo "SKIPPED make test-node: containerd and runc are not available, see the reason above" >&2; exit 0; fi; \
	[ $$code = 0 ] || exit $$code; \
	testbed/node.sh --check || code=$$?; \
	if [ $$code = 3 ]; then echo "SKIPPED make test-node: see the reason above" >&2; exit 0; fi; \
	[ $$code = 0 ] || exit $$code; \
	printf '\n==> a real node\n'; SECONDS=0; HEADWIND_TEST_NODE=1 cargo test --locked -p headwind --test node; printf -- '--- a real node: %d s\n' "$$SECONDS"

generate: build ## Write the generated files: the chart's CRD, RBAC rules and settings, deploy/k8s/install.yaml, the tables in docs
	HEADWIND_GENERATE=1 cargo test --locked -p headwind --test shipped -- tables chart_

image: ## Build an OCI image of the release binary into target/image; PUSH=HOST/REPOSITORY pushes it (needs Python 3)
	$(call step,cargo build --release,cargo build --locked --release -p headwind)
	$(call step,image,deploy/image/build.py --binary "$(TARGET)/release/headwind" --version "$(VERSION)" --output "$(TARGET)/image" >/dev/null)
	$(if $(PUSH),$(call step,push,deploy/image/push.py "$(TARGET)/image" "$(PUSH):$(VERSION)"))

chart: ## Package the chart into target/chart
	$(call step,helm package,"$(CACHE)/bin/helm" package deploy/helm/headwind --destination "$(TARGET)/chart")

release-check: ## Check that the chart and TAG (default v and the version of the crates) have the version of the crates
	@for text in "$(or $(TAG),v$(VERSION)) is v$(VERSION)" "$$(sed -n 's/^version: //p' deploy/helm/headwind/Chart.yaml) is $(VERSION)" \
	  "$$(sed -n 's/^appVersion: //p' deploy/helm/headwind/Chart.yaml) is $(VERSION)"; do \
	  [ "$${text%% is *}" = "$${text#* is }" ] || { echo "release-check: $$text is not true" >&2; exit 1; }; done
	@[ "$$(grep -c 'v$(VERSION)\b' deploy/krew/headwind.yaml)" = 3 ] || { echo "release-check: deploy/krew/headwind.yaml has another version" >&2; exit 1; }
	@grep -q '^## $(VERSION)' CHANGELOG.md || { echo "release-check: CHANGELOG.md has no section $(VERSION)" >&2; exit 1; }

ui: ## Build the assets of the web UI into crates/web/assets (needs Node 20; cargo build does not)
	$(call step,npm ci,cd ui && npm ci --prefer-offline --ignore-scripts --no-audit --no-fund --loglevel=error)
	$(call step,assets,cd ui && npm run --silent build)

# The browser trials need axe-core from here.
ui-test:
	@if ! command -v npm >/dev/null; then echo "SKIPPED ui-check: npm is not on the PATH" >&2; \
	elif ! git rev-parse --is-inside-work-tree >/dev/null 2>&1; then echo "SKIPPED ui-check: this is no checkout of git" >&2; \
	elif ! $(MAKE) --no-print-directory ui; then echo "SKIPPED ui-check: the packages of ui/ cannot be installed, the reason stands above" >&2; \
	else git diff --stat --exit-code -- crates/web/assets; fi

ui-check: ui ## Build the assets of the web UI again, and fail if they differ from those that are checked in
	git diff --exit-code -- crates/web/assets

DOCS := $(CURDIR)/website/node_modules/.package-lock.json

# Not npm ci: it refuses a lock file without the optional packages of other platforms.
$(DOCS): website/package-lock.json
	$(call step,npm install,cd website && npm install --no-save --prefer-offline --ignore-scripts --no-audit --no-fund --loglevel=error)
	@touch "$@"

docs: $(DOCS) ## Build the documentation site into website/build, and check it in Chromium (needs Node 20; 400 MB of packages)
	$(call step,tests of the site,cd website && node --test content.test.mjs >/dev/null)
	$(call step,docusaurus build,cd website && npm run --silent build)
	$(call step,pages in Chromium,cd website && npm run --silent check)

docs-serve: $(DOCS) ## Build the documentation site and serve it on http://127.0.0.1:3000
	cd website && npm run --silent serve

pictures: tools build ## Take the pictures in docs/guides/images of the running UI again (needs Chromium)
	@mkdir -p docs/guides/images
	HEADWIND_PICTURES="$(CURDIR)/docs/guides/images" cargo test --locked --workspace --test e2e -- ui_pictures

demo: ## Run a demo: control plane, registry, workloads, pushes, the web UI (local, no root); FLUX=1 adds a HelmRelease
	@FLUX=$(FLUX) testbed/demo/demo.sh up

demo-down: ## Stop everything that `make demo` started
	@testbed/demo/demo.sh down

bench: tools ## Measure, and write docs/benchmarks.md (release builds, some minutes)
	$(call step,cargo build --release,cargo build --locked --release -p headwind -p headwind-testbed -p headwind-bench -p kubectl-headwind)
	"$(TARGET)/release/headwind-bench" --write docs/benchmarks.md $(BENCH)

keel-source:
	@[ -f "$(KEEL)/cmd/keel/main.go" ] || { echo "bench-peers: KEEL=$(KEEL) has no cmd/keel/main.go; set it to a checkout of github.com/keel-hq/keel" >&2; exit 1; }

# Keel stores its records in SQLite, which needs a C compiler.
bench-peers: keel-source tools ## Measure Keel and Headwind in the same run, and write docs/benchmarks.md; KEEL=FOLDER has the source of Keel
	$(call step,go build keel (the first time some minutes),cd "$(KEEL)" && CGO_ENABLED=1 go build -ldflags "-w -s $(KEEL_VERSION)" -o "$(TARGET)/peers/keel" ./cmd/keel)
	$(call step,cargo build --release,cargo build --locked --release -p headwind -p headwind-testbed -p headwind-bench)
	"$(TARGET)/release/headwind-bench" --peer-keel "$(TARGET)/peers/keel" --write docs/benchmarks.md $(BENCH)

soak: tools ## Run one hostile tenant beside 500 normal workloads for MINUTES (60); fails when a limit is exceeded
	$(call step,cargo build --release,cargo build --locked --release -p headwind -p headwind-testbed -p headwind-bench)
	"$(TARGET)/release/headwind-bench" --soak $(or $(MINUTES),60)

fuzz: ## Fuzz the webhook decoders and proofs, SECONDS (20) each
	crates/webhook/fuzz/run $(or $(SECONDS),20)
