# `make demo` and `make test` need Python 3.11 or newer and nothing else; the first call makes .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Without .pyc files every import of Dagster takes twice as long.
unexport PYTHONDONTWRITEBYTECODE
export DAGSTER_DISABLE_TELEMETRY := yes
export GX_ANALYTICS_ENABLED := false
export PATH := $(PATH):$(CURDIR)/.programs/node_modules/.bin

.PHONY: install programs demo test test-slow test-all real-runs airflow-test image-test report-checks lint format docs screenshots bench bench-growth bench-privacy clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

# What npm has: store servers for the tests of Azure and of a store that is refused, and what looks for faults of accessibility in
# reports; needs node. Without them these tests are skipped.
programs:
	npm install --silent --no-audit --no-fund --prefix .programs azurite@3.35 s3rver@3.7 axe-core@4.10

# A day of sample logs of several tools, through Dagster, sealed, verified, and a tampered copy found out.
demo: $(STAMP)
	rm -rf audit-demo
	$(BIN)/audit-pipeline demo --home audit-demo

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-slow: $(STAMP)
	$(BIN)/python -m pytest -n 2 -m slow

# Everything, and a test skipped for a missing program is a failure.
test-all: $(STAMP)
	$(BIN)/python -m pytest -n 2 --no-skips-for-programs

# Tiny real trainings with TRL on the CPU, in an environment of their own; torch is large.
real-runs: $(STAMP)
	$(PYTHON) -m venv .venv-trl
	.venv-trl/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	.venv-trl/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/real_runs/requirements.txt
	TRL_PYTHON=.venv-trl/bin/python $(BIN)/python -m pytest tests/real_runs/check_real_runs.py

# The example DAG under Airflow 3, in an environment of its own: Airflow pins what Dagster pins otherwise.
airflow-test: $(STAMP)
	$(PYTHON) -m venv .venv-airflow
	.venv-airflow/bin/python -m pip install --quiet --disable-pip-version-check 'apache-airflow==3.3.2'
	.venv-airflow/bin/python -m pip install --quiet --disable-pip-version-check --no-deps .
	AIRFLOW_PYTHON=.venv-airflow/bin/python $(BIN)/python -m pytest -m slow tests/test_airflow.py

# Reports under tools of others: OSCAL under compliance-trestle, in an environment of its own (it pins what we pin otherwise), and HTML
# under axe-core in Chromium, which must be there.
report-checks: $(STAMP) programs
	$(PYTHON) -m venv .venv-trestle
	.venv-trestle/bin/python -m pip install --quiet --disable-pip-version-check 'compliance-trestle==5.2.0'
	$(BIN)/python -m pytest -m slow --no-skips-for-programs tests/report/test_accessibility.py tests/report/test_trestle.py

# deploy/Dockerfile passes hadolint and really builds; the demo runs in it. Needs root, Debian's buildah and debootstrap,
# and half an hour on a busy machine: the image has all that the pipeline depends on.
image-test: $(STAMP)
	$(BIN)/python -m pytest --no-skips-for-programs tests/test_deploy.py tests/test_image.py

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Pages that are made from the code; a test fails while they are out of date.
docs: $(STAMP)
	$(BIN)/python docs/make_pages.py

# Each work beside a peer or a limit, as ratios; `benchmarks/run.py --help` names larger sizes.
bench: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python benchmarks/run.py $(BENCH_OPTIONS)

# What grows how. `benchmarks/growth.py --most-records 100000000` goes on to a hundred million.
bench-growth: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python benchmarks/growth.py

# Errors of private summaries, and what they cost beside exact aggregation.
bench-privacy: $(STAMP)
	$(BIN)/python benchmarks/privacy.py

# Needs chromium. Pictures of the UI on the demo's home.
screenshots: demo
	$(BIN)/python docs/make_screenshots.py audit-demo

clean:
	rm -rf $(VENV) .venv-trl .venv-airflow .venv-trestle audit-demo bench-home .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
