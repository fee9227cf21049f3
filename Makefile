# The chores. `make run` and `make test` are the two that a newcomer needs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
target := $(or $(CARGO_TARGET_DIR),target)
programs := $(abspath $(target))/programs
weakened := $(abspath $(target))/weaken/debug
export PRIMCS_TEST_CLIENTS ?= $(abspath $(target))/clients
# What `make run` hands to `primcs serve`, and `make test` to `cargo test`.
ARGS ?=

BENCH_ROUNDS ?= 100
# Of each target; TARGETS='wire policy' for some.
FUZZ_SECONDS ?= 600
TARGETS ?=

.PHONY: bench fuzz help package preflight release run programs clients test test-rootless check policy soak vm vm-full

help: ## say what there is to make
	@.ci/preflight
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 24

preflight:
	@.ci/preflight

# The supervisor first and apart: built together, it would get the server's dependencies.
release: preflight ## build both programs into target/release
	$(CARGO) build --locked --release --no-default-features --bin primcs-supervisor
	$(CARGO) build --locked --release --bin primcs
# With umask 002, which is usual, they would be writable by a group, and primcs refuses to start such.
	@chmod go-w "$(target)/release/primcs" "$(target)/release/primcs-supervisor"

package: release ## make target/package/primcs_VERSION_ARCH.deb of the release programs
	packaging/build "$(target)/release" "$(target)"

run: release ## build, then serve MCP on http://127.0.0.1:9000/mcp
	@exec "$(target)/release/primcs" serve $(ARGS)

# `cargo test` rebuilds every program with the server's features, so what the tests run is put
# aside first. The weakened twins, for the second half of each isolation attempt, come from the
# same target directory: only our own crate is compiled once more.
programs: preflight ## build the programs that the tests run, and their weakened twins
	$(CARGO) build --locked --no-default-features --features weaken --bin primcs-supervisor
	$(CARGO) build --locked --features weaken --bin primcs
	@install -D -t "$(weakened)" "$(target)/debug/primcs" "$(target)/debug/primcs-supervisor"
	$(CARGO) build --locked --no-default-features --bin primcs-supervisor
	$(CARGO) build --locked --bin primcs
	@install -D -t "$(programs)" "$(target)/debug/primcs" "$(target)/debug/primcs-supervisor"

clients: preflight ## install the MCP clients and the conformance suite that the tests run
	@.ci/clients

test: programs clients ## install what the tests need, then run all of them
	PRIMCS_TEST_PROGRAMS="$(programs)" PRIMCS_TEST_WEAKENED_PROGRAMS="$(weakened)" \
	  $(CARGO) test --locked $(ARGS)
# A plain user has just tried this with all the rest.
	@if [ "$$(id -u)" = 0 ]; then $(MAKE) --no-print-directory rootless; fi

test-rootless: programs rootless ## the promises to a plain user, tried as one

.PHONY: rootless
rootless:
	@PRIMCS_TEST_PROGRAMS="$(programs)" PRIMCS_TEST_WEAKENED_PROGRAMS="$(weakened)" .ci/rootless

.PHONY: image image-full
image: release ## build the container image and try it in real containers (as root; podman and runc)
	@tests/container/image "$(target)/release"

image-full: ## the same, programs built by the image's own stage
	@tests/container/image full

check: ## exactly what CI runs
	@.ci/run

.PHONY: check-aarch64
check-aarch64: preflight ## check the code for aarch64, as far as that goes without such a machine
	@CARGO="$(CARGO)" .ci/check-aarch64

policy: preflight ## check policy/, write what is made from it anew: proofs.txt, docs/policy.md, the profile for engines
	PRIMCS_WRITE_PROOFS=1 $(CARGO) test --locked --quiet --test policy the_committed_table
	PRIMCS_WRITE_PROFILE=1 $(CARGO) test --locked --quiet --test container
	$(CARGO) run --locked --quiet --bin primcs -- policy check policy
	$(CARGO) run --locked --quiet --bin primcs -- policy explain >docs/policy.md

# `make test` does a tenth of it. The graph of one is in docs/soak.md.
soak: programs ## 20,000 runs (RUNS=) and 500 kills (MOMENTS= of each kind), which must leave nothing behind
	PRIMCS_TEST_PROGRAMS="$(programs)" PRIMCS_TEST_MOMENTS=$(or $(MOMENTS),100) \
	  $(CARGO) test --locked --test crashes moments
	PRIMCS_TEST_PROGRAMS="$(programs)" PRIMCS_TEST_RUNS=$(or $(RUNS),20000) \
	  PRIMCS_TEST_SOAK="$(abspath $(target))/soak" $(CARGO) test --locked --test soak
	python3 tests/soak/graph.py "$(target)/soak/soak.csv" "$(target)/soak/soak.svg"
	@echo "soak: what was counted is in $(target)/soak/soak.csv and soak.svg"

# tests/vm/README.md says what is in there. Cold it takes some minutes and downloads a small Debian.
vm: package ## install the package in a machine with systemd and cgroup v2, and try it there
	tests/vm/run stock "$(target)/package" "$(target)/vm"

vm-full: vm programs ## the same with the kernel of the backports, and the other tests in there too
	tests/vm/run newer "$(target)/package" "$(target)/vm-full" "$(programs)" "$(weakened)"

fuzz: preflight ## send each target of fuzz/ what it has not seen, FUZZ_SECONDS each
	.ci/fuzz $(FUZZ_SECONDS) $(TARGETS)

bench: release ## time each door against the bare interpreter
	python3 benches/doors.py "$(target)/release/primcs" $(BENCH_ROUNDS)
