#!/usr/bin/env bash
# Everything that a machine with a GPU is asked for, in one call: the tests that need one, the benchmarks, and a
# training, on every backend that is installed. Tables and logs go to the folder given, or to out/gpu.
#
#     bash benchmarks/gpu.sh [FOLDER]
set -uo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python}
out=$(realpath -m "${1:-out/gpu}")
mkdir -p "$out"

for backend in jax torch tensorflow; do
  "$python" -c "import $backend" 2>/dev/null || continue
  export KERAS_BACKEND=$backend
  "$python" -m pytest -q -m gpu tests 2>&1 | tee "$out/tests-$backend.log"
  for name in training inference limit; do
    "$python" benchmarks/$name.py 2>&1 | tee "$out/$name-$backend.log"
  done
  "$python" examples/demo.py 2>&1 | tee "$out/demo-$backend.log"
  "$python" -m keras_resnets train --dataset cifar10 --model resnet20 --out "$out/resnet20-$backend" 2>&1 |
    tee "$out/train-$backend.log"
done
cp -r docs/benchmarks "$out"
