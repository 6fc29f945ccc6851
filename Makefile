# The two commands of the README are `make run` and `make test`; each sets up what it needs first.

VENV := .venv
PYTHON := $(VENV)/bin/python
PYTEST := $(VENV)/bin/pytest
# Extra arguments for pytest, as in: make test ARGS='-k sgir -x'
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup run linux test long lint format bench lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.complete ## the virtual environment and Debian's packages (fast when done)
	@scripts/setup-debian
	@test -d vgicd/_compiled || $(PYTHON) scripts/compile || echo 'setup: the core stays interpreted' >&2
	@$(PYTHON) scripts/fetch-guests >/dev/null || echo 'setup: no Debian guests; their tests will say so' >&2

# Whatever may change what is installed is a prerequisite; the stamp is written last.
$(VENV)/.complete: pyproject.toml constraints.txt scripts/setup
	@scripts/setup $(VENV)
	@touch $@

run: setup ## start a daemon, run an AArch64 guest against it and show what happened
	$(PYTHON) -m vgicd_machine.demo

linux: setup ## boot Debian's arm64 kernel on four CPUs, its GIC in a daemon, and show it
	scripts/fetch-guests
	scripts/build-initramfs
	$(VENV)/bin/vgicctl run --private .cache/guests/debian/Image --initrd .cache/guests/linux/initramfs.cpio.gz --cpus 4 \
		--append 'console=ttyAMA0 rdinit=/init cryptomgr.notests' --no-input --stats $(ARGS)

# Two at a time, a file as a whole, so that what a module's tests share is made once; -n0 in ARGS for a debugger.
test: setup ## the ordinary test suite
	$(PYTEST) -n 2 --dist loadfile -m 'not long' $(ARGS)

long: setup ## the tests that take more than ten seconds each
	$(PYTEST) -n 2 --dist loadfile -m long $(ARGS)

lint: setup ## ruff and mypy --strict
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: setup ## let ruff mend what it can
	$(VENV)/bin/ruff check --fix-only .
	$(VENV)/bin/ruff format .

bench: setup ## measure against QEMU's qtest server and a C echo, and the gdb side against its alternatives
	-$(PYTHON) scripts/compile
	$(PYTHON) -m tests.bench $(ARGS)

lock: ## renew constraints.txt with the newest versions that pyproject.toml allows
	scripts/lock

clean: ## remove everything that is made, the virtual environment included
	rm -rf $(VENV) .cache vgicd/_compiled build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
