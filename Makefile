# `make` sets up .venv and runs the pipeline; `make help` lists the rest. GNU make 3.81 is enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ifneq ($(findstring :,$(CURDIR)),)
$(error the path $(CURDIR) has a colon, which ends a folder's name in PATH: move the project)
endif
# What a target runs finds python in .venv, as after `source .venv/bin/activate`; scripts in there
# would stop working when the folder is moved.
USER_PATH := $(PATH)
unexport PIP_PREFIX PIP_TARGET PYTHONHOME PYTHONPATH
export PIP_USER := 0
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Like pip, uv trusts the system's certificates, such as that of a company's proxy.
export UV_SYSTEM_CERTS ?= 1
# Without --python, uv would install into whatever environment is active. What has to be built is
# built with the locked setuptools.
UV := $(BIN)/uv
# uv does not read pip's configuration, so it is told of pip's index.
PIP_INDEX = $(BIN)/python -m pip config list | sed -n "s/^.*[.]index-url='\(.*\)'$$/\1/p" | tail -n 1
INSTALL := export UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$$($(PIP_INDEX))}" && \
	$(UV) pip install --quiet --python $(BIN)/python --compile-bytecode \
	-c requirements.lock --build-constraints requirements.lock -r pyproject.toml

# This is kept in .venv, so that stages find python after .venv/bin/dvc without activation.
ADD_TO_PATH := import os, sys; os.environ["PATH"] = f"{sys.prefix}/bin{os.pathsep}" + \
	os.environ.get("PATH", os.defpath)

# These reach the tools through the environment, as they were typed, never on a command line: a
# branch may be called `x";id;"` or `$(shell id)`.
$(foreach name,EXTRAS FORMAT NAME REV REV2 SPLIT,$(if $(value $(name)),\
	$(eval override $(name) := $$(value $(name)))$(eval export $(name))))

.DEFAULT_GOAL := run
.PHONY: run setup setup-dev result report compare leaderboard runs try notebook dataset push \
	doctor test test-all check bench pictures lock clean help

run: setup ## run the pipeline (the default) and show the result
	@python -m dvc repro
	@python -m revisions.result

setup: $(VENV)/.setup ## create .venv; EXTRAS="s3 ssh" adds packages for such remotes
	@if [ -n "$$EXTRAS" ]; then set -f; $(INSTALL) $$(printf ' --extra %s' $$EXTRAS); fi

setup-dev: $(VENV)/.setup-dev ## add the packages for tests and checks

$(UV): requirements.lock
	@git rev-parse --git-dir > /dev/null || { echo "error: DVC needs a Git repository. Get the project" \
	"with git clone, not as a ZIP file" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if (3, 11) <= v < (3, 14) else \
	"error: Python 3.11, 3.12 or 3.13 is needed, this is %d.%d; try: make PYTHON=python3.12" % v[:2])'
	@echo "Creating .venv. The first time, this downloads about 600 MB, which takes minutes."
	@$(PYTHON) -m venv $(VENV) || { echo "error: Python cannot create a virtual environment; on" \
	"Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@sed -n '/^uv==/,/[^\\]$$/p' $< > $(VENV)/uv.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.txt
	@touch $@

$(VENV)/.setup: requirements.lock pyproject.toml revisions/charts.py | $(UV)
	@$(INSTALL)
	@echo '$(ADD_TO_PATH)' \
		> "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/path.pth"
	@python -m revisions.charts
	@touch $@

$(VENV)/.setup-dev: $(VENV)/.setup
	@$(INSTALL) --all-extras
	@touch $@

$(VENV)/.setup-%: $(VENV)/.setup
	@$(INSTALL) --extra $*
	@touch $@

result: setup ## show the result again
	@python -m revisions.result

report: setup ## compare with HEAD in an HTML file, or with a branch: REV=main
	@python -m revisions.report

compare: setup ## is one revision better? REV=main [REV2=half] [SPLIT=test]
	@python -m revisions.compare

leaderboard: setup ## the models of all experiments, best first [FORMAT=md or csv]
	@python -m revisions.leaderboard

runs: setup ## the leaderboard in an HTML file with charts: runs/index.html
	@python -m revisions.runs_page

try: $(VENV)/.setup-handwriting ## classify a drawn digit on a page [REV=main]
	@python -m handwriting.page

notebook: $(VENV)/.setup-notebook ## open the notebook in the browser
	@python -m jupyterlab --allow-root --LabApp.default_url=/lab/tree/notebooks/digits.ipynb

dataset: setup ## download a data set into data/raw/: NAME=fashion_mnist
	@python -m tools.dataset

push: setup ## push all files of all runs, so that nobody runs them again
	@python -m tools.push

doctor: export USER_PATH := $(USER_PATH)
doctor: ## check the environment, and name the remedies
	@$(firstword $(wildcard $(BIN)/python) $(PYTHON)) -m tools.doctor

test: setup-dev ## run the fast tests
	@python -m pytest --numprocesses 2 --dist worksteal tests/pipeline tests/unit

test-all: setup-dev ## run all tests, and measure coverage of stages/ and digits/
	@coverage erase
	@# The emulated processors take longest, so they start first.
	@coverage run -m pytest --numprocesses 2 --dist worksteal \
		tests/slow/test_same_bytes.py tests/slow tests/pipeline tests/unit
	@coverage combine --quiet
	@coverage report

check: setup-dev ## lint, format, types, the workflow
	@python -m ruff check
	@python -m ruff format --check
	@python -m mypy
	@zizmor --quiet --offline .github

bench: setup-dev ## measure speed and memory on this machine
	@python -m benchmarks

pictures: setup-dev ## update the figures of the README and the notebook
	@cp metrics/figures/examples.png metrics/figures/mistakes_hidden.png docs/
	@python -m tools.notebook

lock: $(UV) ## update requirements.lock from pyproject.toml
	$(UV) pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
		--generate-hashes --no-header --no-annotate --upgrade --all-extras pyproject.toml -o requirements.lock

clean: ## remove .venv and caches, not results
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache report runs dvc_plots

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
