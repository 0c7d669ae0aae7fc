"""How fast ResNet50 answers: Keras' own, ours as it is, and ours in every engine that is installed.

    python benchmarks/inference.py                       # batches of 1, 8 and 32; writes docs/benchmarks
    KERAS_BACKEND=jax python benchmarks/inference.py --batch 8

All have the same random arrays and get the same NumPy pictures; answers are NumPy's. The peak memory is that
of a process from its start: it imports, builds, folds, converts and answers.
"""

import tempfile
from pathlib import Path

import click
import numpy as np
from machine import backend, python_with
from networks import build, compared, pictures, randomise, torchvision_network
from reporting import report
from worker import Case

REFERENCE = "keras.applications float32"
TURNS = """\
A ratio comes from rounds that the two ran in turn, every engine with the reference anew; the reference's own
row is from the first of these, so dividing two rows gives a slightly different number."""
NOTES = f"""\
GFLOP/s counts what the network's definition asks for; how much of the host that is, `limit` says. Keras'
models and ours without an engine answer by `predict_on_batch`. TensorFlow, which converts the network, is in
every engine's memory. Torchvision's network has its stride in the 3x3 (v1.5): 6 % more to compute.

{TURNS}"""


def keras_answers(library: str, network: str, dtype: str, batch: int, size: int):
    model, images = randomise(build(library, network, size, dtype)), pictures(batch, size)
    return lambda: np.asarray(model.predict_on_batch(images))


def engine_answers(engine: str, network: str, dtype: str, batch: int, size: int):
    from keras_resnets.engines import compiled

    model, images = randomise(build("keras_resnets", network, size)), pictures(batch, size)
    calibration = pictures(32, size) if dtype == "int8" else None
    run = compiled(model, engine, dtype, batch, calibration=calibration)
    return lambda: run(images)


def openvino_of_torchvision(network: str, dtype: str, batch: int, size: int):
    """What PyTorch's users do: an ONNX file, and OpenVINO's defaults but for the precision."""
    import openvino
    import torch

    model, _ = torchvision_network(network)
    images = pictures(batch, size).transpose(0, 3, 1, 2).copy()
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "network.onnx")
        torch.onnx.export(model.cpu().eval(), (torch.from_numpy(images),), file, dynamo=False)
        hint = {"INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[dtype]}
        run = openvino.compile_model(file, "CPU", hint)
    return lambda: run(images)[0]


def contestants(**common) -> list[dict[str, Case]]:
    """What runs in the same rounds, the reference first in each: all at once would fill the memory."""
    cases = {}
    for dtype in ("float32", "mixed_bfloat16"):
        for name, library in (("keras.applications", "keras"), ("keras_resnets", "keras_resnets")):
            arguments = {"library": library, "network": "ResNet50", "dtype": dtype}
            cases[f"{name} {dtype}"] = Case(keras_answers, arguments | common)
    groups, reference = [cases], {REFERENCE: cases[REFERENCE]}
    for engine, precision in installed():
        arguments = {"engine": engine, "network": "ResNet50", "dtype": precision}
        groups.append(reference | {f"engine {engine} {precision}": Case(engine_answers, arguments | common)})
    if python := python_with("torch", "torchvision", "onnx", "openvino"):
        for dtype in ("float32", "bfloat16"):
            arguments = {"network": "ResNet50V1_5", "dtype": dtype}
            case = Case(openvino_of_torchvision, arguments | common, python)
            groups.append(reference | {f"torchvision in openvino {dtype}": case})
    return groups


def installed() -> list[tuple[str, str]]:
    """Every engine with every precision, where it is installed."""
    if backend() != "tensorflow":  # they start from its graph
        return []
    from keras_resnets.engines import ENGINES

    return [
        (name, precision)
        for name, engine in ENGINES.items()
        if not engine.missing()
        for precision in engine.precisions
    ]


@click.command()
@click.option("--rounds", default=7, show_default=True)
@click.option("--batch", multiple=True, type=int, help="May be repeated.  [default: 1, 8, 32]")
@click.option("--quick", is_flag=True, help="Tiny pictures, two rounds: does it run?")
def main(rounds, batch, quick):
    """Measure answers; write docs/benchmarks/inference.md and .json."""
    rounds, warm, size = (2, 1, 32) if quick else (rounds, 2, 224)
    tables = {}
    for number in batch or ((2,) if quick else (1, 8, 32)):
        first, *others = contestants(batch=number, size=size)
        rows = compared(first, REFERENCE, rounds, warm)
        for group in others:
            rows += [row for row in compared(group, REFERENCE, rounds, warm) if row["case"] != REFERENCE]
        tables[f"Batches of {number}"] = rows
    report("inference", "How fast ResNet50 answers", tables, NOTES, quick)


if __name__ == "__main__":
    main()
