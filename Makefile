# Every target does its own set-up; `make` alone lists them. tools/setup.py names all that is fetched.
PYTHON ?= python3
# `make test SUITE=all` is `SUITE=all make test`.
SUITE ?=
export SUITE
# Tests of several kinds run beside each other (tests/suite/lanes.py); WORKERS= runs them one after the other. Most wait
# more than they compute: one worker more than there are CPUs, but for the emulated boards of SUITE=all, which compute.
WORKERS ?= --numprocesses=$(if $(filter all,$(SUITE)),auto,$(shell expr $$(nproc) + 1)) --maxprocesses=4
BIN = .venv/bin
SETUP = @$(PYTHON) -m tools.setup

.DEFAULT_GOAL := help
.PHONY: help venv demo test soak bench outcome lab-kernels proto docs bpf module lint clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

demo:  ## processes with Android priorities under real memory pressure, and who dies of it (about 1 minute)
	$(SETUP) demo
	@$(BIN)/lmkctl demo

test:  ## all tests that need no large download (SUITE=all make test: everything, as CI runs it)
	$(SETUP) $(if $(filter all,$(SUITE)),all,test)
	@$(BIN)/python -m pytest $(WORKERS) $(PYTEST_ARGS)

soak:  ## the tests marked `soak`: endurance and repetitions of what CI runs in short (root; an hour and more)
	$(SETUP) all
	@SOAK=1 $(BIN)/python -m pytest $(PYTEST_ARGS)

bench:  ## kill latency and memory beside a C loop, earlyoom and nohang; BENCH_ARGS=--write: into docs/measurements.md
	$(SETUP) bench
	@$(BIN)/python -m tools.bench $(BENCH_ARGS)

outcome:  ## who dies under which killer, on emulated boards (6 minutes; OUTCOME_ARGS="--cells leak:* --runs 5": others)
	$(SETUP) bench
	@$(BIN)/python -m tools.outcome $(OUTCOME_ARGS)

lab-kernels:  ## the kernel of the emulated board `lab`, whose allocations fail on demand (10 minutes, then kept)
	$(SETUP) lab
	@$(BIN)/python -m tools.lab_kernel

venv:  ## only the set-up of `make test`
	$(SETUP) test

proto:  ## lmkd_py/pb from proto/*.proto
	$(SETUP) test
	@$(BIN)/python -m tools.gen_pb

docs:  ## docs/configuration.md from proto/config.proto and the ranges in lmkd_py/core/config.py
	$(SETUP) test
	@$(BIN)/python -m tools.gen_docs

bpf:  ## lmkd_py/kernel/bpf/*.o from device/bpf (fetches clang 14 once, 60 MB)
	$(SETUP) test
	@$(BIN)/python -m tools.build_bpf

module:  ## the PF_MEMALLOC module for the kernels of the virtual boards, into build/module
	$(SETUP) test
	@$(BIN)/python -m tools.build_module

lint:  ## style, types and import floors alone
	$(SETUP) test
	@$(BIN)/python -m pytest -q tests/test_style.py tests/test_floors.py tests/test_layout.py

clean:  ## remove .venv and all caches of this checkout
	rm -rf .venv .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
	@find lmkd_py tools tests -name __pycache__ -type d -prune -exec rm -rf {} +
