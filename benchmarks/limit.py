"""How fast the host multiplies at best, and how near to that training and inference come.

    python benchmarks/limit.py                     # after training.py and inference.py, whose JSON it reads

The limit of a precision is the best of a large matrix product and of ResNet50's most frequent convolution.
"""

import json
import statistics

import click
import numpy as np
from machine import gpu, machine
from measuring import measured, span
from reporting import folder, report, suffix
from worker import Case

NOTES = """\
A share compares with the limit of its own precision; bfloat16's is also that of int8, which may exceed it.
Counted is what a network's definition asks for, so a faster algorithm may exceed a limit too. On GPUs float32
is computed as the backend does by default, which may be in TF32."""


def product(dtype: str, size: int, times: int):
    """A row of products of square matrices: one alone is too short for a GPU's clock."""
    import keras

    chance = np.random.default_rng(0)
    left, right = (keras.ops.cast(chance.normal(0, size**-0.5, (size, size)), dtype) for _ in range(2))

    def run():
        out = left
        for _ in range(times):
            out = keras.ops.matmul(out, right)
        return _wait(out[0, 0])

    return run


def convolution(dtype: str, batch: int, times: int):
    import keras

    chance = np.random.default_rng(0)
    images = keras.ops.cast(chance.normal(0, 1, (batch, 14, 14, 256)), dtype)
    kernel = keras.ops.cast(chance.normal(0, 0.02, (3, 3, 256, 256)), dtype)

    def run():
        out = images
        for _ in range(times):
            out = keras.ops.conv(out, kernel, padding="same", data_format="channels_last")
        return _wait(out[0, 0, 0, 0])

    return run


def _wait(number) -> float:
    import keras

    return float(keras.ops.convert_to_numpy(keras.ops.cast(number, "float32")))


def contestants(quick: bool) -> dict[str, tuple[Case, float]]:
    """Name -> case, 10^9 additions and multiplications a run."""
    size, times = (256, 1) if quick else (8192, 20) if gpu() else (4096, 1)
    cases = {}
    for dtype in ("float32", "bfloat16"):
        arguments = {"dtype": dtype, "size": size, "times": times}
        name = f"product {size} x {size}, {dtype}"
        cases[name] = Case(product, arguments), times * 2e-9 * size**3
        for batch in (2,) if quick else (8, 32, 128):
            arguments = {"dtype": dtype, "batch": batch, "times": times}
            work = times * 2e-9 * batch * 14 * 14 * 9 * 256 * 256
            cases[f"3x3 of {batch} x 14 x 14 x 256, {dtype}"] = Case(convolution, arguments), work
    return cases


def speeds(rounds: int, warm: int, quick: bool) -> list[dict]:
    cases = contestants(quick)
    seconds, _ = measured({name: case for name, (case, _) in cases.items()}, rounds, warm)
    rows = []
    for name, taken in seconds.items():
        case, work = cases[name]
        speed = {"GFLOP/s": work / statistics.median(taken), "precision": case.arguments["dtype"]}
        rows.append(speed | {"case": name, "least to most ms": span(taken), "seconds": taken})
    return rows


def shares(limits: dict[str, float], quick: bool) -> list[dict]:
    """The rows of what was measured before on the same kind of machine, best first."""
    rows = []
    for benchmark in ("training", "inference"):
        file = folder(quick) / f"{benchmark}{suffix(machine())}.json"
        if not file.exists():
            continue
        for heading, found in json.loads(file.read_text(encoding="utf-8"))["tables"].items():
            for row in found:
                limit = limits["float32" if row["precision"] == "float32" else "bfloat16"]
                share = f"{row['GFLOP/s'] / limit:.0%}"
                rows.append({"share": share, "benchmark": benchmark, "of": heading, "case": row["case"]})
    return rows


@click.command()
@click.option("--rounds", default=7, show_default=True)
@click.option("--quick", is_flag=True, help="Small matrices, two rounds: does it run?")
def main(rounds, quick):
    """Measure the limit; write docs/benchmarks/limit.md and .json."""
    found = speeds(2 if quick else rounds, 1 if quick else 2, quick)
    limits = {
        dtype: max(row["GFLOP/s"] for row in found if row["precision"] == dtype)
        for dtype in ("float32", "bfloat16")
    }
    tables = {"The host at its best": found}
    if reached := shares(limits, quick):
        tables["How near the networks come"] = reached
    report("limit", "How fast the host multiplies", tables, NOTES, quick)


if __name__ == "__main__":
    main()
