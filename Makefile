# `make` sets up .venv and runs the pipeline; `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
# What a target runs finds dvc and python in .venv, as after `source .venv/bin/activate`.
export PATH := $(CURDIR)/$(BIN):$(PATH)
# What `make report` and `make summary` compare the workspace with.
REV := HEAD
COMPILE := pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes --no-header --no-annotate

.DEFAULT_GOAL := run
.PHONY: run setup setup-dev setup-remotes setup-sweep doctor push test test-portable bench check \
	report summary leaderboard notebook lock clean help

run: setup ## run the pipeline (the default); on the shipped digits where MNIST is out of reach
	@python -m tools.run

setup: $(VENV)/.setup ## create .venv with what the pipeline needs

setup-dev: $(VENV)/.setup-dev ## add what tests and checks need

setup-remotes: $(VENV)/.setup-remotes ## add what DVC remotes on S3 and over SSH need

setup-sweep: $(VENV)/.setup-sweep ## add what `python -m sweep` needs

$(UV): requirements-uv.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if (3, 11) <= v < (3, 14) else \
	"error: Python 3.11, 3.12 or 3.13 is needed, this is %d.%d; try: make PYTHON=python3.12" % v[:2])'
	@$(PYTHON) -m venv $(VENV) || { echo "error: Python cannot make a virtual environment; on" \
	"Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# `sync` also removes what a lock does not name, so the stamps of the other environments go.
$(VENV)/.setup: requirements.lock tools/charts.py tools/plots.html | $(UV)
	$(UV) pip sync --quiet --require-hashes --compile-bytecode requirements-uv.lock $<
	@python -m tools.charts
	@rm -f $(VENV)/.setup-*
	@touch $@

# Each of these environments holds all of the first.
$(VENV)/.setup-%: requirements-%.lock requirements.lock tools/charts.py tools/plots.html | $(UV)
	$(UV) pip sync --quiet --require-hashes --compile-bytecode requirements-uv.lock $<
	@python -m tools.charts
	@rm -f $(VENV)/.setup-*
	@touch $(VENV)/.setup $@

# With whatever Python there is: it has to say what is wrong with .venv.
doctor: ## check what the pipeline needs, and say what to do about it
	@$(firstword $(wildcard $(BIN)/python) $(PYTHON)) -m tools.doctor

push: ## push all files of all runs to the DVC remote, so that nobody runs them again
	@python -m tools.push

test: setup-dev ## run the tests
	@coverage erase
	@coverage run -m pytest --numprocesses 2 --dist worksteal
	@coverage combine --quiet
	@coverage report

test-portable: setup-dev ## run the stages on emulated processors; the bytes must not differ
	@python -m pytest tests/portable

bench: setup-dev ## measure speed and memory on this machine; OUT=folder for the tables
	@python -m benchmarks $(if $(OUT),--out $(OUT))

check: setup-dev ## lint, format, types, the workflow
	@ruff check
	@ruff format --check
	@mypy
	@zizmor --offline .github

report: setup ## compare with a revision on a page: make report REV=main
	@python -m tools.report "$(REV)"

summary: setup ## the same in Markdown, without pictures: make summary REV=main
	@echo "### Parameters that differ" && dvc params diff --md "$(REV)"
	@echo "### Metrics that differ" && dvc metrics diff --md "$(REV)"

leaderboard: setup ## the models of all experiments, best validation accuracy first
	@python -m tools.leaderboard

notebook: setup-dev ## open the notebook in the browser
	@jupyter lab notebooks/digits.ipynb

# The largest first: what it needs together binds the others.
lock: $(UV) ## renew the lock files from pyproject.toml
	$(UV) $(COMPILE) --upgrade --all-extras pyproject.toml -o requirements-dev.lock
	$(UV) $(COMPILE) --upgrade -c requirements-dev.lock pyproject.toml -o requirements.lock
	$(UV) $(COMPILE) --upgrade -c requirements-dev.lock --extra s3 --extra ssh pyproject.toml -o requirements-remotes.lock
	$(UV) $(COMPILE) --upgrade -c requirements-dev.lock --extra s3 --extra ssh --extra sweep pyproject.toml -o requirements-sweep.lock

clean: ## remove .venv and caches, nothing that the pipeline made
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache report dvc_plots

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
