# ikescope: set it up, show it, prove it. `make` alone lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
# The tests start some hundred processes: without the bytecode beside it each of them would compile the sources again.
unexport PYTHONDONTWRITEBYTECODE
FUZZ ?= 1000000
SOAK ?= 100000

.PHONY: help setup setup-dev demo test check peers test-peers test-kernel peers-qemu test-kernel-qemu peers-new test-peers-new coverage mutants fuzz soak soak-traffic soak-peers lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/stamp-run ## .venv with what running needs, every package checked by its hash
setup-dev: .venv/stamp-dev ## the same with what developing needs

.venv/stamp-run: requirements.lock pyproject.toml tools/setup.sh
	@PYTHON='$(PYTHON)' tools/setup.sh run
	@touch $@

.venv/stamp-dev: requirements-dev.lock pyproject.toml tools/setup.sh
	@PYTHON='$(PYTHON)' tools/setup.sh dev
	@touch $@ .venv/stamp-run

demo: setup ## the guided tour: two routers, one tunnel, every exchange explained (ARGS="--keep" and the like)
	@$(BIN)/ikescope demo $(ARGS)

test: setup-dev ## every test that needs no foreign peer, within 3 minutes (ARGS="-k window")
	@$(BIN)/python -m tests.support.machine
	@$(BIN)/python -m compileall -q -j 0 src
	@$(BIN)/python -m pytest -n 3 -m "not peers and not new_peers and not kernel" $(ARGS)

check: setup-dev ## format, lint, types, and what RFC 7296 asks: each sentence has its test or its reason
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m tools.rfc_coverage --check

peers: ## unpack Debian's strongSwan, Libreswan, OpenIKED, tshark, Chromium, a kernel into .peers/ (root, apt, gcc; installs nothing)
	@tools/peers.sh
	@tools/guest_module.sh

test-peers: setup-dev peers ## the tests against peers that no one here wrote (root)
	@$(BIN)/python -m pytest -n 2 -m peers $(ARGS)

test-kernel: setup-dev peers ## the tests that need a kernel with ESP, in a guest that has it, within 3 minutes (root; ARGS="-k gre")
	@$(BIN)/python -m tools.guest --guests 2 --seconds 600 --output build/guest $(BIN)/python -m pytest tests/kernel --junitxml=/mnt/out/junit.xml $(ARGS)

peers-qemu: ## unpack qemu and Debian's own kernel into .peers-qemu/ (root, apt; 500 MB, installs nothing)
	@tools/guest_qemu.sh

test-kernel-qemu: setup-dev peers peers-qemu ## those with XFRM interfaces over Debian's own kernel, emulated; not part of .ci/run (root)
	@$(BIN)/python -m tools.guest --machine qemu --seconds 1800 --output build/guest-qemu $(BIN)/python -m pytest tests/kernel -m xfrm_interface --junitxml=/mnt/out/junit.xml $(ARGS)

peers-new: ## unpack strongSwan 6 and Libreswan 5 of Debian's newer releases into .peers-new/ (root, apt, gcc)
	@tools/peers_new.sh

test-peers-new: setup-dev peers peers-new ## the tests against those two, each in a chroot; not part of .ci/run (root)
	@$(BIN)/python -m pytest -m new_peers $(ARGS)

coverage: setup-dev ## which lines and branches the tests reach, about twice the time of `make test`
	@$(BIN)/coverage run -m pytest -m "not peers and not new_peers and not kernel" $(ARGS)
	@$(BIN)/coverage report
	@mkdir -p build && $(BIN)/coverage json -q -o build/coverage.json
	@$(BIN)/python -m tools.branches build/coverage.json

mutants: setup-dev ## rules of the RFC broken one at a time in a copy: do tests notice? (some minutes)
	@$(BIN)/python -m tools.mutants $(ARGS)

fuzz: setup-dev ## a long run: FUZZ=1000000 random and mutated datagrams at what reads them
	@$(BIN)/python -m tools.fuzz --count $(FUZZ)

soak: setup-dev ## a long run: SOAK=100000 lives of two routers, one a seed, with network faults and operators
	@$(BIN)/python tools/soak.py --count $(SOAK) $(ARGS)

soak-traffic: setup-dev peers ## an hour of traffic between two routers with a rekey every minute: memory, lost packets (root)
	@$(BIN)/python tools/soak_traffic.py --real 60 $(ARGS)

soak-peers: setup-dev peers ## ten minutes of crossing rekeys with strongSwan while a ping runs (root)
	@IKESCOPE_CROSSING_SECONDS=600 $(BIN)/python -m pytest -m "peers and slow" $(ARGS)

lock: ## write both locks anew from pyproject.toml
	@tools/lock.sh

clean: ## remove what was built here; .peers/, .peers-new/ and .peers-qemu/ too
	rm -rf .venv .peers .peers-new .peers-qemu build dist demo-output .mypy_cache .ruff_cache .hypothesis .coverage src/*.egg-info
	find src tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
