# What needs .venv prepares it, and installs again only when pyproject.toml changed.
PYTHON ?= python3.11
# The image's Python is a profile-guided build, as that of distributions is; others need not be.
BENCH_PYTHON ?= $(shell test -e /usr/include/python3.11/Python.h && /usr/bin/python3.11 -c 'import ensurepip' 2>/dev/null && echo /usr/bin/python3.11 || echo $(PYTHON))
MINUTES ?= 10
# The oldest and the newest Kubernetes that the chart supports.
KUBERNETES ?= 1.29.15 1.37.2
VENV := .venv
BIN := $(VENV)/bin
ENGINE ?= docker
HELM ?= $(BIN)/helm
TAG ?= credential-sidecar
# The OCI repository for a release, in small letters, because registries require them.
OCI = $(or $(shell echo '$(REGISTRY)' | tr A-Z a-z),$(error set REGISTRY=registry.example.com/name))
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"$$/\1/p' sidecar/__init__.py)
TREE := build/image
ACTIONLINT := v1.7.12
COMMA := ,
BUILT := pyproject.toml $(wildcard .build/*.py) $(shell find sidecar helm/files -type f -not -name '*.pyc')
# The tests that run compiled modules.
COMPILED := $(addprefix tests/unit/,cache system/test_build.py fleet grpc http1 http2 proxy telemetry token_api) \
	$(addprefix tests/integration/,app fleet grpc http2 proxy telemetry token_api wire)
CONTEXT := $(shell sed -n 's/^!//p' .dockerignore)

# Byte code is kept, also where the environment says no: the tests start some hundred sidecars.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test unit test-all coverage test-compiled test-chart test-alerts test-kind test-apiserver chart reference docs check bench bench-fleet conformance early soak outages fmt browser redis shells promtool nginx faketime spin protocol picture image image-tree sbom wheels help revocations lock reproducible dist chart-package tagged push-image push-index push-chart sign github-release actionlint systemd fuzz histories

test: $(VENV)/.with-test  ## the tests without processes, browser, image and chart
	@$(BIN)/pytest -n 4 --dist worksteal tests/unit tests/contracts tests/integration tests/docs

unit: $(VENV)/.with-test  ## those of these tests that open no socket
	@$(BIN)/pytest -n 2 --dist worksteal tests/unit

test-all: $(VENV)/.with-test  ## every test
	@$(BIN)/pytest -n 4 --dist worksteal --durations 40

coverage: $(VENV)/.with-test  ## every test, with branch coverage of child processes too; takes twice as long
	@$(BIN)/pytest -n 4 --dist worksteal --cov --cov-report=term

test-compiled: .venv-compiled/.built  ## the tests of the request path on the compiled build, in .venv-compiled
	@TESTED_BUILD=compiled PYTHONSAFEPATH=1 .venv-compiled/bin/python -m pytest -n 3 --dist worksteal --import-mode append $(COMPILED)

test-chart: $(VENV)/.with-test  ## the tests of the Helm chart, its dashboard and its alerts
	@$(BIN)/pytest -n 2 tests/system/chart

test-alerts: $(VENV)/.with-test  ## of the tests those of the alerts, in promtool, and of the incidents
	@$(BIN)/pytest -n 2 tests/system/alerts tests/system/incidents

test-kind: TAG := credential-sidecar:kind
test-kind: $(VENV)/.with-test image  ## the chart and injected manifests on a cluster of their own; needs Docker, kind and kubectl
	@PATH="$(abspath $(BIN)):$$PATH" tests/system/kind/run.sh

test-apiserver: $(VENV)/.with-test  ## the same on real API servers, without nodes, for KUBERNETES='1.29.15 1.37.2'; builds them once, with Go
	@export PATH="$(abspath $(BIN)):$$PATH"; for version in $(KUBERNETES); do \
		tests/system/apiserver/up.sh build $$version && \
		tests/system/apiserver/up.sh run $$version pytest tests/system/apiserver || exit 1; \
	done

chart: $(VENV)/.with-test  ## writes the generated files of helm/: schema, tables and dashboard
	@$(BIN)/python -m tests.system.chart

reference: $(VENV)/.with-test  ## writes docs/sidecar.1 and the generated parts of docs/
	@$(BIN)/python -m tests.support.programs.reference

docs: $(VENV)/.with-docs  ## the site, in build/docs; a warning is an error; SOURCE=where the code is
	@SOURCE='$(SOURCE)' $(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --fresh-env docs build/docs

demo: $(VENV)/.with-demo  ## a scripted minute of what the sidecar does
	@$(BIN)/sidecar demo

check: $(VENV)/.with-test,check  ## ruff, mypy strict, import contracts, sizes
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --quiet --diff
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/mypy --no-error-summary .build/compile.py .build/hatch_build.py
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/pytest tests/unit/test_architecture.py

fmt: $(VENV)/.with-test,check  ## formats, and fixes what a machine can fix
	@$(BIN)/ruff check --quiet --fix
	@$(BIN)/ruff format --quiet

bench:  ## CPU, latency and memory beside Envoy and others, 15 minutes; needs nginx, wrk and h2load; BENCH_PYTHON=another
	@$(MAKE) --no-print-directory VENV=.venv-bench PYTHON='$(BENCH_PYTHON)' .venv-bench/.built
	@PYTHONSAFEPATH=1 .venv-bench/bin/python -m tests.bench

bench-fleet: $(VENV)/.with-test  ## 50 sidecars and 1000 pods on one Redis: cold starts, busts, revocations, five minutes
	@$(BIN)/python -m tests.bench_fleet

conformance: $(VENV)/.with-test  ## h2spec, real clients, and gRPC's interoperability cases with Go and Java, ten minutes; requires Go, a JDK, Maven, curl and nghttp2-client
	@$(BIN)/python -m tests.conformance

early: $(VENV)/.with-test  ## answers to uploads that no server reads, with the sidecar and without; uses Node.js and nginx if installed
	@$(BIN)/python -m tests.early

soak: $(VENV)/.with-test  ## mixed load while everything around it fails in turn; MINUTES=10
	@$(BIN)/python -m tests.soak --minutes $(MINUTES)

outages: $(VENV)/.with-test  ## Redis killed and stopped for 30 s under load
	@OUTAGE_SECONDS=30 $(BIN)/pytest tests/system/process/test_outages.py

revocations: $(VENV)/.with-test  ## revokes a token each second under 200 gRPC calls a second, four minutes
	@REVOCATIONS=60 $(BIN)/pytest tests/system/process/test_revocations.py

# The command that installs these packages of Debian. After it, $$as begins a command that needs root.
DEBIAN = if [ "$$(id -u)" = 0 ]; then as=env; else as='sudo env'; fi; \
	$$as apt-get update --quiet --quiet && $$as DEBIAN_FRONTEND=noninteractive \
	apt-get install --quiet --quiet --yes --no-install-recommends

browser:  ## installs Debian's Chromium where there is no browser yet; the tests of the live page require it
	@for name in chromium chromium-browser google-chrome google-chrome-stable; do \
		if command -v $$name >/dev/null; then exit 0; fi; \
	done; \
	$(DEBIAN) chromium fonts-dejavu-core

redis:  ## installs Debian's redis-server where there is none yet, without its service; the tests run on it too
	@if command -v redis-server >/dev/null; then exit 0; fi; \
	$(DEBIAN) redis-server && \
	$$as service redis-server stop && $$as update-rc.d redis-server disable

shells:  ## installs Debian's zsh and fish where they are missing; the tests of the completion scripts use them
	@if command -v bash >/dev/null && command -v zsh >/dev/null && command -v fish >/dev/null; then exit 0; fi; \
	$(DEBIAN) bash zsh fish

promtool:  ## installs Debian's prometheus where there is no promtool yet, without its service; the tests of the alerts use it
	@if command -v promtool >/dev/null; then exit 0; fi; \
	$(DEBIAN) prometheus && \
	$$as service prometheus stop && $$as update-rc.d prometheus disable

nginx:  ## installs Debian's nginx where there is none yet, without its service; the test of its recipe uses it
	@if command -v nginx >/dev/null || test -x /usr/sbin/nginx; then exit 0; fi; \
	$(DEBIAN) nginx && \
	$$as service nginx stop && $$as update-rc.d nginx disable

faketime:  ## installs Debian's faketime where there is no libfaketime yet; the test of clocks that differ uses it
	@if ls /usr/lib*/faketime/libfaketime.so.1 /usr/lib/*/faketime/libfaketime.so.1 >/dev/null 2>&1; then exit 0; fi; \
	$(DEBIAN) faketime

actionlint: build/actionlint-$(ACTIONLINT)/actionlint  ## lints the workflows; builds actionlint once, with Go
	@$< -shellcheck= -pyflakes=

build/actionlint-$(ACTIONLINT)/actionlint:
	@GOBIN='$(CURDIR)/$(@D)' go install github.com/rhysd/actionlint/cmd/actionlint@$(ACTIONLINT)

systemd:  ## installs Debian's systemd where there is no systemd-analyze yet; a test of the unit uses it
	@if command -v systemd-analyze >/dev/null; then exit 0; fi; \
	$(DEBIAN) systemd

spin:  ## installs Debian's spin where there is none yet; the model of the fleet's protocol uses it
	@if command -v spin >/dev/null; then exit 0; fi; \
	$(DEBIAN) spin

protocol: spin $(VENV)/.with-test  ## checks the model of the fleet's protocol, ten minutes and up to 8 GB; requires a C compiler
	@$(BIN)/python -m tests.protocol

fuzz: $(VENV)/.with-test,fuzz  ## coverage-guided fuzzing of the code that reads bytes from peers, MINUTES=10 for each target; TARGETS='challenges messages'
	@$(BIN)/python -m tests.fuzz --minutes $(MINUTES) $(TARGETS)

histories: $(VENV)/.with-test  ## checks the protocol's invariants in real fleets under faults; MINUTES=10, SEED=number, BESIDE=commit, WRITE=1
	@$(BIN)/python -m tests.histories --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(if $(BESIDE),--beside '$(BESIDE)') $(if $(WRITE),--write)

picture: $(VENV)/.with-test  ## makes the picture of the live page in docs/
	@$(BIN)/python -m tests.support.programs.picture

lock: $(VENV)/.with-test  ## writes the locks of the image and of its build tools, with the newest releases that pyproject.toml permits
	@$(BIN)/python -m tests.support.programs.lock

image:  ## the container image TAG with Docker, or ENGINE=podman; BASE=another, PIP_CONF=pip.conf, CA=ca.pem, SOURCE=where the code is
	@$(ENGINE) build --tag '$(TAG)' $(if $(findstring podman,$(notdir $(ENGINE))),--format docker) \
		$(if $(PIP_CONF),--secret 'id=pip.conf$(COMMA)src=$(PIP_CONF)') $(if $(CA),--secret 'id=ca.pem$(COMMA)src=$(CA)') \
		$(if $(BASE),--build-arg BASE='$(BASE)') --build-arg SOURCE='$(SOURCE)' \
		--build-arg REVISION="$$(git rev-parse HEAD)" --build-arg VERSION='$(VERSION)' .

image-tree: $(TREE)/complete  ## what the image holds, by the same steps, in build/image

reproducible: $(VENV)/.with-test  ## builds the image's tree twice, in folders of different names, and compares every byte
	@$(BIN)/python -m tests.support.programs.reproducible

sbom: $(VENV)/.with-test $(TREE)/complete  ## the image's bill of materials, CycloneDX, in build/sbom.json
	@sed 's/^dynamic = \["version"\]$$/version = "$(VERSION)"/' pyproject.toml >build/sbom.toml
	@$(BIN)/cyclonedx-py environment --pyproject build/sbom.toml --output-reproducible --output-file build/sbom.json $(TREE)

wheels: $(VENV)/.with-wheels  ## wheels for this machine's architecture in dist: a pure one, and compiled ones; needs Docker
	@$(BIN)/cibuildwheel --platform linux --output-dir dist
	@$(MAKE) --no-print-directory dist

dist: .venv-build/.locked  ## the source distribution and the pure wheel in dist, with the locked tools
	@SIDECAR_COMPILE=0 .venv-build/bin/hatchling build --target sdist --target wheel --directory dist

chart-package: $(VENV)/.with-test  ## the packaged chart in dist; SOURCE=address of the code
	@$(BIN)/python -m tests.support.programs.chart_package '$(SOURCE)'

tagged:  ## fails unless RELEASE is v followed by the version, which package and chart must share
	@for version in '$(VERSION)' "$$(sed -n 's/^version: //p' helm/Chart.yaml)"; do \
		if [ '$(RELEASE)' != "v$$version" ]; then \
			echo "cannot release '$(RELEASE)': the version is $$version; tag v$$version, or change the version" >&2; exit 1; \
		fi; \
	done

# Passes the digest to later steps: as an output of the workflow's step, and in a file for `make sign`.
RELEASED ?= build/released
DIGEST = mkdir -p build && digest=$$(printf '%s\n' "$$printed" | sed -n 's/^Digest: *//p') && \
	case $$digest in sha256:*) ;; *) printf 'cannot find the digest in:\n%s\n' "$$printed" >&2; exit 1 ;; esac && \
	{ echo "name=$$name"; echo "digest=$$digest"; } >>"$${GITHUB_OUTPUT:-/dev/stdout}" && echo "$$name@$$digest" >'$(RELEASED)'

push-image: TAG = $(OCI):$(VERSION)-$(shell uname -m)
push-image: image  ## builds the image for this machine's architecture and pushes it to REGISTRY
	@$(ENGINE) push '$(TAG)'

push-index:  ## joins the pushed images of both architectures under one tag of REGISTRY; needs Docker
	@$(ENGINE) buildx imagetools create --tag '$(OCI):$(VERSION)' '$(OCI):$(VERSION)-x86_64' '$(OCI):$(VERSION)-aarch64'
	@name='$(OCI)' && printed=$$($(ENGINE) buildx imagetools inspect '$(OCI):$(VERSION)') && $(DIGEST)

push-chart: chart-package  ## pushes the chart to REGISTRY
	@name='$(OCI)/credential-sidecar'; \
		printed=$$($(HELM) push 'dist/credential-sidecar-$(VERSION).tgz' 'oci://$(OCI)' 2>&1) || \
			{ printf '%s\n' "$$printed" >&2; exit 1; }; $(DIGEST)

sign:  ## signs the last pushed image or chart, by its digest, with cosign and the identity of the workflow
	@cosign sign --yes "$$(cat '$(RELEASED)')"

github-release:  ## publishes the files in dist as the GitHub release RELEASE, with gh
	@gh release create '$(RELEASE)' --verify-tag --title '$(RELEASE)' --notes 'See CHANGELOG.md.' dist/*

help:  ## prints these lines
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' Makefile

# The build sees what the image's build sees.
$(TREE)/complete: .dockerignore $(shell find -L $(CONTEXT) -type f -not -name '*.pyc') | $(BIN)/python
	@rm -rf build/context && mkdir -p build/context && cp -R --parents $(CONTEXT) build/context
	@PYTHON='$(BIN)/python' build/context/.docker/build.sh '$(CURDIR)/$(TREE)'
	@touch '$@'

# It holds the image's compiled package and nothing else, so that the tests run what the image runs. tests.pth puts the
# tests and the libraries of $(VENV) last on the path; PYTHONSAFEPATH keeps the sources off it.
.venv-compiled/.built: $(TREE)/complete | $(VENV)/.with-test
	@$(BIN)/python -m venv --clear --without-pip .venv-compiled
	@for python in $(BIN)/python .venv-compiled/bin/python; do \
		$$python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; \
	done | { read -r libraries; read -r place; printf '%s\n' "$$libraries" '$(CURDIR)' >"$$place/tests.pth"; \
		cp -R $(TREE)/lib/python3*/site-packages/*sidecar* "$$place"; }
	@touch '$@'

# The compiled package in place of the sources, which PYTHONSAFEPATH keeps off the path; bench.pth puts the tests on it.
.venv-bench/.built: $(BUILT) | .venv-bench/.with-bench
	@echo "Compiling into .venv-bench ..."
	@SIDECAR_COMPILE=1 $(BIN)/pip install --quiet --disable-pip-version-check --no-deps --force-reinstall .
	@echo '$(CURDIR)' >"$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/bench.pth"
	@touch '$@'

# The demo imports a small part of its packages, so that Python compiles them when it imports them.
$(VENV)/.with-demo: COMPILING := --no-compile

$(VENV)/.with-%: pyproject.toml | $(BIN)/python
	@echo "Installing .[$*] into $(VENV) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check $(COMPILING) --editable '.[$*]'
	@touch '$@'

# Installs wheels by their hashes, as .docker/build.sh does.
.venv-build/.locked: .build/requirements.txt
	@$(PYTHON) -m venv --clear .venv-build
	@.venv-build/bin/pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes --requirement $<
	@touch '$@'

$(BIN)/python:
	@$(PYTHON) -m venv $(VENV) || { rm -rf '$(VENV)'; exit 1; }
