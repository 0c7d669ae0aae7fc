# Everything a newcomer runs. Each target makes what it needs.
PYTHON ?= python3
TRITON_PYTHON ?= /usr/bin/python3
BIN := .venv/bin

.PHONY: demo test test-slow test-real test-notebooks serve-test test-older parity benchmarks docs lint wheel clean

demo: .venv/ready  ## classify, fine-tune and export, on real pictures
	$(BIN)/python examples/demo.py

test: .venv/ready  ## all that needs neither network nor weights
	$(BIN)/python -m pytest -q -n 2

test-real: .venv/ready  ## truth: the real ImageNet weights (fetched once)
	$(BIN)/python -m pytest -q -m real tests

test-slow: .venv/ready  ## every architecture through every format: about an hour
	$(BIN)/python -m pytest -q -n 2 -m slow tests

test-notebooks: .venv/ready  ## run every notebook from a clean kernel
	$(BIN)/python notebooks/execute.py --check

parity: .venv-peers/ready  ## copy torchvision's and timm's arrays into our networks and compare
	.venv-peers/bin/python benchmarks/parity.py

benchmarks: .venv/ready .venv-peers/ready  ## the tables of docs/benchmarks: hours, on a quiet machine
	for name in startup training inference pipeline scale limit book models transfer; do $(BIN)/python benchmarks/$$name.py || exit; done

serve-test: .venv/ready .venv-triton/ready  ## load an export behind NVIDIA's Triton: six minutes, on a quiet machine
	$(BIN)/python benchmarks/serving.py

test-older: .venv/ready .engine-2.18/ready  ## exports on the engine of an older TensorFlow Serving
	$(BIN)/python -m pytest -q -n 2 -m older tests/serving

docs: .venv/ready  ## the pages as a site, site/index.html; what they warn of is an error
	TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/zensical build --clean --strict

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

wheel: .venv/ready
	rm -rf dist
	$(BIN)/python -m build --wheel

.venv/ready: setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[demo,docs,notebooks,test]'
	touch $@

# timm asks for a torchvision that asks for another torch; both are installed as they are.
.venv-peers/ready: benchmarks/peers.txt setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --upgrade pip
	.venv-peers/bin/python -m pip install --quiet --requirement benchmarks/peers.txt --editable .
	.venv-peers/bin/python -m pip install --quiet --no-deps torchvision==0.28.0 timm==1.0.31
	touch $@

# Triton's backend is linked against the system's libpython.
.venv-triton/ready: benchmarks/triton.txt
	$(TRITON_PYTHON) -m venv .venv-triton
	.venv-triton/bin/python -m pip install --quiet --upgrade pip
	.venv-triton/bin/python -m pip install --quiet --requirement benchmarks/triton.txt
	touch $@

# Of this wheel two libraries are used, by no Python: which one it was made for does not matter.
.engine-2.18/ready: | .venv/ready
	$(BIN)/python -m pip install --quiet --no-deps --no-compile --target .engine-2.18 --python-version 3.12 --only-binary=:all: tensorflow-cpu==2.18.1
	touch $@

clean:
	rm -rf .venv .venv-peers .venv-triton .engine-2.18 build dist out site *.egg-info
