# make train      set up what a run needs, then run the main job   (CONFIG=configs/….yaml ARGS="--key value" for any other)
# make test       set up the tools too, then lint, type-check, build the documentation and test
# make test-all   the same on every supported Python, in .venv-python3.10 and so on   (PYTHONS="python3.10 …" for some)
# make docs       set up the tools too, then build the documentation into build/site
# make lock       adapt requirements.lock (a run) and requirements-dev.lock (tools) to setup.cfg
#                 (UV_ARGS=--upgrade for the newest of everything)
# Each takes PYTHON=python3.12 to choose the Python, and VENV=folder for an environment other than .venv.

CONFIG ?= configs/quickstart.yaml
ARGS ?=
UV_ARGS ?=
PYTHON ?= python3
# setup.cfg names the Pythons on which all tests have passed.
SUPPORTED := $(shell sed -n 's/^ *Programming Language :: Python :: \(3\.[0-9]*\)$$/\1/p' setup.cfg)
PYTHONS ?= $(SUPPORTED:%=python%)

VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# A stamp's name follows the content, so that a changed lock reinstalls and an unchanged one does not.
STAMP := $(VENV)/installed-$(shell cat requirements.lock setup.cfg setup.py pyproject.toml | sha256sum | cut -c1-16)
TOOLS_STAMP := $(VENV)/tools-$(shell cat requirements-dev.lock | sha256sum | cut -c1-16)
VERSION := -c 'import sys; print("%d.%d" % sys.version_info[:2])'

.PHONY: train test test-all lint docs setup tools environment lock

train: setup
	$(BIN)/python train.py fit --config $(CONFIG) $(ARGS)

test: lint docs
	$(BIN)/python -m pytest --numprocesses=auto --maxprocesses=8

test-all:
	@failed=; for python in $(PYTHONS); do \
		$(MAKE) test PYTHON="$$python" VENV="$(VENV)-$${python##*/}" || failed="$$failed $$python"; \
	done; test -z "$$failed" || { echo "failed:$$failed" >&2; exit 1; }

lint: tools
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: tools
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

setup: $(STAMP)

tools: $(TOOLS_STAMP)

$(STAMP): | environment
	$(PIP) -r requirements.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	rm -f $(VENV)/installed-*
	touch $@

$(TOOLS_STAMP): $(STAMP)
	$(PIP) -r requirements.lock -r requirements-dev.lock
	rm -f $(VENV)/tools-*
	touch $@

# An existing environment is used with whatever Python it has, unless PYTHON asks for another one.
environment:
ifneq ($(and $(wildcard $(BIN)/python),$(filter file,$(origin PYTHON))),)
	@:
else
	@version=$$($(PYTHON) $(VERSION)) || exit 2; \
	case " $(SUPPORTED) " in *" $$version "*) ;; *) \
		echo "error: $(PYTHON) is Python $$version; supported are $(SUPPORTED), for example PYTHON=python3.12" >&2; exit 2;; \
	esac; \
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || exit 2; \
	existing=$$($(BIN)/python $(VERSION)); test "$$existing" = "$$version" || { \
		echo "error: $(VENV) has Python $$existing, $(PYTHON) is $$version; add VENV=.venv-$(notdir $(PYTHON)), or remove $(VENV)" >&2; exit 2; }
endif

UV := $(VENV)-lock/bin/uv pip compile setup.cfg - --universal --python-version 3.10 \
	--no-annotate --no-header --quiet $(UV_ARGS)
# CUDA packages are left to torch's own requirements, so that a CPU build stays one.
PLATFORM := ^(cuda-|nvidia-|triton)

lock:
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/pip install --quiet uv
	cat requirements.lock requirements-dev.lock > $(VENV)-lock/all
	echo "torch==2.13.0" | $(UV) --extra dev --output-file $(VENV)-lock/all >/dev/null
	cp $(VENV)-lock/all $(VENV)-lock/run
	echo "torch==2.13.0" | $(UV) --constraint $(VENV)-lock/all --output-file $(VENV)-lock/run >/dev/null
	(head -n 1 requirements.lock; grep -v -E '$(PLATFORM)' $(VENV)-lock/run) > $(VENV)-lock/requirements.lock
	(head -n 1 requirements-dev.lock; grep -v -x -F -f $(VENV)-lock/run $(VENV)-lock/all) > $(VENV)-lock/requirements-dev.lock
	mv $(VENV)-lock/requirements.lock $(VENV)-lock/requirements-dev.lock .
	rm -r $(VENV)-lock
