# The front door: `make help` lists the verbs.
# GNU make 3.81 and POSIX tools, so that it is the same on Linux and macOS.

.DEFAULT_GOAL := help
.PHONY: help setup up down status logs keys run test test-containers bench bench-yield lint lock clean
.PHONY: faults fuzz-bus soak compose-up compose-down cluster-up cluster-down

PYTHON ?= python3 python3.14 python3.13 python3.12 python3.11
LOCKS := deploy/requirements
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input --quiet --quiet
LAUNCHER := $(BIN)/python -m services.launcher

# The topic goes through the environment as it was typed: neither make nor the shell may run what stands in it.
ifdef TOPIC
override TOPIC := $(value TOPIC)
export TOPIC
endif

help: ## List what can be done
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  make up PORT=8081 PRODUCERS=5 PROVIDER=random NATS_URL=nats://host:4222   overrides what is chosen'

setup: .venv/installed ## Install into .venv what running needs
	@echo 'Installed in .venv. Next: make up'

up: .venv/installed ## Start everything on this machine and print where it is
	@$(LAUNCHER) up

down: ## Stop everything
	@if [ -x $(BIN)/python ]; then $(LAUNCHER) down; else echo 'Nothing is running: there is no .venv.'; fi

status: .venv/installed ## Show each service, its process and its health
	@$(LAUNCHER) status

logs: .venv/installed ## Follow the logs of all services
	@$(LAUNCHER) logs

keys: .venv/installed ## Make the keys of the bus that are not there: make keys ARGS="--rotate gateway" makes one anew
	@$(LAUNCHER) keys $(ARGS)

run: .venv/installed ## Make one list in this terminal: make run TOPIC="Paris attractions" ARGS="--provider random"
	@if [ -z "$$TOPIC" ]; then echo 'Name a topic: make run TOPIC="Paris attractions"' >&2; exit 2; fi; \
	exec $(BIN)/python -m services.orchestrator --topic="$$TOPIC" $(ARGS)

compose-up: ## Build the images and start everything in containers
	@deploy/compose up -d --build
	@gateway=$$(deploy/compose ps -q gateway); for _ in $$(seq 120); do \
		[ "$$(docker inspect -f '{{.State.Health.Status}}' $$gateway)" = healthy ] && exit; sleep 1; done; \
	echo 'The gateway does not answer after two minutes: deploy/compose ps, and deploy/compose logs, tell more.' >&2; exit 1
	@echo "Chorus is up: http://$${GATEWAY_LISTEN:-127.0.0.1:8080} asks for the token in var/secrets/gateway_token"

compose-down: ## Stop the containers; what they stored stays
	@COMPOSE_PROFILES=openai,anthropic,gemini,local,random deploy/compose down

cluster-up: .venv/installed ## Start three nats-servers that hold every stream three times, and print how to use them
	@deploy/cluster/cluster up

cluster-down: ## Stop them
	@deploy/cluster/cluster down

# Most tests wait for processes they started, so more of them than cores shorten the whole.
TEST_PROCESSES ?= 4

test: .venv/installed-dev ## Run all tests
	@$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) $(ARGS)

# By file: the faults of a file share one stack.
FAULTS = $(BIN)/python -m pytest tests/faults tests/integration/test_malformed.py tests/integration/test_malformed_live.py \
	--ignore tests/faults/fuzz_bus -m faults --numprocesses 2 --dist loadfile
SOAK_SECONDS ?= 3600
FUZZ_MESSAGES ?= 200000
FUZZ_RATE ?= 2500
export FUZZ_MESSAGES FUZZ_RATE

faults: .venv/installed-dev ## Break processes, network, disk and messages in the middle of runs; the table goes to build/faults.md
	@$(FAULTS) $(ARGS)

fuzz-bus: .venv/installed-dev ## Flood the bus with lies beside a run: make fuzz-bus FUZZ_MESSAGES=1000000
	@$(BIN)/python -m pytest tests/faults/fuzz_bus -m faults $(ARGS)

soak: .venv/installed-dev ## The same with new seeds for an hour: make soak SOAK_SECONDS=600
	@end=$$(($$(date +%s) + $(SOAK_SECONDS))); seed=$$(date +%s); \
	while [ "$$(date +%s)" -lt "$$end" ]; do echo "seeds from $$seed"; \
		FAULT_SEED=$$seed $(FAULTS) $(ARGS) || exit 1; seed=$$((seed + 3)); done

# One process: all share one engine and its images, which are built once.
test-containers: .venv/installed-dev ## Build the images, run them on a Docker engine, and break them
	@$(BIN)/python -m pytest tests/containers -m containers -rs $(ARGS)

bench: .venv/installed-bench ## Measure what is promised, each figure beside its ceiling: make bench ARGS=dedupe
	@$(BIN)/python -m tests.bench.run $(ARGS)

bench-yield: .venv/installed-dev ## Measure steering in worlds with an end, offline
	@$(BIN)/python -m tests.bench.zipf.run $(ARGS)

lint: .venv/installed-dev ## Check style, types and the rules of import
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links pyproject.toml
AS_ALL = --constraint $(LOCKS)/dev.txt

lock: .venv/installed-dev ## Compile the locks anew: make lock ARGS=--upgrade takes newer releases
	@$(COMPILE) $(ARGS) --all-extras --group dev --output-file $(LOCKS)/dev.txt
	@$(COMPILE) $(AS_ALL) --all-extras --group build --output-file $(LOCKS)/all.txt
	@$(COMPILE) $(AS_ALL) --group bench --output-file $(LOCKS)/bench.txt
	@for service in orchestrator gateway recorder local-model launcher; do \
		$(COMPILE) $(AS_ALL) --extra $$service --output-file $(LOCKS)/$$service.txt || exit 1; done
	@$(COMPILE) $(AS_ALL) --extra producer --output-file $(LOCKS)/producer-random.txt
	@for vendor in openai anthropic gemini; do \
		$(COMPILE) $(AS_ALL) --extra producer --extra $$vendor --output-file $(LOCKS)/producer-$$vendor.txt || exit 1; done

clean: down ## Remove .venv and caches; runs and their files stay
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find services shared tests -name __pycache__ -prune -exec rm -rf {} +

# Written last, so an installation that broke off is taken up again.
.venv/installed: $(LOCKS)/all.txt pyproject.toml
	@$(MAKE_VENV)
	@echo 'Installing into .venv (about a minute the first time) ...'
	@$(PIP) install --no-deps --require-hashes --requirement $(LOCKS)/all.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/installed-dev: $(LOCKS)/dev.txt .venv/installed
	@echo 'Installing what the tests need ...'
	@$(PIP) install --no-deps --require-hashes --requirement $(LOCKS)/dev.txt
	@touch $@

.venv/installed-bench: $(LOCKS)/bench.txt .venv/installed-dev
	@echo 'Installing what the measurements compare with ...'
	@$(PIP) install --no-deps --require-hashes --requirement $(LOCKS)/bench.txt
	@touch $@

# An existing .venv is kept unless its python is gone, as after an upgrade of the system.
define MAKE_VENV
for python in $(PYTHON); do \
	if "$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		$(BIN)/python -m pip --version >/dev/null 2>&1 || "$$python" -m venv --clear .venv; exit; fi; done; \
echo 'Chorus needs Python 3.11 or newer with its venv module. Install it (Debian: apt install python3-venv,' >&2; \
echo 'macOS: brew install python), or name one: make setup PYTHON=/path/to/python3' >&2; exit 1
endef
