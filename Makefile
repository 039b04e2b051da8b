# All verbs need Python 3.10 or newer and make; everything else is installed into .venv.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed
OLDEST := .venv-oldest
TRUTH := .venv-truth
SNOWFLAKE := .venv-snowflake
BIGQUERY := .venv-bigquery
DATABRICKS := .venv-databricks
OLDEST_DAGSTER := $(shell sed -nE 's/^ *"dagster>=([0-9.]+),.*/\1/p' pyproject.toml)
# Workers, and processes that tests start, would else compile all modules anew where it is set.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest
SANDBOX := $(BIN)/python -m dbt_trigger_dagster.sandbox
LOCATION := dbt_trigger_dagster.definitions
QUIET := {"loggers": {"console": {"config": {"log_level": "INFO"}}}}

HOME_OF_DAGSTER := data/dagster/dagster.yaml
# Dagster advises to use another command line, which is for projects of its own kind, and warns of
# what it does itself.
DAGSTER := PATH="$(CURDIR)/$(BIN):$$PATH" DAGSTER_HOME="$(CURDIR)/data/dagster" PYTHONWARNINGS=ignore

.PHONY: help demo dev test test-fast test-oldest test-deployment test-warehouses test-browser truth check docs bench faults lock audit clean

help:  ## What can be made
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 17

$(STAMP): pyproject.toml
	@echo "Installing into .venv, once: a minute or more, silently."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --upgrade pip
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[dev]'
	@touch $(STAMP)

$(HOME_OF_DAGSTER): examples/dagster.yaml
	@mkdir -p $(@D)
	@cp $< $@

demo: $(STAMP) $(HOME_OF_DAGSTER)  ## Run a real dbt project through a sandbox of dbt Cloud, and show what is kept
	@echo "A dbt project runs in a sandbox of dbt Cloud, triggered and followed by Dagster: about half a minute."
	@$(DAGSTER) $(SANDBOX) -- dagster asset materialize --select '*' -m $(LOCATION) --config-json '$(QUIET)'
	@$(BIN)/python examples/show_results.py
	@echo; echo "Next: 'make dev' opens Dagster's UI on this, with a job that fails and a slow one, too."

dev: $(STAMP) $(HOME_OF_DAGSTER)  ## The sandbox and Dagster's UI together, until Ctrl-C; runs are kept
	@cat examples/dev.txt
	@$(DAGSTER) DBT_TRIGGER_JOBS=examples/shop_jobs.yaml $(SANDBOX) --port 8580 -- dagster dev

test: $(STAMP)  ## All tests
	$(PYTEST) -n auto --dist worksteal

test-fast: $(STAMP)  ## The tests that start neither Dagster nor a process, while you work
	$(PYTEST) -n auto -m 'not slow'

test-deployment: $(STAMP)  ## Queue, daemon, webserver and two code servers on PostgreSQL and a bucket, on a quiet machine
	TEST_DEPLOYMENT=1 $(BIN)/python -m pytest dbt_trigger_dagster_tests/test_deployment.py

$(OLDEST)/installed: pyproject.toml
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install -qq --disable-pip-version-check --upgrade pip
	$(OLDEST)/bin/python -m pip install -qq --disable-pip-version-check --editable . \
		'dagster==$(OLDEST_DAGSTER)' hypothesis pytest responses
	touch $@

test-oldest: $(OLDEST)/installed  ## What is known of Dagster's insides, with the oldest Dagster that is allowed
	$(OLDEST)/bin/python -c 'import dagster; print("Dagster", dagster.__version__)'
	$(OLDEST)/bin/python -m pytest dbt_trigger_dagster_tests/assets/test_dagster_run.py

# The emulator does not know how the driver talks from version 5 on.
$(SNOWFLAKE)/installed: pyproject.toml
	$(PYTHON) -m venv $(SNOWFLAKE)
	$(SNOWFLAKE)/bin/python -m pip install -qq --disable-pip-version-check --upgrade pip
	$(SNOWFLAKE)/bin/python -m pip install -qq --disable-pip-version-check --editable '.[postgresql,snowflake]' \
		'fakesnow[server]>=0.12' 'snowflake-connector-python<5' hypothesis pytest pytest-xdist responses
	touch $@

$(BIGQUERY)/installed: pyproject.toml
	$(PYTHON) -m venv $(BIGQUERY)
	$(BIGQUERY)/bin/python -m pip install -qq --disable-pip-version-check --upgrade pip
	$(BIGQUERY)/bin/python -m pip install -qq --disable-pip-version-check --editable '.[bigquery,postgresql]' \
		'bqemulator>=1.4' hypothesis pytest pytest-xdist responses
	touch $@

$(DATABRICKS)/installed: pyproject.toml
	$(PYTHON) -m venv $(DATABRICKS)
	$(DATABRICKS)/bin/python -m pip install -qq --disable-pip-version-check --upgrade pip
	$(DATABRICKS)/bin/python -m pip install -qq --disable-pip-version-check --editable '.[databricks,postgresql]' \
		'pyspark>=4' hypothesis pytest pytest-xdist responses
	touch $@

# The emulator's own plugin of pytest needs Docker. Each process of tests has a Spark of its own.
test-warehouses: $(SNOWFLAKE)/installed $(BIGQUERY)/installed $(DATABRICKS)/installed  ## The stores in warehouses, on emulators of them, and on Spark where there is Java
	$(SNOWFLAKE)/bin/python -m pytest -n auto --dist worksteal -k snowflake \
		$(addprefix dbt_trigger_dagster_tests/storage/,test_copy.py test_stores.py test_views.py test_snowflake.py)
	$(BIGQUERY)/bin/python -m pytest -p no:bqemulator -n auto --dist worksteal -k bigquery \
		$(addprefix dbt_trigger_dagster_tests/storage/,test_copy.py test_stores.py test_views.py test_bigquery.py)
	$(DATABRICKS)/bin/python -m pytest -n 2 --dist worksteal -k databricks \
		$(addprefix dbt_trigger_dagster_tests/storage/,test_copy.py test_stores.py test_views.py test_databricks.py)

test-browser: $(STAMP)  ## Dagster's UI and the report in Debian's Chromium; pictures in build/browser
	$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[browser]'
	$(BIN)/python -m pytest dbt_trigger_dagster_tests/test_browser.py

$(TRUTH)/installed: pyproject.toml
	$(PYTHON) -m venv $(TRUTH)
	$(TRUTH)/bin/python -m pip install -qq --disable-pip-version-check --upgrade pip
	$(TRUTH)/bin/python -m pip install -qq --disable-pip-version-check --editable . \
		'dagster-dbt>=0.29.27' openlineage-integration-common
	touch $@

truth: $(TRUTH)/installed  ## Who tells right what happened to the nodes of recorded runs: we, dagster-dbt, OpenLineage
	@$(TRUTH)/bin/python -m dbt_trigger_dagster_tests.corpus.truth

check: $(STAMP)  ## Linter, formatter, type checker and the rooms' import contracts; the documents' tables and links
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m dbt_trigger_dagster_tests.documentation --check

docs: $(STAMP)  ## Write the documents' tables anew from the code, and what is sent to Databricks
	$(BIN)/python -m dbt_trigger_dagster_tests.documentation
	$(BIN)/python -m dbt_trigger_dagster_tests.databricks_statements

bench: $(STAMP)  ## Benchmarks, as ratios
	$(BIN)/python -m benchmarks

faults: $(STAMP)  ## Everything that can break, broken on purpose; the peers too
	$(BIN)/python -m faults

lock: $(STAMP)  ## Pin anew, with hashes, what the image of deploy/ installs; then run the tests
	$(BIN)/uv pip compile pyproject.toml deploy/build.in --output-file deploy/requirements.txt --quiet --upgrade \
		--extra objects --extra postgres --extra postgresql --universal --python-version 3.12 \
		--only-binary :all: --generate-hashes --no-strip-extras --custom-compile-command 'make lock'

audit: $(STAMP)  ## Known vulnerabilities of what is installed; an error where they cannot be asked for
	@mkdir -p build
	$(BIN)/python -m pip freeze --exclude-editable > build/installed.txt
	$(BIN)/pip-audit --strict --no-deps --disable-pip --requirement build/installed.txt

clean:  ## Remove what the other verbs made
	rm -rf .venv $(OLDEST) $(TRUTH) $(SNOWFLAKE) $(BIGQUERY) $(DATABRICKS) data build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
