# make bench   the whole suite at the quick scale, four workers, on whatever device there is
# make test    the tests of the suite itself
# make speed   every engine's time per step, beside what the hardware allows
# make times   whether training times hold under -n
# make lint    ruff
# make lock    resolve pyproject.toml again, keeping the pins that still fit
#
# Each sets up .venv first, once; PYTHON names the interpreter that it is made with, and
# ARGS adds options: make bench ARGS="--scale paper --device cpu".

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: bench test speed times lint lock
bench: $(VENV)/installed
	$(BIN)/python -m pytest bench/ -n 4 $(ARGS)

test: $(VENV)/installed
	$(BIN)/python -m pytest tests/ -n auto --maxprocesses 4 $(ARGS)

speed: $(VENV)/installed
	$(BIN)/python -m harness.speed $(ARGS)

times: $(VENV)/installed
	$(BIN)/python -m harness.times $(ARGS)

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# A mark that is left only after everything was installed, and outdated by a new lock.
$(VENV)/installed: requirements.lock requirements-cuda.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@touch $@

# The packages that only a PyTorch built for CUDA asks for are pinned as constraints, in a
# file of their own, so that they are installed where it does and nowhere else.
lock: $(VENV)/installed
	$(BIN)/python -m pip install --quiet uv
	cat requirements.lock requirements-cuda.lock | grep -v '^[#-]' > $(VENV)/all.lock
	$(BIN)/uv pip compile --quiet pyproject.toml --extra dev --universal --python-version 3.11 \
	  --no-header --no-annotate --output-file $(VENV)/all.lock
	{ echo '# Written by `make lock`; pyproject.toml says why each direct one is needed.'; \
	  echo '-c requirements-cuda.lock'; \
	  grep -Ev '^(nvidia|cuda|triton)' $(VENV)/all.lock; } > requirements.lock
	{ echo '# Written by `make lock`: pins for what a PyTorch built for CUDA needs besides.'; \
	  grep -E '^(nvidia|cuda|triton)' $(VENV)/all.lock; } > requirements-cuda.lock
