# make train   set up, then run the main job          (CONFIG=configs/….yaml ARGS="--key value" for any other)
# make test    set up, then lint, type-check, build the documentation and test
# make docs    set up, then build the documentation into build/site
# make lock    re-resolve requirements.lock after a change of setup.cfg

CONFIG ?= configs/quickstart.yaml
ARGS ?=
PYTHON ?= python3

VENV := .venv
BIN := $(VENV)/bin
# The stamp's name follows the content, so that a changed lock reinstalls and an unchanged one does not.
STAMP := $(VENV)/installed-$(shell cat requirements.lock setup.cfg pyproject.toml | sha256sum | cut -c1-16)

.PHONY: train test lint docs setup lock

train: setup
	$(BIN)/python train.py fit --config $(CONFIG) $(ARGS)

test: lint docs
	$(BIN)/python -m pytest --numprocesses=auto --maxprocesses=8

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

setup: $(STAMP)

$(STAMP):
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	rm -f $(VENV)/installed-*
	touch $@

lock:
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/pip install --quiet uv
	head -n 2 requirements.lock > $(VENV)-lock/requirements.lock
	echo "torch==2.13.0" | $(VENV)-lock/bin/uv pip compile setup.cfg - --extra dev --universal --python-version 3.10 \
		--no-annotate --no-header --quiet | grep -v -E '^(cuda-|nvidia-|triton)' >> $(VENV)-lock/requirements.lock
	mv $(VENV)-lock/requirements.lock requirements.lock
	rm -r $(VENV)-lock
