# Every command a person or CI runs. `make help` lists them.
PORT ?= 9000
DATA ?= .bulkhead
SECONDS_PER_POINT ?= 5
ROUNDS ?= 10
SEEDS ?= 100
FIRST ?= 1
SEED ?= 1
CELL ?= c1
PROFILE ?= quick
A ?= .bulkhead
B ?=

CARGO_TARGET_DIR ?= target
BIN := $(CARGO_TARGET_DIR)/debug
BULKHEAD := $(BIN)/bulkhead
LOADTEST := $(BIN)/bulkhead-loadtest
export BULKHEAD_BIN_DIR := $(abspath $(BIN))

.DEFAULT_GOAL := help
.PHONY: help up down test verify terraform fix bench certify compare neighbours overload gray drill sim crash partition corrupt wipe fill reclaim table fleet mutants clean needs build

help: ## list the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

up: build ## build, start control plane and router, stamp and certify two cells, print endpoint and keys (PORT=9000 DATA=.bulkhead)
	@$(BULKHEAD) dev up --data $(DATA) --port $(PORT)

down: ## stop what `make up` started; the data stays in DATA
	@if [ -x $(BULKHEAD) ]; then $(BULKHEAD) dev down --data $(DATA); else echo "nothing was built here, so nothing runs"; fi

test: verify build ## everything CI runs: verify, unit tests, integration tests with real processes and clients
	cargo test --workspace

verify: needs ## formatting, lints, documentation, licences, Terraform; writes nothing to the tree
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --quiet
	@.ci/deny
	@.ci/terraform

terraform: ## format, validate and test the Terraform modules with every call of AWS mocked; part of verify
	@.ci/terraform

fix: ## apply formatting and the lints' suggestions
	cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
	cargo fmt --all
	@if command -v terraform >/dev/null; then terraform fmt -recursive terraform; fi

bench: build ## PUT and GET per second and latency, through the router and straight to a cell, on a private cluster
	@for size in 4KiB 1MiB 16MiB; do \
		$(LOADTEST) bench --private-cluster --sizes $$size --seconds $(SECONDS_PER_POINT) || exit 1; \
	done

certify: build ## try whether a cell of a private fleet does what its blueprint declares; certificate and report in ./certification (PROFILE=quick|full)
	@$(LOADTEST) certify --private-cluster --cell $(CELL) --profile $(PROFILE)

compare: build ## the same work by turns on two services: A=.bulkhead (or http://HOST:PORT) B=http://HOST:PORT; keys in COMPARE_A_... and COMPARE_B_...
	@$(LOADTEST) compare --a $(A) --b $(B) --json compare.json

neighbours: build ## one account does ten times its share on a private cluster; its quiet neighbours must not notice
	@$(LOADTEST) neighbours --private-cluster --both
	@$(LOADTEST) refusal --private-cluster

overload: build ## offer half as much again as a private cluster can do, and three times as much; goodput, latency, recovery
	@$(LOADTEST) overload --private-cluster

gray: build ## a slow node, a sick cell, slow clients, each on a private cluster: what do the others notice?
	@$(LOADTEST) graynode --private-cluster
	@$(LOADTEST) sickcell --private-cluster
	@$(LOADTEST) slowclients --private-cluster

drill: build ## kill nodes, router and whole cells under load on a private cluster and verify every object (ROUNDS=10)
	@$(LOADTEST) drill --private-cluster --rounds $(ROUNDS)

sim: needs ## simulate a cell, two routers and their clients, one seed after the other; one that fails is printed (SEEDS=100 FIRST=1)
	cargo test -p bulkhead-simulation --test sim -- seeds --first $(FIRST) --count $(SEEDS)

crash: build ## kill nodes at random moments and named points, then cut their power, on private clusters; verify every object (ROUNDS=10 SEED=1)
	@$(LOADTEST) crash --private-cluster --rounds $(ROUNDS) --seed $(SEED)
	@$(LOADTEST) powercut --private-cluster --rounds $(ROUNDS) --seed $(SEED)

partition: build ## cut links between nodes in network namespaces under load and verify every object; needs root (ROUNDS=10 SEED=1)
	@$(LOADTEST) partition --private-cluster --rounds $(ROUNDS) --seed $(SEED)

corrupt: build ## turn 1,000 bits of a node's files over while another is away, three times; read every object, see it mended (SEED=1)
	@$(LOADTEST) corrupt --private-cluster --seed $(SEED)

wipe: build ## remove a node's data under load and replace it by one command; time, and what clients notice (SEED=1)
	@$(LOADTEST) wipe --private-cluster --seed $(SEED)

fill: build ## fill a cell to its maxima and its disks to their reserve; needs root for the disks, takes 15 minutes (SEED=1)
	@$(LOADTEST) fill --private-cluster --seed $(SEED)

reclaim: build ## write 2 GiB, delete 90%, see the space come back and the rest stay; takes 15 minutes (SEED=1)
	@$(LOADTEST) reclaim --private-cluster --seed $(SEED)

table: needs ## what a routing table costs by its size: memory, loading, changes, lookups (1 GiB of memory)
	@cargo run -p bulkhead-router --example table

fleet: needs ## simulate a year of a fleet with a million accounts; figures, and plots in docs/placement/
	@cargo run -p bulkhead-control-plane --example fleet -- --plots docs/placement

mutants: needs ## plant each bug of mutants/list in a copy of the tree and see that the named test catches it
	@mutants/run

clean: ## remove what was built; DATA stays
	cargo clean

needs:
	@.ci/needs

build: needs
	cargo build --workspace --bins
