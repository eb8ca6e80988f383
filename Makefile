# `make help` lists the commands. Each sets up .venv first, once; PYTHON is the interpreter that makes
# it, and ARGS adds options: make bench ARGS="--scale paper --device cpu".

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Twice quiet: no warnings about the configuration of pip, which are as many as packages; errors are shown.
INSTALL = $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check

RUNS ?= reports/latest
STUDY ?= bench
SITE ?= _site

.DEFAULT_GOAL := bench

# If it were set, Python would not find the project's modules in this folder.
unexport PYTHONSAFEPATH

.PHONY: bench test test-cluster example chaos fuzz mutants lint history speed ab bisect noise calibrate replays times gpu report site publish prune lock help
help:
	@echo "make bench    train every row at the quick scale; ARGS=... adds pytest options"
	@echo "make test     test the suite itself"
	@echo "make test-cluster    install Ray, and test --cluster on a small cluster on this machine"
	@echo "make example  train the example study, seven optimizers on MNIST, in miniature"
	@echo "make chaos    run sessions with faults at random times, then --resume"
	@echo "make fuzz     read thousands of mutated report files"
	@echo "make lint     run ruff and mypy, and check imports and names that are defined twice"
	@echo "make report   draw the page of reports/latest; RUNS=\"reports/a reports/b\" draws a, compared with b"
	@echo "make history  find steps in all saved runs and reports, and draw them on one page; ARGS=... names folders"
	@echo "make speed    measure every engine's time per step on this machine"
	@echo "make times    measure whether training times hold under -n"
	@echo "make ab BASE=main     compare a revision with the working tree, taking turns; ARGS=... selects rows"
	@echo "make bisect ROW=... GOOD=... BAD=...    find the commit since which a row is slower or learns worse"
	@echo "make noise    measure how noisy this machine is, and which slowdowns can be detected on it"
	@echo "make calibrate RUNS=\".benchmarks/*/*.json\"    measure how often the gates are wrong, and right, on these runs"
	@echo "make replays RUNS=\"...\"    measure how often a history of such runs has false steps, and how soon true ones are found"
	@echo "make gpu      run everything that needs a GPU; ARGS=\"--seconds 580\" sets a limit; repeat it to continue"
	@echo "make site     draw the pages of all published runs in the folder _site, to be served"
	@echo "make publish RUN=reports/latest NAME=some-hardware   keep a run, and quote it in the docs"
	@echo "make prune KEEP=N    delete all report folders but the newest N; no other command deletes a run"
	@echo "make mutants  check that some test fails for each small change in the code; ARGS=... names modules or folders"
	@echo "make lock     resolve pyproject.toml again, keeping the pins that still fit"

bench: $(VENV)/installed
	$(BIN)/python -m pytest bench/ -n 4 $(ARGS)

test: $(VENV)/installed
	$(BIN)/python -m pytest tests/ -n auto --maxprocesses 4 --dist loadgroup --durations=10 $(ARGS)

test-cluster: $(VENV)/ray
	$(BIN)/python -m pytest tests/test_ray.py --durations=5 $(ARGS)

example: $(VENV)/installed
	$(BIN)/python -m pytest examples/optimizers/test_mnist.py --scale miniature -n 4 -q --benchmark-disable $(ARGS)

chaos: $(VENV)/installed
	$(BIN)/python -m tests.chaos $(ARGS)

fuzz: $(VENV)/installed
	$(BIN)/python -m tests.fuzz $(ARGS)

speed: $(VENV)/installed
	$(BIN)/python -m harness speed $(ARGS)

ab: $(VENV)/installed
	$(BIN)/python -m harness ab $(BASE) $(if $(BASE_PYTHON),--base-python $(BASE_PYTHON)) -- $(ARGS)

bisect: $(VENV)/installed
	$(BIN)/python -m harness bisect '$(ROW)' '$(GOOD)' '$(BAD)' -- $(ARGS)

noise: $(VENV)/installed
	$(BIN)/python -m harness noise -- $(ARGS)

calibrate: $(VENV)/installed
	$(BIN)/python -m harness calibrate $(RUNS)

replays: $(VENV)/installed
	$(BIN)/python -m harness replays $(RUNS) $(ARGS)

times: $(VENV)/installed
	$(BIN)/python -m harness times $(ARGS)

# Installs nothing: runs with .venv if there is one, otherwise with the system's Python.
gpu:
	$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) -m harness gpu $(ARGS)

publish: $(VENV)/installed
	$(BIN)/python -m harness publish $(RUN) $(NAME) --study $(STUDY)

prune: $(VENV)/installed
	$(BIN)/python -m harness prune $(KEEP) --study $(STUDY)

mutants: $(VENV)/installed
	$(BIN)/python -m tests.mutation $(ARGS)

report: $(VENV)/installed
	$(BIN)/python -m harness report $(RUNS)

site: $(VENV)/installed
	$(BIN)/python -m harness site $(SITE)

history: $(VENV)/installed
	$(BIN)/python -m harness history $(ARGS)

# Ray, which `--cluster` needs.
$(VENV)/ray: requirements-ray.lock $(VENV)/installed
	$(INSTALL) --require-hashes --no-deps -r requirements-ray.lock
	@touch $@

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.doubled_names

# These marks are left only after everything was installed. The project itself is installed so that
# pytest loads it for a study in any folder.
$(VENV)/installed: $(VENV)/packages pyproject.toml
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/packages: requirements.lock requirements-torch.lock requirements-cuda.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 ..."; exit 1; }
	@test ! -L $(VENV) && { test ! -e $(VENV) || test -f $(VENV)/pyvenv.cfg; } || \
	  { echo "$(VENV) is a link, or not a virtual environment, and would be emptied; move it away"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(INSTALL) --require-hashes -r requirements.lock
	$(INSTALL) -r requirements-torch.lock -c requirements-cuda.lock
	@touch $@

# PyTorch is pinned by version alone, as each kind of hardware has its own builds of a version, from its
# own index. So are the other packages that a build for CUDA needs, which are installed only with such
# a build. Everything else is pinned by its files' digests.
lock: $(VENV)/installed
	$(INSTALL) uv
	cat requirements*.lock | grep -v '^[#-]' > $(VENV)/all.lock
	$(BIN)/uv pip compile --quiet pyproject.toml --extra dev --universal --python-version 3.11 \
	  --no-header --no-annotate --generate-hashes --output-file $(VENV)/all.lock
	$(BIN)/uv pip compile --quiet pyproject.toml --extra dev --extra cluster --universal \
	  --python-version 3.11 --no-header --no-annotate --generate-hashes --constraint $(VENV)/all.lock \
	  --output-file $(VENV)/ray.lock
	{ echo '# Written by `make lock`: what `make test-cluster` needs besides.'; \
	  awk '/^[a-z]/ {ours = FNR == NR ? 0 : !($$1 in known); known[$$1]} FNR < NR && ours' \
	  $(VENV)/all.lock $(VENV)/ray.lock; } > requirements-ray.lock
	{ echo '# Written by `make lock`; pyproject.toml says why each direct one is needed.'; \
	  awk '/^[a-z]/ {ours = !/^(torch|nvidia|cuda|triton)/} ours' $(VENV)/all.lock; } > requirements.lock
	{ echo '# Written by `make lock`: PyTorch, whose files differ by hardware.'; \
	  sed -nE 's/ \\$$//; /^torch/p' $(VENV)/all.lock; } > requirements-torch.lock
	{ echo '# Written by `make lock`: pins for what a PyTorch built for CUDA needs besides.'; \
	  sed -nE 's/ \\$$//; /^(nvidia|cuda|triton)/p' $(VENV)/all.lock; } > requirements-cuda.lock
