# Everything that is done with this repository. `make` alone lists it.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

UV_VERSION := 0.13.9
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tidegate
OWN_UV := $(CACHE)/uv-$(UV_VERSION)/bin/uv
UV := $(or $(shell command -v uv 2>/dev/null),$(OWN_UV))
BIN := .venv/bin
COMPILED := build/compiled
VERIFICATION := operator/src/tidegate/verification
# Two tests at a time, but all of a file after one another: they share what they start.
AT_ONCE := -n 2 --dist loadfile
WITHOUT_PROGRAMS := not e2e and not controls and not disturbed and not gitops and not gateways and not istio and not pipeline and not apiserver and not prometheus and not helm and not router and not sources and not images and not release

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Install the lock's exact versions into .venv
	@command -v python3 >/dev/null || { echo "python3 is missing: install Python 3.11 or newer"; exit 1; }
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed, this is $$(python3 --version)"; exit 1; }
	@if [ ! -x "$(UV)" ]; then echo "Installing uv $(UV_VERSION) with pip"; \
	  python3 -m venv "$(CACHE)/uv-$(UV_VERSION)" || { echo "python3 has no venv module: apt-get install python3-venv"; exit 1; }; \
	  "$(CACHE)/uv-$(UV_VERSION)/bin/pip" install --quiet uv==$(UV_VERSION); fi
	@"$(UV)" sync --quiet --frozen --all-packages --all-extras

.PHONY: check
check: setup ## Formatting, lint, types, import contracts, the lock
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@"$(UV)" lock --check --quiet

.PHONY: fmt
fmt: setup ## Format the code, and mend what the linter can mend
	$(BIN)/ruff check --fix --exit-zero --quiet .
	$(BIN)/ruff format .

.PHONY: test
test: setup ## All tests, end to end on a real cluster included
	$(BIN)/pytest $(AT_ONCE) -m "not e2e and not controls and not disturbed and not gitops and not gateways and not istio and not pipeline and not release"
	$(BIN)/pytest -m e2e

.PHONY: e2e
e2e: setup ## The end-to-end tests alone, one file per promise
	$(BIN)/pytest -m e2e

.PHONY: e2e-controls
e2e-controls: setup ## Every control in every phase on a real cluster, and how soon it takes effect; ARGS="-k abort" for a part
	$(BIN)/pytest -m controls $(ARGS)

.PHONY: e2e-disturbed
e2e-disturbed: setup ## Bad releases on a real cluster in which other things go wrong too; ARGS="-k frozen" for a part
	$(BIN)/pytest -m disturbed $(ARGS)

.PHONY: gitops
gitops: setup ## What Argo CD's, Flux' and Kubernetes' own packages make of a ModelDeployment; builds them first
	$(BIN)/pytest -m "gitops or apiserver" tests/gitops $(ARGS)

.PHONY: e2e-gateways
e2e-gateways: setup ## Releases through real Contour and Envoy Gateway, and beside Flagger; ARGS="-k contour" for a part
	$(BIN)/pytest -m gateways tests/gateways $(ARGS)

.PHONY: e2e-pipeline
e2e-pipeline: setup ## The release pipeline of examples/pipeline with real MLflow, registry, API server and cluster; ARGS="-k slow" for a part
	@UV="$(UV)" $(BIN)/pytest -m pipeline -s tests/pipeline $(ARGS)

.PHONY: e2e-istio
e2e-istio: setup ## What istiod makes of our VirtualServices, and an Envoy that it configures; needs no cluster, builds istiod
	$(BIN)/pytest -m istio tests/istio $(ARGS)

.PHONY: test-fast
test-fast: setup ## The tests that need nothing but Python
	$(BIN)/pytest $(AT_ONCE) -m "$(WITHOUT_PROGRAMS)"

.PHONY: wheels
wheels: setup ## The server's wheels, in build/wheels: plain Python, and compiled for this Python and machine
	@rm -rf build/wheels
	@"$(UV)" build --quiet --wheel --no-build-isolation --python $(BIN)/python --out-dir build/wheels server
	@HATCH_BUILD_HOOK_ENABLE_CUSTOM=1 \
	  "$(UV)" build --quiet --wheel --no-build-isolation --python $(BIN)/python --out-dir build/wheels server
	@ls build/wheels/*.whl

.PHONY: test-compiled
test-compiled: wheels ## The server's tests against its compiled wheel, in an environment of its own; ARGS="-k batch" for a part
	@UV_PROJECT_ENVIRONMENT=$(COMPILED) "$(UV)" sync --quiet --frozen --all-packages --all-extras \
	  --no-install-package tidegate-server
	@"$(UV)" pip install --quiet --python $(COMPILED)/bin/python --no-deps --reinstall build/wheels/tidegate_server-*-cp*.whl
	@$(COMPILED)/bin/python -c "from tidegate_server.web import connection as one; assert one.__file__.endswith('.so'), one"
	$(COMPILED)/bin/pytest $(AT_ONCE) -m "$(WITHOUT_PROGRAMS)" tests/server $(ARGS)

.PHONY: coverage
coverage: setup ## How much of the operator its unit tests run, branches counted; pages in build/coverage
	$(BIN)/pytest -q -m "$(WITHOUT_PROGRAMS)" --hypothesis-profile=coverage --cov --cov-report=term:skip-covered \
	  --cov-report=html tests/operator tests/router

.PHONY: registry
registry: setup ## The newest MLflow's model registry against what the tests play, and against this project
	@UV="$(UV)" $(BIN)/python -m tests.registry

.PHONY: clients
clients: setup ## The newest clients of other projects against this server, in environments of their own
	@UV="$(UV)" $(BIN)/python -m tests.clients

.PHONY: test-dashboard
test-dashboard: setup ## The dashboard in a real Chromium, with axe-core
	@UV="$(UV)" $(BIN)/python -m tests.browser

.PHONY: site
site: setup ## The documents as a site, in build/site; fails where a link leads nowhere
	NO_MKDOCS_2_WARNING=1 "$(UV)" tool run --quiet --from mkdocs-material==9.8.2 mkdocs build --strict --quiet
	@echo "build/site/index.html"

.PHONY: pictures
pictures: setup ## Pictures of the dashboard and of a terminal during a real canary, into the documents
	@UV="$(UV)" $(BIN)/pytest -m controls tests/controls/test_pictures.py
	cp build/pictures/*.png build/pictures/*.svg docs/images/

.PHONY: bench-server
bench-server: setup ## The model server beside the bare runtime and its peers; BASELINE=COMMIT, ARGS=--quick for a look
	@UV="$(UV)" $(BIN)/python -m benchmarks.server $(if $(BASELINE),--baseline $(BASELINE)) $(ARGS)

.PHONY: bench-fronts
bench-fronts: setup ## HTTP servers compared with the same handler; ARGS=--quick for a look
	@UV="$(UV)" $(BIN)/python -m benchmarks.http_servers $(ARGS)

.PHONY: trials-server
trials-server: setup ## The model server under load, at its end, and fuzzed; ARGS="soak --minutes 2" for a part
	@UV="$(UV)" $(BIN)/python -m benchmarks.server_trials $(ARGS)

.PHONY: zoo
zoo: setup ## Models of converters and public packages, by every door beside the runtime; ARGS="--only catboost"
	@UV="$(UV)" $(BIN)/python -m benchmarks.zoo $(ARGS)

.PHONY: bench-judge
bench-judge: setup ## The judge beside other rules, on traffic drawn by chance; ARGS=--quick for a look
	@$(BIN)/python -m benchmarks.judge $(ARGS)

.PHONY: bench-agreement
bench-agreement: setup ## Paired agreement on answers drawn by chance: false alarms, how soon; ARGS="--runs 100" for a look
	@$(BIN)/python -m benchmarks.agreement $(ARGS)

.PHONY: bench-slices
bench-slices: setup ## Groups of requests on failures drawn by chance: false alarms, how soon; ARGS="--runs 100" for a look
	@$(BIN)/python -m benchmarks.slices $(ARGS)

.PHONY: bench-samples
bench-samples: setup ## What samples of live requests cost stable's users, a real server at 200 requests a second; ARGS="--rounds 2" for a look
	@$(BIN)/python -m benchmarks.samples_overhead $(ARGS)

.PHONY: bench-load
bench-load: setup ## Equal models on busy deployments: false rollbacks; ARGS="--runs 50" for a look
	@$(BIN)/python -m benchmarks.load $(ARGS)

.PHONY: bench-releases
bench-releases: setup ## Bad and good releases on a real cluster, timed; BASELINE=COMMIT, SCRAPE=2,5,30, ARGS="--only slow"
	@UV="$(UV)" $(BIN)/python -m benchmarks.releases $(if $(BASELINE),--baseline $(BASELINE)) $(if $(SCRAPE),--scrape $(SCRAPE)) $(ARGS)

.PHONY: findings
findings: ## What surprised about real libraries, run anew; a table of what still holds
	@failed=0; for script in findings/*.sh; do \
	  start=$$SECONDS; answer="as described"; \
	  told=$$(bash "$$script" 2>&1) || { failed=1; answer="FAILED, $$(tail -n 1 <<<"$$told")"; }; \
	  printf '%-34s %4d s  %s\n' "$$(basename "$$script" .sh)" $$((SECONDS - start)) "$$answer"; \
	done; exit "$$failed"

.PHONY: bench-memory
bench-memory: setup ## The memory of what the operator follows; BASELINE=COMMIT to compare, ARGS=--write for the page
	@$(BIN)/python -m benchmarks.informer $(if $(BASELINE),--baseline $(BASELINE)) $(ARGS)

.PHONY: bench-scale
bench-scale: setup ## Operator and router with 100, 300, 1,000 models; BASELINE=COMMIT to compare, PYTHON=PATH to run them by
	@UV="$(UV)" $(BIN)/python -m benchmarks.scale $(if $(BASELINE),--baseline $(BASELINE)) $(if $(PYTHON),--python $(PYTHON)) \
	  $(if $(QUICK),--quick) $(ARGS)

.PHONY: bench-router
bench-router: setup ## The router's cost beside a direct connection, also while it is read; ARGS="--rounds 2" for a look
	@$(BIN)/python -m benchmarks.router $(ARGS)

.PHONY: bench-traffic
bench-traffic: setup ## Requests lost on a real cluster, event by event; ARGS="--only kill-envoy", ARGS=--write for the page
	@$(BIN)/python -m benchmarks.traffic $(ARGS)

.PHONY: chaos
chaos: setup ## Releases on a real cluster whose parts are killed, frozen, slow, out of space; ARGS="--faults 20 --seed 3"
	@$(BIN)/python -m benchmarks.chaos $(ARGS)

.PHONY: bench-rehearse
bench-rehearse: setup ## Rehearsals again and again: which candidates pass; ARGS="--runs 2" for a look, ARGS=--write for the page
	@$(BIN)/python -m benchmarks.rehearsals $(ARGS)

.PHONY: bench-users
bench-users: setup ## Users who stay: how often an equal candidate is blamed for its users; ARGS="--runs 20" for a look, ARGS=--write for the page
	@$(BIN)/python -m benchmarks.users $(ARGS)

.PHONY: bench-held
bench-held: setup ## A rollout held for a day: its memory, and judging again after a restart; ARGS=2 for two hours
	@$(BIN)/python -m benchmarks.operator.held $(ARGS)

.PHONY: bench-isolation
bench-isolation: setup ## How long others' events wait while Prometheus hangs on 50 rollouts
	@$(BIN)/python -m benchmarks.operator.isolation

.PHONY: golden
golden: setup ## Write the golden files, the kustomize base and the table of the chart's values anew, to be reviewed
	TIDEGATE_WRITE_GOLDEN=1 $(BIN)/pytest -q tests/operator
	TIDEGATE_WRITE_GOLDEN=1 $(BIN)/pytest -q tests/chart/test_kustomize.py tests/chart/test_values.py

.PHONY: proto
proto: setup ## Generate the messages of gRPC and xDS from their .proto anew
	$(BIN)/python -m grpc_tools.protoc --proto_path=server/src --python_out=server/src --pyi_out=server/src \
	  tidegate_server/rpc/open_inference.proto
	@# In a pool of their own: a client of the same protocol, in the same process, registers the same names.
	$(BIN)/python -m grpc_tools.protoc --proto_path=server/src/tidegate_server/rpc --python_out=$(VERIFICATION) \
	  --pyi_out=$(VERIFICATION) open_inference.proto
	sed -i 's/_descriptor_pool\.Default()/_descriptor_pool.DescriptorPool()/' \
	  server/src/tidegate_server/rpc/open_inference_pb2.py $(VERIFICATION)/open_inference_pb2.py
	$(BIN)/python -m grpc_tools.protoc --proto_path=operator/src --python_out=operator/src --pyi_out=operator/src \
	  tidegate/router/xds.proto

.PHONY: images
images: setup ## Build both images: with Docker where it works, else as archives with buildah
	@$(BIN)/python -m tidegate_demo.cluster build

.PHONY: chart
chart: setup ## Check the chart and render it to build/chart.yaml
	@mkdir -p build
	@helm="$$($(BIN)/python -m tidegate_demo.cluster helm)"; \
	  "$$helm" lint --strict charts/tidegate; \
	  "$$helm" template tidegate charts/tidegate --namespace tidegate-system > build/chart.yaml; \
	  echo "build/chart.yaml"

.PHONY: chart-lint
chart-lint: setup ## The chart by helm-unittest and chart-testing, which it builds from Go modules first
	@UV="$(UV)" $(BIN)/python -m tests.chart.lint

.PHONY: demo
demo: setup ## A whole story on a real cluster: promoted, rolled back, switched, killed
	$(BIN)/tidegate-demo up

.PHONY: demo-pictures
demo-pictures: ## Put the picture of the last `make demo` into the documents
	@test -f build/demo/rollout.png || { echo "there is no build/demo/rollout.png: run \`make demo\` first"; exit 1; }
	cp build/demo/rollout.png build/demo/rollout.svg docs/images/

.PHONY: demo-down
demo-down: setup ## Remove every trace of the demo
	$(BIN)/tidegate-demo down

.PHONY: crds
crds: ## Copy the CRDs into the chart
	cp crds/*.yaml charts/tidegate/crds-source/

.PHONY: version
version: setup ## Say the version, or set it everywhere, the changelog too: V=1.2.3
	@if [ -z "$(V)" ]; then sed -n 's/^version = "\(.*\)".*/\1/p' pyproject.toml; exit; fi; \
	  $(BIN)/python -m release version "$(V)"; \
	  "$(UV)" lock --quiet; "$(UV)" sync --quiet --frozen --all-packages --all-extras

.PHONY: release-dry-run
release-dry-run: setup ## All that a release publishes, built from a copy into build/release: V=1.2.3; ARGS=--without-compiled
	@UV="$(UV)" $(BIN)/python -m release dry-run $(V) $(ARGS)

.PHONY: release-wheels
release-wheels: setup ## The wheels of a release, compiled for every Python too, in build/release; needs Docker
	@UV="$(UV)" $(BIN)/python -m release wheels --out build/release
	"$(UV)" tool run --quiet --from cibuildwheel==4.3.5 cibuildwheel server --platform linux --output-dir build/release

.PHONY: release-upload
release-upload: ## The wheels of build/release, to PyPI; from the release's workflow, which PyPI trusts
	"$(UV)" publish --trusted-publishing always build/release/*.whl

.PHONY: clean
clean: ## Remove build/ and caches, and nothing else
	rm -rf build dist .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -path ./.venv -prune -o -path ./.git -prune -o -name __pycache__ -type d -print0 | xargs -0r rm -rf
